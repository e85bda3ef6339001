"""pytest's part of transportd: fixtures and options for tests whose sockets are in a service.

It is registered when the package is installed, and costs a run that does not use it nothing: it stands beside the
package `transportd`, not in it, so that it is imported without it.

- `transportd_service`: the service, with its `target` and `pid`. One is started for the whole run when the first test
  wants it, unless --transportd-target or the environment variable TRANSPORTD_TARGET names one.
- `transportd_loop`: a new `transportd.EventLoop` on it, closed when the test ends. An `async def` test of
  pytest-asyncio that has it among its fixtures, directly, by `usefixtures` or through others, runs on such a loop
  itself, which is then the fixture's value. So do all, with --transportd.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    import transportd
    from transportd.service import Service

__all__ = ["ServiceUnderTest"]

FACTORY_HOOK = "pytest_asyncio_loop_factories"
OLDEST_PYTEST_ASYNCIO = "1.4"


@dataclass(frozen=True)
class ServiceUnderTest:
    """What the fixture `transportd_service` gives: where the service is."""

    target: str
    """A gRPC target."""
    pid: int | None
    """Of the process that was started for this run; None when somebody else started it."""


class Plugin:
    """What a run of pytest's has of transportd: the service, and which loop an asynchronous test runs on."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._service: Service | None = None
        self._factories = LoopFactories(self)
        self._has_tests = False
        self.failure = ""

    def given_target(self) -> str:
        """Of a service that runs already; empty when there is none."""
        option: str | None = self._config.getoption("transportd_target")
        return option or os.environ.get("TRANSPORTD_TARGET", "")

    def service(self) -> ServiceUnderTest:
        """The one that runs already, or one of our own, which is started the first time."""
        if target := self.given_target():
            return ServiceUnderTest(target, None)
        if self._service is None:
            from transportd.service import Service

            service = Service(self._config.getoption("transportd_bin"))
            service.start()
            self._service = service
        return ServiceUnderTest(self._service.target, self._service.pid)

    def new_event_loop(self) -> transportd.EventLoop:
        """On the service."""
        import transportd

        service = self.service()
        if service.pid is None:
            return transportd.new_event_loop(service.target)
        # What the environment says of TLS and of who calls is for another.
        return transportd.new_event_loop(service.target, ssl=False, token="")

    def stop_service(self) -> None:
        """All loops are closed. `failure` says what was wrong with a service of our own, if anything was."""
        if self._service is None:
            return
        service, self._service = self._service, None
        status = service.stop()
        if status != 0:
            self.failure = f"transportd ended with {status}:\n{service.log.strip()}"

    @pytest.hookimpl(wrapper=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> Iterator[None]:
        """Called for each test function: pytest-asyncio asks for loop factories here, and only ours shall have one.

        It takes any implementation of its hook for an answer about all tests, so ours exists only while it is wanted.
        """
        concerned = self._config.getoption("transportd") or "transportd_loop" in metafunc.fixturenames
        if not concerned or not hasattr(self._config.hook, FACTORY_HOOK):
            return (yield)
        self._has_tests = True
        self._config.pluginmanager.register(self._factories)
        try:
            return (yield)
        finally:
            self._config.pluginmanager.unregister(self._factories)

    def pytest_collection_finish(self) -> None:
        """Called when all tests are known.

        From here on pytest-asyncio only looks whether there are factories at all: then it replaces a loop that several
        tests share when the next one is to run on another kind.
        """
        if self._has_tests:
            self._config.pluginmanager.register(self._factories)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Called when all fixtures are gone."""
        self.stop_service()
        if self.failure and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end of the report."""
        if self.failure:
            terminalreporter.section("transportd", red=True)
            terminalreporter.line(self.failure)

    def pytest_report_header(self) -> str | None:
        """Says which service is used, when that is not evident."""
        target = self.given_target()
        return f"transportd: the service at {target}" if target else None


class LoopFactories:
    """pytest-asyncio's hook."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    @pytest.hookimpl(tryfirst=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Called for an asynchronous test: on which loops it runs, by name."""
        return {"transportd": self._plugin.new_event_loop}


PLUGIN = pytest.StashKey[Plugin]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called first: the options."""
    group = parser.getgroup("transportd")
    group.addoption(
        "--transportd-target",
        metavar="TARGET",
        help="the service that tests use, a gRPC target; default: TRANSPORTD_TARGET, else one is started",
    )
    group.addoption(
        "--transportd-bin",
        metavar="PATH",
        help="the program that is started; default: TRANSPORTD_BIN, else transportd on PATH",
    )
    group.addoption(
        "--transportd",
        action="store_true",
        help="every asynchronous test of pytest-asyncio runs on a transportd event loop, not only those that say so",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Called when the options are known."""
    if config.getoption("transportd") and not hasattr(config.hook, FACTORY_HOOK):
        found = "an older one is here" if config.pluginmanager.hasplugin("asyncio") else "it is not here"
        raise pytest.UsageError(
            f"--transportd needs pytest-asyncio {OLDEST_PYTEST_ASYNCIO} or newer, and {found}: "
            f"pip install 'pytest-asyncio>={OLDEST_PYTEST_ASYNCIO}'"
        )
    config.stash[PLUGIN] = Plugin(config)
    config.pluginmanager.register(config.stash[PLUGIN])


@pytest.fixture(scope="session")
def transportd_service(pytestconfig: pytest.Config) -> ServiceUnderTest:
    """The transportd service of this run."""
    return pytestconfig.stash[PLUGIN].service()


@pytest.fixture
def transportd_loop(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, transportd_service: ServiceUnderTest
) -> Iterator[transportd.EventLoop]:
    """An event loop whose sockets are in the service: the running one in an asynchronous test, else one of its own."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None and pytestconfig.pluginmanager.hasplugin("asyncio"):
        yield running_loop(request, marker)
        return
    import asyncio

    loop = pytestconfig.stash[PLUGIN].new_event_loop()
    # As at the end of a program, its tasks, generators and executor end with it.
    debug = pytestconfig.getoption("asyncio_debug", None)  # pytest-asyncio's.
    with asyncio.Runner(debug=debug, loop_factory=lambda: loop) as runner:
        runner.get_loop()
        yield loop


def running_loop(request: pytest.FixtureRequest, marker: pytest.Mark) -> transportd.EventLoop:
    """The loop on which pytest-asyncio runs the test."""
    import transportd

    scope = marker.kwargs.get("loop_scope") or request.config.getini("asyncio_default_test_loop_scope")
    runner: Any = request.getfixturevalue(f"_{scope}_scoped_runner")
    loop = runner.get_loop()
    if not isinstance(loop, transportd.EventLoop):
        pytest.fail(
            f"this test runs on another event loop: pytest-asyncio {OLDEST_PYTEST_ASYNCIO} or newer is needed, and "
            "transportd_loop must be among the arguments of the test or of its fixtures",
            pytrace=False,
        )
    return loop
