"""chisel, a TCP tunnel in Go over one WebSocket that carries SSH."""

import os
import shutil
import subprocess

import loopback
from peer import Forwarder, Unavailable

# The last version that Debian 12's Go 1.19 builds.
_VERSION = "v1.8.1"
_BUILD_SECONDS = 300


class Chisel(Forwarder):
    title = "chisel"

    def version(self) -> str:
        return _VERSION

    def start_on_ports(self) -> None:
        chisel = self._program()
        (server_port,) = loopback.free_ports(1)
        server = self.run("chisel-server", [chisel, "server", "--host", "127.0.0.1", "--port", server_port])
        server.wait_until(lambda: loopback.listens(server_port), "listens")
        forwards = [f"127.0.0.1:{port}:127.0.0.1:{self.setting.far_ports[name]}" for name, port in self.ports.items()]
        self.run(self.name, [chisel, "client", f"http://127.0.0.1:{server_port}", *forwards])
        self.wait_ready()

    def _program(self) -> str:
        """Built once and kept."""
        path = self.setting.tools / f"chisel-{_VERSION}"
        if path.exists():
            return str(path)
        go = shutil.which("go", path="/usr/bin:" + os.environ.get("PATH", ""))
        if go is None:
            raise Unavailable("there is no go to build it with; apt-get install golang-go")
        print(f"building chisel {_VERSION} with {go}", flush=True)
        folder = self.setting.tools / "go"
        environment = dict(os.environ, GOPATH=str(folder), GOBIN=str(folder), GOFLAGS="-mod=mod -modcacherw")
        words = [go, "install", f"github.com/jpillora/chisel@{_VERSION}"]
        try:
            done = subprocess.run(
                words, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"go install did not end within {_BUILD_SECONDS} s") from None
        if done.returncode != 0:
            raise Unavailable(f"go install failed: {(done.stderr.strip() or '?').splitlines()[-1]}")
        (folder / "chisel").rename(path)
        return str(path)
