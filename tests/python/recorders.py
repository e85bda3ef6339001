"""Protocols that keep what they are told, and patience for what they are yet to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

LoopFactory = Callable[[], asyncio.SelectorEventLoop]
LIMIT_SECONDS = 10


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, LIMIT_SECONDS)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def run(loops: LoopFactory, main: Callable[[], Any]) -> Any:
    with asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(main())


def exceptions_of(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """What the loop's exception handler is told from now on."""
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


class Recorder(asyncio.BaseProtocol):
    """`events`: the names of the callbacks, in order, save those of data."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.events: list[str] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost.set_result(exc)

    async def wait_lost(self) -> Exception | None:
        error: Exception | None = await soon(asyncio.shield(self.lost))
        return error


class StreamRecorder(Recorder, asyncio.Protocol):
    """Of a stream. `keep_open`: what eof_received returns."""

    keep_open = False

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open

    async def wait_data(self, size: int) -> bytes:
        await until(lambda: len(self.data) >= size)
        return bytes(self.data)


class DatagramRecorder(Recorder, asyncio.DatagramProtocol):
    """Of a datagram endpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.events.append("received")
        self.received.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.events.append("error")
        self.errors.put_nowait(exc)
