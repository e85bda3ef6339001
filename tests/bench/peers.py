"""Every peer of the comparison, by the name that works.py uses."""

import platform
import subprocess
from functools import partial
from pathlib import Path

from chisel import Chisel
from haproxy import Haproxy
from peer import PLAIN_SERVERS, TLS_SERVERS, Peer
from raw_grpc import RawGrpc
from service import Service
from setting import Setting
from socat import Socat
from ssh import Ssh


class Direct(Peer):
    """Nothing in the middle: the load generator's own sockets reach bench_peer. The limit."""

    title = "direct loopback"

    def start(self) -> None:
        self.ports = {name: self.setting.far_ports[name] for name in (*PLAIN_SERVERS, *TLS_SERVERS, "udp_echo")}


class PythonLoop(Peer):
    """The echo rows in a Python process, without anything in the middle."""

    own_programs = ()

    def start(self) -> None:
        self.ports = {"echo": self.setting.far_ports["echo"]}

    @property
    def title(self) -> str:
        return f"{self.name}, in process"

    def version(self) -> str:
        if self.name == "asyncio":
            return f"Python {platform.python_version()}"
        words = ["dpkg-query", "-W", "-f", "${Version}", "python3-uvloop"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def command(self, row, seconds: float | None = None) -> list[str]:
        setting = self.setting
        words = ["/usr/bin/python3", str(Path(__file__).with_name("asyncio_echo.py")), f"--loop={self.name}"]
        words += [f"--seconds={seconds or setting.seconds:g}", f"--warmup={setting.warmup:g}"]
        return words + [word.format(**self.ports) for word in row.work[1:]]


PEERS = {
    "direct": Direct,
    "service": partial(Service, title="transportd"),
    "service-unix": partial(Service, title="transportd, reached over a Unix socket", unix=True),
    "service-1-loop": partial(Service, title="transportd, --loops=1", flags=("--loops=1",)),
    "service-2-grpc": partial(Service, title="transportd, --grpc-threads=2", flags=("--grpc-threads=2",)),
    "haproxy": Haproxy,
    "ssh": Ssh,
    "socat": Socat,
    "grpc": partial(RawGrpc, title="raw gRPC, one stream a connection"),
    "grpc-one": partial(RawGrpc, title="raw gRPC, one stream", one_stream=True),
    "grpc-tunnel": partial(RawGrpc, title="raw gRPC tunnel to TCP", tunnel=True),
    "chisel": Chisel,
    "asyncio": PythonLoop,
    "uvloop": PythonLoop,
}


def create(name: str, setting: Setting) -> Peer:
    """Not started yet."""
    return PEERS[name](name, setting)
