"""Every peer of the comparison, by the name that works.py uses."""

from functools import partial

from chisel import Chisel
from haproxy import Haproxy
from peer import Peer
from python_loops import PythonHaproxy, PythonLoop, PythonService
from raw_grpc import RawGrpc
from service import Service
from setting import Setting
from socat import Socat
from ssh import Ssh


class Direct(Peer):
    """Nothing in the middle: the load generator's own sockets reach bench_peer. The limit."""

    title = "direct loopback"

    def start(self) -> None:
        self.ports = dict(self.setting.far_ports)


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
    "asyncio-haproxy": PythonHaproxy,
    "uvloop": PythonLoop,
    "service-python": partial(PythonService, title="transportd, its Python client"),
}


def create(name: str, setting: Setting) -> Peer:
    """Not started yet."""
    return PEERS[name](name, setting)
