"""What runs now, how far the run is, and how long it still takes."""

import time


class Progress:
    def __init__(self, expected_seconds: list[float]):
        """`expected_seconds`: of each cell, in order."""
        self._expected = expected_seconds
        self._done = 0
        self._start = time.monotonic()

    def begin(self, what: str) -> None:
        elapsed = self.seconds()
        # So far each cell took this much longer than was guessed.
        extra = max(0.0, elapsed - sum(self._expected[: self._done])) / max(1, self._done)
        left = sum(self._expected[self._done :]) + extra * (len(self._expected) - self._done)
        self._done += 1
        width = len(str(len(self._expected)))
        print(
            f"[{self._done:>{width}}/{len(self._expected)} {clock(elapsed)}, {clock(left)} left] {what} ",
            end="",
            flush=True,
        )

    def end(self, result: str) -> None:
        print(result, flush=True)

    def seconds(self) -> float:
        return time.monotonic() - self._start


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
