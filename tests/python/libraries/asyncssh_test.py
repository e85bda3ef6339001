"""asyncssh, both sides, against OpenSSH and against each other: asyncssh.readthedocs.io."""

import asyncio
import contextlib
import getpass
import hashlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import harness
import pytest
import servers

from libraries import peers
from libraries.conftest import Run, WebFolder
from libraries.sockets import Home

BIG = harness.pattern(4 << 20)


@pytest.fixture(scope="module")
def sshd() -> Iterator[servers.Sshd]:
    with servers.sshd() as sshd:
        yield sshd


def login(sshd: servers.Sshd) -> dict[str, Any]:
    """For asyncssh.connect(). Nobody's configuration is read."""
    host_key = asyncssh.read_public_key(sshd.host_key)
    return {
        "host": "localhost", "port": sshd.port, "username": getpass.getuser(), "config": None, "agent_path": None,
        "client_keys": [str(sshd.user_key)], "known_hosts": ([host_key], [], []),
    }  # fmt: skip


class Server(asyncssh.SSHServer):
    """Lets in whoever has a key of authorized_client_keys, and forwards."""

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return True


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """What the server does for a session: the command in a shell, a subprocess of the loop's."""
    assert process.command is not None
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_shell(process.command, stdin=pipe, stdout=pipe, stderr=pipe)

    async def carry(source: Any, target: Any) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        if target is shell.stdin:
            target.close()  # type: ignore[union-attr]

    feeding = asyncio.create_task(carry(process.stdin, shell.stdin))
    await asyncio.gather(carry(shell.stdout, process.stdout), carry(shell.stderr, process.stderr))
    process.exit(await shell.wait())
    feeding.cancel()


@contextlib.asynccontextmanager
async def serving(sshd: servers.Sshd, **options: Any) -> AsyncIterator[dict[str, Any]]:
    """asyncssh's server, with the keys of the other one; what asyncssh.connect() needs to know."""
    keys = sshd.host_key.with_suffix(""), str(sshd.user_key.with_suffix(".pub"))
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[str(keys[0])], authorized_client_keys=keys[1],
        process_factory=run_command, encoding=None, config=None, **options,
    ) as acceptor:  # fmt: skip
        yield login(sshd) | {"host": "127.0.0.1", "port": acceptor.get_port()}


@contextlib.asynccontextmanager
async def connected(kind: str, sshd: servers.Sshd, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """To OpenSSH or to asyncssh's own server on the same loop."""
    async with contextlib.AsyncExitStack() as stack:
        arguments = login(sshd) if kind == "openssh" else await stack.enter_async_context(serving(sshd, **options))
        yield await stack.enter_async_context(asyncssh.connect(**arguments))


async def sent_back(connection: asyncssh.SSHClientConnection) -> Any:
    """What comes back of BIG."""
    return (await connection.run("cat", input=BIG, encoding=None, check=True)).stdout


either = pytest.mark.parametrize("kind", ["openssh", "asyncssh"])


@either
def test_commands(run: Run, home: Home, sshd: servers.Sshd, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, sshd) as connection:
            local, remote = (connection.get_extra_info(name)[1] for name in ("sockname", "peername"))
            home.check_connection(local, remote)
            done = await connection.run("echo out; echo err >&2; exit 3")
            assert (done.stdout, done.stderr, done.exit_status) == ("out\n", "err\n", 3)
            assert await sent_back(connection) == BIG
            answers = await asyncio.gather(*(connection.run(f"echo {number}") for number in range(8)))
            assert [answer.stdout for answer in answers] == [f"{number}\n" for number in range(8)]

    run(main())


@either
def test_a_conversation(run: Run, sshd: servers.Sshd, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, sshd) as connection, connection.create_process("cat") as process:
            for number in range(100):
                process.stdin.write(f"{number}\n")
                assert await process.stdout.readline() == f"{number}\n"
            process.stdin.write_eof()
            assert await process.stdout.read() == ""
            assert (await process.wait()).exit_status == 0

    run(main())


@either
def test_files(run: Run, sshd: servers.Sshd, kind: str, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(BIG)

    async def main() -> None:
        async with connected(kind, sshd, sftp_factory=True) as connection, connection.start_sftp_client() as sftp:
            await sftp.put(tmp_path / "here", tmp_path / "there")
            assert (tmp_path / "there").read_bytes() == BIG
            await sftp.get(tmp_path / "there", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == BIG
            assert sorted(await sftp.listdir(tmp_path)) == [".", "..", "back", "here", "there"]
            async with sftp.open(tmp_path / "there", "rb") as file:
                await file.seek(1_000_000)
                piece: Any = await file.read(100_000)
                assert piece == BIG[1_000_000:1_100_000]
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.stat(tmp_path / "nowhere")

    run(main())


@either
def test_forwarded_ports(
    run: Run, home: Home, sshd: servers.Sshd, nginx: servers.Nginx, web_folder: WebFolder, tmp_path: Path, kind: str
) -> None:
    """curl to nginx through the connection, from either side."""

    async def main() -> None:
        async with connected(kind, sshd) as connection:
            # asyncssh makes this listening socket itself, and gives it to create_server().
            async with connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", nginx.port) as near:
                assert await peers.curl(f"http://127.0.0.1:{near.get_port()}/big") == web_folder.big
            async with connection.forward_local_path_to_port(str(tmp_path / "socket"), "127.0.0.1", nginx.port):
                home.check_unix_listener(tmp_path / "socket")
                out = await peers.curl("--unix-socket", tmp_path / "socket", "http://localhost/big")
                assert out == web_folder.big
            async with connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", nginx.port) as far:
                assert await peers.curl(f"http://127.0.0.1:{far.get_port()}/big") == web_folder.big

    run(main())


def test_a_command_that_is_killed(run: Run, sshd: servers.Sshd) -> None:
    async def main() -> None:
        async with connected("openssh", sshd) as connection:
            done = await connection.run("kill -TERM $$")
            assert done.returncode == -signal.SIGTERM
            assert done.exit_signal is not None
            assert done.exit_signal[0] == "TERM"

    run(main())


def test_through_another_host(run: Run, sshd: servers.Sshd) -> None:
    async def main() -> None:
        async with connected("asyncssh", sshd) as jump, asyncssh.connect(**login(sshd), tunnel=jump) as connection:
            assert await sent_back(connection) == BIG

    run(main())


def test_a_proxy_command(run: Run, sshd: servers.Sshd) -> None:
    """A subprocess of the loop's carries the connection."""
    harness.need("nc")

    async def main() -> None:
        proxy = ["nc", "127.0.0.1", str(sshd.port)]
        async with asyncssh.connect(**login(sshd), proxy_command=proxy) as connection:
            assert await sent_back(connection) == BIG

    run(main())


def test_local_files_and_pipes(run: Run, sshd: servers.Sshd, tmp_path: Path) -> None:
    """asyncssh reads and writes files itself; pipes it gives to connect_read_pipe() and connect_write_pipe()."""
    (tmp_path / "input").write_bytes(BIG)

    async def main() -> None:
        async with connected("openssh", sshd) as connection:
            await connection.run("cat", stdin=tmp_path / "input", stdout=tmp_path / "output", encoding=None)
            assert (tmp_path / "output").read_bytes() == BIG
            await connection.run("cat", stdin=source.stdout, stdout=sink.stdin, encoding=None)

    with (
        subprocess.Popen(["cat", tmp_path / "input"], stdout=subprocess.PIPE) as source,
        subprocess.Popen(["sha256sum"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sink,
    ):
        run(main())
        assert sink.stdout is not None
        assert sink.stdout.read() == hashlib.sha256(BIG).hexdigest().encode() + b"  -\n"


def test_a_key_of_an_agent(run: Run, home: Home, sshd: servers.Sshd, tmp_path: Path) -> None:
    path = tmp_path / "agent"
    with harness.running("ssh-agent", "-D", "-a", path, stdout=subprocess.DEVNULL):
        harness.eventually(path.exists, "the agent is there")
        environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", sshd.user_key], check=True, env=environment)

        async def main() -> None:
            async with asyncssh.SSHAgentClient(str(path)) as agent:
                assert len(await agent.get_keys()) == 1
                home.check_unix_connections(path)
            async with asyncssh.connect(**login(sshd) | {"agent_path": str(path), "client_keys": ()}) as connection:
                assert (await connection.run("echo in")).stdout == "in\n"

        run(main())


def test_openssh_is_a_client(run: Run, home: Home, sshd: servers.Sshd, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(BIG)
    (tmp_path / "batch").write_text(f"put {tmp_path}/here {tmp_path}/there\nget {tmp_path}/there {tmp_path}/back\n")
    options = [
        "-F", "none", "-i", str(sshd.user_key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
    ]  # fmt: skip

    async def main() -> None:
        async with serving(sshd, sftp_factory=True) as server:
            home.check_listener(server["port"])

            async def program(name: str, *arguments: str, data: bytes = b"") -> bytes:
                command = [name, *options, *arguments]
                done = await asyncio.to_thread(subprocess.run, command, input=data, capture_output=True)
                assert done.returncode == 0, done.stderr
                return done.stdout

            port = str(server["port"])
            assert await program("ssh", "-p", port, "127.0.0.1", "sha256sum", data=BIG) == (
                hashlib.sha256(BIG).hexdigest().encode() + b"  -\n"
            )
            await program("sftp", "-P", port, "-b", str(tmp_path / "batch"), "127.0.0.1")
            assert (tmp_path / "back").read_bytes() == BIG

    run(main())


def test_who_is_not_let_in(run: Run, sshd: servers.Sshd) -> None:
    async def main() -> None:
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(**login(sshd) | {"client_keys": [stranger]})
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await asyncssh.connect(**login(sshd) | {"known_hosts": ([], [], [])})
        with pytest.raises(ConnectionRefusedError):
            await asyncssh.connect(**login(sshd) | {"host": "127.0.0.1", "port": harness.free_port()})

    run(main())


def test_the_connection_is_lost(run: Run, sshd: servers.Sshd) -> None:
    """The server's process goes away in the middle of a session."""

    async def main() -> None:
        async with connected("openssh", sshd) as connection:
            # The shell's parent is the server's process of this connection.
            done = await connection.run("kill -KILL $PPID; cat")
            assert (done.exit_status, done.exit_signal) == (None, None)
            await connection.wait_closed()

    run(main())
