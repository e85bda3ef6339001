"""A service that falls silent: its machine or the way to it is gone, or it stands still."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
import transportd
from transportd import _loop
from transportd.service import Service

from bad_target_test import FakeService, Scripted, open_loop
from differential import LIMIT_SECONDS, soon
from http2_peer import ACK, DATA, END_STREAM, PING, Http2Peer, frame
from recorders import StreamRecorder

SILENCE = r"the session with the service at .* is lost: it did not answer a ping within 0\.2 s: its machine"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a service takes no more of for long does no harm to these."""
    monkeypatch.setattr(_loop, "_LEAST_KEEPALIVE_SECONDS", 0.0)


class Way:
    """The way to a service, which may be cut: nothing gets through any more, and nobody is told."""

    def __init__(self, service: tuple[str, int]):
        self._service = service
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_cut = threading.Event()
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def cut(self) -> None:
        self._is_cut.set()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._service)
        self._socks += [near, far]
        for one, other in ((near, far), (far, near)):
            thread = threading.Thread(target=self._pass_on, args=(one, other))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if self._is_cut.is_set():
                    return
                other.sendall(data)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads[0].join(LIMIT_SECONDS)
        for sock in self._socks:
            sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT_SECONDS)
        for sock in (*self._socks, self._listener):
            sock.close()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """One that a test may stop."""
    service = Service(stop_timeout=LIMIT_SECONDS)
    service.start()
    yield service
    os.kill(service.pid, signal.SIGCONT)
    service.stop()


def expect_loss(loop: transportd.EventLoop, silence: Callable[[], Any]) -> None:
    """Everything that is open ends, and everything that waits, soon after the silence."""

    async def main() -> None:
        _, protocol = await loop.create_connection(StreamRecorder, *listener.getsockname())
        server = await loop.create_server(StreamRecorder, "127.0.0.1", 0)
        process = await asyncio.create_subprocess_exec("sleep", "3600")
        await asyncio.sleep(0)
        silence()
        begun = time.monotonic()
        waiting = [asyncio.ensure_future(one) for one in (loop.getaddrinfo("localhost", 80), process.wait())]
        with pytest.raises(transportd.SessionLostError, match=SILENCE):
            raise await protocol.wait_lost() or AssertionError
        assert time.monotonic() - begun < 5
        for outcome in await soon(asyncio.gather(*waiting, return_exceptions=True)):
            assert isinstance(outcome, transportd.SessionLostError)
        await soon(server.wait_closed())
        assert not server.is_serving()
        with pytest.raises(transportd.SessionLostError, match=SILENCE):
            await loop.getaddrinfo("localhost", 80)

    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_the_way_to_the_service_is_cut(own_service: Service) -> None:
    host, port = own_service.target.rsplit(":", 1)
    with Way((host, int(port))) as way:
        expect_loss(transportd.EventLoop(way.target, keepalive_time=0.3, keepalive_timeout=0.2), way.cut)


def test_the_service_stands_still(own_service: Service) -> None:
    loop = transportd.EventLoop(own_service.target, keepalive_time=0.3, keepalive_timeout=0.2)
    expect_loss(loop, lambda: os.kill(own_service.pid, signal.SIGSTOP))


class Answering:
    """Answers pings, until the stream's end. `times`: when they came."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.has_enough = threading.Event()

    def __call__(self, peer: Http2Peer) -> None:
        while True:
            received = peer.read_frame()
            if received.kind == PING and not received.flags:
                assert (received.stream_id, len(received.payload)) == (0, 8)
                peer.send(frame(PING, received.payload, ACK, 0))
                self.times.append(time.monotonic())
                if len(self.times) == 4:
                    self.has_enough.set()
            elif received.kind == DATA and received.flags & END_STREAM:
                peer.send(peer.trailers(0))


def test_a_service_that_answers_is_asked_again() -> None:
    script = Answering()
    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target, keepalive_time=0.1, keepalive_timeout=5)
        loop.run_until_complete(soon(asyncio.to_thread(script.has_enough.wait)))
        loop.close()
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(script.times))


def test_a_service_that_says_something_is_not_asked() -> None:
    pings: list[Any] = []

    def script(peer: Http2Peer) -> None:
        peer.sock.settimeout(0.02)
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            peer.send(frame(PING, bytes(8), 0, 0))
            with contextlib.suppress(TimeoutError):
                while True:
                    received = peer.read_frame()
                    if received.kind == PING and not received.flags:
                        pings.append(received)
        peer.sock.settimeout(LIMIT_SECONDS)
        said.set()

    said = threading.Event()
    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target, keepalive_time=0.4, keepalive_timeout=5)
        loop.run_until_complete(soon(asyncio.to_thread(said.wait)))
        assert not pings
        loop.close()


def test_nobody_is_asked_when_it_is_not_wanted() -> None:
    loop_options: dict[str, Any] = {"keepalive_time": None}
    with FakeService(Scripted()) as fake:
        loop = open_loop(fake.target, **loop_options)
        assert not loop._scheduled  # type: ignore[attr-defined]
        loop.close()


def test_a_loop_that_stood_still_itself_asks_first() -> None:
    with FakeService(Scripted(Answering())) as fake:
        loop = open_loop(fake.target, keepalive_time=0.2, keepalive_timeout=0.2)
        for _ in range(3):
            # lint: allow sleep-python: it is a loop that stands still
            time.sleep(0.5)
            loop.run_until_complete(asyncio.sleep(0.01))
            assert loop._session.lost is None
        loop.close()


def test_a_closed_loop_has_no_timer() -> None:
    with FakeService(Scripted()) as fake:
        loop = open_loop(fake.target)
        assert len(loop._scheduled) == 1  # type: ignore[attr-defined]
        timer = loop._scheduled[0]  # type: ignore[attr-defined]
        loop.close()
        assert timer.cancelled()


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for seconds in (0, -1, 9.9, float("nan")):
        with pytest.raises(ValueError, match=r"keepalive_time .*: allowed are seconds from 10 on, and None"):
            transportd.EventLoop("localhost:1", keepalive_time=seconds)
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=r"keepalive_timeout .*: allowed are seconds above 0"):
            transportd.EventLoop("localhost:1", keepalive_timeout=seconds)
