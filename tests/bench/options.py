"""The options of tests/bench/run."""

import argparse
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DESCRIPTION = """\
Starts transportd and other programs that carry bytes (HAProxy, ssh -L, socat, raw gRPC, chisel) on this machine, runs the
same work through each in turn, several times, and prints medians, their spread, and how transportd compares.
The first time it installs what it needs (Debian 12, as root or with sudo) and builds preset release."""

EXAMPLES = """\
examples:
  tests/bench/run --quick --check         the required ratios alone, in two minutes
  tests/bench/run                         everything, in about half an hour; the curves, too
  tests/bench/run --only '^echo-64B'      some rows; --list names them
  tests/bench/run --only soak --soak      ten minutes of mixed load, and whether memory grows
  tests/bench/run --python --check        the Python client's loop beside asyncio's own and uvloop, in seven minutes
  tests/bench/run --micro --only Frame    micro-benchmarks alone

Results: results.json, with --python python.json (every sample, and this machine) and one SVG per curve, in build/bench
  or --output.
Nothing else should run on the machine meanwhile.

exit status: 0 measured, and with --check every requirement of the rows is reached; 1 with --check: one was missed, the last
  lines name it; 2 bad usage; 3 something could not run: which, and what to do, is said; 130 stopped by Ctrl-C"""


def number(least: float, most: float, kind):
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return value

    return parse


def expression(text: str) -> re.Pattern:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {error}") from None


def parse(words: list[str] | None = None) -> argparse.Namespace:
    width = shutil.get_terminal_size((120, 24)).columns
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width, max_help_position=20),
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="within two minutes: only the rows that have ratios, short and few samples")
    add("--check", action="store_true", help="exit status 1 when a requirement of the rows is missed")
    add("--only", metavar="REGEX", type=expression, help="only rows whose name matches")
    add("--repeat", metavar="N", type=number(1, 100, int), help="samples of each row and peer. Default: 5; --quick: 3")
    add(
        "--seconds",
        metavar="S",
        type=number(0.1, 600, float),
        help="how long one sample is measured. Default: 1; --quick: 0.6",
    )
    add("--soak", action="store_true", help="also ten minutes of mixed load")
    add("--micro", action="store_true", help="instead of all that: the micro-benchmarks; --only chooses among these")
    add(
        "--python",
        action="store_true",
        help="instead of all that: rows of a load generator in Python, on the Python client's event loop, asyncio's and uvloop's",
    )
    add("--output", metavar="DIR", type=Path, default=ROOT / "build/bench", help="for the results. Default: build/bench")
    add("--list", action="store_true", help="name the rows and who runs them, and end")
    add("--no-install", action="store_true", help="take the machine as it is: install no packages")
    add(
        "--build",
        metavar="DIR",
        type=Path,
        help="measure the programs of this build folder, and build nothing. Default: build/release, built. --python keeps "
        "its virtual environment there",
    )
    options = parser.parse_args(words)
    if options.python and (options.micro or options.soak):
        parser.error(f"--python: its rows are none of --{'micro' if options.micro else 'soak'}; leave out one of the two")
    if options.micro and options.check:
        parser.error("--check: no requirement is about the micro-benchmarks; leave out --check or --micro")
    options.repeat = options.repeat or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.6 if options.quick else 1.0)
    options.build = options.build or ROOT / "build/release"
    return options
