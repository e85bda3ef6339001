"""Python's event loops: asyncio's own, also behind HAProxy, uvloop, and that of transportd's Python client."""

import subprocess
from pathlib import Path

from haproxy import Haproxy
from peer import PLAIN_SERVERS, Peer, Unavailable
from service import Service

_LOAD = Path(__file__).with_name("python") / "load.py"


class _InPython(Peer):
    """The load generator is the one in Python."""

    own_programs: tuple[str, ...] = ()

    def check_built(self) -> None:
        super().check_built()
        self._loop_version()

    def generator(self, loop: str, seconds: float | None = None) -> list[str]:
        setting = self.setting
        words = [str(setting.python), str(_LOAD), f"--loop={loop}"]
        return [*words, f"--seconds={seconds or setting.seconds:g}", f"--warmup={setting.warmup:g}"]

    def _loop_version(self) -> str:
        """Raises Unavailable when the loop cannot be imported."""
        python = self.setting.python
        if not python.exists():
            raise Unavailable(f"there is no {python}. Start tests/bench/run: it makes what is missing.")
        words = [python, _LOAD, f"--loop={self.loop}", "--version"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise Unavailable(f"{python} cannot run it: {said[-1]}")
        return done.stdout.strip()


class PythonLoop(_InPython):
    """Nothing in the middle."""

    def __init__(self, name, setting):
        super().__init__(name, setting)
        self.loop = name
        self.title = f"{name}, in process"

    def version(self) -> str:
        return self._loop_version()

    def start(self) -> None:
        self.ports = dict(self.setting.far_ports)


class PythonHaproxy(_InPython, Haproxy):
    """asyncio's loop, with another program that carries the bytes: as far from the server as the service's client."""

    title = "asyncio, through HAProxy"
    loop = "asyncio"
    servers = PLAIN_SERVERS


class PythonService(_InPython, Service):
    """transportd, whose client is a Python program."""

    loop = "transportd"
    own_programs = ("transportd",)

    def version(self) -> str:
        return f"{super().version()}, client {self._loop_version()}"
