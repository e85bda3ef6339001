"""Datagrams there and back, from where the service is.

With a server of your own that answers each datagram with the same:

    UDP_ECHO=echo.default:7 pytest --transportd-target=127.0.0.1:50051 test_udp_exchange.py

Without UDP_ECHO it starts one itself, there.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

# Every test of this file runs on a loop whose sockets are in the service.
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("transportd_loop")]

UDP_ECHO = os.environ.get("UDP_ECHO", "")
SECONDS = 5


class Echo(asyncio.DatagramProtocol):
    """Sends back what comes, to whom it comes from."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


class Exchange(asyncio.DatagramProtocol):
    """Sends one datagram and waits for one."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self._received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self._received.put_nowait(exc)

    async def ask(self, data: bytes) -> bytes:
        self.transport.sendto(data)
        return await self.receive()

    async def receive(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            received = await self._received.get()
        if isinstance(received, Exception):
            raise received
        return received


@pytest_asyncio.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    if UDP_ECHO:
        host, _, port = UDP_ECHO.rpartition(":")
        yield host, int(port)
        return
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    yield host, port
    transport.close()


@pytest_asyncio.fixture
async def exchange(address: tuple[str, int]) -> AsyncIterator[Exchange]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Exchange, remote_addr=address)
    yield protocol
    transport.close()


async def test_answer_comes_back(exchange: Exchange) -> None:
    assert await exchange.ask(b"ping") == b"ping"


async def test_datagrams_keep_their_boundaries(exchange: Exchange) -> None:
    sent = [b"x" * size for size in (1, 1000, 2, 500)]
    for data in sent:
        exchange.transport.sendto(data)
    # UDP may change their order.
    assert sorted([await exchange.receive() for _ in sent]) == sorted(sent)


async def test_nobody_there_is_told() -> None:
    """The kernel there gets an ICMP message, and the protocol error_received()."""
    loop = asyncio.get_running_loop()
    transport, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    address = transport.get_extra_info("sockname")
    transport.close()
    await echo.closed.wait()
    sender, exchange = await loop.create_datagram_endpoint(Exchange, remote_addr=address)
    with pytest.raises(ConnectionRefusedError):
        await exchange.ask(b"ping")
    sender.close()
