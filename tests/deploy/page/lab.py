"""A service with a policy, two clients at work, `ci` and `lab`, and `ops`, who looks."""

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import harness

OPS_TOKEN = "ops-" + "t" * 32
CI_TOKEN = "ci-" + "t" * 32
POLICY = """
version: "v1"
role {
  name: "worker"
  connect { name: "loopback" protocols: TCP protocols: UDP to { classes: LOOPBACK any_port: true } }
  listen { name: "callbacks" protocols: TCP on { classes: LOOPBACK any_port: true } peers { classes: LOOPBACK } }
  run { name: "cat" program: "/usr/bin/cat" confinement: BEST_EFFORT }
}
role { name: "operator" admin { name: "all" methods: "*" } }
binding { role: "worker" principals: "ci" principals: "lab" }
binding { role: "operator" principals: "ops" }
"""


def page_url(service: harness.Service) -> str:
    """Where the status page is, as the service says on standard error."""
    pattern = r"the status page is on (http://\S+)"
    return harness.eventually(lambda: re.search(pattern, service.stderr()), "the status page's address")[1]


class Peer:
    """A TCP server outside of transportd. Sends back what comes; who sends `flood` first gets bytes without end."""

    def __init__(self, stack: contextlib.ExitStack):
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    @staticmethod
    def _serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            while piece := peer.recv(1 << 16):
                while piece.startswith(b"flood"):
                    peer.sendall(bytes(1 << 16))
                peer.sendall(piece)


class Lab:
    """All of it runs until `stack` ends."""

    def __init__(self, stack: contextlib.ExitStack):
        self.stack = stack
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-")))
        (folder / "policy.txtpb").write_text(POLICY)
        entries = [
            f'token {{ principal: "{name}" sha256: "{hashlib.sha256(token.encode()).hexdigest()}" }}\n'
            for name, token in (("ops", OPS_TOKEN), ("ci", CI_TOKEN))
        ]
        (folder / "identities.txtpb").write_text('version: "v1"\n' + "".join(entries))
        self.names = ("ci", "lab", "ops")
        self.service = harness.Service(
            *(f"--listen=unix:{folder}/{name},principal={name}" for name in self.names),
            f"--policy={folder}/policy.txtpb",
            f"--identities={folder}/identities.txtpb",
            f"--audit-log={folder}/audit",
            "--admin-listen=127.0.0.1:0",
            "--instance-target=lab-0.example:50051",
            dev=False,
        )
        stack.callback(self.service.stop)
        self.url = page_url(self.service)
        self.peer = Peer(stack)

    def client(self, name: str, *arguments: str, quiet: bool = True) -> subprocess.Popen:
        """transportctl as this principal. `quiet`: what it prints is dropped; else nobody reads it."""
        out = subprocess.DEVNULL if quiet else subprocess.PIPE
        target = self.service.targets[self.names.index(name)]
        command = [os.environ["TRANSPORTCTL_BIN"], f"--target={target}", *arguments]
        return self.stack.enter_context(
            harness.running(*command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
        )

    def work(self) -> None:
        """Traffic up and down, a client that does not read, servers, programs, datagrams, and what is denied."""
        self.client("ci", "listen", "127.0.0.1:0", "--echo", "--keep")
        self.client("lab", "listen", "127.0.0.1:0", "--echo", "--keep")
        self.client("ci", "exec", "--interactive", "--", "/usr/bin/cat")
        self.client("lab", "udp", "127.0.0.1:9", "--timeout", "10m").stdin.write(b"a datagram\n")
        writers = [self.client(name, "connect", self.peer.address) for name in ("ci", "ci", "lab")]
        stalled = self.client("lab", "connect", self.peer.address, quiet=False)
        stalled.stdin.write(b"flood")
        stalled.stdin.flush()
        for i, writer in enumerate(writers):
            threading.Thread(target=self._send, args=(writer, i), daemon=True).start()
        for denied in (
            ("ci", "connect", "169.254.169.254:80"),
            ("lab", "connect", "10.8.4.20:5432"),
            ("lab", "exec", "--", "/bin/sh"),
            ("ci", "listen", "0.0.0.0:8080"),
        ):
            self.client(*denied).wait(harness.TIMEOUT)

    @staticmethod
    def _send(writer: subprocess.Popen, i: int) -> None:
        """Swells and ebbs, until the writer is gone."""
        pause = threading.Event()
        step = 0
        with contextlib.suppress(OSError, ValueError):
            while writer.poll() is None:
                writer.stdin.write(bytes(16384 * (1 + (step // (9 + 5 * i)) % 4 * (i + 1))))
                writer.stdin.flush()
                pause.wait(0.05)
                step += 1
