"""Every call of the loop that waits, cancelled at each place where it waits: nothing of it is left in the service.

Also while the service stands still: the call ends at once, and what the service says of it later is taken care of.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import signal
import socket
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import harness
import pytest
import transportd

from differential import LoopFactory, soon

LIMIT_SECONDS = 20
STILL_SECONDS = 5  # The longest time that a cancelled call takes while the service stands still.
Call = Callable[["Scene"], Coroutine[Any, Any, Any]]


class CancelledAt:
    """Awaits `inner`, and cancels the task at its `index`th wait: before what it waits for is done, or just after.

    Still: `stand_still` is called first, and the task cancelled in a later turn.
    """

    def __init__(self, inner: Coroutine[Any, Any, Any], index: int, when: str, stand_still: Callable[[], None]):
        self._inner = inner
        self._index = index
        self._when = when
        self._stand_still = stand_still
        self.is_reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        inner = self._inner.__await__()
        count = 0
        error: BaseException | None = None
        while True:
            try:
                waiting = inner.throw(error) if error is not None else next(inner)
            except StopIteration as stop:
                return stop.value
            error = None
            if count == self._index:
                self.is_reached = True
                if self._when == "still":
                    self._stand_still()
                    asyncio.get_running_loop().call_later(0.01, task.cancel)
                elif self._when == "before" or waiting is None:
                    task.cancel()
                else:
                    # The task is woken by a callback that is added later: this one comes first.
                    waiting.add_done_callback(lambda _: task.cancel())
            count += 1
            try:
                yield waiting
            except BaseException as caught:
                error = caught


class Scene:
    """What the calls need, and what they leave: closed at the end, as far as the call has returned it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path, stack: contextlib.ExitStack):
        self.loop = loop
        self.folder = folder
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.echo = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.unix.bind(str(folder / "place"))
        self.unix.listen()
        self.stack = stack
        threading.Thread(target=self._serve_echo, daemon=True).start()

    def _serve_echo(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.echo.accept()
                with peer:
                    while data := peer.recv(1 << 16):
                        peer.sendall(data)

    @property
    def address(self) -> tuple[str, int]:
        name: tuple[str, int] = self.listener.getsockname()
        return name

    async def connected(self) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(*self.address)
        self.stack.enter_context(self.listener.accept()[0])
        return writer

    async def full(self) -> asyncio.StreamWriter:
        """Nobody reads what is written there."""
        writer = await self.connected()
        writer.write(bytes(20_000_000))
        return writer


async def create_connection(scene: Scene) -> Any:
    return await scene.loop.create_connection(asyncio.Protocol, *scene.address)


async def create_connection_by_name(scene: Scene) -> Any:
    return await scene.loop.create_connection(asyncio.Protocol, "localhost", scene.address[1], happy_eyeballs_delay=0.2)


async def create_connection_with_a_resolver(scene: Scene) -> Any:
    async def resolve(host: Any, port: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    scene.loop.getaddrinfo = resolve  # type: ignore[method-assign]
    port = scene.address[1]
    return await scene.loop.create_connection(asyncio.Protocol, "peer.test", port, happy_eyeballs_delay=0.2)


async def create_connection_with_tls(scene: Scene) -> Any:
    # The echo of its own hello is no answer that TLS can use.
    return await scene.loop.create_connection(
        asyncio.Protocol, *scene.echo.getsockname(), ssl=ssl.create_default_context(), server_hostname="server.test"
    )


async def create_unix_connection(scene: Scene) -> Any:
    return await scene.loop.create_unix_connection(asyncio.Protocol, str(scene.folder / "place"))


async def create_server(scene: Scene) -> Any:
    return await scene.loop.create_server(asyncio.Protocol, "localhost", 0)


async def create_unix_server(scene: Scene) -> Any:
    return await scene.loop.create_unix_server(asyncio.Protocol, str(scene.folder / "server"))


async def open_connection(scene: Scene) -> Any:
    _, writer = await asyncio.open_connection(*scene.address)
    return writer


async def start_server(scene: Scene) -> Any:
    return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)


async def serve_forever(scene: Scene) -> Any:
    server = await scene.loop.create_server(asyncio.Protocol, "127.0.0.1", 0, start_serving=False)
    scene.loop.call_later(0.01, server.close)
    await server.serve_forever()


async def sock_connect(scene: Scene) -> Any:
    sock = scene.stack.enter_context(socket.socket())
    sock.setblocking(False)
    await scene.loop.sock_connect(sock, scene.address)
    return sock


async def sock_connect_and_create_connection(scene: Scene) -> Any:
    sock = scene.stack.enter_context(socket.socket())
    sock.setblocking(False)
    await scene.loop.sock_connect(sock, scene.address)
    return await scene.loop.create_connection(asyncio.Protocol, sock=sock)


async def sock_connect_and_send(scene: Scene) -> Any:
    with socket.socket() as sock:
        sock.setblocking(False)
        await scene.loop.sock_connect(sock, scene.echo.getsockname())
        await scene.loop.sock_sendall(sock, b"hello")
        return await scene.loop.sock_recv(sock, 100)


async def getaddrinfo(scene: Scene) -> Any:
    return await scene.loop.getaddrinfo("localhost", 80)


async def getnameinfo(scene: Scene) -> Any:
    return await scene.loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)


async def start_tls(scene: Scene) -> Any:
    transport, protocol = await scene.loop.create_connection(asyncio.Protocol, *scene.echo.getsockname())
    try:
        return await scene.loop.start_tls(
            transport, protocol, ssl.create_default_context(), server_hostname="server.test"
        )
    finally:
        transport.abort()


async def drain(scene: Scene) -> Any:
    writer = await scene.full()
    try:
        scene.loop.call_later(0.02, writer.transport.abort)
        await writer.drain()
    finally:
        writer.transport.abort()


async def wait_closed(scene: Scene) -> Any:
    writer = await scene.full()
    try:
        writer.close()
        scene.loop.call_later(0.02, writer.transport.abort)
        await writer.wait_closed()
    finally:
        writer.transport.abort()


async def sendfile(scene: Scene) -> Any:
    writer = await scene.connected()
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(20_000_000))
            scene.loop.call_later(0.05, writer.transport.abort)
            return await scene.loop.sendfile(writer.transport, file)
    finally:
        writer.transport.abort()


async def sendfile_of_an_object(scene: Scene) -> Any:
    writer = await scene.connected()
    try:
        scene.loop.call_later(0.05, writer.transport.abort)
        return await scene.loop.sendfile(writer.transport, io.BytesIO(bytes(20_000_000)))
    finally:
        writer.transport.abort()


async def subprocess_exec(scene: Scene) -> Any:
    transport, _ = await scene.loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "3600")
    return transport


async def create_datagram_endpoint(scene: Scene) -> Any:
    return await scene.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("localhost", 9))


CALLS: tuple[Call, ...] = (
    create_connection,
    create_connection_by_name,
    create_connection_with_a_resolver,
    create_connection_with_tls,
    create_unix_connection,
    create_server,
    create_unix_server,
    open_connection,
    start_server,
    serve_forever,
    sock_connect,
    sock_connect_and_create_connection,
    sock_connect_and_send,
    getaddrinfo,
    getnameinfo,
    start_tls,
    drain,
    wait_closed,
    sendfile,
    sendfile_of_an_object,
    subprocess_exec,
    create_datagram_endpoint,
)


def end(result: Any) -> None:
    """Closes what the call has made."""
    made = result[0] if isinstance(result, tuple) else result
    if isinstance(made, asyncio.StreamWriter):
        made.transport.abort()
    elif isinstance(made, asyncio.SubprocessTransport):
        made.close()
    elif isinstance(made, asyncio.BaseTransport):
        made.abort()  # type: ignore[attr-defined]
    elif isinstance(made, (asyncio.AbstractServer, socket.socket)):
        made.close()


def stand_still(service: harness.Service) -> None:
    service.process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{service.process.pid}/task")
    harness.eventually(
        lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()),
        "every thread has stopped",
    )


async def cancel_everywhere(call: Call, when: str, folder: Path, service: harness.Service) -> list[str]:
    """Cancels it at its first wait, its second, …, until it ends by itself; says how each ended."""

    def count_fds() -> int:
        return len(service.fds())

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unexpected.append(context))
    unexpected: list[dict[str, Any]] = []
    outcomes = []
    at_first = len(os.listdir("/proc/self/fd"))
    for index in range(200):
        (folder / str(index)).mkdir()
        with contextlib.ExitStack() as stack:
            scene = Scene(loop, folder / str(index), stack)
            before = count_fds()
            cancelling = CancelledAt(call(scene), index, when, functools.partial(stand_still, service))

            async def run(awaitable: Awaitable[Any]) -> Any:
                return await awaitable

            task = asyncio.create_task(run(cancelling))
            try:
                await asyncio.wait((task,), timeout=STILL_SECONDS)
                has_ended = task.done()
            finally:
                service.process.send_signal(signal.SIGCONT)
            assert has_ended or when != "still"
            try:
                end(await soon(asyncio.shield(task)))
                outcome = "returned"
            except asyncio.CancelledError:
                outcome = "cancelled"
            except (OSError, ssl.SSLError):
                outcome = "raised"
            outcomes.append(outcome)
            scene.loop.__dict__.pop("getaddrinfo", None)
            await until(lambda before=before: count_fds() <= before)  # type: ignore[misc]
        if not cancelling.is_reached:
            break
    await until(lambda: len(os.listdir("/proc/self/fd")) <= at_first)
    assert not unexpected
    return outcomes


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("when", ["before", "after", "still"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_nothing_is_left(
    call: Call, when: str, loop_factory: LoopFactory, service: harness.Service, tmp_path: Path
) -> None:
    def still() -> transportd.EventLoop:
        return transportd.EventLoop(service.target, answer_timeout=0.5)

    with asyncio.Runner(loop_factory=still if when == "still" else loop_factory) as runner:
        outcomes = runner.run(cancel_everywhere(call, when, tmp_path, service))
    # Cancelled at its first wait, unless it was done by then; and the last time it was not cancelled at all.
    assert outcomes[0] == "cancelled" or when != "before"
    assert len(outcomes) > 1
    assert outcomes[-1] != "cancelled" or call is serve_forever
