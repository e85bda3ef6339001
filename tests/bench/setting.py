"""What every part of a run knows: programs, the temporary folder, the servers at the far end, how long to measure."""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from processes import CannotRun, Program

SYSTEM_PYTHON = Path("/usr/bin/python3")


@dataclass
class Setting:
    """Entered: the temporary folder is there and bench_peer runs. Left: neither is."""

    build: Path
    tools: Path  # What is fetched once and kept.
    seconds: float
    quick: bool = False
    folder: Path = Path()
    python: Path = SYSTEM_PYTHON  # Of the load generator in Python.
    far_ports: dict[str, int] = field(default_factory=dict)
    far_ends: list[Program] = field(default_factory=list)  # bench_peer, and what else has a port of those.
    descriptor_limit: int = 0
    certificate: Path = Path()
    key: Path = Path()
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> "Setting":
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transportd-bench-")))
            self.descriptor_limit = raise_descriptor_limit()
            self.certificate, self.key = make_certificate(self.folder)
            command = [self.program("bench_peer"), f"--certificate={self.certificate}", f"--key={self.key}"]
            bench_peer = stack.enter_context(Program(self.folder, "bench_peer", command))
            self.far_ends.append(bench_peer)
            self.far_ports = bench_peer.first_line()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def add_far_end(self, program: Program) -> None:
        """Another one, which ends with the setting."""
        self.far_ends.append(self._stack.enter_context(program))

    @property
    def warmup(self) -> float:
        return 0.2 if self.quick else 0.5

    def program(self, name: str) -> Path:
        """One of this project's, by name."""
        path = self.build / ("bin" if name == "transportd" else "tests/bench") / name
        if not path.exists():
            raise CannotRun(f"there is no {path}. Build target {name} in {self.build}, or run without --build.")
        return path


def installed(name: str, package: str) -> str:
    """A program of the machine, as an absolute path."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise CannotRun(f"{name} is not installed. Run without --no-install, or: apt-get install {package}")
    return path


def raise_descriptor_limit() -> int:
    """As many open files as this user may have, for this process and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Self-signed, so it is its own authority."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = [installed("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "7", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    done = subprocess.run([*words, "-keyout", key, "-out", certificate], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"openssl made no certificate. It said:\n{done.stderr}")
    return certificate, key
