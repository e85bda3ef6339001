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
        peer, _ = self._listener.accept()
        with peer, contextlib.suppress(OSError):
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
