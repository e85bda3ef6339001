"""gRPC streams without transportd: what a service that only echoes, or a tunnel, gets out of the same library."""

import subprocess

from peer import Peer
from processes import Failed


class RawGrpc(Peer):
    """bench_grpc at both ends. It runs echo rows only."""

    own_programs = ("bench_grpc",)

    def __init__(self, name, setting, title: str, tunnel: bool = False, one_stream: bool = False):
        super().__init__(name, setting)
        self.title = title
        self._server_words = ["tunnel", str(setting.far_ports["echo"])] if tunnel else ["serve"]
        self._load_words = ["--one-stream"] if one_stream else []
        self._target = ""

    def version(self) -> str:
        words = ["dpkg-query", "-W", "-f", "libgrpc++ ${Version}", "libgrpc++-dev"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def start(self) -> None:
        program = self.run(self.name, [self.setting.program("bench_grpc"), *self._server_words])
        self._target = program.first_line()["target"]

    def command(self, row, seconds: float | None = None) -> list[str]:
        work, _, streams, size = row.work
        if work != "echo" or row.threads != 1:
            raise Failed(f"{self.name} runs echo only")
        words = [str(self.setting.program("bench_grpc")), "load", self._target, streams, size]
        return [*words, f"--seconds={seconds or self.setting.seconds:g}", f"--warmup={self.setting.warmup:g}"] + self._load_words
