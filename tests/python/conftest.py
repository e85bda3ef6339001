"""What the tests of clients/python share."""

import functools
from collections.abc import Callable, Iterator

import harness
import pytest
import transportd

pytest_plugins = ["pytester"]


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
