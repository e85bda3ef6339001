"""CPython's own tests of asyncio, run on transportd's event loop.

usage: run.py [options] [NAME …]

The tests are those of the interpreter that runs this: its package test.test_asyncio, unchanged. They run in a process
of their own, where asyncio.SelectorEventLoop and the policy make the loop under test; excluded.py says which are left
out, and why. A transportd is started for the run: it must end with status 0 and nothing left open.

Exit status: 0 all passed; 1 a test failed, hung or gave up, or the service did not end well; 2 bad usage, or something
is not installed.
"""

import argparse
import fnmatch
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from excluded import EXCLUDED, Exclusion

HERE = Path(__file__).resolve().parent
INTEGRATION = HERE.parents[1] / "integration"  # Where harness.py is.

# Those with tests that run on a loop which they take from asyncio. Left out: test_runners and others, whose loops are
# their own BaseEventLoop; test_selector_events, whose transports are the stock loop's, made by hand on a mock.
MODULES = (
    "test_base_events",
    "test_buffered_proto",
    "test_context",
    "test_events",
    "test_sendfile",
    "test_server",
    "test_sock_lowlevel",
    "test_ssl",
    "test_sslproto",
    "test_streams",
    "test_subprocess",
    "test_unix_events",
)
GOOD = frozenset({"passed", "skipped"})
GRACE_SECONDS = 10.0  # From the signal that ends a hung test to the one that ends its process.
END = "the end"  # Stands for a test, where the process of the tests fails after the last one.


@dataclass(frozen=True)
class Outcome:
    """What became of one test."""

    kind: str  # passed, skipped (by a decorator), failed, gave up (skipped itself), hung, died (its process did)
    detail: str = ""
    used: str = ""  # By the test, at most: the service, the loop, nothing


def main() -> int:
    options = parse()
    try:
        names = load_all()
    except ImportError as error:
        print(
            f"error: this interpreter has no tests of asyncio: {error}\nOn Debian: libpython3.11-testsuite",
            file=sys.stderr,
        )
        return 2
    reasons = exclusions(names) if options.loop == "transportd" or options.stale else {}
    chosen = [name for name in names if is_chosen(name, options.names, options.pattern)]
    if not chosen:
        print("error: no such test", file=sys.stderr)
        return 2
    if not options.list and options.loop == "transportd" and "TRANSPORTD_BIN" not in os.environ:
        print("error: TRANSPORTD_BIN must be the path of the transportd to test, or --loop=asyncio", file=sys.stderr)
        return 2
    if options.list:
        for name in chosen:
            print(f"{name}  # excluded: {reasons[name].reason}" if name in reasons else name)
        return 0
    if options.stale:
        return find_stale(names, chosen, reasons, options)
    excluded = [name for name in chosen if name in reasons]
    return run([name for name in chosen if name not in reasons], excluded, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="test_events, test_events.CLASS, test_events.CLASS.METHOD; wildcards")
    add("-k", dest="pattern", default="", help="only tests whose id has this in it, or matches it if it has wildcards")
    add(
        "--loop",
        choices=("transportd", "asyncio"),
        default="transportd",
        help="asyncio: the stock loop, to compare with; nothing is excluded",
    )
    add("--list", action="store_true", help="name the tests instead of running them")
    add(
        "--stale", action="store_true", help="run what is excluded: tell what would pass, and entries that name no test"
    )
    add("--limit", type=float, default=60.0, metavar="SECONDS", help="for one test; default: 60")
    add("-v", "--verbose", action="store_true", help="a line for each test")
    return parser.parse_args()


def load_all() -> list[str]:
    """The ids of all tests of MODULES, in their order."""
    from worker import load, name_of

    return [name_of(test) for module in MODULES for test in load(module)]


def exclusions(names: Iterable[str]) -> dict[str, Exclusion]:
    """Which of the tests are excluded."""
    return {
        name: exclusion
        for name in names
        for exclusion in EXCLUDED
        for pattern in exclusion.tests
        if fnmatch.fnmatchcase(name, pattern)
    }


def is_chosen(name: str, wanted: list[str], pattern: str) -> bool:
    """As the command line says."""

    def is_wanted(word: str) -> bool:
        return name == word or name.startswith(word + ".") or fnmatch.fnmatchcase(name, word)

    if pattern and not (fnmatch.fnmatchcase(name, pattern) if "*" in pattern else pattern in name):
        return False
    return not wanted or any(is_wanted(word) for word in wanted)


@contextmanager
def target(loop: str) -> Iterator[dict[str, str]]:
    """The environment of the tests. For transportd's loop a service is there, and is checked at the end."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if loop == "asyncio":
        yield environment
        return
    sys.path.insert(0, str(INTEGRATION))
    from harness import Service

    service = Service()
    try:
        yield {**environment, "TRANSPORTD_TARGET": service.target}
    finally:
        service.stop()


@dataclass
class Run:
    """The outcomes of tests that run in a process which run.py watches."""

    loop: str
    limit: float
    verbosity: int
    environment: dict[str, str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _aborted: bool = False  # The process of the tests, because a test hung.

    def all(self, names: list[str]) -> None:
        """Runs the tests. When their process dies, another goes on after the test that it died of."""
        while names:
            with tempfile.TemporaryDirectory(prefix="cpython-") as folder:
                self._process(names, Path(folder))
            names = [name for name in names if name not in self.outcomes]

    def _process(self, names: list[str], folder: Path) -> None:
        tests = folder / "tests.json"
        tests.write_text(json.dumps(names))
        scratch = folder / "scratch"  # Some tests write into the directory that they are started in.
        scratch.mkdir()
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [
                sys.executable,
                HERE / "worker.py",
                f"--loop={self.loop}",
                f"--report-fd={writing}",
                f"--verbosity={self.verbosity}",
                tests,
            ],
            stdin=subprocess.DEVNULL,
            cwd=scratch,
            env={**self.environment, "TMPDIR": str(folder)},
            pass_fds=(writing,),
        )
        os.close(writing)
        try:
            self._watch(process, reading, names)
        finally:
            os.close(reading)
            process.kill()
            process.wait()

    def _watch(self, process: subprocess.Popen[bytes], reading: int, names: list[str]) -> None:
        current: str | None = None
        started = False
        for report in self._reports(process, reading):
            match report["event"]:
                case "start":
                    current = str(report["test"])
                    started = True
                case "end":
                    current = None
                    name, kind, detail, used = (str(report[key]) for key in ("test", "outcome", "detail", "used"))
                    self.outcomes[name] = Outcome(kind, detail, used)
                case "done":
                    for name in names:
                        self.outcomes.setdefault(name, Outcome("failed", "was not run: see its class's fixture"))
        try:
            status = process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.outcomes[END] = Outcome("hung", "the process of the tests does not end")
            return
        if status == 0:
            return
        if not started:
            raise RuntimeError("the process of the tests does not start; see above")
        culprit = current or next((name for name in names if name not in self.outcomes), END)
        kind = "hung" if self._aborted else "died"
        self.outcomes[culprit] = Outcome(kind, f"the process of the tests ended with {status}")

    def _reports(self, process: subprocess.Popen[bytes], reading: int) -> Iterator[dict[str, object]]:
        """What the worker reports, until it ends or hangs. Silence is answered with ever ruder signals."""
        pending = b""
        steps: list[tuple[float, Callable[[], None]]] = []

        def abort() -> None:
            self._aborted = True
            process.send_signal(signal.SIGABRT)

        def wait_afresh() -> None:
            now = time.monotonic()
            steps[:] = [
                (now + self.limit, lambda: process.send_signal(signal.SIGUSR2)),
                (now + self.limit + GRACE_SECONDS, abort),
                (now + self.limit + 2 * GRACE_SECONDS, process.kill),
            ]

        self._aborted = False
        wait_afresh()
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            while steps:
                if not selector.select(max(0.0, steps[0][0] - time.monotonic())):
                    steps.pop(0)[1]()
                    continue
                piece = os.read(reading, 1 << 16)
                if not piece:
                    return
                wait_afresh()
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    yield json.loads(line)


def run(names: list[str], excluded: list[str], options: argparse.Namespace) -> int:
    """Runs the tests and prints the summary."""
    outcomes: dict[str, Outcome] = {}
    problem = ""
    try:
        with target(options.loop) as environment:
            runner = Run(options.loop, options.limit, 2 if options.verbose else 1, environment, outcomes)
            runner.all(names)
    except AssertionError as error:
        problem = str(error)

    bad = {name: outcome for name, outcome in outcomes.items() if outcome.kind not in GOOD}
    passed = {name: outcome for name, outcome in outcomes.items() if outcome.kind == "passed"}
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"\nCPython {version}'s tests on the loop of {options.loop}: {len(outcomes)} run, {len(excluded)} excluded")
    for kind, count in Counter(outcome.kind for outcome in outcomes.values()).most_common():
        print(f"  {kind:8} {count:4}")
    if options.loop == "transportd":
        used = Counter(outcome.used for outcome in passed.values())
        print(
            f"  Of the passed, {used['the service']} asked the service for something, {used['the loop']} made a loop "
            f"and asked for nothing, {used['nothing']} made none."
        )
        if options.verbose:
            for name, outcome in passed.items():
                if outcome.used == "the loop":
                    print(f"  asked for nothing: {name}")
    for name, outcome in bad.items():
        print(f"  {outcome.kind}: {name}  {outcome.detail}")
    if problem:
        print(f"  the service: {problem}")
    return 1 if bad or problem else 0


def find_stale(names: list[str], chosen: list[str], reasons: dict[str, Exclusion], options: argparse.Namespace) -> int:
    """Tells which entries of excluded.py are not needed."""
    nothing = [
        pattern
        for exclusion in EXCLUDED
        if sys.version_info[:2] >= exclusion.since
        for pattern in exclusion.tests
        if not fnmatch.filter(names, pattern)
    ]
    outcomes: dict[str, Outcome] = {}
    with target("transportd") as environment:
        runner = Run("transportd", options.limit, 0, environment, outcomes)
        runs = {name for name, reason in reasons.items() if not reason.calls_outside and not reason.is_race}
        runner.all([name for name in chosen if name in runs])
    needless = [name for name, outcome in outcomes.items() if outcome.kind == "passed"]
    print(f"\n{len(outcomes)} excluded tests run, {len(needless)} pass; {len(nothing)} entries name no test")
    for name in needless:
        print(f"  passes: {name}")
    for pattern in nothing:
        print(f"  names no test: {pattern}")
    return 1 if needless or nothing else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
