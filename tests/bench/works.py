"""The matrix: which work is run through which peer, and how each row is measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import measures
import resources

HAPROXY = ("direct", "service", "haproxy")
TUNNELS = ("ssh", "socat", "chisel")
RAW_GRPC = ("grpc", "grpc-one", "grpc-tunnel")
PYTHON = ("asyncio", "uvloop")
PYTHON_CLIENT = ("asyncio", "service-python", "uvloop")
PYTHON_STREAM = (*PYTHON_CLIENT, "asyncio-haproxy")
VARIANTS = ("service-unix", "service-1-loop", "service-2-grpc")
# What the HTTP server answers, beside its headers.
HTTP_BODY_BYTES = 100
# Beside the connections themselves, in one process.
_OTHER_DESCRIPTORS = 200


@dataclass(frozen=True)
class Row:
    """`work`: the load generator's words; {echo} and the like stand for a port of the peer. `connections`: how many at
    once. `subject`: the peer that the table compares the others with."""

    name: str
    title: str
    work: tuple[str, ...]
    metrics: tuple[str, ...]  # The first is the one that the table compares.
    peers: tuple[str, ...]
    connections: int = 1
    threads: int = 1
    tls: bool = False
    measure: Callable = measures.load
    most_repeats: tuple[int, int] = (1000, 1000)  # And with --quick.
    watch: tuple[float, float] | None = None  # Seconds of watching, and with --quick.
    soak: bool = False
    subject: str = "service"

    def with_peers(self, names: tuple[str, ...]) -> "Row":
        return replace(self, peers=names)

    def watch_seconds(self, setting) -> float:
        return self.watch[setting.quick]

    def expected_seconds(self, setting) -> float:
        """A first guess; the run learns what is added."""
        if self.measure is resources.idle_ping:
            return 6 if setting.quick else 60
        return self.watch_seconds(setting) + 4 if self.watch else setting.seconds + setting.warmup

    def descriptors(self, peer: str) -> int:
        """How many open files a process needs for this row."""
        return self.connections * (2 if peer == "haproxy" else 1) + _OTHER_DESCRIPTORS


def size_text(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


def count_text(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def echo(size: int, connections: int, peers: tuple[str, ...], threads: int = 1, tls: bool = False) -> Row:
    loops = f"-{threads}-loops" if threads > 1 else ""
    return Row(
        name=f"{'tls-' if tls else ''}echo-{size_text(size).replace(' ', '')}-{connections}{loops}",
        title=f"{'TLS echo' if tls else 'echo'} of {size_text(size)}, {count_text(connections, 'connection')}"
        + (f", {threads} client loops" if threads > 1 else ""),
        work=("echo", "{tls_echo}" if tls else "{echo}", str(connections), str(size)),
        metrics=("round_trips_per_s", "p50_us", "p99_us"),
        peers=peers,
        connections=connections,
        threads=threads,
        tls=tls,
    )


def bulk(direction: str, connections: int, peers: tuple[str, ...], tls: bool = False, threads: int = 1) -> Row:
    server = "discard" if direction == "up" else "chargen"
    kind = "TLS bulk" if tls else "bulk"
    loops = f"-{threads}-loops" if threads > 1 else ""
    return Row(
        name=f"{'tls-' if tls else ''}bulk-{direction}-{connections}{loops}",
        title=f"{kind} {'to' if direction == 'up' else 'from'} the server, {count_text(connections, 'connection')}"
        + (f", {threads} client loops" if threads > 1 else ""),
        work=(f"bulk-{direction}", "{tls_%s}" % server if tls else "{%s}" % server, str(connections)),
        metrics=("bytes_per_s",),
        peers=peers,
        connections=connections,
        threads=threads,
        tls=tls,
    )


def connect(concurrency: int, peers: tuple[str, ...], tls: bool = False) -> Row:
    return Row(
        name=f"{'tls-handshake' if tls else 'connect'}-{concurrency}",
        title=f"{'TLS handshake' if tls else 'connect'}, 1 byte, close; {concurrency} at once",
        work=("connect", "{tls_echo}" if tls else "{echo}", str(concurrency)),
        metrics=("connections_per_s", "p50_us", "p99_us"),
        peers=peers,
        connections=concurrency,
        tls=tls,
    )


def accept(concurrency: int) -> Row:
    return Row(
        name=f"accept-{concurrency}",
        title=f"accept through create_server, 1 byte, close; {concurrency} at once",
        work=("connect", "{accept}", str(concurrency)),
        metrics=("connections_per_s", "p50_us", "p99_us"),
        peers=HAPROXY,
        connections=concurrency,
        measure=measures.accept,
    )


def udp(peers: tuple[str, ...]) -> Row:
    return Row(
        name="udp-64B-64",
        title="UDP echo of 64 B, 64 endpoints",
        work=("udp", "{udp_echo}", "64", "64"),
        metrics=("round_trips_per_s", "p50_us", "p99_us", "lost_count"),
        peers=peers,
        connections=64,
    )


def spawn(concurrency: int, peers: tuple[str, ...] = ("direct", "service")) -> Row:
    return Row(
        name=f"spawn-{concurrency}",
        title=f"subprocess, start to exit; {concurrency} at once",
        work=("spawn", str(concurrency)),
        metrics=("processes_per_s", "p50_us", "p99_us"),
        peers=peers,
    )


def idle(connections: int, peers: tuple[str, ...]) -> Row:
    return Row(
        name=f"idle-{connections}",
        title=f"memory and CPU with {connections:,} idle connections",
        work=("idle", "{echo}", str(connections)),
        metrics=("rss_bytes_per_connection", "cpu_us"),
        peers=peers,
        connections=connections,
        measure=resources.idle,
        most_repeats=(3, 1),
        watch=(10, 10) if connections == 10000 else (1, 1),
    )


def http(connections: int, peers: tuple[str, ...]) -> Row:
    return Row(
        name=f"http-{connections}",
        title=f"HTTP requests of aiohttp, {count_text(connections, 'connection')}",
        work=("http", "{http}", str(connections), str(HTTP_BODY_BYTES)),
        metrics=("requests_per_s", "p50_us", "p99_us"),
        peers=peers,
        connections=connections,
    )


ROWS = (
    echo(64, 1, HAPROXY + TUNNELS + RAW_GRPC + PYTHON + ("service-unix", "service-2-grpc")),
    echo(64, 64, HAPROXY + TUNNELS + RAW_GRPC + PYTHON + VARIANTS),
    echo(64, 500, HAPROXY + RAW_GRPC + PYTHON),
    echo(64, 1000, HAPROXY + RAW_GRPC + PYTHON + VARIANTS),
    echo(64, 5000, HAPROXY + PYTHON),
    echo(64, 64, HAPROXY + VARIANTS, threads=2),
    echo(64, 1000, HAPROXY + VARIANTS, threads=2),
    echo(1 << 10, 64, HAPROXY + TUNNELS + RAW_GRPC + PYTHON),
    echo(16 << 10, 64, HAPROXY + TUNNELS + RAW_GRPC + PYTHON),
    bulk("up", 1, HAPROXY + TUNNELS + ("service-unix", "service-2-grpc")),
    bulk("up", 16, HAPROXY + TUNNELS),
    bulk("up", 16, HAPROXY + VARIANTS, threads=2),
    bulk("down", 1, HAPROXY + TUNNELS + ("service-unix", "service-2-grpc")),
    bulk("down", 16, HAPROXY + TUNNELS),
    bulk("down", 16, HAPROXY + VARIANTS, threads=2),
    udp(("direct", "service", "socat")),
    connect(1, HAPROXY + TUNNELS),
    connect(16, HAPROXY + TUNNELS),
    accept(1),
    accept(16),
    bulk("up", 1, HAPROXY, tls=True),
    bulk("up", 16, HAPROXY, tls=True),
    bulk("down", 1, HAPROXY, tls=True),
    bulk("down", 16, HAPROXY, tls=True),
    connect(1, HAPROXY, tls=True),
    connect(16, HAPROXY, tls=True),
    spawn(1),
    spawn(16),
    Row(
        name="output",
        title="output of a subprocess",
        work=("output",),
        metrics=("bytes_per_s",),
        peers=("direct", "service"),
    ),
    Row(
        name="ping-among-bulk-64",
        title="ping on one connection, 64 others in bulk",
        work=("ping-among-bulk", "{echo}", "{chargen}", "64"),
        metrics=("p99_us", "p50_us", "bytes_per_s"),
        peers=HAPROXY,
        connections=65,
    ),
    Row(
        name="idle-ping",
        title="ping after about one second of idleness",
        work=("idle-ping", "{echo}"),
        metrics=("max_us", "p50_us"),
        peers=HAPROXY,
        measure=resources.idle_ping,
        most_repeats=(1, 1),
    ),
    idle(1000, ("service", "haproxy")),
    idle(2500, ("service", "haproxy")),
    idle(5000, ("service", "haproxy")),
    idle(10000, ("service",)),
    Row(
        name="stalled-64",
        title="every reader stopped, 64 connections under full input",
        work=("stalled", "{chargen}", "64"),
        metrics=("grown_bytes", "drift_bytes"),
        peers=("service",),
        connections=64,
        measure=resources.stalled,
        most_repeats=(1, 1),
        watch=(60, 8),
    ),
    Row(
        name="soak",
        title="mixed load for ten minutes",
        work=(),
        metrics=("drift_bytes", "grown_bytes"),
        peers=("service",),
        connections=110,
        measure=resources.soak,
        most_repeats=(1, 1),
        watch=(600, 600),
        soak=True,
    ),
)


def python(row: Row) -> Row:
    """A row of the Python client. The load generator in Python has works of the same names."""
    return replace(row, name=f"python-{row.name}", subject="service-python")


# Run with --python, instead of the others.
PYTHON_ROWS = tuple(
    python(row)
    for row in (
        echo(64, 1, PYTHON_CLIENT),
        echo(64, 64, PYTHON_STREAM),
        echo(64, 500, PYTHON_STREAM),
        echo(1 << 10, 64, PYTHON_CLIENT),
        echo(16 << 10, 64, PYTHON_CLIENT),
        replace(
            echo(64, 64, PYTHON_STREAM),
            name="streams-64B-64",
            title="echo of 64 B, 64 connections, with streams",
            work=("streams", "{echo}", "64", "64"),
        ),
        echo(64, 64, PYTHON_CLIENT, tls=True),
        bulk("up", 1, PYTHON_STREAM),
        replace(
            bulk("up", 1, PYTHON_STREAM),
            name="bulk-up-1-512KiB",
            title="bulk to the server, 1 connection, high-water mark 512 KiB",
            work=("bulk-up", "{discard}", "1", str(512 << 10)),
        ),
        bulk("down", 1, PYTHON_STREAM),
        udp(PYTHON_CLIENT),
        spawn(1, PYTHON_CLIENT),
        spawn(16, PYTHON_CLIENT),
        http(50, PYTHON_CLIENT),
    )
)


def matrix(is_python: bool) -> tuple[Row, ...]:
    """What a run chooses its rows from: with --python those of the Python client, without it the others."""
    return PYTHON_ROWS if is_python else ROWS
