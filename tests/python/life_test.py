"""A loop's life: many connections, its end with everything open, the service's end, threads, forks, interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import multiprocessing
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import transportd
from transportd.service import Service

from differential import LIMIT_SECONDS, LoopFactory, soon

CONNECTIONS = 10_000
BATCH = 100


class Counting(asyncio.Protocol):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.received = 0
        self.transport: Any = None
        self.is_lost = asyncio.Event()
        self.has_data = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events["made"] += 1

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.has_data.set()

    def eof_received(self) -> None:
        self.events["eof"] += 1

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events["lost"] += 1
        self.error = exc
        self.is_lost.set()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=2 * BATCH) as listener:
        listener.settimeout(LIMIT_SECONDS)
        yield listener


@pytest.fixture
def own_service() -> Iterator[Service]:
    """One that a test may kill."""
    service = Service(stop_timeout=LIMIT_SECONDS)
    service.start()
    yield service
    with contextlib.suppress(ProcessLookupError):
        os.kill(service.pid, signal.SIGCONT)
    service.stop()


def own_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def fds_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def run(loops: LoopFactory, main: Callable[[], Any], debug: bool | None = None) -> Any:
    with asyncio.Runner(loop_factory=loops, debug=debug) as runner:
        return runner.run(main())


# Nothing is left


def test_ten_thousand_connections_leave_nothing(
    loop_factory: LoopFactory, service: harness.Service, listener: socket.socket
) -> None:
    """Half of them out, half of them in; objects are counted after a quarter of them and at the end."""

    async def batch(server: asyncio.Server) -> None:
        loop = asyncio.get_running_loop()
        peers = []
        outward = [loop.create_connection(Counting, *listener.getsockname()) for _ in range(BATCH // 2)]
        pairs = await soon(asyncio.gather(*outward))
        for _ in range(BATCH // 2):
            peers.append(listener.accept()[0])
            peers.append(socket.create_connection(server.sockets[0].getsockname(), LIMIT_SECONDS))
        for number, (transport, protocol) in enumerate(pairs):
            transport.write(b"hello")
            if number % 3:
                transport.close()
            else:
                transport.abort()
            await soon(protocol.is_lost.wait())
        for number, peer in enumerate(peers):
            if number % 5 == 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

    def inward() -> Counting:
        protocol = Counting()
        inwards.add(protocol)
        return protocol

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    inwards: weakref.WeakSet[Counting] = weakref.WeakSet()

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(inward, "127.0.0.1", 0, backlog=BATCH)
        fds = len(service.fds())
        await batch(server)
        counts = {}
        for number in range(BATCH, CONNECTIONS, BATCH):
            await batch(server)
            if number in (CONNECTIONS // 4, CONNECTIONS - BATCH):
                await until(lambda: not inwards)
                counts[number] = objects()
        await until(lambda: len(service.fds()) <= fds)
        first, last = counts.values()
        assert last - first < 100, counts
        server.close()

    run(loop_factory, main)


def test_a_loop_closed_with_everything_open_leaves_nothing(
    loop_factory: LoopFactory, service: harness.Service, listener: socket.socket, tmp_path: Path
) -> None:
    before, own = len(service.fds()), own_fds()
    loop = loop_factory()
    kept: list[Any] = []

    async def main() -> None:
        for _ in range(50):
            transport, _ = await loop.create_connection(Counting, *listener.getsockname())
            transport.write(bytes(1_000_000))
            kept.append(transport)
        kept.append(await loop.create_server(Counting, "127.0.0.1", 0))
        path = tmp_path / "place"
        kept.append(await loop.create_unix_server(Counting, str(path)))
        kept.extend([await loop.create_unix_connection(Counting, str(path)) for _ in range(10)])
        # Calls that are not answered.
        for _ in range(5):
            kept.append(asyncio.ensure_future(loop.create_connection(Counting, *full.getsockname())))
            kept.append(asyncio.ensure_future(loop.getaddrinfo("localhost", 80)))
        await asyncio.sleep(0)

    with full_listener() as full:
        loop.run_until_complete(main())
        assert len(service.fds()) > before + 50
        for task in kept:
            if isinstance(task, asyncio.Task):
                task.cancel()
        begun = time.monotonic()
        loop.close()
        assert time.monotonic() - begun < 1
        # At once: nobody waits here. What may still be there is the end of the connection with the service.
        assert len(service.fds()) <= before + 1
        harness.eventually(lambda: len(service.fds()) <= before, "the connection is closed")
    peers = [listener.accept()[0] for _ in range(50)]
    for peer in peers:
        peer.settimeout(LIMIT_SECONDS)
        with peer, contextlib.suppress(ConnectionResetError):
            while peer.recv(1 << 20):
                pass
    for transport in kept:
        if isinstance(transport, asyncio.Transport):
            transport.write(b"nobody")
            for method in (transport.close, transport.abort):
                with contextlib.suppress(RuntimeError):  # Event loop is closed
                    method()
    del transport, method
    with pytest.warns(ResourceWarning):
        kept.clear()
        del loop, main
        gc.collect()
    assert own_fds() <= own


@contextlib.contextmanager
def full_listener() -> Iterator[socket.socket]:
    """Neither accepts nor refuses one more connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


def test_loops_one_after_another(loop_factory: LoopFactory, service: harness.Service, listener: socket.socket) -> None:
    async def main() -> None:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        peer, _ = listener.accept()
        peer.sendall(b"x")
        peer.close()
        writer.close()
        await writer.wait_closed()

    run(loop_factory, main)
    own, threads = own_fds(), threading.active_count()
    for _ in range(50):
        run(loop_factory, main)
    assert own_fds() == own
    assert threading.active_count() == threads


def test_loops_in_threads(loop_factory: LoopFactory, service: harness.Service) -> None:
    async def main() -> bytes:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline())[::-1])
            writer.close()

        server = await asyncio.start_server(reverse, "127.0.0.1", 0)
        answers = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            answers.append(await soon(reader.read()))
            writer.close()
            await writer.wait_closed()
        server.close()
        assert server.sockets == ()
        return b"".join(answers)

    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(run(loop_factory, main))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert results == [b"\nolleh" * 20] * 8


# The service's end


class Dying:
    """A loop with everything that can be under way, whose service is about to end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, stack: contextlib.ExitStack):
        self.loop = loop
        self.listener = listener
        self.stack = stack
        self.protocols: list[Counting] = []
        self.pending: dict[str, asyncio.Future[Any]] = {}
        self.unexpected: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: self.unexpected.append(context))

    async def connect(self) -> Counting:
        _, protocol = await self.loop.create_connection(Counting, *self.listener.getsockname())
        peer = self.stack.enter_context(self.listener.accept()[0])
        peer.settimeout(LIMIT_SECONDS)
        self.protocols.append(protocol)
        return protocol

    async def begin(self) -> None:
        loop = self.loop
        for state in ("idle", "sending", "paused", "half-closed", "closing"):
            protocol = await self.connect()
            if state != "idle":
                protocol.transport.write(bytes(10_000_000))
            if state == "paused":
                protocol.transport.pause_reading()
            elif state == "half-closed":
                protocol.transport.write_eof()
            elif state == "closing":
                protocol.transport.close()
        self.server = await loop.create_server(self.accept, "127.0.0.1", 0)
        peer = self.stack.enter_context(socket.create_connection(self.server.sockets[0].getsockname()))
        await until(lambda: len(self.protocols) == 6)
        peer.sendall(b"hello")
        full = self.stack.enter_context(full_listener())
        _, writer = await asyncio.open_connection(*self.listener.getsockname())
        self.stack.enter_context(self.listener.accept()[0])
        writer.write(bytes(10_000_000))
        sending = await self.connect()
        sock = self.stack.enter_context(socket.socket())
        sock.setblocking(False)
        closing = (await asyncio.open_connection(*self.listener.getsockname()))[1]
        self.stack.enter_context(self.listener.accept()[0])
        closing.write(bytes(10_000_000))
        closing.close()
        reader, self.reading = await asyncio.open_connection(*self.listener.getsockname())
        self.stack.enter_context(self.listener.accept()[0])
        for name, awaitable in {
            "create_connection": loop.create_connection(Counting, *full.getsockname()),
            "create_connection, happily": loop.create_connection(
                Counting, *full.getsockname(), happy_eyeballs_delay=0.1
            ),
            "open_connection": asyncio.open_connection(*full.getsockname()),
            "sock_connect": loop.sock_connect(sock, full.getsockname()),
            "sendfile": loop.sendfile(sending.transport, io.BytesIO(bytes(50_000_000))),
            "drain": writer.drain(),
            "wait_closed": closing.wait_closed(),
            "read": reader.read(),
        }.items():
            self.pending[name] = asyncio.ensure_future(awaitable)
        serving = asyncio.ensure_future(self.server.serve_forever())
        self.pending["serve_forever"] = serving
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in self.pending.values()), self.pending

    def accept(self) -> Counting:
        protocol = Counting()
        self.protocols.append(protocol)
        return protocol

    async def ends(self) -> None:
        """Everything that was under way ends, and says why."""
        for protocol in self.protocols:
            await soon(protocol.is_lost.wait())
        outcomes = await soon(asyncio.gather(*self.pending.values(), return_exceptions=True))
        found = dict(zip(self.pending, outcomes, strict=True))
        assert isinstance(found.pop("serve_forever"), transportd.SessionLostError)
        assert {name: isinstance(error, ConnectionError) for name, error in found.items()} == dict.fromkeys(found, True)
        for protocol in self.protocols:
            assert protocol.events["made"] == 1
            assert protocol.events["lost"] == 1
            assert isinstance(protocol.error, ConnectionError)
            assert isinstance(protocol.error, transportd.SessionLostError)
            assert protocol.transport.is_closing()
            with contextlib.suppress(RuntimeError):  # After write_eof.
                protocol.transport.write(b"dropped")
            protocol.transport.pause_reading()
            protocol.transport.resume_reading()
            protocol.transport.close()
            protocol.transport.abort()
        assert self.server.sockets == ()
        assert not self.server.is_serving()
        self.reading.close()
        await soon(self.server.wait_closed())
        assert not self.unexpected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("debug", [False, True])
def test_the_service_ends_in_the_middle(
    own_service: Service, listener: socket.socket, number: signal.Signals, debug: bool
) -> None:
    fds = own_fds()
    with contextlib.ExitStack() as stack:

        async def main() -> None:
            loop = asyncio.get_running_loop()
            dying = Dying(loop, listener, stack)
            await dying.begin()
            os.kill(own_service.pid, number)
            await dying.ends()
            for call in (
                loop.create_connection(Counting, "127.0.0.1", 1),
                loop.create_server(Counting, "127.0.0.1", 0),
                loop.create_unix_connection(Counting, "/place"),
                loop.create_unix_server(Counting, "/place"),
                loop.getaddrinfo("localhost", 80),
                loop.getnameinfo(("127.0.0.1", 80)),
            ):
                with pytest.raises(transportd.SessionLostError, match="the session with the service"):
                    await soon(call)
            # What is local goes on.
            assert await loop.run_in_executor(None, lambda: 5) == 5
            await asyncio.sleep(0)

        run(lambda: transportd.EventLoop(own_service.target), main, debug=debug)
    gc.collect()
    assert own_fds() <= fds


@pytest.mark.parametrize("group", [False, True])
def test_serve_forever_tells_that_the_service_is_gone(own_service: Service, group: bool) -> None:
    reported: list[dict[str, Any]] = []

    async def serve(server: asyncio.Server) -> None:
        async with server:
            await server.serve_forever()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        server = await loop.create_server(Counting, "127.0.0.1", 0)
        client, _ = await loop.create_connection(Counting, *server.sockets[0].getsockname())
        waiting = asyncio.create_task(server.wait_closed())
        with pytest.raises(ExceptionGroup if group else transportd.SessionLostError) as caught:
            if group:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(serve(server))
                    await asyncio.sleep(0)
                    os.kill(own_service.pid, signal.SIGKILL)
            else:
                loop.call_soon(os.kill, own_service.pid, signal.SIGKILL)
                await soon(serve(server))
        if isinstance(caught.value, ExceptionGroup):
            assert isinstance(caught.value.exceptions[0], transportd.SessionLostError)
        await soon(waiting)
        await soon(server.wait_closed())
        assert not server.is_serving()
        client.abort()

    run(lambda: transportd.EventLoop(own_service.target), main)
    assert not reported


def test_an_idle_server_s_loss_is_reported_once(own_service: Service) -> None:
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        server = await loop.create_server(Counting, "127.0.0.1", 0)
        closed = await loop.create_server(Counting, "127.0.0.1", 0)
        closed.close()
        os.kill(own_service.pid, signal.SIGKILL)
        await until(lambda: not server.is_serving())
        await soon(server.wait_closed())
        assert [context["server"] for context in reported] == [server]

    run(lambda: transportd.EventLoop(own_service.target), main)
    (context,) = reported
    assert isinstance(context["exception"], transportd.SessionLostError)
    assert "the service is gone" in context["message"]


def test_what_arrived_before_the_end_is_received(own_service: Service, listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(Counting, *listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            peer.sendall(bytes(100_000))
            # The loop stands still: the data waits in its socket, and behind it the end.
            harness.eventually(lambda: b"data" and _is_received(peer), "the service has read it")
            os.kill(own_service.pid, signal.SIGKILL)
            await soon(protocol.is_lost.wait())
        assert protocol.received == 100_000
        assert isinstance(protocol.error, transportd.SessionLostError)

    run(lambda: transportd.EventLoop(own_service.target), main)


def _is_received(peer: socket.socket) -> bool:
    """Nothing waits in the kernel of what this side has sent, nor of what the service has."""
    local = peer.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == local:
            return fields[4] == "00000000:00000000"
    return False


def test_calls_that_wait_in_the_thread_of_a_service_that_is_gone(own_service: Service, listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, *listener.getsockname())
        server = await loop.create_server(Counting, "127.0.0.1", 0)
        sock = transport.get_extra_info("socket")
        os.kill(own_service.pid, signal.SIGKILL)
        harness.eventually(lambda: not _is_running(own_service.pid), "it is dead")
        # The loop knows nothing yet.
        with pytest.raises(OSError, match=r"the session with the service"):
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        server.close()
        assert server.sockets == ()
        await soon(server.wait_closed())
        await soon(protocol.is_lost.wait())
        assert isinstance(protocol.error, ConnectionError)

    run(lambda: transportd.EventLoop(own_service.target), main)


def _is_running(pid: int) -> bool:
    """Not even a zombie counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stand_still(pid: int) -> None:
    """Stops a process: returns when each of its threads has stopped."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")

    def has_stopped() -> bool:
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir())

    harness.eventually(has_stopped, "every thread has stopped")


def test_calls_that_wait_in_the_thread_of_a_service_that_stands_still(
    own_service: Service,
    listener: socket.socket,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, *listener.getsockname())
        server = await loop.create_server(Counting, "127.0.0.1", 0)
        process = await asyncio.create_subprocess_exec("sleep", "60")
        sock = transport.get_extra_info("socket")
        stand_still(own_service.pid)
        try:
            begun = time.monotonic()
            for call in (
                lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000),
                lambda: process.send_signal(signal.SIGUSR1),
            ):
                text = rf"service at {own_service.target} did not answer within 0\.5 s: it stands still.*answer_timeout"
                with pytest.raises(transportd.RequestTimeoutError, match=text):
                    call()
            assert time.monotonic() - begun < 4
            with caplog.at_level(logging.WARNING, "asyncio"):
                server.close()
            assert "did not answer within 0.5 s" in caplog.text
            assert server.sockets == ()
        finally:
            os.kill(own_service.pid, signal.SIGCONT)
        # Late answers harm nobody.
        await soon(loop.getaddrinfo("127.0.0.1", 80))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        transport.close()
        await soon(protocol.is_lost.wait())
        server.close()
        await soon(server.wait_closed())
        # The signal was late, too.
        assert await soon(process.wait()) == -signal.SIGUSR1

    run(lambda: transportd.EventLoop(own_service.target, answer_timeout=0.5), main)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_loop_is_closed_in_time_whatever_the_service_does(own_service: Service, number: signal.Signals) -> None:
    loop = transportd.EventLoop(own_service.target)
    loop.run_until_complete(asyncio.sleep(0))
    os.kill(own_service.pid, number)
    begun = time.monotonic()
    loop.close()
    assert time.monotonic() - begun < 5
    assert loop.is_closed()


def test_the_service_may_come_back_for_another_loop(own_service: Service) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    run(lambda: transportd.EventLoop(own_service.target), main)
    own_service.stop()
    own_service.start()
    run(lambda: transportd.EventLoop(own_service.target), main)


# Calls that wait, inside callbacks


def test_waiting_for_an_answer_inside_a_callback_while_much_arrives(
    loop_factory: LoopFactory, service: harness.Service
) -> None:
    """The frames that are read meanwhile are not lost, and keep their order."""

    class Asking(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.data = bytearray()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.data += data
            sock = self.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    def send(peer: socket.socket) -> None:
        with peer:
            for start in range(0, len(pattern), 997):
                peer.sendall(pattern[start : start + 997])

    pattern = harness.pattern(1_000_000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocols: list[Asking] = []

        def factory() -> Asking:
            protocols.append(Asking())
            return protocols[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        sending = [asyncio.to_thread(send, socket.create_connection(address)) for _ in range(4)]
        await soon(asyncio.gather(*sending))
        await until(lambda: len(protocols) == 4)
        for protocol in protocols:
            await soon(protocol.is_lost.wait())
            assert protocol.data == pattern
        server.close()

    run(loop_factory, main)


# Interruptions


def test_nothing_is_lost_between_runs(loop_factory: LoopFactory, listener: socket.socket) -> None:
    loop = loop_factory()
    _, protocol = loop.run_until_complete(loop.create_connection(_Collecting, *listener.getsockname()))
    with listener.accept()[0] as peer:
        for number in range(200):
            peer.sendall(b"%03d" % number)
            loop.run_until_complete(asyncio.sleep(0))
            size = len(protocol.data)
            # Between runs nothing is called.
            assert len(protocol.data) == size
        peer.shutdown(socket.SHUT_WR)
        loop.run_until_complete(soon(protocol.is_lost.wait()))
    assert protocol.data == b"".join(b"%03d" % number for number in range(200))
    loop.close()


class _Collecting(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.data += data


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_a_callback_loses_nothing(
    loop_factory: LoopFactory, listener: socket.socket, kind: type[BaseException]
) -> None:
    class Interrupting(_Collecting):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise kind

    def interrupted_run(coroutine: Coroutine[Any, Any, Any]) -> None:
        # An interruption in the turn in which the last run was to stop makes the stock loop stop this one instead.
        with contextlib.suppress(kind, RuntimeError):
            loop.run_until_complete(coroutine)

    loop = loop_factory()
    _, interrupting = loop.run_until_complete(loop.create_connection(Interrupting, *listener.getsockname()))
    first, _ = listener.accept()
    others = []
    for _ in range(5):
        _, protocol = loop.run_until_complete(loop.create_connection(_Collecting, *listener.getsockname()))
        others.append((protocol, listener.accept()[0]))
    with first:
        for number in range(20):
            first.sendall(b"%03d" % number)
            for _, peer in others:
                peer.sendall(b"%03d" % number)
            interrupted_run(asyncio.sleep(0.001))
        first.shutdown(socket.SHUT_WR)
        for _, peer in others:
            peer.close()
        for protocol in (interrupting, *(protocol for protocol, _ in others)):
            while not protocol.is_lost.is_set():
                interrupted_run(soon(protocol.is_lost.wait()))
            assert protocol.data == b"".join(b"%03d" % number for number in range(20))
    loop.close()


def test_control_c(loop_factory: LoopFactory, listener: socket.socket) -> None:
    """A signal while the loop waits."""
    loop = loop_factory()
    _, protocol = loop.run_until_complete(loop.create_connection(_Collecting, *listener.getsockname()))
    with listener.accept()[0] as peer:
        for _ in range(5):
            loop.call_soon(signal.raise_signal, signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(asyncio.sleep(LIMIT_SECONDS))
            peer.sendall(b"x")
        peer.shutdown(socket.SHUT_WR)
        loop.run_until_complete(soon(protocol.is_lost.wait()))
    assert protocol.data == b"xxxxx"
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_loop_that_stands_still_for_a_while(
    loop_factory: LoopFactory, service: harness.Service, listener: socket.socket
) -> None:
    """What comes meanwhile is bounded: its peers are slowed."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocols = []
        peers = []
        for _ in range(50):
            _, protocol = await loop.create_connection(Counting, *listener.getsockname())
            protocols.append(protocol)
            peer, _ = listener.accept()
            peer.setblocking(False)
            peers.append(peer)
        before = service.rss_bytes()
        sent = [0] * len(peers)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            for number, peer in enumerate(peers):
                with contextlib.suppress(BlockingIOError):
                    sent[number] += peer.send(bytes(1 << 20))
        # The session's window is 64 MiB, each transport's at most a quarter of that.
        assert harness.SANITIZER or service.rss_bytes() - before < 200 << 20
        await until(lambda: [protocol.received for protocol in protocols] == sent)
        for protocol, peer in zip(protocols, peers, strict=True):
            peer.close()
            await soon(protocol.is_lost.wait())

    run(loop_factory, main)


def test_slow_protocols_delay_nobody(
    loop_factory: LoopFactory, service: harness.Service, listener: socket.socket
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        slow = []
        for number in range(100):
            transport, _ = await loop.create_connection(Counting, *listener.getsockname())
            peer, _ = listener.accept()
            peer.setblocking(False)
            if number % 2:
                transport.pause_reading()
            slow.append((transport, peer, number % 2 == 0))
        before = service.rss_bytes()
        own_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for transport, peer, _ in slow:
            # Half of them do not read, the other half do not take what is written.
            with contextlib.suppress(BlockingIOError):
                while peer.send(bytes(1 << 20)):
                    pass
            transport.write(bytes(1 << 20))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        fast, _ = listener.accept()
        with fast:
            times = []
            for _ in range(200):
                begun = time.monotonic()
                writer.write(b"?" * 100)
                assert await asyncio.to_thread(fast.recv, 100)
                fast.sendall(b"!" * 100)
                await soon(reader.readexactly(100))
                times.append(time.monotonic() - begun)
            assert sorted(times)[len(times) // 2] < 0.1
            sending = asyncio.to_thread(fast.sendall, bytes(20_000_000))
            _, received = await soon(asyncio.gather(sending, reader.readexactly(20_000_000)))
            assert len(received) == 20_000_000
            writer.close()
        assert harness.SANITIZER or service.rss_bytes() - before < 300 << 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - own_before < 400 << 20
        for transport, peer, _ in slow:
            transport.abort()
            peer.close()

    run(loop_factory, main)


# Use from elsewhere


def test_another_thread_is_told_in_debug_mode(loop_factory: LoopFactory, listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, *listener.getsockname())
        listener.accept()[0].close()

        def elsewhere() -> list[str]:
            told = []
            for call in (
                lambda: loop.call_soon(print),
                lambda: transport.resume_reading(),
                lambda: transport.close(),
            ):
                try:
                    call()
                except RuntimeError as error:
                    told.append(str(error))
            return told

        transport.pause_reading()
        told = await asyncio.to_thread(elsewhere)
        assert told
        assert set(told) == {"Non-thread-safe operation invoked on an event loop other than the current one"}
        transport.abort()
        await soon(protocol.is_lost.wait())

    run(loop_factory, main, debug=True)


def test_call_soon_threadsafe_is_the_way_in(loop_factory: LoopFactory, listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, *listener.getsockname())
        with listener.accept()[0] as peer:

            def elsewhere() -> None:
                for number in range(1000):
                    loop.call_soon_threadsafe(transport.write, b"%04d" % number)
                loop.call_soon_threadsafe(transport.close)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            received = await asyncio.to_thread(harness.read_all, peer)
            thread.join()
            assert received == b"".join(b"%04d" % number for number in range(1000))
            await soon(protocol.is_lost.wait())

    run(loop_factory, main)


def test_use_after_close(loop_factory: LoopFactory, listener: socket.socket, tmp_path: Path) -> None:
    loop = loop_factory()
    transport, _ = loop.run_until_complete(loop.create_connection(Counting, *listener.getsockname()))
    server = loop.run_until_complete(loop.create_server(Counting, "127.0.0.1", 0))
    loop.close()
    loop.close()
    assert "closed=True" in repr(loop)
    sock = socket.socket()
    with sock:
        sock.setblocking(False)
        for call in (
            lambda: loop.create_connection(Counting, *listener.getsockname()),
            lambda: loop.create_server(Counting, "127.0.0.1", 0),
            lambda: loop.create_unix_connection(Counting, str(tmp_path / "place")),
            lambda: loop.create_unix_server(Counting, str(tmp_path / "place")),
            lambda: loop.getaddrinfo("localhost", 80),
            lambda: loop.getnameinfo(("127.0.0.1", 80)),
            lambda: loop.sock_connect(sock, listener.getsockname()),
            lambda: loop.sendfile(transport, io.BytesIO(b"x")),
        ):
            coroutine = call()
            with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
                coroutine.send(None)
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.call_soon(print)
    # What is left of it can be let go of.
    transport.write(b"x")
    for method in (transport.pause_reading, transport.resume_reading, transport.close, transport.abort, server.close):
        with contextlib.suppress(RuntimeError):
            method()
    with pytest.raises(OSError, match="Bad file descriptor"):
        transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    with pytest.raises(RuntimeError, match="running"):
        run(loop_factory, _close_running_loop)


async def _close_running_loop() -> None:
    asyncio.get_running_loop().close()


# Forks


def in_child(task: Callable[[], None]) -> int:
    """Forks; returns the child's exit status: 0 when `task` raised nothing."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            task()
            status = 0
        except BaseException as error:
            sys.stderr.write(f"in the child: {error!r}\n")
            sys.stderr.flush()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_s_child_cannot_use_the_loop_and_does_not_harm_it(
    loop_factory: LoopFactory, service: harness.Service, listener: socket.socket
) -> None:
    loop = loop_factory()
    transport, protocol = loop.run_until_complete(loop.create_connection(_Collecting, *listener.getsockname()))
    peer, _ = listener.accept()

    def child() -> None:
        for coroutine in (
            loop.create_connection(Counting, *listener.getsockname()),
            loop.create_server(Counting, "127.0.0.1", 0),
            loop.getaddrinfo("localhost", 80),
        ):
            with pytest.raises(RuntimeError, match=r"belongs to the process that made it, before os\.fork"):
                coroutine.send(None)
        sock = transport.get_extra_info("socket")
        for call in (
            lambda: transport.write(b"from the child"),
            lambda: transport.writelines([b"from", b"the child"]),
            lambda: transport.write_eof(),
            lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            lambda: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16),
        ):
            with pytest.raises(RuntimeError, match=r"belongs to the process that made it, before os\.fork"):
                call()
        transport.close()
        transport.abort()
        loop.close()
        # A loop of its own is another matter.
        run(loop_factory, _look_up)

    with peer:
        for _ in range(3):
            assert in_child(child) == 0
            peer.sendall(b"still here")
            loop.run_until_complete(soon(protocol.has_data.wait()))
            protocol.has_data.clear()
        transport.write(b"from the parent")
        transport.close()
        loop.run_until_complete(soon(protocol.is_lost.wait()))
        assert harness.read_all(peer) == b"from the parent"
        assert protocol.error is None
    loop.close()


async def _look_up() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_inside_the_running_loop(loop_factory: LoopFactory, listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(_Collecting, *listener.getsockname())
        with listener.accept()[0] as peer:
            transport.write(b"once")
            assert in_child(lambda: None) == 0
            transport.close()
            assert await asyncio.to_thread(harness.read_all, peer) == b"once"
            await soon(protocol.is_lost.wait())

    run(loop_factory, main)


def _use_a_loop_of_one_s_own(target: str, answers: Any) -> None:
    async def main() -> int:
        return len(await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))

    answers.put(run(lambda: transportd.EventLoop(target), main) > 0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(service: harness.Service, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = multiprocessing.get_context(method)
        answers = context.SimpleQueue()
        process = context.Process(target=_use_a_loop_of_one_s_own, args=(service.target, answers))  # type: ignore[attr-defined]
        process.start()
        await asyncio.to_thread(process.join, LIMIT_SECONDS)
        assert process.exitcode == 0
        assert answers.get() is True
        process.close()
        answers.close()
        assert await loop.getaddrinfo("localhost", 80)

    run(lambda: transportd.EventLoop(service.target), main)
