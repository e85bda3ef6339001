"""socat, a process for each connection or UDP endpoint."""

import subprocess

import loopback
from peer import PLAIN_SERVERS, Forwarder
from setting import installed


class Socat(Forwarder):
    title = "socat"
    servers = (*PLAIN_SERVERS, "udp_echo")

    def version(self) -> str:
        words = [installed("socat", "socat"), "-V"]
        lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
        return next((line.split(" on ")[0] for line in lines if line.startswith("socat version")), "")

    def start_on_ports(self) -> None:
        socat = installed("socat", "socat")
        for name in PLAIN_SERVERS:
            listen = f"TCP-LISTEN:{self.ports[name]},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay"
            self.run(f"socat-{name}", [socat, listen, f"TCP:127.0.0.1:{self.setting.far_ports[name]},nodelay"])
        # A UDP endpoint has no end: its process leaves after five idle seconds.
        listen = f"UDP-LISTEN:{self.ports['udp_echo']},bind=127.0.0.1,reuseaddr,fork"
        udp = self.run("socat-udp", [socat, "-T5", listen, f"UDP:127.0.0.1:{self.setting.far_ports['udp_echo']}"])
        udp.wait_until(lambda: loopback.echoes_datagram(self.ports["udp_echo"]), "carries a datagram there and back")
        self.ports, udp_port = {name: self.ports[name] for name in PLAIN_SERVERS}, self.ports["udp_echo"]
        self.wait_ready()
        self.ports["udp_echo"] = udp_port
