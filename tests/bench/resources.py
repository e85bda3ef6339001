"""Memory and CPU of a peer's processes, and pings after idleness: what is watched rather than counted.

Each measurement starts a peer of its own, so that nothing that ran before is in the figures.
"""

import contextlib
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import peers
from peer import Peer
from processes import Failed, Program

_OPEN_SECONDS = 120
_PAGE_SLACK_BYTES = 16 << 10
# The mixed load: the works, and what their connections are.
_MIXED = (
    ("echo", "{echo}", "64", "64"),
    ("echo", "{echo}", "16", "16384"),
    ("bulk-up", "{discard}", "4"),
    ("bulk-down", "{chargen}", "4"),
    ("udp", "{udp_echo}", "16", "64"),
    ("connect", "{echo}", "4"),
    ("spawn", "1"),
)


def rss_bytes(programs: list[Program]) -> int:
    """Resident memory of all of them; proc(5), VmRSS."""
    total = 0
    for program in programs:
        for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_us(programs: list[Program]) -> float:
    """CPU time so far, of every thread, to the nanosecond; the kernel's sched-stats.rst, /proc/PID/schedstat."""
    total = 0
    for program in programs:
        for path in Path(f"/proc/{program.pid}/task").glob("*/schedstat"):
            total += int(path.read_text().split()[0])
    return total / 1000


def idle(peer: Peer, row) -> dict:
    """Connections that carry nothing: memory of each, and the CPU that all take."""
    setting = peer.setting
    with peers.create(peer.name, setting) as fresh:
        before = _stable_rss(fresh)
        with fresh.load(row) as load:
            connections = load.first_line(_OPEN_SECONDS)["open"]
            after = _stable_rss(fresh)
            used = cpu_us(fresh.programs)
            _sleep(row.watch_seconds(setting))
            used = cpu_us(fresh.programs) - used
            load.check_alive()
            fresh.check_alive()
    return {
        "connections": connections,
        "rss_bytes_per_connection": round((after - before) / connections, 1),
        "cpu_us": round(used),
    }


def stalled(peer: Peer, row) -> dict:
    """Servers that write without end, clients that never read: the memory grows to the windows and no further."""
    with peers.create(peer.name, peer.setting) as fresh:
        before = _stable_rss(fresh)
        with fresh.load(row) as load:
            load.first_line(_OPEN_SECONDS)
            series = _watch(fresh, row.watch_seconds(peer.setting), load)
    settled = [size for second, size in series if second >= series[-1][0] / 4]
    return {
        "grown_bytes": max(size for _, size in series) - before,
        "drift_bytes": max(settled) - settled[0],
        "rss_series": series,
    }


def soak(peer: Peer, row) -> dict:
    """Mixed load for minutes: the end is not larger than the time after the start."""
    seconds = row.watch_seconds(peer.setting)
    with contextlib.ExitStack() as stack:
        fresh = stack.enter_context(peers.create(peer.name, peer.setting))
        before = _stable_rss(fresh)
        loads = [stack.enter_context(fresh.load(replace(row, work=work), seconds)) for work in _MIXED]
        series = _watch(fresh, seconds, *loads)
        for load in loads:
            load.result(_OPEN_SECONDS)

    def around(part: float) -> float:
        """The median of a tenth of the series."""
        start = int(len(series) * part)
        return statistics.median(size for _, size in series[start : start + max(1, len(series) // 10)])

    return {
        "grown_bytes": max(size for _, size in series) - before,
        "drift_bytes": around(0.9) - around(0.2),
        "rss_series": series,
    }


def idle_ping(peer: Peer, row) -> dict:
    """Several peers at once, so that each is idle between its pings."""
    setting = peer.setting
    count, lanes = (4, 5) if setting.quick else (50, 4)
    with contextlib.ExitStack() as stack:
        fresh = [stack.enter_context(peers.create(peer.name, setting)) for _ in range(lanes)]
        work = ("idle-ping", "{echo}", str(count))
        loads = [stack.enter_context(one.load(replace(row, work=work))) for one in fresh]
        results = [load.result(count * 1.5 + _OPEN_SECONDS) for load in loads]
    return {
        "p50_us": statistics.median(result["p50_us"] for result in results),
        "max_us": max(result["max_us"] for result in results),
        "pings": count * lanes,
    }


def _watch(peer: Peer, seconds: float, *loads: Program) -> list[tuple[float, int]]:
    """Seconds and resident memory, about each second."""
    start = time.monotonic()
    series = [(0.0, rss_bytes(peer.programs))]
    while series[-1][0] < seconds:
        _sleep(min(1.0, seconds / 10))
        series.append((round(time.monotonic() - start, 2), rss_bytes(peer.programs)))
        peer.check_alive()
        for load in loads:
            if not load.is_alive() and load.process.returncode != 0:
                raise Failed(f"{load.name} ended before its time. It said:\n{load.stderr()}")
    return series


def _stable_rss(peer: Peer, seconds: float = 15) -> int:
    """Once it has not changed for a second."""
    values: list[int] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        values.append(rss_bytes(peer.programs))
        if len(values) > 5 and max(values[-5:]) - min(values[-5:]) <= _PAGE_SLACK_BYTES:
            break
        _sleep(0.25)
    return values[-1]


def _sleep(seconds: float) -> None:
    """There is no event to wait for: the time itself is what is measured."""
    threading.Event().wait(seconds)
