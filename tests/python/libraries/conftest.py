"""What the tests of libraries share: the loop that they run on and where its sockets must be, certificates, servers.

The environment chooses the loops: TRANSPORTD_TEST_LOOPS, words out of "asyncio transportd"; both when unset.
"""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import harness
import pytest
import servers

from libraries.sockets import Home
from libraries.tls import Tls

Result = TypeVar("Result")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Run(Protocol):
    """Runs a coroutine on a loop of its own, and returns what it returns."""

    def __call__(self, main: Coroutine[Any, Any, Result]) -> Result: ...


def pytest_configure(config: pytest.Config) -> None:
    # Whether a library closes what it opens, and when, is its own affair; what stays open in the service fails a test.
    config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")
    # asyncssh's, of a session that ends early.
    config.addinivalue_line("filterwarnings", "ignore:coroutine 'Queue.join' was never awaited:RuntimeWarning")


@pytest.fixture(scope="session", autouse=True)
def collected() -> Iterator[None]:
    """What is left over is found while the filter above is in force."""
    yield
    gc.collect()


@pytest.fixture(params=os.environ.get("TRANSPORTD_TEST_LOOPS", "asyncio transportd").split())
def loop_kind(request: pytest.FixtureRequest) -> str:
    """Which loop: "asyncio", the standard library's, or "transportd"."""
    return str(request.param)


@pytest.fixture
def loop_factory(loop_kind: str, request: pytest.FixtureRequest) -> LoopFactory:
    """Makes a loop of the kind under test."""
    if loop_kind == "asyncio":
        return asyncio.SelectorEventLoop
    service: harness.Service = request.getfixturevalue("service")
    import transportd

    return lambda: transportd.EventLoop(service.target)


@pytest.fixture
def home(loop_kind: str, request: pytest.FixtureRequest) -> Home:
    """The process that must own the loop's sockets."""
    if loop_kind == "asyncio":
        return Home(os.getpid())
    service: harness.Service = request.getfixturevalue("service")
    return Home(service.process.pid)


@pytest.fixture
def run(loop_factory: LoopFactory) -> Run:
    """Runs a coroutine on a loop of its own, within harness.TIMEOUT. Nothing may reach the loop's exception handler."""

    def run(main: Coroutine[Any, Any, Result]) -> Result:
        unhandled = []

        async def guarded() -> Result:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            async with asyncio.timeout(harness.TIMEOUT):
                return await main

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            result = runner.run(guarded())
        assert not unhandled
        return result

    return run


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several libraries ask the environment for a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


class WebFolder:
    """A folder to serve: "small", and "big" of 10 MiB."""

    def __init__(self, path: Path):
        self.path = path
        self.small = b"small\n"
        self.big = harness.pattern(10 << 20)
        path.chmod(0o755)
        (path / "small").write_bytes(self.small)
        (path / "big").write_bytes(self.big)


@pytest.fixture(scope="session")
def web_folder(tmp_path_factory: pytest.TempPathFactory) -> WebFolder:
    return WebFolder(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def nginx(web_folder: WebFolder, tls: Tls) -> Iterator[servers.Nginx]:
    """nginx, which serves `web_folder`."""
    with servers.nginx(web_folder.path, certificate=tls.certificate, key=tls.key) as nginx:
        yield nginx
