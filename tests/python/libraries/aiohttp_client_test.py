"""aiohttp's client against nginx, python's http.server and peers that misbehave: docs.aiohttp.org."""

import asyncio
import contextlib
import errno
import hashlib
import http.server
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import harness
import pytest
import servers

from libraries import peers
from libraries.conftest import Run, WebFolder
from libraries.sockets import Home
from libraries.tls import Tls


def local_port(response: aiohttp.ClientResponse) -> int:
    """Of its connection."""
    assert response.connection is not None
    assert response.connection.transport is not None
    port: int = response.connection.transport.get_extra_info("sockname")[1]
    return port


class Connections:
    """Counts the connections that a session makes."""

    def __init__(self) -> None:
        self.count = 0
        self.trace = aiohttp.TraceConfig()
        self.trace.on_connection_create_end.append(self._made)

    async def _made(self, *_: object) -> None:
        self.count += 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_big_file(run: Run, home: Home, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls, scheme: str) -> None:
    port = nginx.tls_port if scheme == "https" else nginx.port

    async def main() -> None:
        connector = aiohttp.TCPConnector(ssl=tls.client_context())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"{scheme}://localhost:{port}/big") as response,
        ):
            assert response.status == 200
            assert response.headers["Server"].startswith("nginx")
            home.check_connection(local_port(response), port)
            digest = hashlib.sha256()
            async for piece in response.content.iter_any():
                digest.update(piece)
            assert digest.hexdigest() == hashlib.sha256(web_folder.big).hexdigest()

    run(main())


def test_a_unix_socket(run: Run, home: Home, nginx: servers.Nginx, web_folder: WebFolder) -> None:
    async def main() -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(nginx.path))) as session,
            session.get("http://localhost/big") as response,
        ):
            home.check_unix_connections(nginx.path)
            assert await response.read() == web_folder.big

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_is_used_again(
    run: Run, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls, scheme: str
) -> None:
    port = nginx.tls_port if scheme == "https" else nginx.port

    async def main() -> None:
        connections = Connections()
        connector = aiohttp.TCPConnector(ssl=tls.client_context())
        async with aiohttp.ClientSession(connector=connector, trace_configs=[connections.trace]) as session:
            for _ in range(20):
                async with session.get(f"{scheme}://localhost:{port}/small") as response:
                    assert await response.read() == web_folder.small
        assert connections.count == 1

    run(main())


def test_many_at_once(run: Run, nginx: servers.Nginx, web_folder: WebFolder) -> None:
    async def main() -> None:
        connections = Connections()
        connector = aiohttp.TCPConnector(limit=50)
        async with aiohttp.ClientSession(connector=connector, trace_configs=[connections.trace]) as session:

            async def get() -> None:
                async with session.get(f"http://127.0.0.1:{nginx.port}/small") as response:
                    assert await response.read() == web_folder.small

            await asyncio.gather(*(get() for _ in range(300)))
        assert connections.count <= 50

    run(main())


def test_python_http_server(run: Run, web_folder: WebFolder) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(hashlib.sha256(body).hexdigest().encode())

    handler = partial(Handler, directory=str(web_folder.path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"

        async def main() -> None:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{url}/big") as response:
                    assert await response.read() == web_folder.big
                async with session.get(f"{url}/missing") as response:
                    assert response.status == 404
                async with session.put(f"{url}/upload", data=web_folder.big) as response:
                    assert response.status == 201
                    assert await response.text() == hashlib.sha256(web_folder.big).hexdigest()

        with peers.in_a_thread(partial(server.serve_forever, 0.01), server.shutdown):
            run(main())


def test_a_certificate_that_is_not_trusted(run: Run, nginx: servers.Nginx) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
                await session.get(f"https://localhost:{nginx.tls_port}/small")
            assert isinstance(caught.value.certificate_error, ssl.SSLCertVerificationError)

    run(main())


def test_https_through_a_proxy(run: Run, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls) -> None:
    with peers.connect_proxy() as proxy:

        async def main() -> None:
            connector = aiohttp.TCPConnector(ssl=tls.client_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                url = f"https://localhost:{nginx.tls_port}/big"
                async with session.get(url, proxy=proxy.url) as response:
                    assert await response.read() == web_folder.big
            assert proxy.targets == [f"localhost:{nginx.tls_port}"]

        run(main())


def test_nobody_listens(run: Run) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(f"http://127.0.0.1:{harness.free_port()}/")
            assert isinstance(caught.value.os_error, ConnectionRefusedError)
            assert caught.value.errno == errno.ECONNREFUSED

    run(main())


def test_no_such_host(run: Run) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
                await session.get("http://nobody.invalid/")
            assert isinstance(caught.value.os_error, socket.gaierror)

    run(main())


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (peers.read_head, aiohttp.ServerDisconnectedError),
        (peers.reset, aiohttp.ClientOSError),
        (peers.end_in_the_middle, aiohttp.ClientPayloadError),
        (peers.say_nothing, aiohttp.SocketTimeoutError),
    ],
)
def test_a_server_that_misbehaves(run: Run, talk: Callable[[socket.socket], None], error: type[Exception]) -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(sock_read=0.2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with pytest.raises(error) as caught:
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    await response.read()
            if error is aiohttp.ClientOSError:
                assert isinstance(caught.value, OSError)
                assert caught.value.errno == errno.ECONNRESET

    with peers.peer(talk) as port:
        run(main())


def test_an_upload_waits_for_a_server_that_does_not_read(run: Run) -> None:
    """A request's body is made no faster than it is sent: what `drain()` is for."""
    over = threading.Event()
    piece, total = bytes(1 << 16), 1 << 12

    def do_not_read(connection: socket.socket) -> None:
        peers.read_head(connection)
        over.wait(harness.TIMEOUT)

    async def main() -> None:
        produced = 0
        moving = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            nonlocal produced
            for _ in range(total):
                produced += 1
                moving.set()
                yield piece

        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(session.post(f"http://127.0.0.1:{port}/", data=body()))
            with contextlib.suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(moving.wait(), 0.3)
                    moving.clear()
            assert 0 < produced < total // 2
            request.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await request

    with peers.peer(do_not_read) as port:
        try:
            run(main())
        finally:
            over.set()
