"""A picture of each curve, as SVG."""

import re
import statistics
from pathlib import Path

import metrics
from samples import Samples

_SIZE = (9, 5.5)
_ECHO = re.compile(r"^echo-64B-(\d+)$")
_PYTHON_ECHO = re.compile(r"^python-echo-64B-(\d+)$")
_IDLE = re.compile(r"^idle-(\d+)$")
# Rows that are compared as bars: file, title, rows, metric.
_BARS = (
    ("python-echo", "Echo on 64 connections, in Python", r"^python-[\w-]+-64$", "round_trips_per_s"),
    ("python-bulk", "Bulk, one way, in Python", r"^python-bulk-", "bytes_per_s"),
    ("python-subprocess", "Subprocesses, start to exit, in Python", r"^python-spawn-", "processes_per_s"),
    ("python-http", "HTTP requests of aiohttp", r"^python-http-", "requests_per_s"),
    ("bulk", "Bulk, one way", r"^bulk-(up|down)-\d+$", "bytes_per_s"),
    ("tls-bulk", "Bulk over TLS, one way", r"^tls-bulk-", "bytes_per_s"),
    ("connections", "Connections that carry one byte", r"^(connect|accept|tls-handshake)-\d+$", "connections_per_s"),
    ("echo-sizes", "Echo on 64 connections", r"^echo-\w+-64$", "round_trips_per_s"),
    ("threads", "Two client loops", r"-2-loops$", "round_trips_per_s"),
    ("threads-bulk", "Two client loops, bulk", r"^bulk.*-2-loops$", "bytes_per_s"),
    ("udp", "UDP echo of 64 B, 64 endpoints", r"^udp-", "round_trips_per_s"),
    ("subprocess", "Subprocesses, start to exit", r"^spawn-", "processes_per_s"),
    ("output", "Output of a subprocess", r"^output$", "bytes_per_s"),
    ("ping", "Ping among 64 connections in bulk", r"^ping-among-bulk", "p99_us"),
    ("ping-bulk", "What 64 connections in bulk carry beside the pings", r"^ping-among-bulk", "bytes_per_s"),
)


def draw(folder: Path, rows, peers: dict, samples: Samples) -> list[Path]:
    """The pictures for which there are samples."""
    drawer = _Drawer(folder, peers, samples)
    echo = _numbered(_ECHO, rows)
    drawer.lines("echo-rate", "Echo of 64 B", echo, "round_trips_per_s")
    drawer.lines("echo-p50", "Echo of 64 B: median time", echo, "p50_us")
    drawer.lines("echo-p99", "Echo of 64 B: 99th percentile of the time", echo, "p99_us")
    python_echo = _numbered(_PYTHON_ECHO, rows)
    drawer.lines("python-echo-rate", "Echo of 64 B, in Python", python_echo, "round_trips_per_s")
    drawer.lines("python-echo-p50", "Echo of 64 B, in Python: median time", python_echo, "p50_us")
    drawer.lines("idle-memory", "Resident memory of an idle connection", _numbered(_IDLE, rows), "rss_bytes_per_connection")
    for name, title, pattern, metric in _BARS:
        drawer.bars(name, title, [row for row in rows if re.search(pattern, row.name) and metric in row.metrics], metric)
    drawer.series("stalled-memory", "Resident memory while no reader reads", "stalled-64")
    drawer.series("soak-memory", "Resident memory under mixed load", "soak")
    return drawer.paths


def _numbered(pattern: re.Pattern, rows) -> dict[int, object]:
    """Rows by the number of connections in their names."""
    return {int(match[1]): row for row in rows if (match := pattern.match(row.name))}


class _Drawer:
    def __init__(self, folder: Path, peers: dict, samples: Samples):
        import matplotlib

        matplotlib.use("Agg")
        # The same samples make the same file.
        matplotlib.rcParams.update({"svg.hashsalt": "transportd", "axes.grid": True, "grid.alpha": 0.3})
        from matplotlib import pyplot

        self._pyplot = pyplot
        self._folder = folder
        self._peers = peers
        self._samples = samples
        # A peer has one colour in all pictures.
        colours = [*pyplot.get_cmap("tab20").colors[::2], *pyplot.get_cmap("tab20").colors[1::2]]
        self._colours = dict(zip(peers, colours))
        self.paths: list[Path] = []

    def lines(self, name: str, title: str, rows: dict[int, object], key: str) -> None:
        """A line for each peer with two points at least; bars from the least to the greatest sample."""
        curves = {}
        for peer in self._peers:
            points = [(count, self._samples.values(row.name, peer, key)) for count, row in sorted(rows.items())]
            points = [(count, values) for count, values in points if values]
            if len(points) > 1:
                curves[peer] = points
        if not curves:
            return
        figure, axes = self._pyplot.subplots(figsize=_SIZE)
        metric = metrics.METRICS[key]
        for peer, points in curves.items():
            counts = [count for count, _ in points]
            medians = [statistics.median(values) / metric.unit_value for _, values in points]
            low = [middle - min(values) / metric.unit_value for middle, (_, values) in zip(medians, points)]
            high = [max(values) / metric.unit_value - middle for middle, (_, values) in zip(medians, points)]
            axes.errorbar(
                counts,
                medians,
                yerr=[low, high],
                label=self._peers[peer].title,
                color=self._colours[peer],
                marker="o",
                capsize=3,
                linewidth=2.5 if peer in ("service", "service-python") else 1.2,
            )
        axes.set_xscale("log")
        axes.set_xticks(sorted(rows), [f"{count:,}" for count in sorted(rows)], minor=False)
        axes.set_xticks([], minor=True)
        if key.endswith("_us"):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("connections")
        self._finish(figure, axes, name, title, metric.label)

    def bars(self, name: str, title: str, rows: list, key: str) -> None:
        """A group for each row, in it a bar for each peer."""
        rows = [row for row in rows if any(self._samples.values(row.name, peer, key) for peer in row.peers)]
        if not rows:
            return
        names = [peer for peer in self._peers if any(self._samples.values(row.name, peer, key) for row in rows)]
        figure, axes = self._pyplot.subplots(figsize=_SIZE)
        metric = metrics.METRICS[key]
        width = 0.85 / len(names)
        for index, peer in enumerate(names):
            for position, row in enumerate(rows):
                values = [value / metric.unit_value for value in self._samples.values(row.name, peer, key)]
                if not values:
                    continue
                middle = statistics.median(values)
                axes.bar(
                    position + (index - (len(names) - 1) / 2) * width,
                    middle,
                    width * 0.92,
                    yerr=[[middle - min(values)], [max(values) - middle]],
                    color=self._colours[peer],
                    error_kw={"elinewidth": 0.8, "capsize": 2},
                )
            axes.bar(0, 0, color=self._colours[peer], label=self._peers[peer].title)
        axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=15, fontsize=8)
        self._finish(figure, axes, name, title, metric.label)

    def series(self, name: str, title: str, row: str) -> None:
        """Resident memory over time."""
        found = [sample for sample in self._samples.all if sample.row == row and "rss_series" in sample.result]
        if not found:
            return
        figure, axes = self._pyplot.subplots(figsize=_SIZE)
        largest = 0
        for sample in found:
            seconds, sizes = zip(*sample.result["rss_series"])
            largest = max(largest, *sizes)
            axes.plot(
                seconds,
                [size / metrics.MIB for size in sizes],
                label=self._peers[sample.peer].title,
                color=self._colours[sample.peer],
            )
        axes.set_ylim(0, largest / metrics.MIB * 1.1)
        axes.set_xlabel("seconds")
        self._finish(figure, axes, name, title, "MiB")

    def _finish(self, figure, axes, name: str, title: str, label: str) -> None:
        axes.set_title(title)
        if axes.get_yscale() == "linear":
            axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel(label)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
        path = self._folder / f"{name}.svg"
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        self._pyplot.close(figure)
        self.paths.append(path)
