"""A protocol conversation with expectations, here SMTP: what is said, what must be answered, and within which time.

With a server of your own, reachable from where the service is:

    SMTP_SERVER=mail.default:25 pytest --transportd-target=127.0.0.1:50051 test_conversation.py

Without SMTP_SERVER it talks with a server that it starts itself, there.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

# Every test of this file runs on a loop whose sockets are in the service.
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("transportd_loop")]

SMTP_SERVER = os.environ.get("SMTP_SERVER", "")
SECONDS = 5  # Until an answer must have come.


class Conversation:
    """Lines over a connection. A failed expectation shows all that was said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._said: list[str] = []

    async def say(self, line: str) -> None:
        self._said.append(f"> {line}")
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()

    async def expect(self, pattern: str) -> re.Match[str]:
        """The next line must match all of `pattern`, a regular expression."""
        try:
            async with asyncio.timeout(SECONDS):
                line = (await self._reader.readline()).decode().rstrip("\r\n")
        except TimeoutError:
            pytest.fail(f"expected {pattern}, but nothing came within {SECONDS} s, after\n" + "\n".join(self._said))
        self._said.append(f"< {line}")
        match = re.fullmatch(pattern, line)
        if match is None:
            pytest.fail(f"expected {pattern}, but got the last line of\n" + "\n".join(self._said))
        return match

    async def expect_end(self) -> None:
        """The other side must close the connection now."""
        async with asyncio.timeout(SECONDS):
            rest = await self._reader.read()
        assert rest == b""


async def serve_smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of RFC 5321 as this conversation needs; a recipient must be somebody@example.org."""
    recipients = 0
    writer.write(b"220 example.org ready\r\n")
    while line := (await reader.readline()).decode().strip():
        command = line.split(" ")[0].upper()
        if command == "EHLO":
            writer.write(b"250-example.org\r\n250 SIZE 1000000\r\n")
        elif command == "RCPT" and not line.endswith("@example.org>"):
            writer.write(b"550 no such user\r\n")
        elif command == "DATA" and not recipients:
            writer.write(b"503 first RCPT\r\n")
        elif command == "DATA":
            writer.write(b"354 end with a dot\r\n")
            await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 queued as 1\r\n")
        elif command == "QUIT":
            writer.write(b"221 bye\r\n")
            break
        else:
            recipients += command == "RCPT"
            writer.write(b"250 ok\r\n")
        await writer.drain()


@pytest_asyncio.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    if SMTP_SERVER:
        host, _, port = SMTP_SERVER.rpartition(":")
        yield host, int(port)
        return
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_smtp(reader, writer)
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port
        async with asyncio.timeout(SECONDS):
            await served.wait()


@pytest_asyncio.fixture
async def smtp(address: tuple[str, int]) -> AsyncIterator[Conversation]:
    """A conversation in which the server has greeted and said what it can do."""
    reader, writer = await asyncio.open_connection(*address)
    conversation = Conversation(reader, writer)
    await conversation.expect(r"220 .*")
    await conversation.say("EHLO client.example.org")
    while (await conversation.expect(r"250([ -])\S.*"))[1] == "-":
        pass
    yield conversation
    writer.close()
    await writer.wait_closed()


async def test_mail_is_accepted(smtp: Conversation) -> None:
    await smtp.say("MAIL FROM:<somebody@example.org>")
    await smtp.expect(r"250 .*")
    await smtp.say("RCPT TO:<postmaster@example.org>")
    await smtp.expect(r"250 .*")
    await smtp.say("DATA")
    await smtp.expect(r"354 .*")
    for line in ("Subject: a test", "", "Hello.", "."):
        await smtp.say(line)
    await smtp.expect(r"250 .*queued.*")
    await smtp.say("QUIT")
    await smtp.expect(r"221 .*")
    await smtp.expect_end()


async def test_unknown_recipient_is_refused_at_once(smtp: Conversation) -> None:
    await smtp.say("MAIL FROM:<somebody@example.org>")
    await smtp.expect(r"250 .*")
    await smtp.say("RCPT TO:<nobody@example.invalid>")
    await smtp.expect(r"55\d .*")


async def test_data_without_a_recipient_is_out_of_order(smtp: Conversation) -> None:
    await smtp.say("DATA")
    await smtp.expect(r"503 .*")
