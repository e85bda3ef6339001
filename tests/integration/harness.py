"""A transportd of the test's own, and what the tests share: waiting, peers, programs.

The environment says what to test: TRANSPORTD_BIN, TRANSPORTCTL_BIN (may be unset), TRANSPORTD_SANITIZE (empty: none).
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

TIMEOUT = 30  # Seconds until a test gives up waiting. Never reached when all is well.
SANITIZER = os.environ.get("TRANSPORTD_SANITIZE", "")
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def eventually(condition, what: str, timeout: float = TIMEOUT):
    """Asks again until `condition()` is true, and returns that. For what nobody announces: /proc, other programs."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        pause.wait(0.01)


class Service:
    """A transportd process. Ready to be called when the constructor returns."""

    def __init__(self, *flags: str, listen: str = "127.0.0.1:0", wrapper: tuple[str, ...] = (), dev: bool = True):
        """`wrapper`: a command that becomes the one that follows it, as unshare does. Not `dev`: `flags` say the rest."""
        self.folder = Path(tempfile.mkdtemp(prefix="integration-"))
        address_file = self.folder / "address"
        # With a policy it hides itself from all users but root: prctl(2), PR_SET_DUMPABLE.
        self._shows_fds = dev or os.geteuid() == 0
        self._ends_by_itself = False
        self._stderr_path = self.folder / "stderr"
        command = [*wrapper, os.environ["TRANSPORTD_BIN"], *(["--dev", f"--listen={listen}"] if dev else [])]
        command += [f"--address-file={address_file}"]
        command += ["--drain-timeout=5s"]  # Matters only after a test that failed.
        with open(self._stderr_path, "wb") as stderr:
            self.process = subprocess.Popen([*command, *flags], stdin=subprocess.DEVNULL, stderr=stderr)
        eventually(lambda: address_file.exists() or self.process.poll() is not None, "transportd is ready")
        if self.process.returncode is not None:
            raise AssertionError(f"transportd ended with {self.process.returncode}:\n{self.stderr()}")
        self.targets = address_file.read_text().splitlines()
        self.target = self.targets[0]
        self._fds_at_start = self._fds()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.target.removeprefix("ipv4:").rsplit(":", 1)
        return host, int(port)

    def fds(self) -> dict[str, str]:
        """Skips the test where they cannot be seen: it would have shown nothing."""
        if not self._shows_fds:
            raise unittest.SkipTest("only root sees the descriptors of a transportd with a policy: it hides itself")
        return self._fds()

    def _fds(self) -> dict[str, str]:
        """None where they cannot be seen."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        if not self._shows_fds:
            return {}
        found = {}
        for entry in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found[entry] = os.readlink(folder / entry)
        return found

    def rss_bytes(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self) -> float:
        """User and system time so far; proc(5), fields 14 and 15 of stat."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stderr(self) -> str:
        return self._stderr_path.read_text(errors="replace")

    def expect_ended(self) -> None:
        """The test has stopped it."""
        self._ends_by_itself = True

    def stop(self) -> None:
        """Every client has gone: no file descriptor may be left, and SIGTERM ends it at once, with status 0."""
        try:
            if self._ends_by_itself:
                self._check_end(self.process.wait(TIMEOUT))
                return
            if self.process.poll() is not None:
                raise AssertionError(f"transportd ended by itself with {self.process.returncode}:\n{self.stderr()}")
            leaked = self._fds_beyond_start()
            self.process.send_signal(signal.SIGTERM)
            self._check_end(self.process.wait(TIMEOUT))
            if leaked:
                raise AssertionError(f"left open: {leaked}\n{self.stderr()}")
        finally:
            self.process.kill()
            self.process.wait()
            self.remove_folder()

    def _check_end(self, status: int) -> None:
        if status != 0:
            raise AssertionError(f"transportd ended with {status}:\n{self.stderr()}")
        if "Sanitizer" in self.stderr() or "runtime error:" in self.stderr():
            raise AssertionError(self.stderr())

    def remove_folder(self) -> None:
        shutil.rmtree(self.folder)

    def _fds_beyond_start(self) -> list[str]:
        try:
            eventually(lambda: len(self._fds()) <= len(self._fds_at_start), "all file descriptors are closed", 10)
        except AssertionError:
            return sorted(set(self._fds().items()) - set(self._fds_at_start.items()))
        return []


class ServiceTestCase(unittest.TestCase):
    """Each test has a transportd of its own, which must survive it in good order."""

    FLAGS: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.service = self.start_service()
        self.addCleanup(self.service.stop)

    def start_service(self) -> Service:
        return Service(*self.FLAGS)

    def enter(self, context):
        """As Python 3.11's enterContext: left at the end of the test."""
        return self.enterContext(context)

    def folder(self) -> Path:
        return Path(self.enterContext(tempfile.TemporaryDirectory(prefix="integration-")))

    def listener(self, family: int = 4, backlog: int = 64) -> socket.socket:
        """A peer that listens."""
        listener = socket.create_server(
            (LOOPBACK[family], 0), family=socket.AF_INET6 if family == 6 else socket.AF_INET, backlog=backlog
        )
        listener.settimeout(TIMEOUT)
        return self.enterContext(listener)

    def full_listener(self) -> socket.socket:
        """A peer that neither accepts nor refuses one more connect: its backlog is full."""
        listener = self.listener(backlog=0)
        for _ in range(8):
            filler = self.enterContext(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                return listener
        raise AssertionError("the backlog does not fill")

    def accept(self, listener: socket.socket) -> socket.socket:
        peer, _ = listener.accept()
        peer.settimeout(TIMEOUT)
        return self.enterContext(peer)

    def dial(self, address) -> socket.socket:
        """A peer that connects."""
        peer = socket.create_connection(address[:2], TIMEOUT)
        return self.enterContext(peer)

    def program(self, *command, **options) -> subprocess.Popen:
        """A program that runs until it ends or the test does."""
        return self.enterContext(running(*command, **options))


def need(program) -> None:
    if shutil.which(str(program)) is None:
        raise unittest.SkipTest(f"{program} is not installed")


@contextlib.contextmanager
def running(*command, end: signal.Signals = signal.SIGKILL, **options) -> Iterator[subprocess.Popen]:
    """A program that runs until it ends or the block does: then it gets the signal `end`."""
    need(command[0])
    process = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield process
    finally:
        process.send_signal(end)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                with contextlib.suppress(OSError):
                    stream.close()


def read_all(peer: socket.socket) -> bytes:
    """Everything until the peer's FIN."""
    out = bytearray()
    while piece := peer.recv(1 << 16):
        out += piece
    return bytes(out)


def read_exactly(peer: socket.socket, size: int) -> bytes:
    out = bytearray()
    while len(out) < size:
        piece = peer.recv(min(size - len(out), 1 << 20))
        if not piece:
            raise AssertionError(f"EOF after {len(out)} of {size} bytes")
        out += piece
    return bytes(out)


def pattern(size: int, seed: int = 0) -> bytes:
    """Bytes that no shift, loss or swap leaves unchanged; the same for the same arguments."""
    out = bytearray()
    block = 0
    while len(out) < size:
        out += hashlib.sha512(b"%d/%d" % (seed, block)).digest() * 16
        out += b"%d\n" % block
        block += 1
    return bytes(out[:size])


def free_port(family: int = 4) -> int:
    """A port for a program that cannot be told 0. Somebody may take it first, so the caller tries again."""
    with socket.create_server(
        (LOOPBACK[family], 0), family=socket.AF_INET6 if family == 6 else socket.AF_INET
    ) as taken:
        return taken.getsockname()[1]


def main() -> None:
    unittest.main(verbosity=2)
