"""The micro-benchmarks: Google Benchmark's own table, and its JSON."""

import subprocess
import sys

from processes import CannotRun
from setting import Setting


def run(options) -> int:
    """The exit status."""
    path = options.output / "micro.json"
    setting = Setting(options.build, options.output / "tools", options.seconds, options.quick)
    try:
        words = [str(setting.program("bench_micro"))]
    except CannotRun as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    words += [f"--benchmark_repetitions={options.repeat}", "--benchmark_report_aggregates_only=true"]
    words += [f"--benchmark_min_time={options.seconds / 4:g}"]
    words += [f"--benchmark_out={path}", "--benchmark_out_format=json"]
    if options.only is not None:
        words.append(f"--benchmark_filter={options.only.pattern}")
    status = subprocess.run(words, check=False).returncode
    if status != 0:
        print(f"error: bench_micro ended with status {status}", file=sys.stderr)
        return 3
    print(f"\nwritten: {path}")
    return 0
