"""What the tests of clients/python share."""

import asyncio
import functools
import gc
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator

import harness
import pytest
import transportd

from certificates import Certificate

pytest_plugins = ["pytester"]

pytest.register_assert_rewrite("differential")
import differential  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The folders of `tmp_path` are a run's own, so that several runs go on beside one another, and nothing is left."""
    if config.option.basetemp is None:
        folder = tempfile.mkdtemp(prefix="transportd-tests-")
        config.option.basetemp = folder
        config.add_cleanup(functools.partial(shutil.rmtree, folder, ignore_errors=True))


@pytest.fixture(scope="module")
def service() -> Iterator[harness.Service]:
    """A transportd for the tests of one file, which must survive them: no descriptor left, SIGTERM ends it orderly."""
    service = harness.Service()
    yield service
    service.stop()


@pytest.fixture
def loop_factory(service: harness.Service) -> Callable[[], transportd.EventLoop]:
    """As asyncio.Runner takes it: a new event loop whose sockets are in `service`."""
    return functools.partial(transportd.new_event_loop, service.target)


@pytest.fixture(params=["asyncio", "transportd"])
def both_loops(request: pytest.FixtureRequest) -> Callable[[], asyncio.SelectorEventLoop]:
    """What `loop_factory` gives, and asyncio's own loop, whose behaviour is the right one."""
    if request.param == "asyncio":
        return asyncio.SelectorEventLoop
    factory: Callable[[], transportd.EventLoop] = request.getfixturevalue("loop_factory")
    return factory


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of a server."""
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def same(loop_factory: Callable[[], transportd.EventLoop]) -> differential.Same:
    """Runs a scenario on asyncio's own loop and on transportd's, and compares what happens."""
    return differential.Same(loop_factory)


@pytest.fixture
def left_open() -> Iterator[None]:
    """What the stock loop leaves open is collected here, where nobody is warned of it."""
    warnings.simplefilter("ignore", ResourceWarning)
    yield
    gc.collect()


@pytest.fixture
def both(both_loops: Callable[[], asyncio.SelectorEventLoop]) -> Iterator[asyncio.Runner]:
    """Runs on either of `both_loops`."""
    with asyncio.Runner(loop_factory=both_loops) as runner:
        yield runner


@pytest.fixture
def remote(loop_factory: Callable[[], transportd.EventLoop]) -> Iterator[asyncio.Runner]:
    """Runs on what `loop_factory` gives."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        yield runner


@pytest.fixture
def mortal() -> Iterator[harness.Service]:
    """A service that the test kills."""
    service = harness.Service()
    yield service
    if service.process.poll() is None:
        service.stop()
    else:
        service.remove_folder()
