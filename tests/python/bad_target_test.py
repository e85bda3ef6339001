"""A loop whose service is none, or not as it should be: a clear exception, in time, and nothing is left."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import itertools
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import harness
import pytest
import transportd
from google.protobuf import any_pb2
from transportd import _diagnosis, _target
from transportd._tls import _alpn_protocols
from transportd.v1 import event_loop_pb2, types_pb2

import http2_peer as http2
from certificates import Certificate
from differential import soon
from http2_peer import DATA, END_STREAM, GOAWAY, RST_STREAM, Http2Peer, frame, message, settings

LIMIT_SECONDS = 20
Script = Callable[[socket.socket], Any]
LIMITS = types_pb2.Limits(
    max_client_frame_bytes=4 << 20,
    receive_window_bytes=1 << 20,
    session_receive_window_bytes=64 << 20,
    send_window_bytes=1 << 20,
    session_send_window_bytes=64 << 20,
    callback_charge_bytes=64,
)


class FakeService:
    """Listens, and does with each connection what it is told, in a thread; then closes it."""

    def __init__(self, script: Script, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)):
        self._script = script
        self._listener = socket.socket(family)
        self._listener.bind(address)
        self._listener.listen()
        self.address: Any = self._listener.getsockname()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.address[1]}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with peer:
                    peer.settimeout(LIMIT_SECONDS)
                    try:
                        self._script(peer)
                    except (EOFError, ConnectionError):
                        pass
                    except BaseException as error:
                        self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT_SECONDS)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


@pytest.fixture(autouse=True)
def time_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the second look at what is there, on a machine that is busy."""
    monkeypatch.setattr(_diagnosis, "_LONGEST_SECONDS", 30.0)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    fds, threads = own_fds(), threading.active_count()
    yield
    assert own_fds() == fds
    harness.eventually(lambda: threading.active_count() <= threads, "no thread is left")


def own_fds() -> list[str]:
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
    return sorted(found)


def open_loop(target: str, within: float = 5, **options: Any) -> transportd.EventLoop:
    """Fails when it takes longer."""
    begun = time.monotonic()
    try:
        return transportd.EventLoop(target, **options)
    finally:
        assert time.monotonic() - begun < within


def failure(target: str, within: float = 5, **options: Any) -> Exception:
    """Why no loop can be made there. Made twice: the first leaves nothing that disturbs the second."""
    for _ in range(2):
        with pytest.raises(Exception) as caught:
            open_loop(target, within, **options).close()
    return caught.value


def expect_unavailable(target: str, *texts: str, within: float = 5, reason: str | None = None, **options: Any) -> None:
    error = failure(target, within, **options)
    assert type(error) is transportd.ServiceUnavailableError
    assert isinstance(error, ConnectionError)
    for text in (target, *texts):
        assert text in str(error)
    if reason is not None:
        assert error.reason == reason


def read_to_the_end(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass


# Targets

ADVICE = "allowed are HOST:PORT, dns:///HOST:PORT, ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT, unix:PATH and"


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("", "it has no host"),
        ("localhost", "it has no port"),
        ("localhost:", "'' is not a port"),
        (":50051", "it has no host"),
        ("localhost:http", "'http' is not a port"),
        ("localhost:0", "'0' is not a port"),
        ("localhost:65536", "'65536' is not a port"),
        ("localhost:-1", "'-1' is not a port"),
        ("localhost:٣", "'٣' is not a port"),
        ("::1:50051", "an IPv6 address stands in brackets"),
        ("[::1]", "an IPv6 address stands in brackets"),
        ("[]:1", "it has no host"),
        ("http://localhost:50051", "'http' is not a scheme"),
        ("dns:localhost", "it has no port"),
        ("dns:///localhost", "it has no port"),
        ("dns://8.8.8.8/localhost:1", "a name server cannot be chosen: write dns:///HOST:PORT"),
        ("dns://localhost:1", "a name server cannot be chosen: write dns:///HOST:PORT"),
        ("ipv4:localhost:1", "'localhost' is not a numeric address"),
        ("ipv4:[::1]:1", "'::1' is not a numeric address"),
        ("ipv6:127.0.0.1:1", "'127.0.0.1' is not a numeric address"),
        ("ipv6:::1:1", "an IPv6 address stands in brackets"),
        ("unix:", "it has no path"),
        ("unix://", "it has no path"),
        ("unix://relative", "unix:// takes an absolute path"),
        ("unix-abstract:", "it has no name"),
    ],
)
def test_targets_that_are_none(target: str, what: str) -> None:
    error = failure(target)
    assert type(error) is ValueError
    assert str(error).startswith(f"target {target!r}: ")
    assert what in str(error)
    assert ADVICE in str(error)


@pytest.mark.parametrize(
    ("target", "family", "host", "port", "authority"),
    [
        ("localhost:1", socket.AF_UNSPEC, "localhost", 1, "localhost:1"),
        ("127.0.0.1:65535", socket.AF_UNSPEC, "127.0.0.1", 65535, "127.0.0.1:65535"),
        ("[::1]:1", socket.AF_UNSPEC, "::1", 1, "[::1]:1"),
        ("dns:localhost:1", socket.AF_UNSPEC, "localhost", 1, "localhost:1"),
        ("dns:///localhost:1", socket.AF_UNSPEC, "localhost", 1, "localhost:1"),
        ("dns:///[::1]:1", socket.AF_UNSPEC, "::1", 1, "[::1]:1"),
        ("ipv4:127.0.0.1:1", socket.AF_INET, "127.0.0.1", 1, "127.0.0.1:1"),
        ("ipv6:[::1]:1", socket.AF_INET6, "::1", 1, "[::1]:1"),
        ("ipv6:[fe80::1%lo]:1", socket.AF_INET6, "fe80::1%lo", 1, "[fe80::1%lo]:1"),
        ("unix:relative/path", socket.AF_UNIX, "relative/path", 0, "localhost"),
        ("unix:/absolute", socket.AF_UNIX, "/absolute", 0, "localhost"),
        ("unix:///absolute", socket.AF_UNIX, "/absolute", 0, "localhost"),
        ("unix-abstract:name", socket.AF_UNIX, "\0name", 0, "localhost"),
    ],
)
def test_targets(target: str, family: int, host: str, port: int, authority: str) -> None:
    parsed = _target.parse_target(target)
    assert (parsed.family, parsed.host, parsed.port, parsed.authority) == (family, host, port, authority)
    assert parsed.text == target


def test_the_environment_names_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSPORTD_TARGET", "nowhere")
    with pytest.raises(ValueError, match="target 'nowhere'"):
        transportd.EventLoop()
    monkeypatch.setenv("TRANSPORTD_TARGET", "")
    assert _target.default_target() == "127.0.0.1:50051"
    monkeypatch.delenv("TRANSPORTD_TARGET")
    assert _target.default_target() == "127.0.0.1:50051"


@pytest.mark.parametrize(
    ("listen", "prefix"),
    [
        ("127.0.0.1:0", ""),
        ("127.0.0.1:0", "ipv4:"),
        ("127.0.0.1:0", "dns:///"),
        ("[::1]:0", ""),
        ("[::1]:0", "ipv6:"),
        ("unix:{folder}/socket", ""),
        ("unix-abstract:transportd-{pid}", ""),
    ],
)
def test_services_of_every_address(listen: str, prefix: str, tmp_path: Path) -> None:
    service = harness.Service(listen=listen.format(folder=tmp_path, pid=os.getpid()))
    target = service.target
    if prefix:
        target = prefix + target.removeprefix("ipv4:").removeprefix("ipv6:")
    loop = open_loop(target)
    assert target in repr(loop)
    assert loop.run_until_complete(loop.getaddrinfo("localhost", 80))
    loop.close()
    service.stop()


# Nobody, or somebody else


@pytest.mark.parametrize("kind", ["TCP", "IPv6", "name", "unix", "missing unix", "abstract"])
def test_nobody_there(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        family = {"IPv6": socket.AF_INET6, "unix": socket.AF_UNIX}.get(kind, socket.AF_INET)
        bound = stack.enter_context(socket.socket(family))
        addresses: dict[str, Any] = {"IPv6": ("::1", 0), "unix": str(tmp_path / "socket")}
        bound.bind(addresses.get(kind, ("127.0.0.1", 0)))
        name = bound.getsockname()
        target = {
            "TCP": f"127.0.0.1:{name[1]}",
            "IPv6": f"[::1]:{name[1]}",
            "name": f"localhost:{name[1]}",
            "unix": f"unix:{tmp_path}/socket",
            "missing unix": f"unix:{tmp_path}/missing",
            "abstract": f"unix-abstract:nobody-{os.getpid()}",
        }[kind]
        what = "No such file or directory" if kind == "missing unix" else "Connection refused"
        expect_unavailable(target, what, "Start one (transportd --listen=", "EventLoop(target) or TRANSPORTD_TARGET")


def test_a_name_that_nobody_knows() -> None:
    expect_unavailable("no-such-name.invalid:1", "Name or service not known", within=30)


def test_nobody_answers_the_connect() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        expect_unavailable(target, "timed out", connect_timeout=0.2)


def test_somebody_who_says_nothing() -> None:
    with FakeService(read_to_the_end) as fake:
        expect_unavailable(fake.target, "no answer", "is it a transportd?", connect_timeout=0.2)


HANGS_UP = ("takes the connection and hangs up: it refuses an address for a while", "too many connections: wait")


def test_somebody_who_closes() -> None:
    for script in (lambda peer: peer.recv(1), lambda peer: None):
        with FakeService(script) as fake:
            expect_unavailable(fake.target, *HANGS_UP, reason="SERVICE_HUNG_UP", within=30)


def test_somebody_who_closes_a_unix_socket(tmp_path: Path) -> None:
    """It refuses no address: there is none."""
    with FakeService(lambda peer: peer.recv(1), socket.AF_UNIX, str(tmp_path / "socket")) as fake:
        expect_unavailable(f"unix:{fake.address}", "before a gRPC service answered", reason="")


def test_somebody_who_closes_on_http2_alone() -> None:
    def serve(peer: socket.socket) -> None:
        if peer.recv(1 << 16).startswith(b"\x16"):
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with FakeService(serve) as fake:
        expect_unavailable(fake.target, "before a gRPC service answered", reason="", within=30)


def test_somebody_who_hangs_up_once(certificate: Certificate) -> None:
    """As one that is just being replaced: a handshake that broke is no proof that it refuses this address."""
    context = certificate.server_context()
    connections = itertools.count()

    def serve(peer: socket.socket) -> None:
        if next(connections) % 2 == 1:
            with context.wrap_socket(peer, server_side=True) as secured:
                secured.sendall(settings())
                secured.recv(1)

    with FakeService(serve) as fake:
        options: dict[str, Any] = {"ssl": certificate.client_context(), "within": 30}
        expect_unavailable(fake.target, "TLS with the service", "failed", reason="", **options)


@pytest.mark.parametrize(
    ("greeting", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "an HTTP/1 server"),
        (b"-ERR unknown command 'PRI'\r\n", "not a gRPC service: its first bytes are b'-ERR unknown com'"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not a gRPC service: its first bytes are b'SSH-2.0-OpenSSH_'"),
        (b"220 mail.test ESMTP\r\n", "not a gRPC service: its first bytes are b'220 mail.test ES'"),
        (bytes(100), "not a gRPC service"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS: give ssl=…, or name a file of the CAs to trust"),
    ],
)
@pytest.mark.parametrize("stays", [False, True])
def test_somebody_who_speaks_something_else(greeting: bytes, what: str, stays: bool) -> None:
    def greet(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(greeting)
        if stays:
            read_to_the_end(peer)

    with FakeService(greet) as fake:
        expect_unavailable(fake.target, what)


def test_a_tls_server_without_tls(certificate: Certificate) -> None:
    context = certificate.server_context()

    def serve(peer: socket.socket) -> None:
        with (
            contextlib.suppress(ssl.SSLError),
            context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False) as secured,
        ):
            secured.do_handshake()

    with FakeService(serve) as fake:
        expect_unavailable(fake.target, "speaks TLS: give ssl=…, or name a file of the CAs to trust, or `system`, by")


@pytest.mark.parametrize(
    ("mistake", "what"),
    [
        ("plain", "does not speak TLS: leave ssl=… and TRANSPORTD_TARGET_CA away"),
        (
            "untrusted",
            "is not signed by a CA that ssl=… trusts: whom to trust is what ssl=… or TRANSPORTD_TARGET_CA says",
        ),
        ("silent", "TLS with the service"),
        ("closes", HANGS_UP[0]),
    ],
)
def test_tls_with_what_has_none(certificate: Certificate, mistake: str, what: str) -> None:
    context = certificate.server_context()

    def serve(peer: socket.socket) -> None:
        if mistake == "plain":
            peer.recv(1 << 16)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif mistake == "untrusted":
            with (
                contextlib.suppress(ssl.SSLError),
                context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False) as secured,
            ):
                secured.do_handshake()
                secured.recv(1)
        elif mistake == "silent":
            read_to_the_end(peer)

    with FakeService(serve) as fake:
        # Of the others a busy machine may take longer to hear.
        seconds = 1 if mistake == "silent" else 30
        expect_unavailable(fake.target, what, ssl=ssl.create_default_context(), connect_timeout=seconds, within=30)


class TlsProxy:
    """Ends TLS in front of a service, in a thread with asyncio's own loop."""

    def __init__(self, context: ssl.SSLContext, service: tuple[str, int]):
        self._context = context
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = 0

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._stop.wait()
        server.close()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        inner_reader, inner_writer = await asyncio.open_connection(*self._service)
        back = asyncio.create_task(_pump(inner_reader, writer))
        await _pump(reader, inner_writer)
        await back

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(LIMIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LIMIT_SECONDS)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes; at the end it closes."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["h2", "http/1.1"]])
def test_the_context_of_tls_with_the_service_stays_as_it_was(
    certificate: Certificate, service: harness.Service, protocols: list[str]
) -> None:
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    own = certificate.client_context()
    if protocols:
        own.set_alpn_protocols(protocols)
    with TlsProxy(context, service.address) as proxy:
        loop = open_loop(f"127.0.0.1:{proxy.port}", ssl=own)
        spoken = loop._session._call._sock.selected_alpn_protocol()  # type: ignore[attr-defined]
        loop.close()
    assert spoken == "h2"
    assert _alpn_protocols(own, "localhost") == protocols
    # By OpenSSL's own measure, too.
    for offered in ("http/1.1", "h2"):
        context.set_alpn_protocols([offered])
        client, server = (ssl.MemoryBIO(), ssl.MemoryBIO())
        asking = own.wrap_bio(server, client, server_hostname="localhost")
        answering = context.wrap_bio(client, server, server_side=True)
        with pytest.raises(ssl.SSLWantReadError):
            asking.do_handshake()
        with pytest.raises(ssl.SSLWantReadError):
            answering.do_handshake()
        assert answering.selected_alpn_protocol() == (offered if offered in protocols else None)


def test_a_service_behind_tls(certificate: Certificate, service: harness.Service) -> None:
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    with TlsProxy(context, service.address) as proxy:
        loop = open_loop(f"127.0.0.1:{proxy.port}", ssl=certificate.client_context())

        async def main() -> None:
            async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write((await reader.readexactly(3_000_000))[::-1])
                writer.close()

            server = await asyncio.start_server(reverse, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            data = harness.pattern(3_000_000)
            writer.write(data)
            assert await soon(reader.read()) == data[::-1]
            writer.close()
            server.close()
            await soon(writer.wait_closed())

        try:
            loop.run_until_complete(main())
        finally:
            loop.close()


def test_an_http2_server_that_is_no_grpc_service(tmp_path: Path) -> None:
    harness.need("nginx")
    port = harness.free_port()
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/body; server {{ listen 127.0.0.1:{port} http2;\n"
        "location / { return 404; } } }\n"
    )
    command = ["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", str(tmp_path / "log")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        harness.eventually(lambda: _answers(port) or process.poll() is not None, "nginx listens")
        assert process.returncode is None, (tmp_path / "log").read_text()
        expect_unavailable(f"127.0.0.1:{port}", "an HTTP server answered, but no gRPC service: status 404")
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


OTHER_SERVICE = """
import concurrent.futures
import grpc

server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
input()
"""


def test_another_grpc_service() -> None:
    command = [sys.executable, "-c", OTHER_SERVICE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        expect_unavailable(f"127.0.0.1:{port}", "did not open a session", "Method not found!")
        process.stdin.write("\n")


# A service that is not as it should be


def opened(**changes: Any) -> bytes:
    """The service's first frame."""
    fields: dict[str, Any] = {"revision": 1, "session_id": "name", "limits": LIMITS} | changes
    return event_loop_pb2.SessionResponse(sequence=1, opened=event_loop_pb2.Opened(**fields)).SerializeToString()


class Scripted:
    """Opens the session, then does what it is told with the peer; `first`: the first frame instead of a good one."""

    def __init__(self, then: Callable[[Http2Peer], Any] | None = None, first: bytes | None = None):
        self._then = then
        self._first = opened() if first is None else first
        self.metadata: dict[str, str] = {}
        self.open: event_loop_pb2.Open | None = None

    def __call__(self, sock: socket.socket) -> None:
        peer = Http2Peer(sock)
        self.metadata = peer.read_request()
        self.open = event_loop_pb2.SessionRequest.FromString(peer.read_message()).open
        peer.send(settings(), peer.response(), frame(DATA, message(self._first)))
        if self._then is not None:
            self._then(peer)
        with contextlib.suppress(EOFError):
            while True:
                received = peer.read_frame()
                if received.kind == DATA and received.flags & END_STREAM:
                    peer.send(peer.trailers(0))


def test_what_a_client_says_when_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSPORTD_TOKEN", raising=False)
    script = Scripted()
    with FakeService(script) as fake:
        open_loop(fake.target).close()
        assert "authorization" not in script.metadata
        assert script.metadata[":path"] == "/transportd.v1.EventLoop/Session"
        assert script.metadata[":authority"] == fake.target
        assert script.open is not None
        assert script.open.revision == 1
        assert script.open.acknowledged
        assert str(os.getpid()) in script.open.client_name
        monkeypatch.setenv("TRANSPORTD_TOKEN", "environment")
        open_loop(fake.target, client_name="é" * 100).close()
        assert script.metadata["authorization"] == "Bearer environment"
        assert script.open.client_name == "é" * 64
        open_loop(fake.target, token="given").close()
        assert script.metadata["authorization"] == "Bearer given"
        open_loop(fake.target, token="").close()
        assert "authorization" not in script.metadata


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (opened(revision=2), "speaks revision 2 of the contract, this package speaks 1: install the versions"),
        (opened(revision=0), "speaks revision 0"),
        (opened(limits=types_pb2.Limits()), "install the versions that belong together"),
        (event_loop_pb2.SessionResponse(sequence=1).SerializeToString(), "did not begin with `opened`"),
        (opened()[:-3], "is no frame"),
        (b"\xff" * 50, "is no frame"),
        (b"", "did not begin with `opened`"),
        (b"\x22" + bytes(20_000), "is no frame"),
    ],
)
def test_a_service_that_begins_badly(first: bytes, what: str) -> None:
    with FakeService(Scripted(first=first)) as fake:
        expect_unavailable(fake.target, what)


def details(error: types_pb2.TransportError) -> str:
    """As `grpc-status-details-bin` has it: a google.rpc.Status with it."""
    packed = any_pb2.Any()
    packed.Pack(error)
    encoded = packed.SerializeToString()
    return base64.b64encode(b"\x1a" + struct.pack("B", len(encoded)) + encoded).decode().rstrip("=")


def refusing(code: int, text: str, error: types_pb2.TransportError | None = None) -> Script:
    def refuse(sock: socket.socket) -> None:
        peer = Http2Peer(sock)
        peer.read_request()
        pairs = [*http2.RESPONSE, ("grpc-status", str(code)), ("grpc-message", text)]
        if error is not None:
            pairs.append(("grpc-status-details-bin", details(error)))
        peer.send(settings(), peer.headers(pairs, http2.END_HEADERS | END_STREAM))
        with contextlib.suppress(EOFError):
            while True:
                peer.read_frame()

    return refuse


def test_unauthenticated() -> None:
    with FakeService(refusing(16, "who are you?")) as fake:
        error = failure(fake.target)
        assert type(error) is transportd.AuthenticationError
        assert isinstance(error, PermissionError)
        assert "who are you?; who calls is what token=…, token_file=… or a client certificate of ssl=…" in str(error)
        assert "TRANSPORTD_TOKEN_FILE or TRANSPORTD_TARGET_CERTIFICATE" in str(error)
        assert fake.target in str(error)


def test_permission_denied() -> None:
    denied = types_pb2.TransportError(code=7, reason="POLICY_DENIED", message="not from here")
    with FakeService(refusing(7, "no", denied)) as fake:
        error = failure(fake.target)
        assert type(error) is transportd.PolicyDeniedError
        assert isinstance(error, PermissionError)
        assert "not from here" in str(error)
        assert "token" not in str(error)
        assert error.reason == "POLICY_DENIED"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(8, "TOO_MANY_SESSIONS"), (14, "SERVICE_STOPPING"), (3, "UNSUPPORTED_REVISION"), (13, ""), (2, "")],
)
def test_other_refusals(code: int, reason: str) -> None:
    with FakeService(refusing(code, "no", types_pb2.TransportError(code=code, reason=reason, message="no"))) as fake:
        error = failure(fake.target)
        assert type(error) is transportd.ServiceUnavailableError
        assert error.reason == reason
        assert f"the service at {fake.target} did not open a session: no" in str(error)


def test_too_many_sessions() -> None:
    service = harness.Service("--max-session-count=1")
    with contextlib.closing(open_loop(service.target)):
        error = failure(service.target)
        assert type(error) is transportd.ServiceUnavailableError
        assert error.reason == "TOO_MANY_SESSIONS"
    service.stop()


def test_a_service_that_opens_slowly() -> None:
    def slow(sock: socket.socket) -> None:
        peer = Http2Peer(sock)
        peer.read_request()
        peer.send(settings())
        with contextlib.suppress(EOFError):
            while True:
                peer.send(frame(http2.PING, b"12345678", stream_id=0))
                peer.read_until(http2.PING)

    with FakeService(slow) as fake:
        expect_unavailable(fake.target, "no answer", connect_timeout=0.2)


# A session that breaks


def callbacks(sequence: int, *entries: event_loop_pb2.Callback, **fields: Any) -> bytes:
    response = event_loop_pb2.SessionResponse(sequence=sequence, callbacks=entries, **fields)
    return frame(DATA, message(response.SerializeToString()))


def lost_while_waiting(then: Callable[[Http2Peer], Any]) -> transportd.SessionLostError:
    """What a call fails with that waits when the service does that."""

    def script(peer: Http2Peer) -> None:
        peer.read_message()
        then(peer)

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        try:
            waiting = loop.create_task(loop.getaddrinfo("localhost", 80))
            with pytest.raises(transportd.SessionLostError) as caught:
                loop.run_until_complete(soon(waiting))
            with pytest.raises(transportd.SessionLostError) as again:
                loop.run_until_complete(soon(loop.getaddrinfo("localhost", 80)))
        finally:
            loop.close()
    assert isinstance(caught.value, ConnectionError)
    assert str(again.value) == str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (callbacks(3), "broke the contract: its frames are not in order"),
        (callbacks(1), "broke the contract: its frames are not in order"),
        (frame(DATA, message(opened())), "broke the contract: its frames are not in order"),
        (frame(DATA, message(b"\xff" * 20)), "broke the contract: not a frame"),
        (frame(DATA, message(b"\x22" + bytes(20_000))), "broke the contract"),
        (frame(DATA, message(b"")), "broke the contract"),
        (frame(DATA, b"\x01" + message(b"x")[1:]), "a compressed message"),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", "broke HTTP/2: an HTTP/2 frame of 16777215 bytes"),
        (frame(http2.PUSH_PROMISE, bytes(4)), "broke HTTP/2: a PUSH_PROMISE"),
        (frame(RST_STREAM, (8).to_bytes(4, "big")), "reset the stream (HTTP/2 error 8)"),
        (frame(GOAWAY, bytes(8) + b"go away", stream_id=0), "refused the connection: go away"),
        (frame(DATA, b"", END_STREAM), "ended the stream without a status"),
    ],
)
def test_a_service_that_breaks_the_contract(sent: bytes, what: str) -> None:
    error = lost_while_waiting(lambda peer: peer.send(sent))
    assert "the session with the service" in str(error)
    assert what in str(error)
    assert ": : " not in str(error)


def test_a_message_of_many_gigabytes() -> None:
    """No room is made for what does not come."""
    error = lost_while_waiting(lambda peer: peer.send(frame(DATA, b"\0\xff\xff\xff\xff" + bytes(100))))
    assert "a message of 4294967295 bytes" in str(error)


def test_a_service_that_closes_the_connection() -> None:
    error = lost_while_waiting(lambda peer: peer.sock.shutdown(socket.SHUT_RDWR))
    assert "the service closed the connection" in str(error)


@pytest.mark.parametrize(
    ("code", "text", "error", "what"),
    [
        (14, "stopping", None, "stopping"),
        (3, "bad", types_pb2.TransportError(code=3, reason="BAD_FRAME", message="a gap in the numbers"), "a gap in"),
        (0, "", None, "the service ended it"),
        (2, "", None, "gRPC status 2"),
        (99, "strange", None, "strange"),
    ],
)
def test_a_service_that_ends_the_stream(
    code: int, text: str, error: types_pb2.TransportError | None, what: str
) -> None:
    lost = lost_while_waiting(
        lambda peer: peer.send(peer.trailers(code, text, details(error) if error is not None else ""))
    )
    assert what in str(lost)
    assert not str(lost).endswith(": ")


def test_goaway_and_then_on() -> None:
    """A service that is to end lets its sessions go on until they end, or its time is over."""

    def script(peer: Http2Peer) -> None:
        peer.send(frame(GOAWAY, (1).to_bytes(4, "big") + bytes(4), stream_id=0))
        peer.read_message()
        reply = event_loop_pb2.Reply(request_id=1, getaddrinfo={})
        peer.send(callbacks(2, event_loop_pb2.Callback(reply=reply)))

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        assert loop.run_until_complete(soon(loop.getaddrinfo("localhost", 80))) == []
        loop.close()


def test_what_a_client_need_not_know_is_passed_over() -> None:
    """Callbacks of later revisions, of transports that are gone, replies that nobody waits for."""

    def script(peer: Http2Peer) -> None:
        peer.read_message()
        unknown = event_loop_pb2.Callback.FromString(b"\x08\x05\xda\x0f\x03abc")
        entries = [
            unknown,
            event_loop_pb2.Callback(),
            event_loop_pb2.Callback(transport_id=99, data_received=b"nobody"),
            event_loop_pb2.Callback(transport_id=99, write_progress=5),
            event_loop_pb2.Callback(transport_id=99, eof_received={}),
            event_loop_pb2.Callback(transport_id=99, connection_lost={}),
            event_loop_pb2.Callback(reply=event_loop_pb2.Reply(request_id=77)),
            event_loop_pb2.Callback(transport_id=98, connection_made={"server_id": 97}),
        ]
        peer.send(callbacks(2, *entries, all_written=True))
        peer.send(callbacks(3, event_loop_pb2.Callback(reply=event_loop_pb2.Reply(request_id=1, getaddrinfo={}))))

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        assert loop.run_until_complete(soon(loop.getaddrinfo("localhost", 80))) == []
        loop.close()


def test_an_exception_of_the_service_s_loop_is_handed_on() -> None:
    def script(peer: Http2Peer) -> None:
        context = event_loop_pb2.ExceptionContext(message="socket.accept() out of system resource")
        context.error.CopyFrom(types_pb2.TransportError(code=8, errno_number=24, message="Too many open files"))
        peer.send(callbacks(2, event_loop_pb2.Callback(call_exception_handler=context)))

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        told: asyncio.Future[dict[str, Any]] = loop.create_future()
        loop.set_exception_handler(lambda _, context: told.set_result(context))
        context = loop.run_until_complete(soon(told))
        assert context["message"] == "socket.accept() out of system resource"
        assert isinstance(context["exception"], OSError)
        assert context["exception"].errno == 24
        loop.close()


@pytest.mark.parametrize("has_handler", [True, False])
def test_a_service_that_stops_says_so(has_handler: bool, caplog: pytest.LogCaptureFixture) -> None:
    def script(peer: Http2Peer) -> None:
        peer.read_message()
        draining = event_loop_pb2.Callback(draining={"time_left": {"seconds": 12, "nanos": 500_000_000}})
        peer.send(callbacks(2, draining))
        peer.send(callbacks(3, event_loop_pb2.Callback(reply=event_loop_pb2.Reply(request_id=1, getaddrinfo={}))))

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        told: list[float] = []
        if has_handler:
            loop.set_draining_handler(told.append)
        with pytest.raises(TypeError, match="callable"):
            loop.set_draining_handler(5)  # type: ignore[arg-type]
        assert loop.run_until_complete(soon(loop.getaddrinfo("localhost", 80))) == []
        loop.close()
    assert told == ([12.5] if has_handler else [])
    assert ("the service stops" in caplog.text) is not has_handler


def test_a_goodbye_that_does_not_come() -> None:
    def script(peer: Http2Peer) -> None:
        with contextlib.suppress(EOFError):
            while True:
                peer.read_frame()

    with FakeService(Scripted(script)) as fake:
        loop = open_loop(fake.target)
        begun = time.monotonic()
        loop.close()
        assert time.monotonic() - begun < 5


def test_arguments_of_the_loop() -> None:
    with pytest.raises(ValueError, match="subprocess_context 'nobody': allowed are"):
        transportd.EventLoop("localhost:1", subprocess_context="nobody")
    for seconds in (0, -1, float("nan"), 3601):
        with pytest.raises(ValueError, match=r"answer_timeout .*: allowed are seconds above 0, at most 3600"):
            transportd.EventLoop("localhost:1", answer_timeout=seconds)
    for seconds in (0, -1, float("nan"), float("inf"), 3601):
        with pytest.raises(ValueError, match=r"connect_timeout .*: allowed are seconds above 0, at most 3600"):
            transportd.EventLoop("localhost:1", connect_timeout=seconds)
    wrong: Any
    for name, wrong in (("connect_timeout", None), ("answer_timeout", "5")):
        with pytest.raises(TypeError, match=f"{name} must be a number of seconds, not"):
            transportd.EventLoop("localhost:1", **{name: wrong})
    for name, wrong in (("client_name", 5), ("token", b""), ("token", 0), ("server_hostname", b"localhost")):
        with pytest.raises(TypeError, match=f"{name} must be a str, not"):
            transportd.EventLoop("localhost:1", **{name: wrong})
    for wrong in (True, 0, "system"):
        with pytest.raises(TypeError, match=r"ssl must be an ssl\.SSLContext, not"):
            transportd.EventLoop("localhost:1", ssl=wrong)
    wrong = 5
    with pytest.raises(TypeError, match="token_file must be a path, not 'int'"):
        transportd.EventLoop("localhost:1", token_file=wrong)


def test_a_selector_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"selector must be a selectors\.BaseSelector, not 'int'"):
        transportd.EventLoop("localhost:1", selector=wrong)
    gc.collect()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("secret" * 20_000, "token has 120000 characters; allowed are at most 7168 printable ASCII characters"),
        ("secret" + "x" * 7163, "token has 7169 characters; allowed are at most 7168"),
        ("secret\n", "token ends with a line break; allowed are"),
        ("secret\r\n", "token ends with a line break; allowed are"),
        ("secret\nmore", "token has a character at position 6 that it cannot have; allowed are"),
        ("secret\0", "token has a character at position 6"),
        ("secret\x7f", "token has a character at position 6"),
        ("secr\u00e9t", "token has a character at position 4"),
        ("secr\udc80t", "token has a character at position 4"),
        (" secret", "token begins or ends with a space; allowed are"),
        ("secret ", "token begins or ends with a space; allowed are"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_token_that_cannot_be_sent(token: str, what: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused at once: nobody is called."""
    if by == "environment":
        if "\0" in token:
            pytest.skip("not in an environment")
        monkeypatch.setenv("TRANSPORTD_TOKEN", token)
    with pytest.raises(ValueError, match=re.escape(what)) as caught:
        transportd.EventLoop("127.0.0.1:1", token=token if by == "argument" else None)
    assert "secr" not in str(caught.value)


@pytest.mark.parametrize("token", [b"token", 5])
def test_a_token_of_another_type(token: Any) -> None:
    with pytest.raises(TypeError, match="token must be a str, not"):
        transportd.EventLoop("127.0.0.1:1", token=token)


def test_the_longest_token(service: harness.Service) -> None:
    """The service takes it; what it stands for is not its matter."""
    transportd.EventLoop(service.target, token="~" * 7168).close()


def test_run_inside_a_running_loop_is_what_asyncio_says() -> None:
    async def main() -> None:
        pytest.fail("it ran")

    async def outer() -> list[str]:
        texts = []
        for run in (asyncio.run, transportd.run):
            coroutine = main()
            with pytest.raises(RuntimeError) as caught:
                run(coroutine)
            texts.append(str(caught.value))
            coroutine.close()
        return texts

    # Nobody is connected to first, as the environment's service would show.
    stock, ours = asyncio.run(outer())
    assert ours == stock
    gc.collect()


def test_run_with_forgotten_parentheses(service: harness.Service) -> None:
    async def main() -> None:
        pytest.fail("it ran")

    forgotten: Any = main
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(transportd.ServiceUnavailableError, match="no service at"):
        transportd.run(forgotten, target=f"127.0.0.1:{port}")
    with pytest.raises(ValueError, match="a coroutine was expected"):
        transportd.run(forgotten, target=service.target)


def test_run_without_a_service_is_one_error_and_nothing_else() -> None:
    async def main() -> None:
        pytest.fail("it ran")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    # A coroutine that is never awaited would be a warning, which is an error here.
    with pytest.raises(transportd.ServiceUnavailableError, match="no service at"):
        transportd.run(main(), target=f"127.0.0.1:{port}")
    gc.collect()
