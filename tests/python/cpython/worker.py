"""Runs the named tests of test.test_asyncio in this process, and reports each to the process that started it.

Started by run.py: one JSON object a line goes to the descriptor --report-fd, {"event": "start" | "end" | "done", …}.
SIGUSR2 ends the test that is running; SIGABRT shows where all threads are and ends the process.
"""

import argparse
import asyncio
import faulthandler
import importlib
import json
import os
import signal
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TextIO
from unittest import mock

from test import support  # type: ignore[import-not-found]

PACKAGE = "test.test_asyncio."
Failure = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Hung(SystemExit):
    """A test took too long. Event loops and unittest let a SystemExit through: it ends the test, and only the test."""


def name_of(test: unittest.TestCase) -> str:
    """The test's id as run.py says it: MODULE.CLASS.METHOD."""
    return test.id().removeprefix(PACKAGE)


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite, in its order."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def load(module: str) -> list[unittest.TestCase]:
    """The tests of one module of test.test_asyncio. Raises ImportError."""
    return list(flatten(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(PACKAGE + module))))


class Usage:
    """What a test needed of us."""

    loops = 0  # Event loops of the kind under test that were made.
    requests = 0  # What they asked the service for.


def install_loop() -> None:
    """Makes transportd's loop the one that the tests use. Theirs is made in three ways, and no test is changed for it.

    asyncio.SelectorEventLoop(selector), asyncio.SelectorEventLoop(): that name is replaced.
    asyncio.new_event_loop(), asyncio.run() and what is built on them: a policy, which use_policy() installs.
    """
    import transportd
    from transportd._session import Session

    class EventLoop(transportd.EventLoop):
        def __init__(self, selector: Any = None) -> None:
            Usage.loops += 1
            super().__init__(selector=selector)

    request = Session.request

    def counted(session: Session, *args: Any, **keywords: Any) -> int:
        Usage.requests += 1
        return request(session, *args, **keywords)

    mock.patch.object(Session, "request", counted).start()
    mock.patch.object(asyncio, "SelectorEventLoop", EventLoop).start()


class Policy(asyncio.DefaultEventLoopPolicy):
    """Stock but for the loops that it makes."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()


def use_policy() -> None:
    """Before each test: the modules' tearDownModule and a few tests go back to the default policy.

    As after any other test it has no current loop and makes none: one test of 3.12 needs that, and comes first when
    what is excluded is not run.
    """
    if not isinstance(asyncio.get_event_loop_policy(), Policy):
        asyncio.set_event_loop_policy(Policy())
        asyncio.set_event_loop(None)


class Result(unittest.TextTestResult):
    """Reports to run.py, too."""

    def __init__(self, *args: Any, report: TextIO, loop: str, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._report = report
        self._loop = loop
        self._outcome = "passed"
        self._detail = ""

    def send(self, event: str, **fields: Any) -> None:
        self._report.write(json.dumps({"event": event, **fields}) + "\n")
        self._report.flush()

    def startTest(self, test: unittest.TestCase) -> None:
        self._outcome, self._detail = "passed", ""
        support.environment_altered = False
        Usage.loops = Usage.requests = 0
        if self._loop == "transportd":
            use_policy()
        self.send("start", test=name_of(test))
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        if self._outcome == "passed" and support.environment_altered:
            self._outcome = "failed"
            self._detail = "left a thread or a process behind: the warning that begins with 'Warning --'"
        self._end(name_of(test), self._outcome, self._detail)

    def addError(self, test: unittest.TestCase, err: Failure) -> None:
        super().addError(test, err)
        self._failed(test, err)

    def addFailure(self, test: unittest.TestCase, err: Failure) -> None:
        super().addFailure(test, err)
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Failure | None) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        method = getattr(test, getattr(test, "_testMethodName", ""), None)
        decorated = any(getattr(marked, "__unittest_skip__", False) for marked in (type(test), method))
        # A test that looks at the machine is decorated; one that gives up while it runs may have met a defect.
        self._outcome, self._detail = ("skipped" if decorated else "gave up"), reason

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._outcome, self._detail = "failed", "passed, which its decorator does not expect"

    def _failed(self, test: unittest.TestCase, err: Failure) -> None:
        outcome = "hung" if err[0] is Hung else "failed"
        detail = f"{getattr(err[0], '__name__', '')}: {err[1]}".splitlines()[0]
        if hasattr(test, "_testMethodName"):
            self._outcome, self._detail = outcome, detail
        else:  # unittest's stand-in for a class's or a module's fixture: no test has started.
            self._end(str(test), outcome, detail)

    def _end(self, name: str, outcome: str, detail: str) -> None:
        used = "the service" if Usage.requests else "the loop" if Usage.loops else "nothing"
        self.send("end", test=name, outcome=outcome, detail=detail, used=used)


def on_hung(_number: int, _frame: FrameType | None) -> None:
    """SIGUSR2's handler."""
    raise Hung("took too long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=("transportd", "asyncio"), required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--verbosity", type=int, default=1)
    parser.add_argument("tests", type=Path, help="a file: a JSON list of ids")
    options = parser.parse_args()
    os.set_inheritable(options.report_fd, False)
    faulthandler.enable()
    signal.signal(signal.SIGUSR2, on_hung)

    wanted: list[str] = json.loads(options.tests.read_text())
    chosen = frozenset(wanted)
    modules = dict.fromkeys(name.partition(".")[0] for name in wanted)
    # Nobody but the suite may hold the tests: it drops each, and what that still holds, when it has run.
    suite = unittest.TestSuite(test for module in modules for test in load(module) if name_of(test) in chosen)
    if options.loop == "transportd":
        install_loop()

    with open(options.report_fd, "w", encoding="utf-8") as report:

        def make_result(*args: Any, **keywords: Any) -> Result:
            return Result(*args, report=report, loop=options.loop, **keywords)

        runner = unittest.TextTestRunner(
            stream=sys.stderr,
            verbosity=options.verbosity,
            warnings="default",
            resultclass=make_result,
        )
        result = runner.run(suite)
        assert isinstance(result, Result)
        result.send("done")


if __name__ == "__main__":
    main()
