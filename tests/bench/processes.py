"""The programs of a run. Each has its standard error in a file, and none outlives the run, however that ends."""

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

_START_SECONDS = 20
_numbers = itertools.count(1)


class CannotRun(Exception):
    """Why the run cannot go on, and what to do."""


class Failed(Exception):
    """One measurement went wrong; others may go on."""


def wait_until(condition, what: str, seconds: float = _START_SECONDS):
    """Asks again until `condition()` is true, and returns that. For what nobody announces."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise CannotRun(f"not within {seconds} s: {what}")
        pause.wait(0.01)


class Program:
    """A running program, in a process group of its own."""

    def __init__(self, folder: Path, name: str, command: list, environment: dict[str, str] | None = None):
        self.name = name
        self._stderr_path = folder / f"{next(_numbers)}-{name}.stderr"
        # When this process is killed, so is the program.
        words = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]
        with open(self._stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                process_group=0,
                env={**os.environ, **(environment or {})},
            )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def stderr(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr_path.read_text(errors="replace").strip()[-3000:]

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def check_alive(self) -> None:
        if not self.is_alive():
            raise CannotRun(f"{self.name} ended by itself, status {self.process.returncode}. It said:\n{self.stderr()}")

    def wait_until(self, condition, what: str) -> None:
        """Until it is ready. Raises when it ends instead."""
        wait_until(lambda: condition() or not self.is_alive(), f"{self.name}: {what}")
        self.check_alive()

    def first_line(self, seconds: float = _START_SECONDS) -> dict:
        """The JSON that it prints when it is ready."""
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if readable else ""
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            raise Failed(f"{self.name} did not say that it is ready. It said:\n{self.stderr()}")
        return json.loads(line)

    def result(self, seconds: float) -> dict:
        """The JSON of its last line, when it has ended by itself within that time."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds:.0f} s. It said:\n{self.stderr()}") from None
        if self.process.returncode != 0:
            raise Failed(f"{self.name} ended with status {self.process.returncode}. It said:\n{self.stderr()}")
        try:
            return json.loads(output.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise Failed(f"{self.name} printed no result but:\n{output}") from None

    def stop(self) -> None:
        """Ends its standard input, then asks, then kills; and whatever it has started, too."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
