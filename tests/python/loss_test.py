"""A connection's end and its loss, told to the loop in one go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from differential import LoopFactory, World, fill, reset, run_on


def hear(transport: Any) -> None:
    """The service tells what it knows, and nobody is called for it yet: getsockopt waits in this thread."""
    for _ in range(5):
        transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_reset_behind_the_end_is_told_when_bytes_wait(loop_factory: LoopFactory) -> None:
    async def main(world: World) -> None:
        other, *_ = await world.connect(asyncio.Protocol)
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        peer.shutdown(socket.SHUT_WR)
        hear(other)
        reset(peer)
        hear(other)
        # The end makes the protocol close; what it has written waits behind what can no longer be sent.
        await protocol.lost()
        other.abort()

    told = run_on(loop_factory, main)["client"]
    assert told[-2:] == [("eof",), ("lost", ("BrokenPipeError", 32, "[Errno 32] Broken pipe"))]
