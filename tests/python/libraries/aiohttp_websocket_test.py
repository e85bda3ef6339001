"""aiohttp's WebSockets, both sides, against websockets with sockets of its own: docs.aiohttp.org."""

import asyncio

import aiohttp
import harness
import pytest
import websockets.sync.client
from aiohttp import web

from libraries import peers
from libraries.aiohttp_server_test import serving
from libraries.conftest import Run
from libraries.sockets import Home
from libraries.tls import Tls

BIG = harness.pattern(3 << 20)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_client(run: Run, home: Home, tls: Tls, scheme: str) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(ssl=tls.client_context())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"{scheme}://localhost:{port}/", max_msg_size=0, compress=15) as socket,
        ):
            home.check_connection(socket.get_extra_info("sockname")[1], port)
            for number in range(200):
                await socket.send_str(str(number))
                assert await socket.receive_str() == str(number)
            sending = asyncio.create_task(socket.send_bytes(BIG))
            assert await socket.receive_bytes() == BIG
            await sending
            await socket.close(code=1001)
            assert socket.close_code == 1001

    with peers.websocket_echo(tls.server_context() if scheme == "wss" else None) as port:
        run(main())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_server(run: Run, home: Home, tls: Tls, scheme: str) -> None:
    ended = []

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        home.check_connection(socket.get_extra_info("sockname")[1], socket.get_extra_info("peername")[1])
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        ended.append(socket.close_code)
        return socket

    def talk(port: int) -> None:
        context = tls.client_context() if scheme == "wss" else None
        with websockets.sync.client.connect(f"{scheme}://localhost:{port}/", ssl=context, max_size=None) as client:
            for number in range(200):
                client.send(str(number))
                assert client.recv(harness.TIMEOUT) == str(number)
            client.send(BIG)
            assert client.recv(harness.TIMEOUT) == BIG
            assert client.ping().wait(harness.TIMEOUT)
            client.close(3000)

    async def main() -> None:
        async with serving(web.get("/", echo), tls=tls if scheme == "wss" else None) as port:
            await asyncio.to_thread(talk, port)
        assert ended == [3000]

    run(main())
