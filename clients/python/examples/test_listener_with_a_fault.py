"""A listener with a fault: does the client notice that it was reset, got half an answer, or none?

The listener is where the service is, so the client may be any program that can reach that place. Here it is `download`,
which stands for your own. To try another: print the address, and let that program connect.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

# Every test of this file runs on a loop whose sockets are in the service.
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("transportd_loop")]

SIZE = 100_000
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def download(host: str, port: int, seconds: float = 5) -> bytes:
    """What is tested: asks, and returns an answer whose length is told first."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(b"please\n")
            size = int(await reader.readline())
            return await reader.readexactly(size)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def listener(behaviour: Behaviour) -> AsyncIterator[tuple[str, int]]:
    """The address of a listener that treats one connection so, once it was asked."""
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await behaviour(reader, writer)
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port
        await served.wait()


async def answers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%d\n" % SIZE + b"x" * SIZE)
    await writer.drain()


async def answers_half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%d\n" % SIZE + b"x" * (SIZE // 2))
    await writer.drain()


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A close that lingers for 0 seconds is an RST instead of a FIN; socket(7).
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def never_answers(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    assert await reader.read() == b""  # Until the client has had enough.


async def answers_in_small_pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (b"1", b"0", b"\n", b"01234", b"56789"):
        writer.write(piece)
        await writer.drain()


async def test_without_a_fault() -> None:
    async with listener(answers) as address:
        assert await download(*address) == b"x" * SIZE


async def test_half_an_answer_is_not_taken_for_the_whole() -> None:
    async with listener(answers_half) as address:
        with pytest.raises(asyncio.IncompleteReadError) as raised:
            await download(*address)
    assert len(raised.value.partial) == SIZE // 2


async def test_reset_is_told_from_an_end() -> None:
    async with listener(resets) as address:
        with pytest.raises(ConnectionResetError):
            await download(*address)


async def test_no_answer_is_given_up() -> None:
    async with listener(never_answers) as address:
        with pytest.raises(TimeoutError):
            await download(*address, seconds=0.1)


async def test_answer_in_small_pieces_is_put_together() -> None:
    async with listener(answers_in_small_pieces) as address:
        assert await download(*address) == b"0123456789"
