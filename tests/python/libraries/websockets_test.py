"""websockets on the loop, both sides, against its own implementation in threads: websockets.readthedocs.io."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path

import harness
import pytest
import websockets.sync.client
import websockets.utils
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve, unix_serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from libraries import peers
from libraries.conftest import Run
from libraries.sockets import Home
from libraries.tls import Tls

BIG = harness.pattern(3 << 20)


async def converse(connection: ClientConnection) -> None:
    """Short messages, a big one, and many before the first answer is read."""
    for number in range(200):
        await connection.send(str(number))
        assert await connection.recv() == str(number)
    sending = asyncio.create_task(connection.send(BIG))
    assert await connection.recv() == BIG
    await sending

    async def send_many() -> None:
        for number in range(2000):
            await connection.send(b"%d" % number)

    sending = asyncio.create_task(send_many())
    assert [await connection.recv() for _ in range(2000)] == [b"%d" % number for number in range(2000)]
    await sending
    assert await (await connection.ping()) > 0


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_client(run: Run, home: Home, tls: Tls, scheme: str) -> None:
    context = tls.client_context() if scheme == "wss" else None

    async def main() -> None:
        async with connect(f"{scheme}://localhost:{port}/", ssl=context, max_size=None) as connection:
            home.check_connection(connection.local_address[1], port)
            await converse(connection)

    with peers.websocket_echo(tls.server_context() if scheme == "wss" else None) as port:
        run(main())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_server(run: Run, home: Home, tls: Tls, scheme: str) -> None:
    def talk(port: int) -> None:
        context = tls.client_context() if scheme == "wss" else None
        with websockets.sync.client.connect(f"{scheme}://localhost:{port}/", ssl=context, max_size=None) as client:
            home.check_connection(port, client.local_address[1])
            for number in range(200):
                client.send(str(number))
                assert client.recv(harness.TIMEOUT) == str(number)
            client.send(BIG)
            assert client.recv(harness.TIMEOUT) == BIG

    async def main() -> None:
        context = tls.server_context() if scheme == "wss" else None
        async with serve(echo, "localhost", 0, ssl=context, max_size=None) as server:
            home.check_listener(port_of(server))
            await asyncio.to_thread(talk, port_of(server))

    run(main())


def test_both_on_one_loop(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, max_size=None) as server, asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(talk(port_of(server)))

    async def talk(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/", max_size=None) as connection:
            await converse(connection)

    run(main())


def test_a_unix_socket(run: Run, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        async with unix_serve(echo, str(path), max_size=None):
            home.check_unix_listener(path)
            async with unix_connect(str(path), max_size=None) as connection:
                home.check_unix_connections(path)
                await converse(connection)

    run(main())


def test_a_proxy(run: Run, tls: Tls) -> None:
    with peers.connect_proxy() as proxy, peers.websocket_echo(tls.server_context()) as port:

        async def main() -> None:
            url = f"wss://localhost:{port}/"
            async with connect(url, ssl=tls.client_context(), proxy=proxy.url, max_size=None) as connection:
                await converse(connection)
            assert proxy.targets == [f"localhost:{port}"]

        run(main())


def test_how_it_ends(run: Run) -> None:
    """The close code goes to the other side; without one the connection was lost."""

    async def main() -> None:
        async def end(connection: ServerConnection) -> None:
            word = await connection.recv()
            if word == "close":
                await connection.close(3001, "enough")
            else:
                connection.transport.abort()

        async with serve(end, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{port_of(server)}/"
            async with connect(url) as connection:
                await connection.send("close")
                with pytest.raises(ConnectionClosedError) as caught:
                    await connection.recv()
                assert caught.value.rcvd is not None
                assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3001, "enough")
            async with connect(url) as connection:
                await connection.send("abort")
                with pytest.raises(ConnectionClosedError) as caught:
                    await connection.recv()
                assert caught.value.rcvd is None

    run(main())


def test_a_server_that_closes_tells_its_clients(run: Run) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            server = await serve(echo, "127.0.0.1", 0)
            url = f"ws://127.0.0.1:{port_of(server)}/"
            clients = [await stack.enter_async_context(connect(url)) for _ in range(20)]
            broadcast(server.connections, "to all of you")
            assert [await client.recv() for client in clients] == ["to all of you"] * 20
            server.close()
            await server.wait_closed()
            for client in clients:
                with pytest.raises(ConnectionClosedOK) as caught:
                    await client.recv()
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1001

    run(main())


def test_nobody_answers_a_ping(run: Run) -> None:
    """The connection is ended after ping_timeout."""

    async def main() -> None:
        async with connect(f"ws://127.0.0.1:{port}/", ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1) as client:
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1011

    with peers.peer(upgrade_and_say_nothing) as port:
        run(main())


def upgrade_and_say_nothing(connection: socket.socket) -> None:
    """A WebSocket's handshake, RFC 6455, 4.2.2; then it only reads, until the client is gone."""
    head = peers.read_head(connection)
    found = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert found
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + websockets.utils.accept_key(found[1].decode()).encode() + b"\r\n\r\n"
    )
    while connection.recv(65536):
        pass
