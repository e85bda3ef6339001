"""What is measured: the keys of the samples, their words and units."""

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Metric:
    key: str
    label: str
    unit_value: float = 1  # How much of the sample's unit is one of the label's.
    decimals: int = 0

    def text(self, value: float) -> str:
        return f"{value / self.unit_value:,.{self.decimals}f}"


_METRICS = (
    Metric("round_trips_per_s", "round trips/s"),
    Metric("bytes_per_s", "MiB/s", MIB),
    Metric("connections_per_s", "connections/s"),
    Metric("processes_per_s", "processes/s"),
    Metric("requests_per_s", "requests/s"),
    Metric("p50_us", "p50 us", decimals=1),
    Metric("p90_us", "p90 us", decimals=1),
    Metric("p99_us", "p99 us", decimals=1),
    Metric("max_us", "max us", decimals=1),
    Metric("lost_count", "lost"),
    Metric("connections", "connections"),
    Metric("rss_bytes_per_connection", "bytes a connection"),
    Metric("cpu_us", "us of CPU"),
    Metric("grown_bytes", "KiB grown", KIB),
    Metric("drift_bytes", "KiB of drift", KIB),
)
METRICS = {metric.key: metric for metric in _METRICS}


def text(key: str, value: float) -> str:
    """With its unit."""
    return f"{METRICS[key].text(value)} {METRICS[key].label}"
