"""A service with a policy, seen from Python: who is let in, and what a refusal is."""

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
import transportd

from certificates import Certificate

TOKEN = "transportd_of_the_test"
POLICY = """
version: "v1"
role {
  name: "lab"
  connect { name: "here" protocols: TCP to { classes: LOOPBACK any_port: true } }
  listen {
    name: "callbacks" protocols: TCP
    on { classes: LOOPBACK ports { first: 20000 last: 29999 } } peers { classes: LOOPBACK }
  }
  run { name: "echo" program: "/usr/bin/echo" confinement: BEST_EFFORT }
}
binding { role: "lab" principals: "ci" }
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[harness.Service]:
    """With a policy; the first target is TLS, the second a Unix socket that stands for `ci`."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "policy").write_text(POLICY)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (folder / "identities").write_text(f'version: "v1" token {{ principal: "ci" sha256: "{digest}" }}')
    service = harness.Service(
        f"--policy={folder}/policy",
        f"--identities={folder}/identities",
        "--listen=127.0.0.1:0",
        f"--tls-certificate={certificate.path}",
        f"--tls-key={certificate.path}",
        f"--listen=unix:{folder}/socket,principal=ci",
        f"--audit-log={folder}/audit",
        dev=False,
    )
    yield service
    service.stop()


@pytest.fixture(params=["token", "unix"])
def runner(
    request: pytest.FixtureRequest, guarded: harness.Service, certificate: Certificate
) -> Iterator[asyncio.Runner]:
    def make() -> transportd.EventLoop:
        if request.param == "unix":
            return transportd.new_event_loop(guarded.targets[1])
        return transportd.EventLoop(guarded.targets[0], token=TOKEN, ssl=certificate.client_context())

    with asyncio.Runner(loop_factory=make) as runner:
        yield runner


def test_what_is_granted_works(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        assert 20000 <= address[1] <= 29999
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        server.close()
        # Not this process's environment and folder, which its grant does not have.
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/echo", "hi", env={}, cwd="/", stdout=asyncio.subprocess.PIPE
        )
        assert (await process.communicate())[0] == b"hi\n"

    runner.run(main())


def test_a_refusal_is_a_permission_error(runner: asyncio.Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        refused = [
            loop.create_connection(asyncio.Protocol, "10.255.255.1", 80),
            loop.create_server(asyncio.Protocol, "0.0.0.0", 0),
            loop.create_unix_server(asyncio.Protocol, "/tmp/refused"),
            loop.subprocess_exec(asyncio.SubprocessProtocol, "/usr/bin/id"),
            loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", 9)),
        ]
        for awaitable in refused:
            with pytest.raises(PermissionError) as raised:
                await awaitable
            assert isinstance(raised.value, transportd.PolicyDeniedError)
            assert "audit log" in str(raised.value)

    runner.run(main())


@pytest.mark.parametrize("token", [None, "wrong"])
def test_who_is_nobody_is_told_what_to_give(
    guarded: harness.Service, certificate: Certificate, token: str | None
) -> None:
    with pytest.raises(transportd.AuthenticationError, match="token="):
        transportd.EventLoop(guarded.targets[0], token=token, ssl=certificate.client_context())


def test_without_tls_the_error_says_so(guarded: harness.Service) -> None:
    with pytest.raises(transportd.ServiceUnavailableError, match=r"speaks TLS: give ssl=…") as raised:
        transportd.EventLoop(guarded.targets[0], token=TOKEN)
    assert raised.value.reason == "SERVICE_WANTS_TLS"


def test_a_service_that_is_not_trusted_gets_no_token(guarded: harness.Service) -> None:
    with pytest.raises(transportd.ServiceUnavailableError, match="not signed by a CA that ssl=… trusts"):
        transportd.EventLoop(guarded.targets[0], token=TOKEN, ssl=ssl.create_default_context())


def test_what_was_recorded(guarded: harness.Service, tmp_path: Path) -> None:
    """Whoever gave a token is in the audit log, and the token is not."""
    audit = Path(guarded.targets[1].removeprefix("unix:")).with_name("audit")
    harness.eventually(lambda: '"principal":"ci"' in audit.read_text(), "there are records")
    assert TOKEN not in audit.read_text()
