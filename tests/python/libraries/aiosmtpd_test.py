"""aiosmtpd against the standard library's smtplib in a thread: aiosmtpd.aio-libs.org."""

import asyncio
import base64
import contextlib
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import harness
import pytest
from aiosmtpd.controller import UnixSocketController
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from libraries.conftest import LoopFactory, Run
from libraries.sockets import Home
from libraries.tls import Tls

LINES = base64.encodebytes(harness.pattern(2 << 20)).splitlines()
# With lines that SMTP must quote: RFC 5321, 4.5.2.
BIG = b"Subject: big\r\n\r\n" + b"\r\n".join([*LINES, b".", b"..", b".text"]) + b"\r\n"


def send_big(client: smtplib.SMTP) -> None:
    assert client.sendmail("a@example.test", "b@example.test", BIG) == {}


class Inbox:
    """What was delivered, from where."""

    def __init__(self) -> None:
        self.messages: list[Envelope] = []
        self.sessions: list[Session] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's
        self.sessions.append(session)
        self.messages.append(envelope)
        return "250 OK"


@contextlib.asynccontextmanager
async def serving(inbox: Inbox, **options: Any) -> AsyncIterator[int]:
    """Its port."""
    loop = asyncio.get_running_loop()
    tls = options.pop("implicit_tls", None)
    server = await loop.create_server(
        lambda: SMTP(inbox, hostname="here", loop=loop, **options), "127.0.0.1", 0, ssl=tls
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


def port_of(client: smtplib.SMTP) -> int:
    assert client.sock is not None
    port: int = client.sock.getsockname()[1]
    return port


def test_messages(run: Run, home: Home) -> None:
    inbox = Inbox()

    def talk(port: int) -> int:
        with smtplib.SMTP("127.0.0.1", port, timeout=harness.TIMEOUT) as client:
            mine = port_of(client)
            home.check_connection(port, mine)
            for _ in range(20):
                client.sendmail(
                    "a@example.test", ["b@example.test", "c@example.test"], b"Subject: short\r\n\r\ntext\r\n"
                )
            assert client.noop()[0] == 250
            assert client.docmd("NONSENSE")[0] == 500
            send_big(client)
            return mine

    async def main() -> None:
        async with serving(inbox) as port:
            home.check_listener(port)
            client_port = await asyncio.to_thread(talk, port)
        peer: Any = inbox.sessions[0].peer
        assert peer == ("127.0.0.1", client_port)
        assert len(inbox.messages) == 21
        assert inbox.messages[0].rcpt_tos == ["b@example.test", "c@example.test"]
        assert inbox.messages[0].content == b"Subject: short\r\n\r\ntext\r\n"
        assert inbox.messages[-1].content == BIG

    run(main())


def test_start_tls(run: Run, tls: Tls) -> None:
    """aiosmtpd puts asyncio's SSLProtocol on its transport itself, by set_protocol()."""
    inbox = Inbox()

    def authenticator(*arguments: object) -> AuthResult:
        data = arguments[-1]
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data == LoginPassword(b"user", b"password"), handled=False)

    def talk(port: int) -> None:
        with smtplib.SMTP("localhost", port, timeout=harness.TIMEOUT) as client:
            client.ehlo()
            with pytest.raises(smtplib.SMTPNotSupportedError):
                client.login("user", "password")
            client.starttls(context=tls.client_context())
            client.ehlo()
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("user", "wrong")
            client.login("user", "password")
            send_big(client)

    async def main() -> None:
        async with serving(inbox, tls_context=tls.server_context(), authenticator=authenticator) as port:
            await asyncio.to_thread(talk, port)
        assert inbox.sessions[0].ssl is not None
        assert inbox.messages[-1].content == BIG

    run(main())


def test_tls_from_the_beginning(run: Run, tls: Tls) -> None:
    inbox = Inbox()

    def talk(port: int) -> None:
        with smtplib.SMTP_SSL("localhost", port, timeout=harness.TIMEOUT, context=tls.client_context()) as client:
            send_big(client)

    async def main() -> None:
        async with serving(inbox, implicit_tls=tls.server_context()) as port:
            await asyncio.to_thread(talk, port)
        assert inbox.messages[-1].content == BIG

    run(main())


def test_many_at_once(run: Run) -> None:
    inbox = Inbox()

    def talk(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=harness.TIMEOUT) as client:
            client.sendmail("a@example.test", "b@example.test", b"text\r\n")

    async def main() -> None:
        async with serving(inbox) as port:
            await asyncio.gather(*(asyncio.to_thread(talk, port) for _ in range(50)))
        assert len(inbox.messages) == 50

    run(main())


class LmtpController(UnixSocketController):
    def factory(self) -> LMTP:
        return LMTP(self.handler)


def test_its_controller_runs_the_loop_in_a_thread(loop_factory: LoopFactory, home: Home, tmp_path: Path) -> None:
    """The loop is made in this thread; it runs and is closed in another."""
    inbox = Inbox()
    path = tmp_path / "socket"
    loop = loop_factory()
    controller = LmtpController(inbox, path, loop)
    controller.start()
    try:
        home.check_unix_listener(path)
        with smtplib.LMTP(str(path)) as client:
            send_big(client)
    finally:
        controller.stop()
    assert loop.is_closed()
    assert inbox.messages[-1].content == BIG
