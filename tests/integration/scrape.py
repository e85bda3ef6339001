"""GET /metrics of a service, and what stands there.

With TRANSPORTD_METRICS_FOLDER each page is also kept there, for programs that look at it: tests/deploy/monitoring.
"""

import http.client
import os
import re
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from harness import TIMEOUT

FOLDER = os.environ.get("TRANSPORTD_METRICS_FOLDER", "")
_SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(?P<name>[a-z_0-9]+)="(?P<value>(?:[^"\\]|\\.)*)"(?:,|$)')


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))


def request(path: Path, method: str, target: str) -> tuple[int, str, str]:
    """(status, content type, body) of what is asked of the Unix socket `path`."""
    connection = _UnixConnection(path)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read().decode()
    finally:
        connection.close()


@dataclass
class Page:
    """One answer."""

    text: str
    types: dict[str, str] = field(default_factory=dict)  # gauge, counter, histogram, by the metric's name.
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; those that are not there yet are 0."""
        return sum(value for sample, found, value in self.samples if sample == name and labels.items() <= found.items())

    def labels(self, name: str) -> set[str]:
        """Those of a metric's samples, but for `le`."""
        own = {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"} if self.types[name] == "histogram" else {name}
        return {label for sample, found, _ in self.samples if sample in own for label in found} - {"le"}


def parse(text: str) -> Page:
    """Strict: what promtool would not like is an error here, too."""
    page = Page(text)
    current = ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split()
            if current in page.types:
                raise AssertionError(f"twice: {line}")
            page.types[current] = kind
        elif not line.startswith("# HELP "):
            match = _SAMPLE.fullmatch(line)
            if match is None or not match["name"].startswith(current):
                raise AssertionError(f"not a sample of {current}: {line}")
            labels = {each["name"]: each["value"] for each in _LABEL.finditer(match["labels"] or "")}
            page.samples.append((match["name"], labels, float(match["value"])))
    return page


def scrape(path: Path) -> Page:
    status, content_type, text = request(path, "GET", "/metrics")
    if status != 200 or not content_type.startswith("text/plain; version=0.0.4"):
        raise AssertionError(f"{status}, {content_type}: {text}")
    if FOLDER:
        with tempfile.NamedTemporaryFile("w", dir=FOLDER, suffix=".txt", delete=False) as file:
            file.write(text)
    return parse(text)
