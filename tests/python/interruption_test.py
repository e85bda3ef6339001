"""Signals that strike in the middle of the package's own code: nothing is corrupted, nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import transportd

from differential import LIMIT_SECONDS, LoopFactory, soon

FOLDER = os.path.dirname(transportd.__file__)
PIECES = [b"%04d" % number * (1 + number * 400) for number in range(12)]
WHOLE = b"".join(PIECES)


class Interrupter:
    """Raises at the `count`th line of the package that is run, as a signal's handler would."""

    def __init__(self, count: int, kind: type[BaseException]):
        self._left = count
        self._kind = kind
        self.where = ""

    def _on_call(self, frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        return self.on_line if frame.f_code.co_filename.startswith(FOLDER) else None

    def on_line(self, frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        if event == "line":
            self._left -= 1
            if self._left < 0 and not self.where:
                self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                sys.settrace(None)
                raise self._kind
        return self.on_line

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        # By that it is known as a handler.
        before = signal.signal(signal.SIGUSR2, self.on_line)  # type: ignore[arg-type]
        sys.settrace(self._on_call)
        try:
            yield
        finally:
            sys.settrace(None)
            signal.signal(signal.SIGUSR2, before)


class Talker(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = asyncio.get_event_loop().create_future()
        self.is_complete = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= len(WHOLE):
            self.is_complete.set()

    def connection_lost(self, exc: Exception | None) -> None:
        assert not self.lost.done(), "it is told twice"
        self.lost.set_result(exc)


class Echo(threading.Thread):
    """A peer that keeps what it receives, and sends it back."""

    def __init__(self, listener: socket.socket):
        super().__init__(daemon=True)
        self._listener = listener
        self.received = bytearray()

    def run(self) -> None:
        # The listener may be gone first, when the conversation was interrupted.
        with contextlib.suppress(OSError), self._listener.accept()[0] as peer:
            peer.settimeout(LIMIT_SECONDS)
            while data := peer.recv(1 << 16):
                self.received += data
                peer.sendall(data)


async def talk(transport: Any, protocol: Talker) -> None:
    for piece in PIECES:
        transport.write(piece)
        await asyncio.sleep(0)
    transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await protocol.is_complete.wait()


def interrupted(loop_factory: LoopFactory, interrupter: Interrupter) -> bool:
    """A conversation is interrupted, and goes on as far as it can: whether the session is lost."""
    loop = loop_factory()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            echo = Echo(listener)
            echo.start()
            connected = loop.create_connection(Talker, *listener.getsockname())
            transport, protocol = loop.run_until_complete(soon(connected))
            waiting = loop.create_task(loop.getaddrinfo("localhost", 1))
            task = loop.create_task(talk(transport, protocol))
            try:
                with interrupter.active():
                    loop.run_until_complete(task)
            except (KeyboardInterrupt, SystemExit):
                assert interrupter.where
            is_lost = loop._session.lost is not None  # type: ignore[attr-defined]
            # Whatever waited hears of it.
            task.cancel()
            with contextlib.suppress(RuntimeError):
                # An interruption in the turn in which the last run was to stop makes the stock loop stop this one.
                loop.run_until_complete(asyncio.sleep(0))
            waited = loop.run_until_complete(soon(asyncio.wait([task, waiting])))
            assert not waited[1], interrupter.where
            for each in waited[0]:
                failure = None if each.cancelled() else each.exception()
                assert isinstance(failure, transportd.SessionLostError | KeyboardInterrupt | SystemExit | None)
            transport.close()
            error = loop.run_until_complete(soon(protocol.lost))
            assert isinstance(error, transportd.SessionLostError) if is_lost else error is None, interrupter.where
            if is_lost:
                with pytest.raises(transportd.SessionLostError, match="interrupted"):
                    loop.run_until_complete(soon(loop.getaddrinfo("localhost", 1)))
    finally:
        loop.close()
    echo.join(LIMIT_SECONDS)
    assert WHOLE.startswith(echo.received), interrupter.where
    assert WHOLE.startswith(protocol.data), interrupter.where
    return is_lost


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_anywhere(loop_factory: LoopFactory, kind: type[BaseException]) -> None:
    outcomes = []
    count = 0
    while True:
        interrupter = Interrupter(count, kind)
        is_lost = interrupted(loop_factory, interrupter)
        if not interrupter.where:
            break
        outcomes.append(is_lost)
        count += 11
    assert len(outcomes) > 50
    assert sum(outcomes) > len(outcomes) / 2


class Handler:
    """Calls `act` at the `count`th place in the package where a signal's handler may run: behind a call."""

    def __init__(self, count: int, act: Callable[[], None]):
        self._left = count
        self._act = act
        self.where = ""

    def _on_event(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(FOLDER):
            self._left -= 1
            if self._left < 0 and not self.where:
                self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                self._act()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)


MUCH = WHOLE * 4  # More than one frame takes.


def handled(loop_factory: LoopFactory, count: int) -> str:
    """A conversation in whose middle a handler writes, closes and waits for an answer: where it ran."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            echoes = [Echo(listener), Echo(listener)]
            for echo in echoes:
                echo.start()
            first, talker = await loop.create_connection(Talker, *listener.getsockname())
            second, listening = await loop.create_connection(Talker, *listener.getsockname())
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()

            def act() -> None:
                second.write(MUCH)
                server.close()
                second.write(b"end")

            handler = Handler(count, act)
            with handler.active():
                await soon(talk(first, talker))
            if handler.where:
                while len(listening.data) < len(MUCH) + 3:
                    listening.is_complete.clear()
                    await soon(listening.is_complete.wait())
                assert listening.data == MUCH + b"end", handler.where
                with pytest.raises(ConnectionRefusedError):
                    await soon(loop.create_connection(asyncio.Protocol, *address))
            server.close()
            for transport, protocol in ((first, talker), (second, listening)):
                transport.close()
                assert await soon(protocol.lost) is None
            assert talker.data == WHOLE
            for echo in echoes:
                echo.join(LIMIT_SECONDS)
            return handler.where

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def test_a_signal_s_handler_may_use_transports_anywhere(loop_factory: LoopFactory) -> None:
    places: list[str] = []
    while where := handled(loop_factory, 5 * len(places)):
        places.append(where)
    assert len(places) > 50
    assert len({where for where in places if where.startswith(("_session", "_http2"))}) > 20


def test_an_answer_that_a_signal_s_handler_cannot_have(loop_factory: LoopFactory, listener: socket.socket) -> None:
    """It asks while the thread waits for another answer: it is told, and nothing else happens."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        asked = transport.get_extra_info("socket")
        errors: list[BaseException] = []

        def act() -> None:
            with pytest.raises(RuntimeError, match=r"at work.*add_signal_handler") as caught:
                asked.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            errors.append(caught.value)

        for count in range(40):
            handler = Handler(count, act)
            handler._on_event = _only_in("wait", handler._on_event)  # type: ignore[method-assign]
            with handler.active():
                assert asked.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
            if not handler.where:
                break
        assert len(errors) > 3
        assert asked.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        transport.abort()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def _only_in(function: str, profile: Callable[..., None]) -> Callable[..., None]:
    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_name == function:
            profile(frame, event, argument)

    return on_event


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_another_thread_gets_no_answer(loop_factory: LoopFactory, listener: socket.socket) -> None:
    """asyncio's words, debug mode or not: it would take what the loop waits for."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        asked = transport.get_extra_info("socket")
        for call in (lambda: asked.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), server.close):
            with pytest.raises(RuntimeError, match="Non-thread-safe operation invoked on an event loop other than"):
                await asyncio.to_thread(call)
        assert server.is_serving()
        assert asked.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        server.close()
        transport.abort()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
