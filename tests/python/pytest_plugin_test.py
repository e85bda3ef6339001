"""The pytest plugin: pytest runs of their own, with tests as people write them."""

import os
import re

import pytest
from transportd.service import Service

# What the tests in those runs need.
PREAMBLE = """
import asyncio
import os
import socket
import sys

import pytest
import transportd


def on_transportd():
    return isinstance(asyncio.get_running_loop(), transportd.EventLoop)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
"""


class Run:
    """pytest in a process of its own, with all warnings as errors."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeini("[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n")

    def __call__(self, source: str, *arguments: str) -> pytest.RunResult:
        self.pytester.makepyfile(PREAMBLE + source)
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:anyio", *arguments)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("TRANSPORTD_TARGET", raising=False)
    return Run(pytester)


def test_service_is_started_once_and_stopped_at_the_end(run: Run) -> None:
    result = run(
        """
def test_one(transportd_service):
    assert alive(transportd_service.pid)
    print("process", transportd_service.pid)

def test_two(transportd_service):
    host, port = transportd_service.target.removeprefix("ipv4:").rsplit(":", 1)
    socket.create_connection((host, int(port))).close()
    print("process", transportd_service.pid)
""",
        "-s",
    )
    result.assert_outcomes(passed=2)
    pids = set(re.findall(r"process (\d+)", result.stdout.str()))
    assert len(pids) == 1
    assert not os.path.exists(f"/proc/{pids.pop()}")


def test_no_service_is_started_when_none_is_wanted(run: Run) -> None:
    result = run("def test_it(): pass", "--transportd-bin=/nowhere")
    result.assert_outcomes(passed=1)


def test_a_run_without_it_does_not_import_it(run: Run) -> None:
    source = """
def test_it():
    imported = {name.split(".")[0] for name in sys.modules}
    assert "pytest_transportd" in imported
    assert not imported & {"google", "hpack"}, imported
    assert "transportd" not in imported, imported
"""
    run.pytester.makeini("")
    run.pytester.makepyfile("import sys\n" + source)
    run.pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=1)


def test_loop_of_a_synchronous_test_runs_and_is_closed(run: Run) -> None:
    result = run("""
loops = []
tasks = []

def test_one(transportd_loop):
    assert isinstance(transportd_loop, transportd.EventLoop)
    assert transportd_loop.run_until_complete(asyncio.sleep(0, "value")) == "value"
    loops.append(transportd_loop)
    tasks.append(transportd_loop.create_task(asyncio.Event().wait()))

def test_two(transportd_loop):
    assert loops[0].is_closed()
    assert tasks[0].cancelled()
    assert not transportd_loop.is_closed()
    assert transportd_loop is not loops[0]
""")
    result.assert_outcomes(passed=2)


def test_loop_works_without_pytest_asyncio(run: Run) -> None:
    run.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    result = run(
        """
def test_one(transportd_loop):
    assert transportd_loop.run_until_complete(asyncio.sleep(0, "value")) == "value"
""",
        "-p",
        "no:asyncio",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asynchronous_test_that_asks_for_the_loop_runs_on_it(run: Run, mode: str) -> None:
    result = run(
        """
@pytest.mark.asyncio
async def test_directly(transportd_loop, transportd_service):
    assert transportd_loop is asyncio.get_running_loop()
    assert on_transportd()

@pytest.mark.asyncio
@pytest.mark.usefixtures("transportd_loop")
async def test_by_name():
    assert on_transportd()

@pytest.fixture
def through(transportd_loop):
    return transportd_loop

@pytest.mark.asyncio
async def test_through_another(through):
    assert through is asyncio.get_running_loop()

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [1, 2])
async def test_with_parameters(transportd_loop, number):
    assert on_transportd()

class TestClass:
    @pytest.mark.asyncio
    async def test_method(self, transportd_loop):
        assert on_transportd()

@pytest.mark.asyncio
async def test_others_do_not():
    assert not on_transportd()

@pytest.mark.asyncio
async def test_others_with_the_service_do_not(transportd_service):
    assert not on_transportd()
""",
        f"--asyncio-mode={mode}",
        "-v",
    )
    result.assert_outcomes(passed=8)
    # The tests are named as if the loop were none of their parameters.
    result.stdout.re_match_lines([r".*::test_directly PASSED.*", r".*::test_with_parameters\[1\] PASSED.*"])


def test_the_loop_of_a_test_is_in_the_service(run: Run) -> None:
    result = run("""
def sockets(pid):
    links = (os.path.join("/proc", str(pid), "fd", name) for name in os.listdir(f"/proc/{pid}/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links)

before = []

def test_before(transportd_service):
    before.append(sockets(transportd_service.pid))

@pytest.mark.asyncio
async def test_it(transportd_loop, transportd_service):
    assert sockets(transportd_service.pid) > before[0]
""")
    result.assert_outcomes(passed=2)


def test_asynchronous_fixtures_run_on_the_loop_of_the_test(run: Run) -> None:
    result = run("""
import pytest_asyncio

@pytest_asyncio.fixture
async def loop():
    yield asyncio.get_running_loop()
    assert on_transportd()

@pytest.mark.asyncio
async def test_fixture_first(loop, transportd_loop):
    assert loop is transportd_loop is asyncio.get_running_loop()

@pytest.mark.asyncio
async def test_fixture_last(transportd_loop, loop):
    assert loop is transportd_loop is asyncio.get_running_loop()
""")
    result.assert_outcomes(passed=2)


def test_a_module_shares_a_loop_and_another_kind_does_not(run: Run) -> None:
    result = run("""
pytestmark = pytest.mark.asyncio(loop_scope="module")
loops = []

async def test_one(transportd_loop):
    loops.append(transportd_loop)

async def test_two(transportd_loop):
    assert on_transportd()
    assert transportd_loop is loops[0] is asyncio.get_running_loop()

async def test_other():
    assert not on_transportd()

async def test_again(transportd_loop):
    assert on_transportd()
""")
    result.assert_outcomes(passed=4)


def test_a_fixture_that_a_module_shares_is_made_again_for_another_kind_of_loop(run: Run) -> None:
    result = run("""
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop():
    return asyncio.get_running_loop()

async def test_ours(loop, transportd_loop):
    assert loop is transportd_loop

async def test_other(loop):
    assert loop is asyncio.get_running_loop()
    assert not on_transportd()
""")
    result.assert_outcomes(passed=2)


def test_option_puts_every_asynchronous_test_on_a_loop(run: Run) -> None:
    source = """
@pytest.mark.asyncio
async def test_it():
    assert on_transportd()

def test_synchronous():
    pass
"""
    run(source, "--transportd").assert_outcomes(passed=2)
    run(source).assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("older", [False, True])
def test_option_without_pytest_asyncio_says_what_to_install(run: Run, older: bool) -> None:
    run.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    arguments = ["-p", "no:asyncio", "--transportd"]
    if older:
        # A plugin of that name, which has not the hook.
        run.pytester.makepyfile(
            older="def pytest_load_initial_conftests(early_config):\n"
            "    early_config.pluginmanager.unblock('asyncio')\n"
            "    early_config.pluginmanager.register(object(), 'asyncio')\n"
        )
        arguments = ["-p", "older", *arguments]
    result = run("async def test_it(): pass", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    found = "an older one is here" if older else "it is not here"
    result.stderr.fnmatch_lines(
        [f"ERROR: --transportd needs pytest-asyncio 1.4 or newer, and {found}: pip install 'pytest-asyncio>=1.4'"]
    )
    assert not result.stdout.lines or "passed" not in result.stdout.str()


def test_debug_mode_is_honoured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
def test_synchronous(transportd_loop):
    assert transportd_loop.get_debug()

@pytest.mark.asyncio
async def test_asynchronous(transportd_loop):
    assert transportd_loop.get_debug()
"""
    run(source).assert_outcomes(failed=2)
    run(source, "--asyncio-debug").assert_outcomes(passed=2)
    # pytest-asyncio decides for its own tests by its option alone.
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    run(source).assert_outcomes(passed=1, failed=1)


def test_a_hook_of_the_projects_own_goes_on_for_its_other_tests(run: Run) -> None:
    run.pytester.makeconftest("""
import asyncio

class Own(asyncio.SelectorEventLoop):
    pass

def pytest_asyncio_loop_factories(config, item):
    return {"own": Own}
""")
    result = run("""
@pytest.mark.asyncio
async def test_own():
    assert type(asyncio.get_running_loop()).__name__ == "Own"

@pytest.mark.asyncio
async def test_ours(transportd_loop):
    assert on_transportd()
""")
    result.assert_outcomes(passed=2)


def test_service_of_the_run_is_not_what_the_environment_speaks_of(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSPORTD_TARGET_CA", "/nowhere/ca.pem")
    monkeypatch.setenv("TRANSPORTD_TOKEN_FILE", "/nowhere/token")
    run("def test_loop(transportd_loop): pass").assert_outcomes(passed=1)


@pytest.mark.parametrize("by", ["option", "variable"])
def test_target_that_is_given_is_used(run: Run, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Service() as service:
        monkeypatch.setenv("TRANSPORTD_TARGET", service.target if by == "variable" else "127.0.0.1:1")
        result = run(
            f"""
def test_service(transportd_service):
    assert transportd_service.target == {service.target!r}
    assert transportd_service.pid is None

def test_loop(transportd_loop):
    pass
""",
            "--transportd-bin=/nowhere",
            *([f"--transportd-target={service.target}"] if by == "option" else []),
        )
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines([f"transportd: the service at {service.target}"])


def test_no_program_is_an_error_of_the_test_that_says_what_to_do(run: Run) -> None:
    result = run("def test_it(transportd_service): pass\n\ndef test_other(): pass", "--transportd-bin=/nowhere")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.re_match_lines([r".*FileNotFoundError: /nowhere, which is not a program.*--transportd-bin.*"])


def test_a_service_that_ends_badly_fails_the_run(run: Run) -> None:
    result = run("""
def test_it(transportd_service):
    os.kill(transportd_service.pid, 9)
""")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["transportd ended with -9:*"])


def test_options_are_in_the_help(run: Run) -> None:
    result = run("", "--help")
    result.stdout.re_match_lines([r"transportd:", r"  --transportd-target=TARGET", r"  --transportd-bin=PATH"])


def test_fixtures_have_documentation(run: Run) -> None:
    result = run("", "--fixtures")
    result.stdout.re_match_lines([r"transportd_service \[session scope\].*", r"transportd_loop .*"])
