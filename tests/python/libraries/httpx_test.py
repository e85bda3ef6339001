"""httpx's AsyncClient against nginx and peers that misbehave: www.python-httpx.org/async/."""

import asyncio
import hashlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable

import harness
import httpx
import pytest
import servers

from libraries import peers
from libraries.conftest import Run, WebFolder
from libraries.sockets import Home
from libraries.tls import Tls


def port_of(response: httpx.Response) -> int:
    """The local port of its connection."""
    stream = response.extensions["network_stream"]
    port: int = stream.get_extra_info("client_addr")[1]
    return port


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_big_file(run: Run, home: Home, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls, scheme: str) -> None:
    port = nginx.tls_port if scheme == "https" else nginx.port

    async def main() -> None:
        async with (
            httpx.AsyncClient(verify=tls.client_context()) as client,
            client.stream("GET", f"{scheme}://localhost:{port}/big") as response,
        ):
            assert response.status_code == 200
            home.check_connection(port_of(response), port)
            digest = hashlib.sha256()
            async for piece in response.aiter_bytes():
                digest.update(piece)
            assert digest.hexdigest() == hashlib.sha256(web_folder.big).hexdigest()

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_is_used_again(
    run: Run, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls, scheme: str
) -> None:
    """httpx polls its socket first: it must not look as if the server had closed it."""
    port = nginx.tls_port if scheme == "https" else nginx.port
    ports = set()

    async def main() -> None:
        async with httpx.AsyncClient(verify=tls.client_context()) as client:
            for _ in range(20):
                async with client.stream("GET", f"{scheme}://localhost:{port}/small") as response:
                    ports.add(port_of(response))
                    assert await response.aread() == web_folder.small
        assert len(ports) == 1

    run(main())


def test_a_connection_that_the_server_has_closed_is_not_used_again(run: Run) -> None:
    """httpx polls its socket first: it must see that the server has closed it."""
    closed = threading.Semaphore(0)

    def answer_once(connection: socket.socket) -> None:
        peers.read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.close()
        closed.release()

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            for _ in range(5):
                response = await client.get(f"http://127.0.0.1:{port}/")
                assert response.text == "ok"
                await asyncio.to_thread(closed.acquire)

    with peers.peer(answer_once) as port:
        run(main())


def test_many_at_once(run: Run, nginx: servers.Nginx, web_folder: WebFolder) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=30)) as client:
            url = f"http://127.0.0.1:{nginx.port}/small"
            responses = await asyncio.gather(*(client.get(url) for _ in range(150)))
        assert {response.content for response in responses} == {web_folder.small}

    run(main())


def test_an_upload(run: Run) -> None:
    body = harness.pattern(4 << 20)
    received = hashlib.sha256()

    def take(connection: socket.socket) -> None:
        head, _, rest = peers.read_head(connection).partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
        received.update(rest)
        received.update(harness.read_exactly(connection, len(body) - len(rest)))
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            headers = {"Content-Length": str(len(body))}
            response = await client.put(f"http://127.0.0.1:{port}/", content=pieces(), headers=headers)
            assert response.status_code == 201

    with peers.peer(take) as port:
        run(main())
    assert received.hexdigest() == hashlib.sha256(body).hexdigest()


def test_https_through_a_proxy(run: Run, nginx: servers.Nginx, web_folder: WebFolder, tls: Tls) -> None:
    with peers.connect_proxy() as proxy:

        async def main() -> None:
            async with httpx.AsyncClient(verify=tls.client_context(), proxy=proxy.url) as client:
                response = await client.get(f"https://localhost:{nginx.tls_port}/big")
                assert response.content == web_folder.big
            assert proxy.targets == [f"localhost:{nginx.tls_port}"]

        run(main())


def test_a_unix_socket(run: Run, nginx: servers.Nginx, web_folder: WebFolder) -> None:
    """anyio, on which httpx stands, makes this socket itself, and drives it with add_reader() and add_writer()."""

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(nginx.path))) as client:
            response = await client.get("http://localhost/big")
            assert response.content == web_folder.big

    run(main())


def test_a_certificate_that_is_not_trusted(run: Run, nginx: servers.Nginx) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(verify=ssl.create_default_context()) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"https://localhost:{nginx.tls_port}/small")

    run(main())


def test_nobody_listens(run: Run) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError, match="All connection attempts failed"):
                await client.get(f"http://127.0.0.1:{harness.free_port()}/")

    run(main())


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (peers.read_head, httpx.RemoteProtocolError),
        (peers.reset, httpx.ReadError),
        (peers.end_in_the_middle, httpx.RemoteProtocolError),
        (peers.say_nothing, httpx.ReadTimeout),
    ],
)
def test_a_server_that_misbehaves(run: Run, talk: Callable[[socket.socket], None], error: type[Exception]) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(timeout=httpx.Timeout(harness.TIMEOUT, read=0.2)) as client:
            with pytest.raises(error):
                await client.get(f"http://127.0.0.1:{port}/")

    with peers.peer(talk) as port:
        run(main())
