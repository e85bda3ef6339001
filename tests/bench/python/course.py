"""One measurement: it warms up, measures, and is over. The works tell it what they have done meanwhile."""

import asyncio
import math
import os
import resource
import socket
import ssl
import time
from dataclasses import dataclass

HOST = "127.0.0.1"


class WorkError(Exception):
    """The work was not done as it should be: what was measured means nothing."""


@dataclass(frozen=True)
class Settings:
    """Of the command."""

    seconds: float
    warmup: float
    tls: ssl.SSLContext | None = None  # The connections speak TLS.

    @property
    def server_hostname(self) -> str | None:
        return "localhost" if self.tls is not None else None


class Course:
    """Threading: the loop's thread only."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.is_over = False
        self.times: list[float] = []  # Seconds: of each round trip, request, process.
        self.byte_count = 0
        self.lost_count = 0
        self.bytes_per_s = 0.0  # When the work has measured that itself.
        self.is_local = False  # Connections or subprocesses were this process's own.
        self._elapsed = 0.0
        self._failure = self.loop.create_future()

    async def run(self, port: int | None = None) -> None:
        """To be called when the work has begun; when this returns it is over.

        `port`: where its connections lead; None: it makes subprocesses.
        """
        await self._wait(self.settings.warmup)
        self.times.clear()
        self.byte_count = self.lost_count = 0
        start = time.perf_counter()
        await self._wait(self.settings.seconds)
        self._elapsed = time.perf_counter() - start
        self.is_over = True
        self.is_local = has_own_connection(port) if port is not None else has_own_child()

    def fail(self, error: Exception) -> None:
        """The course ends with this error. After its end nothing is wrong any more."""
        if not self.is_over and not self._failure.done():
            self._failure.set_exception(error)

    def add_time(self, begin: float) -> None:
        """From `begin`, of time.perf_counter(), until now."""
        if not self.is_over:
            self.times.append(time.perf_counter() - begin)

    def result(self, rate: str) -> dict[str, float]:
        """As bench_load's. `rate`: the key of how many times there are in a second; empty: bytes are counted."""
        figures: dict[str, float] = {}
        if rate:
            if not self.times:
                raise WorkError("nothing was finished in that time")
            figures[rate] = round(len(self.times) / self._elapsed, 1)
            figures |= _quantiles_us(sorted(self.times))
            figures["samples"] = len(self.times)
        else:
            figures["bytes_per_s"] = round(self.bytes_per_s or self.byte_count / self._elapsed)
        return {**figures, "lost_count": self.lost_count, "is_local": self.is_local}

    async def _wait(self, seconds: float) -> None:
        await asyncio.wait([self._failure], timeout=seconds)
        if self._failure.done():
            self._failure.result()


def has_own_connection(port: int) -> bool:
    """Whether a socket of this process is connected to that port."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as duplicate:
                peer = duplicate.getpeername()
        except OSError:  # It is no socket, or not connected, or was the listing's own.
            continue
        if isinstance(peer, tuple) and peer[1] == port:
            return True
    return False


def has_own_child() -> bool:
    """Whether this process had a child that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


def _quantiles_us(ordered: list[float]) -> dict[str, float]:
    return {
        key: round(ordered[math.ceil(part * len(ordered)) - 1] * 1e6, 1)
        for key, part in (("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("max_us", 1.0))
    }
