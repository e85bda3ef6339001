"""TLS by this process over a connection of the service: asyncio's own protocol, on the stock loop and on ours."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from differential import LEFT_OPEN, LoopFactory, OpenRecorder, Recorder, Same, World, soon

# The stock loop closes what TLS leaves, but not always before it is closed itself.
pytestmark = LEFT_OPEN
BIG = bytes(range(256)) * 12_000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates, each with its key, for 127.0.0.1 and server.test: `good`, `other`."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("good", "other"):
        subject = ["-subj", "/CN=server.test", "-addext", "subjectAltName=DNS:server.test,IP:127.0.0.1", "-days", "2"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{name}.pem", *subject]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


class Contexts:
    """A client's context, and a server's."""

    def __init__(self, folder: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3):
        self.client = ssl.create_default_context(cafile=str(folder / "good.pem"))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(folder / "good.pem", folder / "good.key")
        self.client.maximum_version = self.server.maximum_version = version


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def contexts(certificates: Path, request: pytest.FixtureRequest) -> Contexts:
    return Contexts(certificates, request.param)


@contextlib.contextmanager
def secure(context: ssl.SSLContext, raw: socket.socket, **options: Any) -> Iterator[ssl.SSLSocket]:
    """TLS over it, closed at the end, also when the handshake fails."""
    with context.wrap_socket(raw, do_handshake_on_connect=False, **options) as secured:
        secured.do_handshake()
        yield secured


class Peer:
    """A TLS server in a thread: accepts one connection and does with it what it is told."""

    def __init__(self, world: World, context: ssl.SSLContext, conversation: Callable[[ssl.SSLSocket], Any]):
        async def run() -> None:
            try:
                result = await asyncio.to_thread(self._serve, context, conversation)
            except OSError as error:
                # What exactly it meets is a matter of moments.
                world.log("peer", "raised", isinstance(error, ssl.SSLError))
            else:
                world.log("peer", "did", result)

        self._world = world
        self._listener = world.listener
        self._task = asyncio.create_task(run())

    def _serve(self, context: ssl.SSLContext, conversation: Callable[[ssl.SSLSocket], Any]) -> Any:
        peer, address = self._listener.accept()
        self._world.name_port(address[1], "local")
        peer.settimeout(20)
        with peer, secure(context, peer, server_side=True, suppress_ragged_eofs=False) as secured:
            return conversation(secured)

    async def done(self) -> None:
        await soon(self._task)


async def connect(world: World, contexts: Contexts, kind: type[Recorder] = Recorder, **options: Any) -> Any:
    options = {"ssl": contexts.client, "server_hostname": "server.test"} | options
    return await world.loop.create_connection(lambda: kind(world), *world.listener.getsockname(), **options)  # type: ignore[call-overload]


def converse(secured: ssl.SSLSocket) -> Any:
    """Reads a line, answers, ends TLS in order."""
    line = secured.recv(100)
    secured.sendall(line[::-1])
    secured.unwrap()
    return line


def test_a_conversation(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, converse)
        transport, protocol = await connect(world, contexts)
        world.log("client", "returned", transport is protocol.transport, "SSL" in type(transport).__name__)
        transport.write(b"hello")
        await protocol.lost()
        await peer.done()

    same(main)


def test_extra_info(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, converse)
        transport, protocol = await connect(world, contexts)
        keys = ("cipher", "peercert", "compression", "sockname", "peername", "nothing")
        for state in ("open", "lost"):
            for key in keys:
                world.log("client", state, key, transport.get_extra_info(key))
            sock = transport.get_extra_info("socket")
            world.log("client", state, "socket", type(sock).__name__)
            world.log("client", state, transport.get_extra_info("sslcontext") is contexts.client)
            world.log("client", state, type(transport.get_extra_info("ssl_object")).__name__)
            if state == "open":
                world.log("client", "limits", transport.get_write_buffer_limits(), transport.get_read_buffer_limits())
                world.log("client", "can write EOF", transport.can_write_eof())
                with pytest.raises(NotImplementedError):
                    transport.write_eof()
                transport.write(b"hello")
                await protocol.lost()
        await peer.done()

    same(main)


@pytest.mark.parametrize("kind", [Recorder, OpenRecorder])
@pytest.mark.parametrize("ending", ["close_notify", "FIN"])
def test_the_peer_ends(same: Same, contexts: Contexts, kind: type[Recorder], ending: str) -> None:
    def end(secured: ssl.SSLSocket) -> None:
        secured.sendall(b"last")
        if ending == "FIN":
            secured.shutdown(socket.SHUT_WR)
            secured.recv(1)
        else:
            secured.unwrap()

    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, end)
        _, protocol = await connect(world, contexts, kind)
        await protocol.lost()
        await peer.done()

    same(main)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_this_side_ends(same: Same, contexts: Contexts, method: str) -> None:
    begun = threading.Event()

    def read(secured: ssl.SSLSocket) -> Any:
        begun.set()
        received = bytearray()
        try:
            while piece := secured.recv(1 << 16):
                received += piece
        except (ssl.SSLError, ConnectionError):  # Which, is a matter of moments.
            return "cut off"
        secured.unwrap()
        return bytes(received)

    async def main(world: World) -> None:
        begun.clear()
        peer = Peer(world, contexts.server, read)
        transport, protocol = await connect(world, contexts)
        # Until then the peer's handshake could be what is cut off.
        await asyncio.to_thread(begun.wait, 20)
        if method == "close":
            transport.write(BIG)
        world.log("client", method, getattr(transport, method)(), transport.is_closing())
        transport.write(b"dropped")
        await protocol.lost()
        await peer.done()
        world.events["client"] = [event for event in world.events["client"] if event[0] not in ("pause", "resume")]

    same(main)


def test_a_peer_that_never_answers_close_notify(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        given_up = threading.Event()
        peer = Peer(world, contexts.server, lambda _: given_up.wait(20))
        transport, protocol = await connect(world, contexts, ssl_shutdown_timeout=0.1)
        transport.close()
        await protocol.lost()
        given_up.set()
        await peer.done()

    assert same(main)["client"][-1] == ("lost", ("TimeoutError", None, "SSL shutdown timed out"))


def test_much_both_ways(same: Same, contexts: Contexts) -> None:
    def echo(secured: ssl.SSLSocket) -> None:
        left = len(BIG)
        while left:
            piece = secured.recv(1 << 16)
            secured.sendall(piece)
            left -= len(piece)
        secured.unwrap()

    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, echo)
        transport, protocol = await connect(world, contexts)
        for start in range(0, len(BIG), 100_000):
            transport.write(BIG[start : start + 100_000])
        await protocol.lost()
        await peer.done()
        world.events["client"] = [event for event in world.events["client"] if event[0] not in ("pause", "resume")]
        world.log("client", "received", bytes(protocol.received))

    same(main)


def test_pause_reading(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, lambda secured: [secured.sendall(BIG), secured.unwrap()].clear())  # type: ignore[func-returns-value]
        transport, protocol = await connect(world, contexts)
        transport.pause_reading()
        world.log("client", "paused", transport.is_reading())
        await world.settle()
        size = len(protocol.received)
        await world.settle()
        world.log("client", "holds", len(protocol.received) == size)
        transport.resume_reading()
        await protocol.lost()
        await peer.done()
        world.events["client"] = [event for event in world.events["client"] if event[0] != "data"]
        world.log("client", "received", bytes(protocol.received))

    same(main)


# Handshakes that fail


@pytest.mark.parametrize("mistake", ["untrusted", "hostname", "closed", "reset", "garbage", "silent", "zero timeout"])
def test_handshakes_that_fail(same: Same, certificates: Path, mistake: str) -> None:
    async def main(world: World) -> None:
        contexts = Contexts(certificates)
        options: dict[str, Any] = {}
        listener = world.listener

        def serve() -> None:
            peer, _ = listener.accept()
            world.own(peer)
            if mistake in ("untrusted", "hostname"):
                if mistake == "untrusted":
                    contexts.server.load_cert_chain(certificates / "other.pem", certificates / "other.key")
                with pytest.raises(ssl.SSLError), secure(contexts.server, peer, server_side=True) as secured:
                    secured.recv(1)
            elif mistake == "garbage":
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.recv(1 << 16)
            elif mistake == "closed":
                peer.recv(1 << 16)
                peer.close()
            elif mistake == "reset":
                peer.close()

        if mistake == "hostname":
            options["server_hostname"] = "somebody.else"
        elif mistake == "silent":
            options["ssl_handshake_timeout"] = 0.1
        elif mistake == "zero timeout":
            options["ssl_handshake_timeout"] = 0
        serving = asyncio.create_task(asyncio.to_thread(serve))
        with pytest.raises((OSError, ValueError)) as caught:
            await connect(world, contexts, **options)
        error = caught.value
        if mistake == "reset":
            assert isinstance(error, ConnectionError)
            world.log("caller", "raised")
        else:
            world.log("caller", "raised", error, getattr(error, "reason", None), getattr(error, "verify_message", None))
        await soon(serving)

    assert "client" not in same(main)


def test_server_side(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        made: asyncio.Queue[Recorder] = asyncio.Queue()

        def factory() -> Recorder:
            protocol = Recorder(world, "server")
            made.put_nowait(protocol)
            return protocol

        def call(context: ssl.SSLContext) -> Any:
            with socket.create_connection(address, 20) as raw:
                try:
                    with secure(context, raw, server_hostname="server.test") as secured:
                        secured.sendall(b"hello")
                        answer = secured.recv(100)
                        secured.unwrap()
                        return answer
                except ssl.SSLCertVerificationError as error:
                    return error.reason

        server = await world.loop.create_server(factory, "127.0.0.1", 0, ssl=contexts.server)
        address = server.sockets[0].getsockname()
        world.name_port(address[1], "server")
        calling = asyncio.create_task(asyncio.to_thread(call, contexts.client))
        protocol = await soon(made.get())
        await protocol.until_data(5)
        world.log("server", "has", protocol.transport.get_extra_info("sslcontext") is contexts.server)
        protocol.transport.write(b"bye")
        world.log("peer", "read", await soon(calling))
        await protocol.lost()
        # A client that does not trust it: the protocol is made, and hears nothing.
        untrusting = ssl.create_default_context()
        world.log("peer", "raised", await asyncio.to_thread(call, untrusting))
        unheard = await soon(made.get())
        await world.settle()
        world.log("server", "unheard", unheard.transport)
        server.close()

    same(main)


def test_streams(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(len(BIG)))[::-1])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            world.log("server", "closed")
            done.set()

        done = asyncio.Event()
        server = await asyncio.start_server(reverse, "127.0.0.1", 0, ssl=contexts.server)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address, ssl=contexts.client, server_hostname="server.test")
        writer.write(BIG)
        await soon(writer.drain())
        world.log("client", "read", await soon(reader.read()))
        writer.close()
        await soon(writer.wait_closed())
        await soon(done.wait())
        server.close()
        await soon(server.wait_closed())

    same(main)


# start_tls


async def secured_pair(
    world: World, contexts: Contexts, before: bytes, talk: Callable[[Any], Coroutine[Any, Any, None]]
) -> None:
    """Both sides in this loop: `before` goes plain, each way, then both start TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        world.log("server", "plain", await reader.readexactly(len(before)))
        writer.write(before)
        await writer.drain()
        writer.write(b"go\n")
        await start_tls(reader, writer, contexts.server, server_side=True)
        world.log("server", "secured", await reader.readline())
        writer.write(b"answer\n")
        writer.close()
        done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(before)
    world.log("client", "plain", await soon(reader.readexactly(len(before))))
    # Not before the other side is ready to hear of it.
    world.log("client", "plain", await soon(reader.readline()))
    await start_tls(reader, writer, contexts.client, server_hostname="server.test")
    await talk((reader, writer))
    await soon(done.wait())
    server.close()


async def start_tls(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, **options: Any
) -> None:
    """As StreamWriter.start_tls, which is new in 3.11 and wants to know what it cannot."""
    loop = asyncio.get_running_loop()
    protocol = writer.transport.get_protocol()
    await writer.drain()
    transport = await loop.start_tls(writer.transport, protocol, context, **options)
    writer._transport = transport  # type: ignore[attr-defined]
    reader._transport = transport  # type: ignore[attr-defined]
    protocol._transport = transport  # type: ignore[attr-defined]
    protocol._over_ssl = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
def test_start_tls(same: Same, contexts: Contexts, size: int) -> None:
    async def main(world: World) -> None:
        async def talk(streams: Any) -> None:
            reader, writer = streams
            writer.write(b"question\n")
            world.log("client", "secured", await soon(reader.read()))
            writer.close()
            await soon(writer.wait_closed())

        await secured_pair(world, contexts, BIG[:size], talk)

    same(main)


def test_start_tls_goes_on_with_the_same_protocol(same: Same, contexts: Contexts) -> None:
    async def main(world: World) -> None:
        peer = Peer(world, contexts.server, converse)
        transport, protocol = await world.loop.create_connection(lambda: Recorder(world), *world.listener.getsockname())
        secured = await soon(world.loop.start_tls(transport, protocol, contexts.client, server_hostname="server.test"))
        world.log("client", "started", secured is transport, secured.get_protocol() is protocol)  # type: ignore[union-attr]
        secured.write(b"hello")  # type: ignore[union-attr]
        await protocol.lost()
        await peer.done()

    events = same(main)["client"]
    assert [event[0] for event in events].count("made") == 1


@pytest.mark.parametrize("mistake", ["context", "transport", "certificate"])
def test_start_tls_that_fails(same: Same, certificates: Path, mistake: str) -> None:
    async def main(world: World) -> None:
        contexts = Contexts(certificates)
        transport, protocol, raw = await world.connect()
        if mistake == "certificate":
            contexts.server.load_cert_chain(certificates / "other.pem", certificates / "other.key")

            def refuse() -> None:
                with pytest.raises(ssl.SSLError), secure(contexts.server, raw, server_side=True) as secured:
                    secured.recv(1)

            refusing = asyncio.create_task(asyncio.to_thread(refuse))
        arguments = {
            "context": (transport, protocol, None),
            "transport": (None, protocol, contexts.client),
            "certificate": (transport, protocol, contexts.client),
        }[mistake]
        with pytest.raises((TypeError, ssl.SSLError)) as caught:
            await world.loop.start_tls(*arguments, server_hostname="server.test")  # type: ignore[arg-type]
        world.log("caller", "raised", str(caught.value).partition("(_ssl")[0])
        if mistake == "certificate":
            await soon(refusing)
            await world.settle()
            world.log("client", "closing", transport.is_closing())
        else:
            transport.abort()
            await protocol.lost()

    same(main)


def test_tls_in_tls(same: Same, certificates: Path) -> None:
    async def main(world: World) -> None:
        contexts = Contexts(certificates)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await start_tls(reader, writer, contexts.server, server_side=True)
            writer.write((await reader.readline())[::-1])
            await writer.drain()
            await reader.read()
            writer.close()
            done.set()

        done = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=contexts.server)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=contexts.client, server_hostname="server.test"
        )
        await start_tls(reader, writer, contexts.client, server_hostname="server.test")
        writer.write(b"hello\n")
        world.log("client", "read", await soon(reader.readexactly(6)))
        writer.close()
        await soon(done.wait())
        server.close()

    same(main)


# What is freed


@pytest.mark.parametrize("ending", ["close", "handshake fails", "cancelled"])
def test_the_context_is_freed(loop_factory: LoopFactory, certificates: Path, ending: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        contexts = Contexts(certificates)
        reference = weakref.ref(contexts.client)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            lost, begun = asyncio.Event(), asyncio.Event()

            server_context = contexts.server

            class Losing(asyncio.Protocol):
                def connection_lost(self, exc: Exception | None) -> None:
                    lost.set()

            def serve() -> None:
                peer, _ = listener.accept()
                with peer:
                    if ending == "close":
                        with secure(server_context, peer, server_side=True) as secured:
                            secured.recv(1)
                    elif ending == "handshake fails":
                        peer.recv(100)
                    else:
                        peer.recv(100)
                        loop.call_soon_threadsafe(begun.set)
                        while peer.recv(1 << 16):
                            pass

            serving = asyncio.create_task(asyncio.to_thread(serve))
            connecting = asyncio.create_task(
                loop.create_connection(
                    Losing, *listener.getsockname(), ssl=contexts.client, server_hostname="server.test"
                )
            )
            if ending == "close":
                transport, _ = await soon(connecting)
                transport.close()
                del transport
                await soon(lost.wait())
            else:
                if ending == "cancelled":
                    await soon(begun.wait())
                    connecting.cancel()
                with pytest.raises((ConnectionError, asyncio.CancelledError)):
                    await soon(connecting)
            await soon(serving)
            del connecting, contexts, server_context, serving
            async with asyncio.timeout(10):
                while reference() is not None:
                    await asyncio.sleep(0)
                    gc.collect()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
