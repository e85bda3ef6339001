"""Many connections at once, each doing something else at random: every byte arrives, in order, whatever the windows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import harness
import pytest
import transportd

from differential import soon

SMALLEST = ("--receive-window-bytes=4KiB", "--send-window-bytes=4KiB", "--max-receive-window-bytes=4KiB")
SMALLEST_SESSION = ("--session-receive-window-bytes=8KiB", "--session-send-window-bytes=8KiB")
SMALLEST_FRAMES = ("--max-client-frame-bytes=64KiB", "--max-server-frame-bytes=64KiB")


@pytest.fixture(
    scope="module",
    params=[(), SMALLEST_FRAMES, SMALLEST, SMALLEST_SESSION, SMALLEST + SMALLEST_SESSION + SMALLEST_FRAMES],
    ids=["usual", "small frames", "small windows", "small session", "all small"],
)
def narrow_service(request: pytest.FixtureRequest) -> Iterator[harness.Service]:
    service = harness.Service(*request.param)
    yield service
    service.stop()


class Peer:
    """Echoes in a thread, in pieces and with delays of its own choice, then ends its side."""

    def __init__(self, listener: socket.socket, seed: int):
        self._listener = listener
        self._random = random.Random(seed)
        self.digest = hashlib.sha256()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        rng = self._random
        peer, _ = self._listener.accept()
        with peer:
            peer.settimeout(harness.TIMEOUT)
            while data := peer.recv(rng.choice([1, 100, 10_000, 1 << 18])):
                self.digest.update(data)
                peer.sendall(data)
                if rng.randrange(20) == 0:
                    threading.Event().wait(0.001)


class Client(asyncio.Protocol):
    """Checks what comes back, and that pause_writing and resume_writing alternate."""

    def __init__(self, expected: bytes, rng: random.Random):
        self._expected = expected
        self._random = rng
        self.received = 0
        self.transport: Any = None
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_lost = asyncio.Event()
        self.error: Exception | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self._random.randrange(2):
            transport.set_write_buffer_limits(high=self._random.choice([0, 1, 1000, 100_000, 1 << 20]))

    def data_received(self, data: bytes) -> None:
        # Where the first byte is wrong, is said at once.
        assert data == self._expected[self.received : self.received + len(data)], self.received
        self.received += len(data)
        if self._random.randrange(10) == 0:
            self.transport.pause_reading()
            delay = self._random.choice([0, 0, 0.001, 0.005])
            asyncio.get_running_loop().call_later(delay, self.transport.resume_reading)

    def pause_writing(self) -> None:
        assert self.may_write.is_set()
        self.may_write.clear()

    def resume_writing(self) -> None:
        assert not self.may_write.is_set()
        self.may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.may_write.set()
        self.is_lost.set()


class BufferedClient(Client, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> bytearray:
        self._buffer = bytearray(self._random.choice([10, 1000, 100_000]))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        Client.data_received(self, bytes(self._buffer[:nbytes]))


async def converse(listener: socket.socket, seed: int, size: int) -> None:
    rng = random.Random(seed)
    data = harness.pattern(size, seed)
    peer = Peer(listener, seed)
    kind = rng.choice([Client, BufferedClient])
    transport, client = await asyncio.get_running_loop().create_connection(
        lambda: kind(data, rng), *listener.getsockname()
    )
    position = 0
    while position < size:
        piece = data[position : position + rng.choice([1, 50, 1000, 65_536, 65_537, 300_000])]
        position += len(piece)
        match rng.randrange(3):
            case 0:
                transport.write(piece)
            case 1:
                transport.write(memoryview(piece))
            case _:
                transport.writelines([piece[:10], piece[10:]])
        if rng.randrange(3):
            await soon(client.may_write.wait())
        if rng.randrange(10) == 0:
            await asyncio.sleep(rng.choice([0, 0.001]))
    transport.write_eof()
    await soon(client.is_lost.wait())
    assert client.error is None
    assert client.received == size
    assert transport.get_write_buffer_size() == 0
    await asyncio.to_thread(peer.thread.join)
    assert peer.digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("seed", range(3))
def test_every_byte_arrives(narrow_service: harness.Service, seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        sizes = [rng.choice([1, 1000, 100_000, 1_000_000]) for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            for number, size in enumerate(sizes):
                # Each has a listener of its own: who is accepted first is nobody's choice.
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                listener.settimeout(harness.TIMEOUT)
                group.create_task(converse(listener, 1000 * seed + number, size))

    with contextlib.ExitStack() as stack:
        unexpected: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=lambda: transportd.EventLoop(narrow_service.target)) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: unexpected.append(context))
            runner.run(main())
        assert not unexpected
