"""HAProxy in TCP mode."""

import os
import subprocess

from peer import PLAIN_SERVERS, TLS_SERVERS, Forwarder
from setting import installed

# The descriptors that it wants besides two a connection.
_OTHER_DESCRIPTORS = 200

_CONFIGURATION = """\
global
    maxconn {maxconn}
    nbthread {threads}
defaults
    mode tcp
    timeout connect 30s
    timeout client 1h
    timeout server 1h
"""

_FRONTEND = """\
listen {name}
    bind 127.0.0.1:{port}
    server far 127.0.0.1:{far_port}{options}
"""


class Haproxy(Forwarder):
    """One frontend for each port of bench_peer; with TLS it is HAProxy that speaks it to bench_peer."""

    title = "HAProxy, mode tcp"
    client_speaks_tls = False
    servers = (*PLAIN_SERVERS, *TLS_SERVERS)

    def __init__(self, name, setting, far_ports: dict[str, int] | None = None):
        """`far_ports`: those of other servers than bench_peer's."""
        super().__init__(name, setting)
        if far_ports is not None:
            self.servers = tuple(far_ports)
        self._far_ports = far_ports

    def version(self) -> str:
        words = [installed("haproxy", "haproxy"), "-v"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split(" - ")[0].strip()

    def max_connections(self) -> int:
        return min(20000, (self.setting.descriptor_limit - _OTHER_DESCRIPTORS) // 2)

    def start_on_ports(self) -> None:
        far_ports = self._far_ports or self.setting.far_ports
        text = _CONFIGURATION.format(maxconn=self.max_connections(), threads=os.cpu_count())
        for name, port in self.ports.items():
            # Every handshake is a full one, as the load generator's are.
            options = " ssl verify none no-ssl-reuse" if name in TLS_SERVERS else ""
            text += _FRONTEND.format(name=name, port=port, far_port=far_ports[name], options=options)
        path = self.setting.folder / f"haproxy-{self.ports['echo']}.cfg"
        path.write_text(text)
        self.run(self.name, [installed("haproxy", "haproxy"), "-db", "-f", path])
        self.wait_ready()

    def before(self, far_port: int) -> "Haproxy":
        """Another one, not started, before an echo server on that port."""
        return Haproxy(self.name, self.setting, {"echo": far_port})
