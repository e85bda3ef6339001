"""One scenario on asyncio's own loop and on transportd's: what happens must be the same.

A scenario writes down what happens, each actor (a protocol, a peer) for itself: there is an order among what happens
to one, and none between two. Peers are sockets of the test's own, used in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

LIMIT_SECONDS = 20  # Never reached when all is well.
# For scenarios that leave a socket to the collector on the stock loop.
LEFT_OPEN = pytest.mark.usefixtures("left_open")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Result = TypeVar("Result")
Events = dict[str, list[tuple[Any, ...]]]


class World:
    """What a scenario has: the loop, a log, peers. Everything is closed at its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.loop = loop
        self.events: Events = {}
        self.stack = contextlib.ExitStack()
        self._names: dict[int, str] = {}
        self._listener: socket.socket | None = None
        self._echo: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        loop.set_exception_handler(self._on_exception)
        handler = _Handler(self)
        logger = logging.getLogger("asyncio")
        logger.addHandler(handler)
        self.stack.callback(logger.removeHandler, handler)

    # The log

    def log(self, actor: str, what: str, *details: Any) -> None:
        """Texts and addresses have names instead of ports."""
        self.events.setdefault(actor, []).append((what, *(self.plain(detail) for detail in details)))

    def data(self, actor: str, data: bytes) -> None:
        """Where one piece ends and the next begins means nothing: they are joined."""
        events = self.events.setdefault(actor, [])
        if events and events[-1][0] == "data":
            data = events.pop()[1] + data
        events.append(("data", data))

    def name_port(self, port: int, name: str) -> None:
        self._names[port] = f"<{name}>"

    def plain(self, value: Any) -> Any:
        """As it can be compared with another run's."""
        if isinstance(value, BaseExceptionGroup):
            return (type(value).__name__, value.message, *(self.plain(one) for one in value.exceptions))
        if isinstance(value, BaseException):
            # What the service adds to a class is not asyncio's.
            kind = next(kind for kind in type(value).__mro__ if not kind.__module__.startswith("transportd"))
            words = (getattr(value, "errno", None), self.plain(str(value)))
            return (kind.__name__, *words)
        if isinstance(value, str):
            for port, name in self._names.items():
                value = re.sub(rf"\b{port}\b", name, value)
            return value
        if isinstance(value, tuple):
            return tuple(self.plain(one) for one in value)
        if isinstance(value, list):
            return [self.plain(one) for one in value]
        if type(value) is int:
            return self._names.get(value, value)
        return value

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The reprs of callbacks and transports are each loop's own.
        message = context["message"]
        if message.startswith("Exception in callback"):
            message = "Exception in callback"
        error = context.get("exception")
        self.log("handler", message, sorted(set(context) - {"source_traceback"}), error)

    # Peers

    @property
    def listener(self) -> socket.socket:
        """Where the peers are that are connected to."""
        if self._listener is None:
            self._listener = self.listen()
            self.name_port(self._listener.getsockname()[1], "peer")
        return self._listener

    def listen(self, backlog: int = 16) -> socket.socket:
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
        listener.settimeout(LIMIT_SECONDS)
        return listener

    async def accept(self, listener: socket.socket | None = None) -> socket.socket:
        peer, address = await asyncio.to_thread((listener or self.listener).accept)
        self.name_port(address[1], "local")
        return self.own(peer)

    async def dial(self, address: Any) -> socket.socket:
        peer = await asyncio.to_thread(socket.create_connection, address[:2], LIMIT_SECONDS)
        self.name_port(peer.getsockname()[1], "peer")
        return self.own(peer)

    def own(self, peer: socket.socket) -> socket.socket:
        peer.settimeout(LIMIT_SECONDS)
        return self.stack.enter_context(peer)

    async def connect(self, factory: Callable[[], Any] | None = None, **options: Any) -> tuple[Any, Any, socket.socket]:
        """A connection: transport and protocol here, and the peer's socket."""
        make = factory or (lambda: Recorder(self))
        address = self.listener.getsockname()
        transport, protocol = await self.loop.create_connection(make, *address, **options)
        return transport, protocol, await self.accept()

    async def settle(self) -> None:
        """Whatever the kernel knew before this call, the loop knows when it returns."""
        if self._echo is None:
            listener = self.listen()
            self._echo = await asyncio.open_connection(*listener.getsockname())
            peer = await self.accept(listener)
            threading.Thread(target=_echo, args=(peer,), daemon=True).start()
        reader, writer = self._echo
        for _ in range(3):
            writer.write(b"?")
            await soon(reader.readexactly(1))

    async def close(self) -> None:
        if self._echo is not None:
            _, writer = self._echo
            writer.close()
            await writer.wait_closed()
        self.stack.close()


class Recorder(asyncio.Protocol):
    """Writes down what it is told. `keep_open`: what eof_received returns."""

    keep_open: Any = None
    is_filled = False

    def __init__(self, world: World, actor: str = "client"):
        self.world = world
        self.actor = actor
        self.transport: Any = None
        self.received = bytearray()
        self.is_lost = asyncio.Event()
        self.has_new = asyncio.Event()

    def log(self, what: str, *details: Any) -> None:
        self.world.log(self.actor, what, *details)
        self.has_new.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.log("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.world.data(self.actor, data)
        self.received += data
        self.has_new.set()

    def eof_received(self) -> Any:
        self.log("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.log("pause")

    def resume_writing(self) -> None:
        self.log("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.log("lost", exc)
        self.is_lost.set()

    async def lost(self) -> None:
        await soon(self.is_lost.wait())

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits until it is true; asks whenever something happened to this protocol."""
        while not condition():
            self.has_new.clear()
            await soon(self.has_new.wait())

    async def until_data(self, size: int) -> bytes:
        await self.until(lambda: len(self.received) >= size)
        return bytes(self.received)

    async def until_event(self, what: str) -> None:
        await self.until(lambda: any(event[0] == what for event in self.world.events.get(self.actor, ())))


class OpenRecorder(Recorder):
    """Keeps a half-closed connection open."""

    keep_open = True


async def soon(awaitable: Awaitable[Result]) -> Result:
    return await asyncio.wait_for(awaitable, LIMIT_SECONDS)


async def read_all(peer: socket.socket) -> bytes | Exception:
    """Everything until the peer's FIN, or the error instead of it."""

    def read() -> bytes | Exception:
        out = bytearray()
        try:
            while piece := peer.recv(1 << 16):
                out += piece
        except OSError as error:
            return error
        return bytes(out)

    return await asyncio.to_thread(read)


async def read_exactly(peer: socket.socket, size: int) -> bytes:
    def read() -> bytes:
        out = bytearray()
        while len(out) < size and (piece := peer.recv(min(size - len(out), 1 << 16))):
            out += piece
        return bytes(out)

    return await asyncio.to_thread(read)


def reset(peer: socket.socket) -> None:
    """Closes it with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


async def fill(world: World, transport: Any, protocol: Recorder, piece_bytes: int = 1 << 20) -> int:
    """Writes until the kernel takes nothing more; returns how many bytes are buffered. The protocol is paused."""
    transport.set_write_buffer_limits(high=0)
    size = 0
    while True:
        transport.write(bytes(piece_bytes))
        await world.settle()
        before, size = size, transport.get_write_buffer_size()
        if size >= before + piece_bytes:
            break
    # How often that was until then is the kernel's affair.
    events = world.events[protocol.actor]
    events[:] = [event for event in events if event[0] not in ("pause", "resume")]
    protocol.log("paused for good")
    protocol.is_filled = True
    return size  # type: ignore[no-any-return]


def run_on(loop_factory: LoopFactory, main: Callable[[World], Coroutine[Any, Any, Any]], debug: bool = False) -> Events:
    """What happens in this scenario on such a loop."""

    async def guarded() -> Events:
        world = World(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(2 * LIMIT_SECONDS):
                await main(world)
        finally:
            await world.close()
        return world.events

    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(guarded())


class Same:
    """Runs a scenario on both loops, compares, and returns what happened."""

    def __init__(self, loop_factory: LoopFactory):
        self._loop_factory = loop_factory

    def __call__(self, main: Callable[[World], Coroutine[Any, Any, Any]], *, debug: bool = False) -> Events:
        expected = run_on(asyncio.SelectorEventLoop, main, debug)
        assert expected, "the scenario wrote nothing down"
        found = run_on(self._loop_factory, main, debug)
        assert shortened(found) == shortened(expected)
        assert found == expected
        return expected


def shortened(events: Events) -> Events:
    """Long data by its size, so that a difference can be read."""

    def short(value: Any) -> Any:
        if isinstance(value, bytes) and len(value) > 64:
            return f"{len(value)} bytes"
        return value

    return {actor: [tuple(short(detail) for detail in event) for event in log] for actor, log in events.items()}


class _Handler(logging.Handler):
    """Warnings and errors of asyncio's logger are part of what happens."""

    def __init__(self, world: World):
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        # asyncio tells of slow callbacks in debug mode: of this machine, not of the loop.
        if "Executing" not in record.msg:
            self._world.log("logger", record.levelname, record.getMessage())


def _echo(peer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := peer.recv(1 << 16):
            peer.sendall(data)
