"""What the load generator is measured through: the interface of every peer, and how the load is started."""

from abc import ABC, abstractmethod

import loopback
from processes import CannotRun, Program
from setting import Setting

PLAIN_SERVERS = ("echo", "discard", "chargen")
TLS_SERVERS = ("tls_echo", "tls_discard", "tls_chargen")


class Unavailable(Exception):
    """Why an optional peer cannot be had on this machine."""


class Peer(ABC):
    """Started by start(), ended by stop(). `ports`: where the load generator finds bench_peer's servers."""

    title = ""
    loop = "direct"
    # Whether TLS is spoken on the client's side of this peer, by the load generator's loop; otherwise the peer does it.
    client_speaks_tls = True
    # Those of this project that it cannot do without; bench_peer is there for all.
    own_programs: tuple[str, ...] = ("bench_load",)

    def __init__(self, name: str, setting: Setting):
        self.name = name
        self.setting = setting
        self.programs: list[Program] = []
        self.ports: dict[str, int] = {}

    def version(self) -> str:
        return ""

    @abstractmethod
    def start(self) -> None:
        """Until `ports` answer."""

    def check_built(self) -> None:
        """Raises Unavailable when the build folder lacks a program."""
        for name in self.own_programs:
            try:
                self.setting.program(name)
            except CannotRun as error:
                raise Unavailable(str(error)) from None

    def stop(self) -> None:
        while self.programs:
            self.programs.pop().stop()

    def __enter__(self) -> "Peer":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def check_alive(self) -> None:
        for program in self.programs:
            program.check_alive()

    def run(self, name: str, command: list, environment: dict[str, str] | None = None) -> Program:
        program = Program(self.setting.folder, name, command, environment)
        self.programs.append(program)
        return program

    def environment(self) -> dict[str, str]:
        """For the load generator."""
        return {}

    def command(self, row, seconds: float | None = None) -> list[str]:
        """The load generator's command for a row of the matrix."""
        words = self.generator(self.loop, seconds)
        if row.threads > 1:
            words.append(f"--threads={row.threads}")
        if row.tls and self.client_speaks_tls:
            words.append(f"--ca={self.setting.certificate}")
        return words + [word.format(**self.ports) for word in row.work]

    def generator(self, loop: str, seconds: float | None = None) -> list[str]:
        """bench_load with its options, the work to follow."""
        setting = self.setting
        words = [str(setting.program("bench_load")), f"--loop={loop}"]
        return [*words, f"--seconds={seconds or setting.seconds:g}", f"--warmup={setting.warmup:g}"]

    def load(self, row, seconds: float | None = None) -> Program:
        """The load generator, running."""
        name = f"{row.name}-{self.name}"
        return Program(self.setting.folder, name, self.command(row, seconds), self.environment())


class Forwarder(Peer):
    """A peer with a port of its own for each of bench_peer's."""

    servers: tuple[str, ...] = PLAIN_SERVERS

    def start(self) -> None:
        loopback.start_on_free_ports(len(self.servers), self._start)

    def _start(self, ports: list[int]) -> None:
        self.ports = dict(zip(self.servers, ports))
        try:
            self.start_on_ports()
        except CannotRun:
            self.stop()
            raise

    @abstractmethod
    def start_on_ports(self) -> None:
        """Until `ports`, which nobody had just now, answer."""

    def wait_ready(self) -> None:
        """Until every port answers and a byte comes back all the way."""
        last = self.programs[-1]
        for port in self.ports.values():
            last.wait_until(lambda port=port: loopback.listens(port), f"listens on port {port}")
        last.wait_until(lambda: loopback.echoes(self.ports["echo"]), "carries a byte there and back")
        self.check_alive()
