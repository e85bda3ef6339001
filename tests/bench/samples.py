"""Every sample of a run."""

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    row: str
    peer: str
    repeat: int  # From 0. Samples of one repeat stand side by side in time.
    seconds: float  # How long it took, with start and end.
    result: dict


@dataclass
class Samples:
    all: list[Sample] = field(default_factory=list)
    # What went wrong: row, peer, and the words of who failed.
    failures: list[tuple[str, str, str]] = field(default_factory=list)

    def of(self, row: str, peer: str) -> list[Sample]:
        return [sample for sample in self.all if (sample.row, sample.peer) == (row, peer)]

    def by_repeat(self, row: str, peer: str, metric: str) -> dict[int, float]:
        return {sample.repeat: sample.result[metric] for sample in self.of(row, peer) if metric in sample.result}

    def values(self, row: str, peer: str, metric: str) -> list[float]:
        return list(self.by_repeat(row, peer, metric).values())

    def median(self, row: str, peer: str, metric: str) -> float | None:
        values = self.values(row, peer, metric)
        return statistics.median(values) if values else None
