"""The chart's pod, restricted and read-only: driven by transportctl and by the Python client, watched, and drained."""

import asyncio
import contextlib
import copy
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import pytest
import transportd
from harness import eventually

import containers
from kubelet import POD, UnknownFieldError, known
from pod import CLIENT, HOST, NOT_SERVING, SERVING, Pod, base

POLICY = f"""
version: "v1"
role {{
  name: "tester"
  connect {{
    name: "node"
    protocols: TCP
    protocols: UDP
    to {{ cidrs: "192.0.2.0/24" any_port: true }}
  }}
  run {{
    name: "openssl"
    program: "/usr/bin/openssl"
    args_regex: "(?:dgst|-[a-z0-9]+)"
    read: "/etc/ssl/"
    confinement: BEST_EFFORT
  }}
  run {{
    name: "python"
    program: "/usr/bin/python3.11"
    args_regex: "(?s:.*)"
    confinement: BEST_EFFORT
  }}
  admin {{ name: "look" methods: "*" }}
}}
binding {{ role: "tester" principals: "{CLIENT}" }}
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[Pod]:
    """The image without a shell."""
    with Pod("transportd-plain", containers.IMAGES["transportd"], POLICY) as pod:
        yield pod


@pytest.fixture(scope="module")
def tools() -> Iterator[Pod]:
    with Pod("transportd-tools", containers.IMAGES["tools"], POLICY) as pod:
        yield pod


@contextlib.contextmanager
def peer(kind: socket.SocketKind, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """On the node: the port of a socket that a thread serves. When nobody comes the thread ends all the same."""
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("", 0))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def tcp_echo() -> Iterator[int]:
    """The port of a peer that sends back what comes, on one connection."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

    with peer(socket.SOCK_STREAM, serve) as port:
        yield port


@pytest.fixture
def udp_echo() -> Iterator[int]:
    """As `tcp_echo`, one datagram."""

    def serve(listener: socket.socket) -> None:
        data, sender = listener.recvfrom(65536)
        if sender:
            listener.sendto(data, sender)

    with peer(socket.SOCK_DGRAM, serve) as port:
        yield port


def runner(pod: Pod) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=lambda: transportd.EventLoop(pod.target, ssl=pod.tls(), server_hostname=HOST))


def call(pod: Pod, *arguments: object, data: bytes = b"") -> tuple[int, bytes, str]:
    """transportctl from outside, as an operator's: exit status, standard output and error."""
    done = subprocess.run(
        [os.environ["TRANSPORTCTL_BIN"], *map(str, arguments)],
        env={**os.environ, **pod.environment()}, input=data, capture_output=True, timeout=harness.TIMEOUT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.decode()


def transportctl(pod: Pod, *arguments: object, data: bytes = b"") -> bytes:
    status, out, err = call(pod, *arguments, data=data)
    assert status == 0, err + pod.logs()
    return out


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
    options = {where: set(rest.split(",")) for _, where, _, rest, *_ in map(str.split, mounts)}
    for where in ("/", "/etc/transportd/policy", "/etc/transportd/tls"):
        assert "ro" in options[where]
    assert {"rw", "size=65536k"} <= options["/tmp"]
    assert plain.inspect()["HostConfig"]["Memory"] == 1 << 30


def test_a_field_that_nobody_knows_is_an_error() -> None:
    """Else what the chart says and what runs here could part unseen."""
    template = base()["Deployment", "transportd"]["spec"]["template"]
    changes: list[Callable[[dict, dict], object]] = [
        lambda spec, container: spec.update(hostPID=True),
        lambda spec, container: spec["securityContext"].update(supplementalGroups=[1]),
        lambda spec, container: spec["volumes"][0]["configMap"].update(items=[{"key": "a", "path": "b"}]),
        lambda spec, container: spec["volumes"][2]["projected"]["sources"][0]["secret"]["items"][0].update(mode=0),
        lambda spec, container: container.update(stdin=True),
        lambda spec, container: container["lifecycle"].update(preStop={"exec": {"command": ["sh", "-c", "sleep 10"]}}),
        lambda spec, container: container["resources"].update(claims=[{"name": "a"}]),
        lambda spec, container: container["securityContext"].update(procMount="Unmasked"),
        lambda spec, container: container["livenessProbe"].update(initialDelaySeconds=-5),
        lambda spec, container: container["volumeMounts"][0].update(subPath="a"),
    ]
    known(template["spec"], POD)
    for number, change in enumerate(changes):
        changed = copy.deepcopy(template)
        change(changed["spec"], changed["spec"]["containers"][0])
        with pytest.raises(UnknownFieldError):
            known(changed["spec"], POD)
            pytest.fail(f"change {number} was not seen")


def test_ports(plain: Pod) -> None:
    """Whatever the Services lead to is listened on."""
    ports = {port["name"]: port["containerPort"] for port in plain.spec["ports"]}
    services = [one for (kind, _), one in base().items() if kind == "Service"]
    assert len(services) == 2
    for service in services:
        for port in service["spec"]["ports"]:
            socket.create_connection((plain.network.address, ports[port["targetPort"]])).close()
    scraped = base()["Deployment", "transportd"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"]
    assert ports["metrics"] == int(scraped)
    for kind in ("startup", "liveness", "readiness"):
        assert plain.spec[f"{kind}Probe"]["grpc"]["port"] == ports["health"]


def test_probes(plain: Pod) -> None:
    for kind in ("startup", "liveness", "readiness"):
        assert plain.probe(kind) == SERVING


def test_transportctl_in_the_image(plain: Pod) -> None:
    """It is what an operator has there, and what a chart's tests run."""
    plain.execute("/usr/bin/transportctl", "--target", "127.0.0.1:8086", "health")
    assert containers.VERSION in plain.execute("/usr/bin/transportctl", "--version")
    with pytest.raises(containers.FailedError, match=r"not found|no such file"):
        plain.execute("sh", "-c", "true")


def test_what_the_operator_sees(plain: Pod) -> None:
    """Metrics from outside; the status page by `kubectl port-forward` alone, which connects inside."""

    def get(address: str, *prefix: str) -> str:
        command = (*prefix, "curl", "--silent", "--show-error", "--fail", f"http://{address}")
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout

    assert f'transportd_build_info{{version="{containers.VERSION}"' in get(f"{plain.network.address}:9090/metrics")
    assert "<title>" in get("127.0.0.1:9091/", *plain.network.inside())
    with pytest.raises(subprocess.CalledProcessError):
        get(f"{plain.network.address}:9091/")


def test_transportctl_over_tcp(plain: Pod, tcp_echo: int) -> None:
    data = harness.pattern(1_000_000)
    assert transportctl(plain, "connect", f"{plain.network.node_address}:{tcp_echo}", data=data) == data


def test_transportctl_over_udp(plain: Pod, udp_echo: int) -> None:
    address = f"{plain.network.node_address}:{udp_echo}"
    assert transportctl(plain, "udp", "--count", 1, address, data=b"hello\n") == b"hello\n"


def test_the_kubelet_is_out_of_bounds(plain: Pod) -> None:
    """By NODE_IP: the policy opens the node's address to the last port."""
    status, _, err = call(plain, "connect", f"{plain.network.node_address}:10250")
    assert status == 4, err
    record = re.search(r"record (\S+)", err)[1]
    (said,) = (json.loads(line) for line in plain.logs().splitlines() if f'"uid":"{record}"' in line)
    assert (said["rule"], said["resource"]["class"]) == ("builtin/self", "SELF")


def test_python_over_tcp_and_udp(plain: Pod, tcp_echo: int, udp_echo: int) -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.received.set_result(data)

    async def main() -> None:
        node = plain.network.node_address
        reader, writer = await asyncio.open_connection(node, tcp_echo)
        assert writer.get_extra_info("sockname")[0] == plain.network.address
        writer.write(b"by TCP")
        writer.write_eof()
        assert await reader.read() == b"by TCP"
        writer.close()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=(node, udp_echo))
        transport.sendto(b"by UDP")
        assert await protocol.received == b"by UDP"
        transport.close()

    with runner(plain) as run:
        run.run(main())


def test_a_policy_that_changes(plain: Pod, tcp_echo: int) -> None:
    """The ConfigMap's volume changes as a kubelet does it: what is open and no longer allowed ends, the pod stays."""

    async def main() -> None:
        reader, writer = await asyncio.open_connection(plain.network.node_address, tcp_echo)
        writer.write(b"allowed")
        assert await reader.readexactly(7) == b"allowed"
        plain.set_policy(POLICY.replace("192.0.2.0/24", "198.51.100.0/24"))
        with pytest.raises(OSError):
            await reader.read()
        with pytest.raises(PermissionError):
            await asyncio.open_connection(plain.network.node_address, tcp_echo)

    try:
        with runner(plain) as run:
            run.run(main())
    finally:
        plain.set_policy(POLICY)
    node = plain.network.node_address
    eventually(lambda: call(plain, "connect", f"{node}:9")[0] == 1, "the policy as before: refused by the node alone")


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
    with Pod("transportd-drained", containers.IMAGES["transportd"], POLICY) as pod:
        stopping = []

        async def main() -> float:
            reader, writer = await asyncio.open_connection(pod.network.node_address, tcp_echo)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, transportd.EventLoop)
            told: asyncio.Future[float] = loop.create_future()
            loop.set_draining_handler(told.set_result)
            stopping.append(pod.stop())
            time_left = await told
            pod.wait_until("readiness", NOT_SERVING)
            assert pod.probe("liveness") == SERVING
            assert call(pod, "connect", f"{pod.network.node_address}:{tcp_echo}")[0] != 0
            writer.write(b"still here")
            writer.write_eof()
            assert await reader.read() == b"still here"
            writer.close()
            return time_left

        with runner(pod) as run:
            # The grace period, less the sleep before SIGTERM, less 5 s.
            assert 275 < run.run(main()) <= 285
        stopping[0].join(harness.TIMEOUT)
        state = pod.state()
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), pod.logs()
