"""The required ratios and limits, as data, and whether they are reached."""

import statistics
from dataclasses import dataclass

import metrics

MIB = 1 << 20
# What the service may hold when no reader reads: its outbox, 2 to 4 MiB, and 4 MiB in gRPC; twice that.
STALLED_GROWN_BYTES = 16 * MIB


@dataclass(frozen=True)
class Ratio:
    """`row` through `peer`, divided by `against_row` through `against_peer`."""

    name: str
    row: str
    against_peer: str
    metric: str
    bound: float
    at_least: bool = True
    peer: str = "service"
    against_row: str = ""

    def cells(self) -> list[tuple[str, str]]:
        return [(self.row, self.peer), (self.against_row or self.row, self.against_peer)]

    def needs(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g} x"

    @staticmethod
    def text(value: float) -> str:
        return f"{value:.2f} x"

    def judge(self, samples) -> "Verdict":
        upper, lower = (samples.by_repeat(*cell, self.metric) for cell in self.cells())
        pairs = [upper[repeat] / lower[repeat] for repeat in upper.keys() & lower.keys() if lower[repeat]]
        if not pairs:
            return Verdict(self, None)
        ratio = statistics.median(upper.values()) / statistics.median(lower.values())
        return Verdict(self, ratio, min(pairs), max(pairs))


@dataclass(frozen=True)
class Limit:
    """A figure of the service itself. The worst sample counts."""

    name: str
    row: str
    metric: str
    bound: float
    peer: str = "service"
    at_least = False

    def cells(self) -> list[tuple[str, str]]:
        return [(self.row, self.peer)]

    def needs(self) -> str:
        return f"at most {metrics.text(self.metric, self.bound)}"

    def text(self, value: float) -> str:
        return metrics.METRICS[self.metric].text(value)

    def judge(self, samples) -> "Verdict":
        values = samples.values(self.row, self.peer, self.metric)
        return Verdict(self, max(values), min(values), max(values)) if values else Verdict(self, None)


@dataclass(frozen=True)
class Verdict:
    """Of a requirement. `value` None: not measured."""

    requirement: Ratio | Limit
    value: float | None
    low: float = 0
    high: float = 0

    @property
    def reached(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.requirement.bound if self.requirement.at_least else self.value <= self.requirement.bound

    @property
    def missed(self) -> bool:
        """For sure: what was not measured may be reached."""
        return self.value is not None and not self.reached

    def line(self) -> str:
        requirement = self.requirement
        if self.value is None:
            return f"{requirement.name}: not measured; {requirement.needs()}"
        texts = [requirement.text(value) for value in (self.value, self.low, self.high)]
        return f"{requirement.name}: {texts[0]} ({texts[1]} .. {texts[2]}); {requirement.needs()}"


def python_ratio(
    name: str, row: str, metric: str, bound: float, at_least: bool = True, against: str = "asyncio"
) -> Ratio:
    """Of the Python client's loop to asyncio's own."""
    name = f"Python: {name}, against {'asyncio through HAProxy' if against == 'asyncio-haproxy' else against}"
    return Ratio(name, f"python-{row}", against, metric, bound, at_least, peer="service-python")


REQUIREMENTS = (
    Ratio("echo 64 B, 64 connections, against HAProxy", "echo-64B-64", "haproxy", "round_trips_per_s", 1.6),
    Ratio("echo 64 B, 500 connections, against HAProxy", "echo-64B-500", "haproxy", "round_trips_per_s", 2.2),
    Ratio("echo 64 B, 1,000 connections, against HAProxy", "echo-64B-1000", "haproxy", "round_trips_per_s", 2.2),
    Ratio(
        "echo 64 B, 5,000 connections, against 500",
        "echo-64B-5000",
        "service",
        "round_trips_per_s",
        0.8,
        against_row="echo-64B-500",
    ),
    Ratio("echo 64 B, 1 connection, p50, against HAProxy", "echo-64B-1", "haproxy", "p50_us", 1.4, at_least=False),
    Ratio("echo 64 B, 1 connection, p50, against ssh -L", "echo-64B-1", "ssh", "p50_us", 0.9, at_least=False),
    Ratio("echo 16 KiB, 64 connections, against HAProxy", "echo-16KiB-64", "haproxy", "round_trips_per_s", 1.0),
    Ratio("bulk to the server, 1 connection, against HAProxy", "bulk-up-1", "haproxy", "bytes_per_s", 0.9),
    Ratio("bulk from the server, 1 connection, against HAProxy", "bulk-down-1", "haproxy", "bytes_per_s", 0.9),
    Ratio("bulk to the server, 1 connection, against ssh -L", "bulk-up-1", "ssh", "bytes_per_s", 3),
    Ratio("bulk from the server, 1 connection, against ssh -L", "bulk-down-1", "ssh", "bytes_per_s", 3),
    Ratio("connect + 1 byte + close, 16 at once, against HAProxy", "connect-16", "haproxy", "connections_per_s", 0.8),
    Ratio("echo 64 B, 64 connections, against raw gRPC streams", "echo-64B-64", "grpc", "round_trips_per_s", 2),
    Ratio("UDP echo 64 B, 64 endpoints, against socat", "udp-64B-64", "socat", "round_trips_per_s", 3),
    Ratio("ping among 64 in bulk, p99, against HAProxy", "ping-among-bulk-64", "haproxy", "p99_us", 3, at_least=False),
    python_ratio("echo 64 B, 64 connections", "echo-64B-64", "round_trips_per_s", 1.0),
    python_ratio("echo 64 B, 500 connections", "echo-64B-500", "round_trips_per_s", 1.3),
    python_ratio("echo 64 B, 1 connection, p50", "echo-64B-1", "p50_us", 4, at_least=False),
    python_ratio("bulk to the server, 1 connection", "bulk-up-1", "bytes_per_s", 0.5),
    python_ratio("bulk from the server, 1 connection", "bulk-down-1", "bytes_per_s", 0.5),
    python_ratio("bulk to the server, 1 connection", "bulk-up-1", "bytes_per_s", 0.9, against="asyncio-haproxy"),
    python_ratio("bulk from the server, 1 connection", "bulk-down-1", "bytes_per_s", 0.9, against="asyncio-haproxy"),
    python_ratio("aiohttp requests, 50 connections", "http-50", "requests_per_s", 0.7),
    Limit("ping after a second of idleness, slowest", "idle-ping", "max_us", 5000),
    Limit("memory of an idle connection, at 10,000", "idle-10000", "rss_bytes_per_connection", 4096),
    # Less than one tick of a clock of 100 Hz, in which the kernel accounts CPU time.
    Limit("CPU in 10 s with 10,000 idle connections", "idle-10000", "cpu_us", 10_000),
    Limit("every reader stopped: memory within the windows", "stalled-64", "grown_bytes", STALLED_GROWN_BYTES),
    Limit("every reader stopped: memory flat", "stalled-64", "drift_bytes", 256 << 10),
    Limit("ten minutes of mixed load: memory does not grow", "soak", "drift_bytes", 2 * MIB),
)


def cells() -> set[tuple[str, str]]:
    """The rows and peers that requirements need."""
    return {cell for requirement in REQUIREMENTS for cell in requirement.cells()}


def asked(rows: set[str]) -> list[Ratio | Limit]:
    """The requirements whose rows are all among these."""
    return [requirement for requirement in REQUIREMENTS if all(row in rows for row, _ in requirement.cells())]


def needed_peers(rows: set[str]) -> set[str]:
    """The peers that the requirements of these rows need."""
    return {peer for requirement in asked(rows) for _, peer in requirement.cells()}


def judge(samples, rows: set[str]) -> list[Verdict]:
    return [requirement.judge(samples) for requirement in asked(rows)]


def summary(verdicts: list[Verdict], rows: set[str]) -> str:
    """How many are reached, and which requirements of `rows` were not asked for; each with the row that must run for it."""
    text = f"{sum(verdict.reached for verdict in verdicts)} of {len(verdicts)} requirements reached"
    judged = [verdict.requirement for verdict in verdicts]
    others = [f"{one.name} ({one.row})" for one in asked(rows) if one not in judged]
    return f"{text}; not asked for: {'; '.join(others)}" if others else text
