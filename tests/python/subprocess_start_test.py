"""How a subprocess is started, and what is refused: as asyncio does it."""

import asyncio
import errno
import gc
import io
import os
import signal
import sys
import types
from pathlib import Path
from typing import IO, Any

import harness
import pytest
import transportd

from subprocess_case import (
    CAT,
    PIPE,
    STDOUT,
    Factory,
    Recorder,
    Runner,
    output_of,
    python,
    start,
)


async def refusal(*args: Any, shell_command: Any = None, **options: Any) -> BaseException:
    """What is raised; its attribute `was_factory_called`."""
    loop = asyncio.get_running_loop()
    called = []

    def factory() -> Recorder:
        called.append(1)
        return Recorder()

    if shell_command is None:
        call = loop.subprocess_exec(factory, *args, **options)
    else:
        call = loop.subprocess_shell(factory, shell_command, **options)
    with pytest.raises(Exception) as info:
        await call
    info.value.__dict__["was_factory_called"] = bool(called)
    return info.value


def closed_file() -> IO[bytes]:
    with open(os.devnull, "rb") as file:
        return file


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"universal_newlines": True}, "universal_newlines must be False"),
        ({"shell": True}, "shell must be False"),
        ({"bufsize": 1}, "bufsize must be 0"),
        ({"text": True}, "text must be False"),
        ({"encoding": "utf-8"}, "encoding must be None"),
        ({"errors": "strict"}, "errors must be None"),
    ],
)
def test_options_that_asyncio_has_not(both: Runner, options: dict[str, Any], text: str) -> None:
    error = both.run(refusal("true", **options))
    assert type(error) is ValueError
    assert str(error) == text
    assert not error.__dict__["was_factory_called"]


def test_shell_that_is_none(both: Runner) -> None:
    error = both.run(refusal(shell_command="true", shell=False))
    assert str(error) == "shell must be True"
    error = both.run(refusal(shell_command=["true"]))
    assert (type(error), str(error)) == (ValueError, "cmd must be a string")


@pytest.mark.parametrize(
    ("args", "options", "kind", "text"),
    [
        ((1,), {}, TypeError, "expected str, bytes or os.PathLike object, not int"),
        (("true", None), {}, TypeError, "expected str, bytes or os.PathLike object, not NoneType"),
        (("true",), {"cwd": 1}, TypeError, "expected str, bytes or os.PathLike object, not int"),
        (("true",), {"env": {"A": 1}}, TypeError, "expected str, bytes or os.PathLike object, not int"),
        (("true",), {"nonsense": 1}, TypeError, "Popen.__init__() got an unexpected keyword argument 'nonsense'"),
        (("true",), {"is_of_client": 1}, TypeError, "got an unexpected keyword argument 'is_of_client'"),
        (("true",), {"pipesize": 1 << 31, "stdout": PIPE}, PermissionError, "Operation not permitted"),
        (("true\0",), {}, ValueError, "embedded null byte"),
        (("true", "\0"), {}, ValueError, "embedded null byte"),
        (("true",), {"cwd": "\0"}, ValueError, "embedded null byte"),
        (("true",), {"env": {"A": "\0"}}, ValueError, "embedded null byte"),
        (("true",), {"env": {"A=B": "C"}}, ValueError, "illegal environment variable name"),
        (("true",), {"startupinfo": 1}, ValueError, "startupinfo is only supported on Windows platforms"),
        (("true",), {"creationflags": 1}, ValueError, "creationflags is only supported on Windows platforms"),
        (("true",), {"pipesize": "1"}, TypeError, "pipesize must be an integer"),
        (("true",), {"umask": "1"}, TypeError, "integer"),
        (("true",), {"process_group": "1"}, TypeError, "integer"),
        (("true",), {"user": -1}, ValueError, "User ID cannot be negative, got -1"),
        (("true",), {"user": 1.0}, TypeError, "User must be a string or an integer"),
        (("true",), {"group": -1}, ValueError, "Group ID cannot be negative, got -1"),
        (("true",), {"group": 1.0}, TypeError, "Group must be a string or an integer, not <class 'float'>"),
        (("true",), {"extra_groups": "1"}, ValueError, "Groups must be a list, not a string"),
        (("true",), {"extra_groups": [1.0]}, TypeError, "Items in extra_groups must be a string or integer, not "),
        (("true",), {"user": 1 << 32}, OverflowError, "uid is "),
        (("true",), {"user": "nobody-of-this-name"}, KeyError, "nobody-of-this-name"),
        (("true",), {"group": "nobody-of-this-name"}, KeyError, "nobody-of-this-name"),
        (("true",), {"stdin": STDOUT}, OSError, "Bad file descriptor"),
        (("true",), {"stdout": 987}, OSError, "Bad file descriptor"),
        (("true",), {"stderr": -4}, OSError, "Bad file descriptor"),
        (("true",), {"stdin": 1 << 40}, OverflowError, ""),
        (("true",), {"stdout": "file"}, AttributeError, "'str' object has no attribute 'fileno'"),
        (("true",), {"stdin": 1.0}, AttributeError, "'float' object has no attribute 'fileno'"),
        (("true",), {"stdout": types.SimpleNamespace(fileno=lambda: "1")}, TypeError, "integer"),
        (("true",), {"stderr": io.BytesIO()}, io.UnsupportedOperation, "fileno"),
        (("true",), {"stdout": closed_file()}, ValueError, "I/O operation on closed file"),
    ],
)
def test_bad_arguments(
    both: Runner, args: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    error = both.run(refusal(*args, **options))
    assert type(error) is kind
    assert text in str(error)
    assert error.__dict__["was_factory_called"]


def test_output_to_itself(both: Runner) -> None:
    """STDOUT is stderr's alone; which error that is depends on the version."""
    error = both.run(refusal("true", stdout=STDOUT))
    assert type(error) is (ValueError if sys.version_info >= (3, 13) else OSError)


def test_errors_name_the_stream_that_is_wrong(remote: Runner) -> None:
    error = remote.run(refusal("true", stdin=STDOUT))
    assert str(error) == "[Errno 9] Bad file descriptor: stdin is subprocess.STDOUT, which only stderr can be"
    error = remote.run(refusal("true", stderr=987))
    assert str(error) == "[Errno 9] Bad file descriptor: stderr is 987"


def check_os_error(error: BaseException, number: int, filename: Any) -> None:
    assert type(error) is type(OSError(number, ""))
    assert isinstance(error, OSError)
    assert error.errno == number
    assert error.strerror == os.strerror(number)
    assert error.filename == filename
    assert type(error.filename) is type(filename)


@pytest.mark.parametrize(
    "program", ["/nowhere/program", "no-such-program", b"no-such-program", Path("nowhere/program")]
)
def test_program_that_is_not_there(both: Runner, program: Any) -> None:
    check_os_error(both.run(refusal(program)), errno.ENOENT, program)


@pytest.mark.parametrize("cwd", ["/nowhere", b"/nowhere", Path("nowhere")])
def test_folder_that_is_not_there(both: Runner, cwd: Any) -> None:
    check_os_error(both.run(refusal("true", cwd=cwd)), errno.ENOENT, cwd)


def test_other_start_errors(both: Runner, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    check_os_error(both.run(refusal(str(file))), errno.EACCES, str(file))
    check_os_error(both.run(refusal("true", cwd=str(file))), errno.ENOTDIR, str(file))
    check_os_error(both.run(refusal("")), errno.EACCES, "")
    check_os_error(both.run(refusal("true", cwd="")), errno.ENOENT, "")
    check_os_error(both.run(refusal("true", executable="/nowhere/program")), errno.ENOENT, "/nowhere/program")
    check_os_error(both.run(refusal("true", "x" * (1 << 23))), errno.E2BIG, "true")
    check_os_error(both.run(refusal(shell_command="true", executable="/nowhere")), errno.ENOENT, "/nowhere")
    file.chmod(0o755)
    file.write_bytes(b"\x7fELF")
    check_os_error(both.run(refusal(str(file))), errno.ENOEXEC, str(file))
    error = both.run(refusal("true", start_new_session=True, process_group=0))
    assert isinstance(error, PermissionError)


def test_start_errors_leave_nothing_behind(both_loops: Factory) -> None:
    with Runner(loop_factory=both_loops) as runner:
        runner.run(refusal("no-such-program"))
        gc.collect()  # asyncio's own loop leaves the pipes of a start that fails to the collector.
        with open(os.devnull) as null, open(__file__) as file:
            before = os.listdir("/proc/self/fd")
            for _ in range(5):
                runner.run(refusal("no-such-program", stdin=file, stdout=None, stderr=null))
                runner.run(refusal("true", stdin=file, cwd=1))
                runner.run(refusal("true", stdin=file, stderr=987))
            assert os.listdir("/proc/self/fd") == before


def test_arguments_of_any_kind(both: Runner) -> None:
    async def main() -> None:
        code = "import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])"
        words: list[Any] = ["", "text", b"bytes\xff", Path("path"), "\udcff", "über", " *$HOME"]
        output = await output_of(Path(sys.executable), b"-I", "-c", code, *words)
        assert output.decode().strip() == str([os.fsencode(word) for word in words])

    both.run(main())


def test_shell_commands_of_any_kind(both: Runner) -> None:
    async def main() -> None:
        for command in ("printf 'ü%s' \"$0\"", "printf 'ü%s' \"$0\"".encode()):
            process = await asyncio.create_subprocess_shell(command, stdout=PIPE)
            output, _ = await process.communicate()
            assert output == "ü/bin/sh".encode()
        process = await asyncio.create_subprocess_shell("printf $0", stdout=PIPE, executable="/bin/bash")
        output, _ = await process.communicate()
        assert output == b"/bin/bash"

    both.run(main())


def test_executable_keeps_the_name(both: Runner) -> None:
    async def main() -> None:
        assert await output_of("name", "-c", "printf %s $0", executable="/bin/sh") == b"name"

    both.run(main())


def test_environment(both: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setitem(os.environb, b"OF_THIS_PROCESS", b"text \xff")
        assert b"OF_THIS_PROCESS=text \xff\0" in await output_of("env", "-0")
        assert await output_of("/usr/bin/env", env={}) == b""
        env = {"A": "1", b"B": b"\xff", "C": Path("path"), "D": ""}
        assert await output_of("env", "-0", env=env) == b"A=1\0B=\xff\0C=path\0D=\0"

    both.run(main())


def test_folder(both: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path)
        for cwd, folder in (
            (None, tmp_path),
            (tmp_path / "folder", tmp_path / "folder"),
            (b"folder", tmp_path / "folder"),
            (".", tmp_path),
        ):
            assert (await output_of("/bin/pwd", cwd=cwd)).strip() == os.fsencode(folder)

    both.run(main())


def test_path_is_searched(both: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            program = tmp_path / name / "program-of-this-test"
            program.write_text(f"#!/bin/sh\nprintf {name}\n")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/one:{os.environ['PATH']}")
        assert await output_of("program-of-this-test") == b"one"
        assert await output_of("program-of-this-test", env={"PATH": f"{tmp_path}/nowhere:{tmp_path}/two"}) == b"two"
        error = await refusal("program-of-this-test", env={})
        check_os_error(error, errno.ENOENT, "program-of-this-test")
        assert await output_of("./program-of-this-test", cwd=tmp_path / "two") == b"two"
        assert await output_of("program-of-this-test", cwd=tmp_path / "two", env={"PATH": "."}) == b"two"
        (tmp_path / "one" / "program-of-this-test").chmod(0o644)
        error = await refusal("program-of-this-test")
        check_os_error(error, errno.EACCES, "program-of-this-test")

    both.run(main())


def test_session_group_and_umask(both: Runner) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(), oct(os.umask(0)))"

    async def main() -> None:
        assert await output_of(*python(code), start_new_session=True, umask=0o27) == b"True True 0o27\n"
        assert await output_of(*python(code), process_group=0, umask=0o1077) == b"False True 0o77\n"

    both.run(main())


def test_signals_of_the_process(both: Runner) -> None:
    async def main() -> None:
        for restored, ignored in ((True, 0), (False, 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))):
            status = (await output_of("cat", "/proc/self/status", restore_signals=restored)).decode()
            found = dict(line.split(":\t", 1) for line in status.splitlines())
            assert int(found["SigIgn"], 16) == ignored
            assert int(found["SigBlk"], 16) == 0

    both.run(main())


@pytest.mark.parametrize(
    ("pipesize", "stdout"), [(1 << 40, None), (1 << 40, PIPE), (1 << 31, None), (1 << 29, None), (-(1 << 40), PIPE)]
)
def test_pipesizes_beyond_all_sizes(both: Runner, pipesize: int, stdout: int | None) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true", stdout=stdout, pipesize=pipesize)
        assert await process.wait() == 0

    both.run(main())


def test_pipesize(both: Runner) -> None:
    code = "import fcntl; print(*(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in (0, 1)))"

    async def main() -> None:
        assert await output_of(*python(code), stdin=PIPE, pipesize=8192) == b"8192 8192\n"
        assert await output_of(*python(code), stdin=PIPE, pipesize=None) == b"65536 65536\n"

    both.run(main())


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_user_and_groups(both: Runner) -> None:
    code = "import os; print(os.getresuid(), os.getresgid(), sorted(os.getgroups()))"

    async def main() -> None:
        output = await output_of(*python(code), user="nobody", group=65534, extra_groups=["daemon", 7])
        assert output == b"(65534, 65534, 65534) (65534, 65534, 65534) [1, 7]\n"
        assert await output_of(*python(code), extra_groups=[]) == b"(0, 0, 0) (0, 0, 0) []\n"

    both.run(main())


@pytest.mark.parametrize("close_fds", [True, False])
def test_no_descriptor_but_three(remote: Runner, close_fds: bool) -> None:
    async def main() -> None:
        others = [await start(*CAT) for _ in range(2)]
        code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
        output = await output_of(*python(code), stdin=PIPE, stderr=PIPE, close_fds=close_fds)
        assert output == b"[0, 1, 2, 3]\n"  # The last one is the folder.
        for other in others:
            other.transport.close()
            await other.until_lost()

    remote.run(main())


def test_what_cannot_be_done_elsewhere(remote: Runner) -> None:
    for options, text in (({"preexec_fn": print}, "preexec_fn: "), ({"pass_fds": (0,)}, "pass_fds: ")):
        error = remote.run(refusal("true", **options))
        assert isinstance(error, transportd.UnsupportedError)
        assert isinstance(error, NotImplementedError)
        assert str(error).startswith(text)


def test_context_of_the_service(service: harness.Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_PROCESS", "1")
    folder = os.getcwd()
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        assert b"OF_THIS_PROCESS" not in await output_of("env")
        assert (await output_of("pwd")).strip() == os.fsencode(folder)
        assert await output_of("/usr/bin/env", env={}) == b""

    with Runner(loop_factory=lambda: transportd.EventLoop(service.target, subprocess_context="service")) as runner:
        runner.run(main())


def test_own_folder_that_the_service_has_not(remote: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getcwd", lambda: "/only-here")
    monkeypatch.setattr(os, "getcwdb", lambda: b"/only-here")
    error = remote.run(refusal("true"))
    check_os_error(error, errno.ENOENT, "/only-here")
    assert "subprocess_context='service'" in error.__notes__[0]


def test_closed_loop(loop_factory: Factory) -> None:
    loop = loop_factory()
    coroutine = loop.subprocess_exec(Recorder, "true")
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        coroutine.send(None)
