"""A connection's end and its loss, told to the loop in one go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from transportd.v1 import event_loop_pb2, transport_pb2

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


def test_nothing_is_told_as_written_that_is_not(loop_factory: LoopFactory) -> None:
    """All that one frame wrote may be written, and what the next one wrote is not."""

    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        transport.set_write_buffer_limits(high=0)
        for _ in range(40):
            # Five go into one frame: the last one is alone in its.
            for _ in range(16):
                transport.write(bytes(50_000))
                if not transport._pending:
                    assert transport._issued_sequence == transport._session._sequence + 1
            await world.settle()
            state = await transport._session.call(
                event_loop_pb2.Command(get_state=transport_pb2.GetStateRequest(transport_id=transport._id))
            )
            assert transport._sent_bytes <= state.get_state.sent_bytes
        transport.abort()
        await protocol.lost()

    run_on(loop_factory, main)
