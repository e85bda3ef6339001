"""A port is open, or is not, seen from where the service is: in a cluster, behind a firewall, on another machine.

With ports of your own, and the service that is there:

    OPEN_PORTS="database.default:5432 cache.default:6379" pytest --transportd-target=127.0.0.1:50051 test_port_open.py

Without OPEN_PORTS it opens a port itself, there.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

# Every test of this file runs on a loop whose sockets are in the service.
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("transportd_loop")]

OPEN_PORTS = os.environ.get("OPEN_PORTS", "").split()
NAMES = [port.rpartition(":")[0] for port in OPEN_PORTS] or ["localhost"]
SECONDS = 5  # A port that is dropped by a firewall neither opens nor refuses.


@pytest_asyncio.fixture(params=OPEN_PORTS or ["a port of its own"])
async def address(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, int]]:
    """Host and port, as the service is to call them."""
    if OPEN_PORTS:
        host, _, port = request.param.rpartition(":")
        yield host, int(port)
        return
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port
        async with asyncio.timeout(SECONDS):
            await served.wait()


async def test_port_is_open(address: tuple[str, int]) -> None:
    async with asyncio.timeout(SECONDS):
        _, writer = await asyncio.open_connection(*address)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("name", NAMES)
async def test_name_is_known_there(name: str) -> None:
    assert await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)


async def test_nobody_listens_on_a_port_that_was_closed() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
