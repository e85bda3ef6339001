"""TLS: asyncio's own over any loop, and the service's; from the start, and by start_tls. asyncio's is the measure."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transportd
from transportd import ServiceTls
from transportd._stream import ServiceTlsTransport, StreamTransport

from certificates import NAME, Certificate
from recorders import LIMIT_SECONDS, LoopFactory, Recorder, StreamRecorder, exceptions_of, run, soon, until

MIB = 1 << 20


@dataclass(frozen=True)
class Terms:
    """Who does the TLS of both sides, and where the sockets are."""

    loops: LoopFactory
    client: Any
    server: Any

    @property
    def is_services(self) -> bool:
        return isinstance(self.client, ServiceTls)


def terms_of(kind: str, certificate: Certificate, loop_factory: LoopFactory) -> Terms:
    if kind == "service":
        return Terms(loop_factory, certificate.client_service(), certificate.server_service())
    loops = asyncio.SelectorEventLoop if kind == "asyncio" else loop_factory
    return Terms(loops, certificate.client_context(), certificate.server_context())


@pytest.fixture(params=["asyncio", "context", "service"])
def terms(request: pytest.FixtureRequest, certificate: Certificate, loop_factory: LoopFactory) -> Terms:
    return terms_of(request.param, certificate, loop_factory)


@dataclass
class Pair:
    """Two protocols that are connected."""

    client: Any
    server: Any


@contextlib.asynccontextmanager
async def connected(
    factory: Callable[[], Recorder] = StreamRecorder,
    *,
    client_tls: Any = None,
    server_tls: Any = None,
    server_factory: Callable[[], Recorder] | None = None,
    **options: Any,
) -> AsyncIterator[Pair]:
    loop: Any = asyncio.get_running_loop()
    accepted: asyncio.Future[Recorder] = loop.create_future()

    def accept() -> Recorder:
        protocol = (server_factory or factory)()
        accepted.set_result(protocol)
        return protocol

    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=server_tls)
    address = server.sockets[0].getsockname()
    name = {"server_hostname": NAME} if client_tls else {}
    transport, client = await loop.create_connection(factory, *address, ssl=client_tls, **name, **options)
    assert client.transport is transport
    pair = Pair(client, await soon(accepted))
    await until(lambda: pair.server.transport is not None)
    server.close()
    try:
        yield pair
    finally:
        for protocol in (pair.client, pair.server):
            protocol.transport.abort()
        await until(lambda: pair.client.transport.is_closing() and pair.server.transport.is_closing())
        await asyncio.sleep(0)


# From the start


def test_exchange(terms: Terms) -> None:
    async def main() -> None:
        async with connected(client_tls=terms.client, server_tls=terms.server) as pair:
            pair.client.transport.write(b"ping")
            assert await pair.server.wait_data(4) == b"ping"
            big = os.urandom(3 * MIB)
            pair.server.transport.writelines([big[:MIB], memoryview(big)[MIB : 2 * MIB], bytearray(big[2 * MIB :])])
            assert await pair.client.wait_data(len(big)) == big
            pair.client.transport.close()
            assert await pair.client.wait_lost() is None
            assert await pair.server.wait_lost() is None
            for protocol in (pair.client, pair.server):
                assert [event for event in protocol.events if event not in ("pause", "resume")] == [
                    "made",
                    "eof",
                    "lost",
                ]

    run(terms.loops, main)


def test_extra_info(terms: Terms) -> None:
    async def main() -> None:
        async with connected(client_tls=terms.client, server_tls=terms.server) as pair:
            info = pair.client.transport.get_extra_info
            assert info("sslcontext") is terms.client
            assert info("cipher")[1] in ("TLSv1.3", "TLSv1.2")
            assert len(info("cipher")) == 3
            assert info("compression") is None
            certificate = info("peercert")
            assert certificate["subject"] == ((("commonName", NAME),),)
            assert certificate["subjectAltName"] == (("DNS", NAME), ("IP Address", "127.0.0.1"))
            assert certificate["version"] == 3
            assert ssl.cert_time_to_seconds(certificate["notAfter"]) - ssl.cert_time_to_seconds(
                certificate["notBefore"]
            ) == pytest.approx(2 * 86400)
            assert info("peername") == pair.server.transport.get_extra_info("sockname")
            assert info("socket").type == socket.SOCK_STREAM
            assert pair.server.transport.get_extra_info("peercert") in ({}, None)
            assert info("nothing", 7) == 7

    run(terms.loops, main)


def test_the_services_extra_info_is_asyncios(certificate: Certificate, loop_factory: LoopFactory) -> None:
    async def peercert(tls: Any) -> Any:
        async with connected(client_tls=tls, server_tls=certificate.server_context()) as pair:
            return pair.client.transport.get_extra_info("peercert"), pair.client.transport.get_extra_info("cipher")

    theirs = run(asyncio.SelectorEventLoop, lambda: peercert(certificate.client_context()))
    ours = run(loop_factory, lambda: peercert(certificate.client_service()))
    assert ours == theirs


@pytest.mark.parametrize(("client", "server"), [("service", "context"), ("context", "service")])
def test_both_kinds_together(certificate: Certificate, loop_factory: LoopFactory, client: str, server: str) -> None:
    async def main() -> None:
        client_tls = terms_of(client, certificate, loop_factory).client
        server_tls = terms_of(server, certificate, loop_factory).server
        async with connected(client_tls=client_tls, server_tls=server_tls) as pair:
            pair.client.transport.write(b"ping" * 100_000)
            await pair.server.wait_data(400_000)
            pair.server.transport.write(b"pong")
            assert await pair.client.wait_data(4) == b"pong"
            pair.server.transport.close()
            assert await pair.server.wait_lost() is None
            assert await pair.client.wait_lost() is None

    run(loop_factory, main)


def test_alpn_and_version(certificate: Certificate, loop_factory: LoopFactory) -> None:
    context = certificate.server_context()
    context.set_alpn_protocols(["two", "one"])
    tls = ServiceTls(
        trust_roots=certificate.path.read_text(), alpn_protocols=["one"], maximum_version=ssl.TLSVersion.TLSv1_2
    )

    async def main() -> None:
        async with connected(client_tls=tls, server_tls=context) as pair:
            assert pair.client.transport.get_extra_info("alpn_protocol") == "one"
            assert pair.client.transport.get_extra_info("tls_version") == "TLSv1.2"
            assert pair.server.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "one"

    run(loop_factory, main)


def test_a_certificate_that_is_not_trusted(terms: Terms) -> None:
    stranger = ServiceTls() if terms.is_services else ssl.create_default_context()
    wrong_name = {"server_hostname": "other.test"}

    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        made: list[StreamRecorder] = []

        def accept() -> StreamRecorder:
            made.append(StreamRecorder())
            return made[-1]

        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(accept, "127.0.0.1", 0, ssl=terms.server)
        address = server.sockets[0].getsockname()
        for tls, options in ((stranger, {"server_hostname": NAME}), (terms.client, wrong_name)):
            recorder = StreamRecorder()
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                await loop.create_connection(lambda recorder=recorder: recorder, *address, ssl=tls, **options)
            assert caught.value.reason == "CERTIFICATE_VERIFY_FAILED"
            assert caught.value.verify_code == (18 if tls is stranger else 62)
            assert recorder.events == []
        server.close()
        await asyncio.sleep(0)
        assert all(protocol.events == [] for protocol in made)
        assert [context["message"] for context in contexts if "ConnectionReset" in repr(context)] == []

    run(terms.loops, main)


def test_a_peer_that_does_not_speak_tls(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        class Rude(StreamRecorder):
            def data_received(self, data: bytes) -> None:
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        class Silent(StreamRecorder):
            def data_received(self, data: bytes) -> None:
                self.transport.close()

        async def attempt(factory: Callable[[], StreamRecorder], **options: Any) -> None:
            accepted: asyncio.Future[StreamRecorder] = loop.create_future()

            def accept() -> StreamRecorder:
                accepted.set_result(factory())
                return accepted.result()

            server = await loop.create_server(accept, "127.0.0.1", 0)
            try:
                address = server.sockets[0].getsockname()
                await loop.create_connection(
                    StreamRecorder, *address, ssl=terms.client, server_hostname=NAME, **options
                )
            finally:
                server.close()
                await (await soon(accepted)).wait_lost()

        with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
            await attempt(Rude)
        with pytest.raises(ConnectionResetError):
            await attempt(Silent)
        with pytest.raises(ConnectionAbortedError, match=r"^SSL handshake is taking"):
            await attempt(StreamRecorder, ssl_handshake_timeout=0.05)

    run(terms.loops, main)


def test_timeouts_that_are_none(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for options in ({"ssl_handshake_timeout": 0}, {"ssl_shutdown_timeout": -1}):
                with pytest.raises(ValueError, match="should be a positive number, got"):
                    await loop.create_connection(
                        StreamRecorder, *listener.getsockname(), ssl=terms.client, server_hostname=NAME, **options
                    )

    if terms.loops is asyncio.SelectorEventLoop:
        pytest.skip("asyncio leaves the socket open")
    run(terms.loops, main)


def test_close_waits_for_the_peer(certificate: Certificate, both_loops: LoopFactory, loop_factory: LoopFactory) -> None:
    is_services = both_loops is not asyncio.SelectorEventLoop
    client_tls = certificate.client_service() if is_services else certificate.client_context()

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT_SECONDS)

            def serve() -> ssl.SSLSocket:
                peer, _ = listener.accept()
                return certificate.server_context().wrap_socket(peer, server_side=True, suppress_ragged_eofs=False)

            for answers in (True, False):
                serving = loop.run_in_executor(None, serve)
                transport, protocol = await loop.create_connection(
                    StreamRecorder,
                    *listener.getsockname(),
                    ssl=client_tls,
                    server_hostname=NAME,
                    ssl_shutdown_timeout=LIMIT_SECONDS if answers else 0.05,
                )
                with await serving as peer:
                    transport.write(b"last")
                    transport.close()
                    transport.close()
                    if is_services:
                        transport.write(b"dropped")
                    assert transport.is_closing()
                    if answers:
                        assert await loop.run_in_executor(None, peer.recv, 100) == b"last"
                        assert await loop.run_in_executor(None, peer.recv, 100) == b""
                        assert not protocol.lost.done()
                        await loop.run_in_executor(None, peer.unwrap)
                        assert await protocol.wait_lost() is None
                        assert protocol.events == ["made", "eof", "lost"]
                    else:
                        error = await protocol.wait_lost()
                        assert isinstance(error, TimeoutError)
                        assert str(error) == "SSL shutdown timed out"
                        assert protocol.events == ["made", "lost"]

    run(both_loops, main)


def test_half_close_is_impossible(terms: Terms, caplog: pytest.LogCaptureFixture) -> None:
    class KeepOpen(StreamRecorder):
        keep_open = True

    async def main() -> None:
        async with connected(KeepOpen, client_tls=terms.client, server_tls=terms.server) as pair:
            assert not pair.client.transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                pair.client.transport.write_eof()
            with pytest.raises(TypeError, match="expecting a bytes-like instance, got str"):
                pair.client.transport.write("text")
            assert pair.client.transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            pair.client.transport.close()
            assert await pair.server.wait_lost() is None
            assert await pair.client.wait_lost() is None

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        run(terms.loops, main)
    expected = "returning true from eof_received() has no effect when using ssl"
    assert expected in [record.getMessage() for record in caplog.records]


def test_watermarks(terms: Terms) -> None:
    async def exchange_with_another() -> None:
        async with connected(client_tls=terms.client, server_tls=terms.server) as pair:
            await exchange(pair)

    async def main() -> None:
        async with connected(client_tls=terms.client, server_tls=terms.server) as pair:
            pair.server.transport.pause_reading()
            # asyncio gives the first of them to the transport below, whatever its length.
            for _ in range(2):
                pair.client.transport.write(bytes(16 * MIB))
            assert pair.client.events == ["made", "pause"]
            await exchange_with_another()
            assert pair.client.events == ["made", "pause"]
            assert pair.server.data == b""
            pair.server.transport.resume_reading()
            await until(lambda: "resume" in pair.client.events)
            assert pair.client.events == ["made", "pause", "resume"]

    run(terms.loops, main)


def test_local_sockets_have_no_service_tls(certificate: Certificate, loop_factory: LoopFactory) -> None:
    tls = certificate.client_service()

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        here, there = socket.socketpair()
        with here, there:
            for call in (
                loop.create_connection(StreamRecorder, sock=here, ssl=tls, server_hostname=NAME),
                loop.create_unix_connection(StreamRecorder, sock=here, ssl=tls, server_hostname=NAME),
                loop.create_server(StreamRecorder, sock=here, ssl=tls),
                loop.create_unix_server(StreamRecorder, sock=here, ssl=tls),
                loop.connect_accepted_socket(StreamRecorder, here, ssl=tls),
            ):
                with pytest.raises(TypeError, match="ServiceTls is for connections of the service"):
                    await call

    run(loop_factory, main)


def test_a_socket_that_was_connected_before(certificate: Certificate, loop_factory: LoopFactory) -> None:
    """By sock_connect, in the service, before anybody spoke of TLS: never is it plain."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        accepted: asyncio.Future[StreamRecorder] = loop.create_future()

        def accept() -> StreamRecorder:
            accepted.set_result(StreamRecorder())
            return accepted.result()

        server = await loop.create_server(accept, "127.0.0.1", 0, ssl=certificate.server_context())
        for tls in (certificate.client_service(), ServiceTls()):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            client = StreamRecorder()
            call = loop.create_connection(lambda client=client: client, sock=sock, ssl=tls, server_hostname=NAME)
            if tls.trust_roots is None:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await call
                assert client.events == []
                break
            await call
            assert isinstance(client.transport, ServiceTlsTransport)
            assert client.transport.get_extra_info("peercert")["subject"] == ((("commonName", NAME),),)
            await exchange(Pair(client, await accepted))
            client.transport.close()
            assert await client.wait_lost() is None
            assert client.events == ["made", "eof", "lost"]
            await accepted.result().wait_lost()
            accepted = loop.create_future()
        server.close()

    run(loop_factory, main)


# start_tls


async def upgrade(pair: Pair, client_tls: Any, server_tls: Any) -> None:
    """Both sides, at once; their protocols have their new transports then."""
    loop: Any = asyncio.get_running_loop()
    old = (pair.client.transport, pair.server.transport)
    server, client = await soon(
        asyncio.gather(
            loop.start_tls(old[1], pair.server, server_tls, server_side=True),
            loop.start_tls(old[0], pair.client, client_tls, server_hostname=NAME),
        )
    )
    assert client is not None
    assert client not in old
    assert server not in old
    pair.client.transport, pair.server.transport = client, server


async def exchange(pair: Pair, size: int = 1) -> None:
    for side, other in ((pair.client, pair.server), (pair.server, pair.client)):
        del other.data[:]
        data = os.urandom(size)
        side.transport.write(data)
        assert await other.wait_data(size) == data


def test_start_tls(terms: Terms) -> None:
    async def main() -> None:
        async with connected() as pair:
            await exchange(pair)
            await upgrade(pair, terms.client, terms.server)
            assert pair.client.events == ["made"]
            assert pair.client.transport.get_protocol() is pair.client
            assert pair.client.transport.get_extra_info("cipher") is not None
            assert pair.client.transport.get_extra_info("sslcontext") is terms.client
            assert pair.client.transport.get_extra_info("peercert")["subject"] == ((("commonName", NAME),),)
            assert pair.client.transport.get_extra_info("peername") is not None
            assert pair.client.transport.is_reading()
            if terms.is_services:
                assert isinstance(pair.client.transport, ServiceTlsTransport)
            for size in (1, 100_000, MIB):
                await exchange(pair, size)
            pair.client.transport.close()
            assert await pair.client.wait_lost() is None
            assert await pair.server.wait_lost() is None
            assert [event for event in pair.server.events if event not in ("pause", "resume")] == [
                "made",
                "eof",
                "lost",
            ]

    run(terms.loops, main)


@pytest.mark.parametrize("outer", ["context", "service"])
@pytest.mark.parametrize("inner", ["context", "service"])
def test_tls_in_tls(certificate: Certificate, loop_factory: LoopFactory, outer: str, inner: str) -> None:
    """The outer layer is the one that is next to the socket."""
    first, second = (terms_of(kind, certificate, loop_factory) for kind in (outer, inner))

    async def main() -> None:
        async with connected(client_tls=first.client, server_tls=first.server) as pair:
            await exchange(pair)
            if (outer, inner) == ("context", "service"):
                for protocol, tls in ((pair.client, second.client), (pair.server, second.server)):
                    with pytest.raises(TypeError, match="is not supported by start_tls"):
                        await asyncio.get_running_loop().start_tls(protocol.transport, protocol, tls)
                return
            await upgrade(pair, second.client, second.server)
            for size in (1, 100_000, MIB):
                await exchange(pair, size)
            pair.server.transport.close()
            assert await pair.server.wait_lost() is None
            assert await pair.client.wait_lost() is None

    run(loop_factory, main)


def test_three_layers(certificate: Certificate, loop_factory: LoopFactory) -> None:
    terms = terms_of("service", certificate, loop_factory)

    async def main() -> None:
        async with connected() as pair:
            for _ in range(3):
                await upgrade(pair, terms.client, terms.server)
                await exchange(pair, 10_000)

    run(loop_factory, main)


def test_what_was_written_before_goes_first_and_plain(terms: Terms, certificate: Certificate) -> None:
    """To a peer that reads slowly, and speaks TLS only behind it."""
    plain = os.urandom(6 * MIB)

    def serve(listener: socket.socket) -> bytes:
        peer, _ = listener.accept()
        data = bytearray()
        while len(data) < len(plain):
            data += peer.recv(len(plain) - len(data))
        assert data == plain
        with certificate.server_context().wrap_socket(peer, server_side=True) as secure:
            secure.sendall(b"welcome")
            return secure.recv(100)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT_SECONDS)
            serving = loop.run_in_executor(None, serve, listener)
            transport, protocol = await loop.create_connection(StreamRecorder, *listener.getsockname())
            transport.write(plain)
            secure = await soon(loop.start_tls(transport, protocol, terms.client, server_hostname=NAME))
            assert secure is not None
            secure.write(b"secret")
            assert await soon(serving) == b"secret"
            assert await protocol.wait_data(7) == b"welcome"
            assert protocol.events[-1] in ("resume", "lost", "eof") or protocol.events == ["made", "pause"]
            secure.abort()
            await protocol.wait_lost()

    run(terms.loops, main)


def test_what_has_come_already_belongs_to_tls(terms: Terms, certificate: Certificate) -> None:
    """The peer begins TLS before it is told that it may, and what it says arrives behind the pause, in the client."""
    may_begin, has_begun = threading.Event(), threading.Event()

    def dial(address: Any) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = certificate.client_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with socket.create_connection(address, LIMIT_SECONDS) as peer:
            peer.sendall(b"STARTTLS")
            with contextlib.suppress(ssl.SSLWantReadError):
                secure.do_handshake()
            assert may_begin.wait(LIMIT_SECONDS)
            peer.sendall(outgoing.read())
            has_begun.set()
            for step in (secure.do_handshake, lambda: secure.read(100)):
                while True:
                    try:
                        result = step()
                        break
                    except ssl.SSLWantReadError:
                        incoming.write(peer.recv(65536))
                peer.sendall(outgoing.read())
            assert isinstance(result, bytes)
            return result

    class Upgrading(StreamRecorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()
            may_begin.set()
            assert has_begun.wait(LIMIT_SECONDS)
            # While the loop waits here, what the peer says comes.
            sock = self.transport.get_extra_info("socket")
            for _ in range(200):
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        accepted: asyncio.Future[Upgrading] = loop.create_future()

        def accept() -> Upgrading:
            accepted.set_result(Upgrading())
            return accepted.result()

        server = await loop.create_server(accept, "127.0.0.1", 0)
        dialling = loop.run_in_executor(None, dial, server.sockets[0].getsockname())
        protocol = await soon(accepted)
        await protocol.wait_data(8)
        if isinstance(protocol.transport, StreamTransport):
            await until(lambda: protocol.transport._held)
        secure = await soon(loop.start_tls(protocol.transport, protocol, terms.server, server_side=True))
        secure.write(b"welcome")
        assert await soon(dialling) == b"welcome"
        assert protocol.data == b"STARTTLS"
        server.close()
        secure.abort()
        await protocol.wait_lost()

    run(terms.loops, main)


def test_what_comes_while_tls_begins_belongs_to_tls(terms: Terms) -> None:
    """The client begins at once; the server, that has read nothing yet, when that has long arrived."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            beginning = asyncio.ensure_future(
                loop.start_tls(pair.client.transport, pair.client, terms.client, server_hostname=NAME)
            )
            pair.server.transport.pause_reading()
            async with connected() as other:  # As long as this takes.
                await exchange(other)
            server = await soon(loop.start_tls(pair.server.transport, pair.server, terms.server, server_side=True))
            client = await soon(beginning)
            assert server is not None
            pair.client.transport, pair.server.transport = client, server
            await exchange(pair, 1000)

    run(terms.loops, main)


def test_buffered_protocol(terms: Terms) -> None:
    class Buffered(Recorder, asyncio.BufferedProtocol):
        def __init__(self) -> None:
            super().__init__()
            self.buffer = bytearray(10)
            self.data = bytearray()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.buffer[:nbytes]

        def eof_received(self) -> bool:
            return False

        wait_data = StreamRecorder.wait_data

    async def main() -> None:
        async with connected(Buffered) as pair:
            await exchange(pair, 1000)
            await upgrade(pair, terms.client, terms.server)
            await exchange(pair, 1000)
            other = StreamRecorder()
            pair.client.transport.set_protocol(other)
            pair.server.transport.write(b"to the other")
            assert await other.wait_data(12) == b"to the other"
            pair.client.transport.set_protocol(pair.client)

    run(terms.loops, main)


def test_a_failed_handshake_ends_the_transport(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        stranger = ServiceTls() if terms.is_services else ssl.create_default_context()
        async with connected() as pair:
            results = await soon(
                asyncio.gather(
                    loop.start_tls(pair.server.transport, pair.server, terms.server, server_side=True),
                    loop.start_tls(pair.client.transport, pair.client, stranger, server_hostname=NAME),
                    return_exceptions=True,
                )
            )
            if terms.is_services:
                assert isinstance(results[0], ssl.SSLError)
                assert results[0].reason == "TLSV1_ALERT_UNKNOWN_CA"
            else:  # asyncio does not say why.
                assert isinstance(results[0], ConnectionResetError)
            assert isinstance(results[1], ssl.SSLCertVerificationError)
            assert results[1].verify_message == "self-signed certificate"
            for protocol, error in ((pair.server, results[0]), (pair.client, results[1])):
                assert protocol.transport.is_closing()
                assert repr(await protocol.wait_lost()) == repr(error)
                assert protocol.events == ["made", "lost"]
        async with connected() as pair:
            pair.server.transport.write(b"this is not TLS at all, whatever you make of it")
            with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER") as caught:
                await soon(loop.start_tls(pair.client.transport, pair.client, terms.client, server_hostname=NAME))
            assert repr(await pair.client.wait_lost()) == repr(caught.value)
            assert pair.client.events == ["made", "lost"]
            assert pair.client.data == b""

    run(terms.loops, main)


def test_the_peer_ends_the_handshake(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for end in ("close", "write_eof", "abort"):
            async with connected() as pair:
                getattr(pair.server.transport, end)()
                with pytest.raises(ConnectionResetError):
                    await soon(loop.start_tls(pair.client.transport, pair.client, terms.client, server_hostname=NAME))
                assert pair.client.transport.is_closing()
                assert isinstance(await pair.client.wait_lost(), ConnectionResetError)
                assert pair.client.events == ["made", "lost"]

    run(terms.loops, main)


def test_a_silent_peer(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            with pytest.raises(ConnectionAbortedError, match=r"^SSL handshake is taking"):
                await soon(
                    loop.start_tls(
                        pair.client.transport,
                        pair.client,
                        terms.client,
                        server_hostname=NAME,
                        ssl_handshake_timeout=0.05,
                    )
                )
            assert pair.client.transport.is_closing()
            assert await pair.server.wait_lost() is None
            assert pair.client.events == ["made"]

    run(terms.loops, main)


def test_a_peer_that_does_not_read(terms: Terms) -> None:
    """What was written before cannot be sent: the handshake's time runs all the same."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            pair.server.transport.pause_reading()
            for _ in range(16):
                pair.client.transport.write(bytes(MIB))
            with pytest.raises(ConnectionAbortedError, match=r"^SSL handshake is taking longer than 0\.2 seconds"):
                await soon(
                    loop.start_tls(
                        pair.client.transport,
                        pair.client,
                        terms.client,
                        server_hostname=NAME,
                        ssl_handshake_timeout=0.2,
                    )
                )

    run(terms.loops, main)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 10])
def test_cancelled(terms: Terms, turns: int) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            beginning = loop.create_task(
                loop.start_tls(pair.client.transport, pair.client, terms.client, server_hostname=NAME)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            beginning.cancel()
            with pytest.raises(asyncio.CancelledError):
                await beginning
            if turns:
                assert pair.client.transport.is_closing()
                assert await pair.server.wait_lost() is None
                assert pair.client.events == ["made"]

    run(terms.loops, main)


def test_wrong_arguments(terms: Terms) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            transport = pair.client.transport
            with pytest.raises(TypeError, match=r"expected to be an instance of ssl\.SSLContext, got None"):
                await loop.start_tls(transport, pair.client, None)
            with pytest.raises(TypeError, match="transport None is not supported by start_tls"):
                await loop.start_tls(None, pair.client, terms.client)
            for options in ({"ssl_handshake_timeout": 0}, {"ssl_shutdown_timeout": -1}):
                with pytest.raises(ValueError, match="should be a positive number, got"):
                    await loop.start_tls(transport, pair.client, terms.client, server_hostname=NAME, **options)
            await exchange(pair)

    run(terms.loops, main)


def test_arguments_of_service_tls(loop_factory: LoopFactory) -> None:
    """They are checked here: nobody is connected to."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        wrong: Any
        for wrong, kind, text in (
            (ServiceTls(alpn_protocols="h2"), TypeError, "alpn_protocols must be a sequence of str, not 'h2'"),
            (ServiceTls(alpn_protocols=wrong_names()), TypeError, "alpn_protocols must be a sequence of str"),
            (ServiceTls(verify_mode=wrong_mode()), ValueError, "verify_mode 7 is not CERT_NONE"),
            (ServiceTls, TypeError, "not the class ServiceTls"),
        ):
            with pytest.raises(kind, match=text):
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", 1, ssl=wrong)
            with pytest.raises(kind, match=text):
                await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=wrong)

    run(loop_factory, main)


def wrong_names() -> Any:
    return [b"h2"]


def wrong_mode() -> Any:
    return 7


def test_what_the_service_refuses_leaves_the_connection(certificate: Certificate, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            for is_paused in (False, True):
                bad: tuple[tuple[ServiceTls, dict[str, Any]], ...] = (
                    (ServiceTls(trust_roots="no certificate"), {"server_hostname": NAME}),
                    (ServiceTls(), {"server_side": True}),
                    (certificate.client_service(), {}),
                )
                for tls, options in bad:
                    if is_paused:
                        pair.client.transport.pause_reading()
                    with pytest.raises(ValueError, match=r"certificate|server_hostname"):
                        await loop.start_tls(pair.client.transport, pair.client, tls, **options)
                    assert pair.client.transport.is_reading() is not is_paused
                    assert pair.client.transport.get_protocol() is pair.client
                    pair.client.transport.resume_reading()
                    await exchange(pair, 1000)
            # What has come already is not lost.
            del pair.client.data[:]
            pair.server.transport.write(b"plain")
            pair.client.transport.pause_reading()
            sock = pair.client.transport.get_extra_info("socket")
            for _ in range(200):  # While the loop waits here.
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
            await until(lambda: pair.client.transport._held)
            with pytest.raises(ValueError, match="certificate"):
                await loop.start_tls(pair.client.transport, pair.client, bad[0][0], **bad[0][1])
            assert pair.client.data == b""
            pair.client.transport.resume_reading()
            assert await pair.client.wait_data(5) == b"plain"
            await upgrade(pair, certificate.client_service(), certificate.server_service())
            await exchange(pair, 1000)

    run(loop_factory, main)


def test_impossible(certificate: Certificate, loop_factory: LoopFactory) -> None:
    tls = certificate.client_service()

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair:
            first = asyncio.ensure_future(loop.start_tls(pair.client.transport, pair.client, tls, server_hostname=NAME))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="TLS is being started already"):
                await loop.start_tls(pair.client.transport, pair.client, tls, server_hostname=NAME)
            pair.server.transport = await loop.start_tls(
                pair.server.transport, pair.server, certificate.server_context(), server_side=True
            )
            pair.client.transport = await first
            await exchange(pair)
        for end in ("write_eof", "close"):
            async with connected() as pair:
                getattr(pair.client.transport, end)()
                with pytest.raises(RuntimeError, match="start_tls is not possible"):
                    await loop.start_tls(pair.client.transport, pair.client, tls, server_hostname=NAME)

    run(loop_factory, main)


def test_the_old_transport_closes_the_new_one(certificate: Certificate, loop_factory: LoopFactory) -> None:
    """A server that closes its clients knows but the old one."""

    async def main() -> None:
        for end in ("close", "abort"):
            async with connected() as pair:
                old = pair.server.transport
                await upgrade(pair, certificate.client_service(), certificate.server_service())
                old.write(b"dropped")
                assert old.is_closing()
                assert not pair.server.transport.is_closing()
                getattr(old, end)()
                assert pair.server.transport.is_closing()
                assert await pair.server.wait_lost() is None
                assert await pair.client.wait_lost() is None
                assert pair.client.data == b""

    run(loop_factory, main)


def test_a_server_waits_for_its_upgraded_clients(certificate: Certificate, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        accepted: asyncio.Future[StreamRecorder] = loop.create_future()

        def accept() -> StreamRecorder:
            accepted.set_result(StreamRecorder())
            return accepted.result()

        server: Any = await loop.create_server(accept, "127.0.0.1", 0)
        _, client = await loop.create_connection(StreamRecorder, *server.sockets[0].getsockname())
        pair = Pair(client, await accepted)
        await upgrade(pair, certificate.client_service(), certificate.server_service())
        count = len(server._clients) if hasattr(server, "_clients") else server._active_count
        assert count == 1
        server.close()
        pair.client.transport.close()
        await pair.server.wait_lost()
        await until(lambda: not (len(server._clients) if hasattr(server, "_clients") else server._active_count))

    run(loop_factory, main)


def test_streams(terms: Terms) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"go\n")
            await writer.start_tls(terms.server)
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await soon(writer.start_tls(terms.client, server_hostname=NAME))
            for index in range(100):
                writer.write(b"line %d\n" % index)
                await writer.drain()
                assert await soon(reader.readline()) == b"LINE %d\n" % index
            writer.close()
            await soon(writer.wait_closed())

    run(terms.loops, main)


def test_nothing_is_kept(certificate: Certificate, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        kept: list[weakref.ref[Any]] = []
        async with connected() as pair:
            kept.append(weakref.ref(pair.client.transport))
            await upgrade(pair, certificate.client_service(), certificate.server_service())
            kept += [weakref.ref(pair.client.transport), weakref.ref(pair.client)]
            await exchange(pair)
        del pair
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in kept] == [None] * 3

    run(loop_factory, main)


def test_the_service_is_lost(certificate: Certificate, tmp_path: Path) -> None:
    import signal

    from transportd.service import Service

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected() as pair, connected() as other:
            await upgrade(pair, certificate.client_service(), certificate.server_service())
            beginning = asyncio.ensure_future(
                loop.start_tls(other.client.transport, other.client, certificate.client_service(), server_hostname=NAME)
            )
            await exchange(pair)
            os.kill(service.pid, signal.SIGKILL)
            for protocol in (pair.client, pair.server):
                assert isinstance(await protocol.wait_lost(), transportd.SessionLostError)
            with pytest.raises(ConnectionError):
                await soon(beginning)

    with Service() as service:
        run(lambda: transportd.new_event_loop(service.target), main)
