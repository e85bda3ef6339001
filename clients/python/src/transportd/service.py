"""A transportd process of one's own: for tests, and for programs that bring their service along."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Service", "find_binary"]

_HOW_TO_GET_ONE = (
    "build one (deploy/quickstart --build-only makes build/release/bin/transportd), and name it by TRANSPORTD_BIN, "
    "by Service(binary=…) or by pytest's --transportd-bin, or put it on PATH"
)


def find_binary(binary: str | os.PathLike[str] | None = None) -> str:
    """The transportd program: `binary`, else what the environment variable TRANSPORTD_BIN names, else that on PATH.

    Raises FileNotFoundError, which says what to do, when there is none or it cannot be executed.
    """
    named = os.fspath(binary) if binary is not None else os.environ.get("TRANSPORTD_BIN", "")
    found = shutil.which(named or "transportd")
    if found is not None:
        return found
    if named:
        by = "" if binary is not None else "TRANSPORTD_BIN names "
        raise FileNotFoundError(f"{by}{named}, which is not a program that can be executed; {_HOW_TO_GET_ONE}")
    raise FileNotFoundError(f"there is no transportd program here; {_HOW_TO_GET_ONE}")


class Service:
    """A transportd process for local use (`--dev`), on a port of 127.0.0.1 that the kernel picks.

    ::

        with Service() as service:
            transportd.run(main(), target=service.target, ssl=False, token="")

    So what the environment says of TLS, and of who calls, which is for another service, does not count.

    `binary`: as for `find_binary`. `flags`: further flags of transportd's. `start_timeout`, `stop_timeout`: seconds.
    It is started by `start()` and by entering the context, ended by `stop()` and by leaving it. It is in a process
    group of its own, so that a control-C in the terminal is the program's alone. Not for several threads at once.
    """

    def __init__(
        self,
        binary: str | os.PathLike[str] | None = None,
        *,
        flags: Sequence[str] = (),
        start_timeout: float = 30.0,
        stop_timeout: float = 10.0,
    ) -> None:
        self._binary = binary
        self._flags = tuple(flags)
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._target = ""
        self._log = ""

    def __repr__(self) -> str:
        """Says where it is, or that it does not run."""
        return f"<Service {self._target} pid={self.pid}>" if self._process is not None else "<Service not running>"

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops it."""
        self.stop()

    @property
    def target(self) -> str:
        """The gRPC target at which it answers, as EventLoop takes it. RuntimeError when it does not run."""
        self._running()
        return self._target

    @property
    def pid(self) -> int:
        """Of the process. RuntimeError when it does not run."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What it has written to standard error so far; after `stop()`, all of it."""
        if self._folder is None:
            return self._log
        return self._log_file().read_text(errors="replace")

    def start(self) -> None:
        """Starts the process, and returns when it answers calls.

        Raises FileNotFoundError when there is no such program, RuntimeError when it ends at once (with what it says) or
        was started already, TimeoutError when it does not answer within `start_timeout`.
        """
        if self._process is not None:
            raise RuntimeError("this service runs already")
        binary = find_binary(self._binary)
        self._folder = tempfile.TemporaryDirectory(prefix="transportd-")
        address_file = Path(self._folder.name) / "address"
        command = [binary, "--dev", "--listen=127.0.0.1:0", f"--address-file={address_file}"]
        if not any(flag.startswith("--drain-timeout") for flag in self._flags):
            # Whoever stops it does not want to wait for sessions that nobody closed.
            command.append("--drain-timeout=1s")
        try:
            with self._log_file().open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, *self._flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
                )
            self._wait_for(address_file)
        except BaseException:
            self._end()
            raise
        self._target = address_file.read_text().splitlines()[0]

    def stop(self) -> int:
        """Ends it with SIGTERM and returns its exit status, 0 when all was well; a negative signal number when killed.

        What does not end within `stop_timeout` is killed. Returns 0 when it does not run.
        """
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._stop_timeout)
        return self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this service does not run")
        return self._process

    def _log_file(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "log"

    def _wait_for(self, address_file: Path) -> None:
        """Returns when the process has written where it answers."""
        process = self._running()
        deadline = time.monotonic() + self._start_timeout
        while not address_file.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(0.005)
                raise RuntimeError(f"transportd ended with {status} when it was started:\n{self.log.strip()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"transportd was not ready within {self._start_timeout:g} s:\n{self.log.strip()}")

    def _end(self) -> int:
        """Nothing is left of it; its exit status."""
        status = 0
        if self._process is not None:
            self._process.kill()
            status = self._process.wait()
            self._process = None
        if self._folder is not None:
            self._log = self.log
            self._folder.cleanup()
            self._folder = None
        self._target = ""
        return status
