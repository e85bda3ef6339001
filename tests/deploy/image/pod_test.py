"""The images as pods: restricted, read-only, driven by transportctl and by the Python client, and drained."""

import asyncio
import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import containers
import harness
import pytest
import transportd
from harness import eventually
from pod import TOKEN, Pod


@pytest.fixture(scope="module")
def plain() -> Iterator[Pod]:
    """The image without a shell."""
    with Pod("transportd-plain", containers.IMAGES["transportd"]) as pod:
        yield pod


@pytest.fixture(scope="module")
def tools() -> Iterator[Pod]:
    with Pod("transportd-tools", containers.IMAGES["tools"]) as pod:
        yield pod


@pytest.fixture
def tcp_echo() -> Iterator[int]:
    """The port of a peer on this machine that sends back what comes."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(65536):
                peer.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.fixture
def udp_echo() -> Iterator[int]:
    """As `tcp_echo`, one datagram."""

    def serve() -> None:
        data, sender = peer.recvfrom(65536)
        peer.sendto(data, sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve)
        thread.start()
        yield peer.getsockname()[1]
        thread.join()


def runner(pod: Pod) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=lambda: transportd.EventLoop(pod.target, token=TOKEN))


def transportctl(pod: Pod, *arguments: object, data: bytes = b"") -> bytes:
    """From outside, as an operator's."""
    environment = {**os.environ, "TRANSPORTD_TARGET": pod.target, "TRANSPORTD_TOKEN": TOKEN}
    done = subprocess.run(
        [os.environ["TRANSPORTCTL_BIN"], *map(str, arguments)],
        env=environment, input=data, capture_output=True, timeout=harness.TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode() + pod.logs()
    return done.stdout


def status_of(pod: Pod) -> dict[str, str]:
    """proc(5), status, of the service, seen from outside."""
    lines = Path(f"/proc/{pod.state()['Pid']}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_is_restricted(plain: Pod) -> None:
    status = status_of(plain)
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65532"}
    assert status["NSpid"].split()[-1] == "1"
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for kind in ("Prm", "Eff", "Bnd", "Amb"):
        assert int(status[f"Cap{kind}"], 16) == 0
    mounts = Path(f"/proc/{plain.state()['Pid']}/mounts").read_text().splitlines()
    (options,) = (line.split()[3] for line in mounts if line.split()[1] == "/")
    assert "ro" in options.split(",")


def test_transportctl_in_the_image(plain: Pod) -> None:
    """It is what an operator has there, and what a chart's tests run."""
    plain.execute("/usr/bin/transportctl", "health")
    assert containers.VERSION in plain.execute("/usr/bin/transportctl", "version")
    with pytest.raises(containers.FailedError, match=r"not found|no such file"):
        plain.execute("sh", "-c", "true")


def test_transportctl_over_tcp(plain: Pod, tcp_echo: int) -> None:
    data = harness.pattern(1_000_000)
    assert transportctl(plain, "connect", f"127.0.0.1:{tcp_echo}", data=data) == data


def test_transportctl_over_udp(plain: Pod, udp_echo: int) -> None:
    assert transportctl(plain, "udp", "--count", 1, f"127.0.0.1:{udp_echo}", data=b"hello\n") == b"hello\n"


def test_python_over_tcp_and_udp(plain: Pod, tcp_echo: int, udp_echo: int) -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.received.set_result(data)

    async def main() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp_echo)
        writer.write(b"by TCP")
        writer.write_eof()
        assert await reader.read() == b"by TCP"
        writer.close()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", udp_echo))
        transport.sendto(b"by UDP")
        assert await protocol.received == b"by UDP"
        transport.close()

    with runner(plain) as run:
        run.run(main())


def test_the_image_without_programs_runs_none(plain: Pod) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/usr/bin/openssl", "dgst", "-sha256", cwd="/", env={})

    with runner(plain) as run:
        run.run(main())


def test_programs_of_the_tools(tools: Pod) -> None:
    data = harness.pattern(100_000)
    digest = hashlib.sha256(data).hexdigest()
    said = transportctl(tools, "exec", "-i", "--cwd", "/", "/usr/bin/openssl", "dgst", "-sha256", data=data)
    assert digest in said.decode()

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/openssl", "dgst", "-sha256", cwd="/", env={},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(data)
        assert (process.returncode, digest in out.decode()) == (0, True)
        process = await asyncio.create_subprocess_exec("/usr/bin/openssl", "version", cwd="/", env={})

    with runner(tools) as run, pytest.raises(PermissionError):
        run.run(main())


def test_orphans_are_reaped(tools: Pod) -> None:
    """The service is the container's first process."""
    leave = "import os; os.fork() and os._exit(7); os.fork() and os._exit(0)"

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("/usr/bin/python3.11", "-IS", "-c", leave, cwd="/", env={})
        assert await process.wait() == 7

    with runner(tools) as run:
        run.run(main())
    tasks = Path(f"/proc/{tools.state()['Pid']}/task")
    eventually(lambda: not any(path.read_text() for path in tasks.glob("*/children")), "the service has no child")


def test_sigterm_drains_it(tcp_echo: int) -> None:
    """An open session goes on, and is told; then the service ends by itself, well before it is killed."""
    with Pod("transportd-drained", containers.IMAGES["transportd"]) as pod:
        stopping = []

        async def main() -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", tcp_echo)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, transportd.EventLoop)
            told: asyncio.Future[float] = loop.create_future()
            loop.set_draining_handler(told.set_result)
            stopping.append(pod.stop())
            time_left = await told
            writer.write(b"still here")
            writer.write_eof()
            assert await reader.read() == b"still here"
            writer.close()
            return time_left

        with runner(pod) as run:
            assert 25 < run.run(main()) <= 30
        stopping[0].join(harness.TIMEOUT)
        state = pod.state()
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), pod.logs()
