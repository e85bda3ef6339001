"""stdin, stdout and stderr of a subprocess that are files of this process, as asyncio has them."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import pty
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import harness
import pytest
import transportd

from subprocess_case import (
    BLOCKED,
    CAT,
    DEVNULL,
    MUCH_BYTES,
    PIPE,
    STDOUT,
    Factory,
    Runner,
    kill,
    output_of,
    python,
    start,
)


async def run(*args: Any, **options: Any) -> int:
    process = await asyncio.create_subprocess_exec(*args, **options)
    return await process.wait()


def opened(path: str, mode: str = "rb") -> IO[bytes]:
    return open(path, mode, buffering=0)


def read_all(fd: int) -> bytes:
    """Until the end, which a terminal tells by EIO."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := os.read(fd, 1 << 16):
            data += piece
    os.close(fd)
    return data


class Reader(threading.Thread):
    """Reads all of it, elsewhere."""

    def __init__(self, fd: int):
        super().__init__()
        self._fd = fd
        self._data = b""
        self.start()

    def run(self) -> None:
        self._data = read_all(self._fd)

    def data(self) -> bytes:
        self.join()
        return self._data


def pipe() -> tuple[int, int]:
    return os.pipe()


def sockets() -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def terminal() -> tuple[int, int]:
    reader, writer = pty.openpty()
    tty.setraw(writer)
    return reader, writer


EACH_KIND = pytest.mark.parametrize("make", [pipe, sockets, terminal])
Ends = Callable[[], tuple[int, int]]


# Output


@EACH_KIND
def test_output_to_a_descriptor(both: Runner, make: Ends) -> None:
    async def main() -> None:
        reader, writer = make()
        os.set_blocking(writer, True)
        thread = Reader(reader)
        size = 3 << 20 if make is not terminal else 1 << 18
        recorder = await start(*python(f"import os; os.write(1, bytes({size})); os.write(1, b'end')"), stdout=writer)
        assert recorder.transport.get_pipe_transport(1) is None
        await recorder.until_lost()
        assert os.get_blocking(writer)
        os.close(writer)
        assert thread.data() == bytes(size) + b"end"
        assert recorder.returncode == 0
        assert not [heard for heard in recorder.heard if heard[:2] == ("pipe_connection_lost", 1)]
        recorder.transport.close()

    both.run(main())


@pytest.mark.parametrize("blocks", [True, False])
@EACH_KIND
def test_output_that_nobody_reads_stops_the_process_and_nothing_else(both: Runner, make: Ends, blocks: bool) -> None:
    async def main() -> None:
        reader, writer = make()
        os.set_blocking(writer, blocks)
        size = 8 << 20 if make is not terminal else 2 << 20
        code = f"import os; os.set_blocking(1, True); os.write(1, bytes({size})); os.write(2, b'done')"
        recorder = await start(*python(code), stdout=writer)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recorder.when(lambda: bool(recorder.data[2])), 0.2)
        assert os.get_blocking(writer) == blocks or make is sockets or both_is_asyncio()
        os.close(writer)
        thread = Reader(reader)
        await recorder.until_lost()
        assert recorder.data[2] == b"done"
        assert len(thread.data()) == size
        recorder.transport.close()

    def both_is_asyncio() -> bool:
        return not isinstance(both.get_loop(), transportd.EventLoop)

    both.run(main())


def test_output_to_a_file(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        with path.open("wb", buffering=0) as file:
            file.write(b"before\n")
            assert await run("sh", "-c", "echo out; echo error >&2", stdout=file, stderr=file) == 0
            file.write(b"between\n")
            assert await run(*python(f"import os; os.write(1, bytes({MUCH_BYTES}))"), stdout=file.fileno()) == 0
            file.write(b"after\n")
        assert path.read_bytes() == b"before\nout\nerror\nbetween\n" + bytes(MUCH_BYTES) + b"after\n"
        with path.open("a") as file:
            assert await run("echo", "appended", stdout=file) == 0
        assert path.read_bytes().endswith(b"after\nappended\n")

    both.run(main())


def test_output_of_one_process_stays_in_order(both: Runner, tmp_path: Path) -> None:
    code = "import os\nfor number in range(2000): os.write(1 + number % 2, b'%d ' % number)"

    async def main() -> None:
        expected = b"".join(b"%d " % number for number in range(2000))
        path = tmp_path / "file"
        with path.open("wb") as file:
            other = os.dup(file.fileno())
            assert await run(*python(code), stdout=file, stderr=other) == 0
            os.close(other)
        assert path.read_bytes() == expected
        reader, writer = os.pipe()
        other = os.dup(writer)
        assert await run(*python(code), stdout=writer, stderr=other) == 0
        os.close(writer)
        os.close(other)
        assert read_all(reader) == expected

    both.run(main())


def test_two_files_stay_two(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "out").open("w") as out, (tmp_path / "error").open("w") as error:
            assert await run("sh", "-c", "echo out; echo error >&2", stdout=out, stderr=error) == 0
        assert (tmp_path / "out").read_text() == "out\n"
        assert (tmp_path / "error").read_text() == "error\n"
        with (tmp_path / "out").open("w") as out, (tmp_path / "out").open("r+") as error:
            out.write("0123456789")
            out.flush()
            assert await run("sh", "-c", "echo out; echo e >&2", stdout=out, stderr=error) == 0
        assert (tmp_path / "out").read_text() == "e\n23456789out\n"

    both.run(main())


def test_error_stream_goes_where_output_goes(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "file").open("w") as file:
            assert await run("sh", "-c", "echo out; echo error >&2", stdout=file, stderr=STDOUT) == 0
        assert (tmp_path / "file").read_text() == "out\nerror\n"

    both.run(main())


def test_reader_that_goes_away(both: Runner) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda *report: reports.append(report))
        for make in (pipe, sockets):
            reader, writer = make()
            process = await asyncio.create_subprocess_exec("yes", stdout=writer, stdin=PIPE)
            os.close(writer)
            await asyncio.to_thread(os.read, reader, 1)
            os.close(reader)
            # A socket tells a local process first that data was not read.
            assert await process.wait() in (-signal.SIGPIPE, 1)
        assert not reports

    both.run(main())


def test_output_to_a_disk_that_is_full(remote: Runner) -> None:
    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        with opened("/dev/full", "wb") as file:
            assert await run("yes", stdout=file) == -signal.SIGPIPE
        (report,) = reports
        assert report["exception"].errno == errno.ENOSPC

    remote.run(main())


@pytest.mark.parametrize("stderr", [None, DEVNULL])
def test_program_in_the_background_is_not_waited_for(both: Runner, tmp_path: Path, stderr: int | None) -> None:
    async def main() -> None:
        os.mkfifo(tmp_path / "go")
        reader, writer = os.pipe()
        command = f"(read line <'{tmp_path}/go'; echo late) & echo early; exit 3"
        recorder = await start("sh", "-c", command, stdout=writer, stdin=DEVNULL, stderr=stderr)
        os.close(writer)
        await recorder.until_lost()
        assert recorder.returncode == 3
        assert os.read(reader, 100) == b"early\n"
        recorder.transport.close()
        (tmp_path / "go").write_text("\n")
        late = await asyncio.to_thread(read_all, reader)
        assert late == b"late\n"

    both.run(main())


def test_program_in_the_background_that_never_stops_writing(both: Runner) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        thread = threading.Thread(target=read_all, args=(reader,))
        thread.start()
        recorder = await start("sh", "-c", "yes 2>&- & echo $! >&2; exit 3", stdout=writer, stdin=DEVNULL)
        os.close(writer)
        await recorder.until_lost()
        os.kill(int(recorder.data[2]), signal.SIGKILL)
        await asyncio.to_thread(thread.join)
        assert recorder.returncode == 3
        recorder.transport.close()

    both.run(main())


# This process's own


OWN = textwrap.dedent("""
    import asyncio, sys, transportd
    async def main():
        process = await asyncio.create_subprocess_exec(*sys.argv[2:])
        assert process.stdin is process.stdout is process.stderr is None
        return await process.wait()
    if sys.argv[1] == "asyncio":
        sys.exit(asyncio.run(main()))
    sys.exit(transportd.run(main(), target=sys.argv[1]))
""")


@pytest.fixture
def own(both_loops: Factory, service: harness.Service) -> tuple[str, ...]:
    """A program that runs another, whose streams are its own."""
    loop = "asyncio" if both_loops is asyncio.SelectorEventLoop else service.target
    return (sys.executable, "-c", OWN, loop)


BOTH_STREAMS = ("sh", "-c", "echo out; echo error >&2; echo more; exit 3")


@EACH_KIND
def test_own_streams(own: tuple[str, ...], make: Ends) -> None:
    reader, writer = make()
    thread = Reader(reader)
    assert subprocess.call([*own, *BOTH_STREAMS], stdout=writer, stderr=writer, stdin=DEVNULL) == 3
    os.close(writer)
    assert thread.data() == b"out\nerror\nmore\n"


def test_own_streams_that_are_apart(own: tuple[str, ...], tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run([*own, *BOTH_STREAMS], stdout=out, stderr=PIPE, stdin=DEVNULL, check=False)
    assert (tmp_path / "out").read_bytes() == b"out\nmore\n"
    assert (done.returncode, done.stderr) == (3, b"error\n")


def test_own_streams_that_are_closed(own: tuple[str, ...]) -> None:
    # What the loop opens then takes these numbers.
    command = ("sh", "-c", 'exec "$@" >&- 2>&- 0<&-', "sh", *own, "sh", "-c", "echo out; echo error >&2; exit 3")
    assert subprocess.call(command) == 3


REPLACED = textwrap.dedent("""
    import asyncio, os, sys, transportd
    async def main():
        process = await asyncio.create_subprocess_exec("sh", "-c", "echo out; exit 3")
        return await process.wait()
    reader, writer = os.pipe()
    os.dup2(writer, 1, inheritable=False)
    if sys.argv[1] == "asyncio":
        status = asyncio.run(main())
    else:
        status = transportd.run(main(), target=sys.argv[1])
    os.close(1)
    os.close(writer)
    sys.exit(status if not os.read(reader, 1) else 1)
""")


def test_own_stream_that_is_something_else_by_now(own: tuple[str, ...]) -> None:
    assert subprocess.call([sys.executable, "-c", REPLACED, own[-1]], stderr=DEVNULL) == 3


def test_own_input_is_not_read(loop_factory: Factory, service: harness.Service) -> None:
    command = (sys.executable, "-c", OWN, service.target, "cat")
    process = subprocess.run(command, input=b"input", stdout=PIPE, check=True)
    assert process.stdout == b""


# Input


@EACH_KIND
def test_input_from_a_descriptor(both: Runner, make: Ends) -> None:
    async def main() -> None:
        source, target = reversed(make()) if make is terminal else make()
        sent = os.urandom(500).hex().encode() * (1 if make is terminal else 2000)
        process = await asyncio.create_subprocess_exec("head", "-c", str(len(sent)), stdin=source, stdout=PIPE)
        os.close(source)
        os.set_blocking(target, True)
        writing = asyncio.create_task(asyncio.to_thread(os.write, target, sent))
        output, _ = await process.communicate()
        assert await writing == len(sent)
        os.close(target)
        assert output == sent
        assert process.stdin is None

    both.run(main())


@pytest.mark.parametrize("make", [pipe, sockets])
def test_end_of_the_input(both: Runner, make: Ends) -> None:
    async def main() -> None:
        source, target = make()
        process = await asyncio.create_subprocess_exec(*CAT, stdin=source, stdout=PIPE)
        os.close(source)
        assert process.stdout is not None
        for sent in (b"one", b"two"):
            os.write(target, sent)
            assert await process.stdout.read(100) == sent
        os.close(target)
        assert await process.stdout.read() == b""
        assert await process.wait() == 0

    both.run(main())


def test_input_from_a_file(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        content = os.urandom(1 << 16) * (MUCH_BYTES >> 16)
        path.write_bytes(content)
        with path.open("rb") as file:
            assert await output_of(*CAT, stdin=file) == content
        with path.open("rb", buffering=0) as file:
            file.seek(-10, os.SEEK_END)
            assert await output_of(*CAT, stdin=file.fileno()) == content[-10:]
            assert await output_of(*CAT, stdin=file.fileno()) == b""
        with opened(os.devnull) as null:
            assert await output_of(*CAT, stdin=null) == b""

    both.run(main())


def test_input_that_the_process_does_not_want(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        path.write_bytes(b"line\n" * 1000000)
        with path.open("rb") as file:
            assert await output_of("head", "-n", "1", stdin=file) == b"line\n"
        with opened("/dev/zero") as zero:
            assert await run("head", "-c", "1", stdin=zero, stdout=DEVNULL) == 0
        reader, writer = os.pipe()
        process = await asyncio.create_subprocess_exec("true", stdin=reader)
        assert await process.wait() == 0
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"data")
        os.close(writer)

    both.run(main())


def test_input_is_read_only_as_fast_as_the_process_wants_it(both: Runner) -> None:
    async def main() -> None:
        source, target = os.pipe()
        os.set_blocking(target, False)
        loop = asyncio.get_running_loop()
        recorder = await start("sh", "-c", "kill -STOP $$; cat", stdin=source, stdout=DEVNULL)
        os.close(source)
        written = 0
        changed = asyncio.Event()

        def write() -> None:
            nonlocal written
            written += os.write(target, bytes(1 << 16))
            changed.set()

        async def wait(goal: int) -> None:
            while written < goal:
                changed.clear()
                await asyncio.wait_for(changed.wait(), 0.2)

        loop.add_writer(target, write)
        with pytest.raises(TimeoutError):
            await wait(MUCH_BYTES)
        recorder.transport.send_signal(signal.SIGCONT)
        await wait(2 * MUCH_BYTES)
        loop.remove_writer(target)
        os.close(target)
        await recorder.until_lost()
        assert recorder.returncode == 0
        recorder.transport.close()

    both.run(main())


def test_input_that_cannot_be_read(remote: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        folder = os.open(tmp_path, os.O_RDONLY)
        assert await output_of(*CAT, stdin=folder) == b""
        os.close(folder)
        assert [report["exception"].errno for report in reports] == [errno.EISDIR]

    remote.run(main())


@pytest.mark.parametrize("kind", ["file", "pipe", "terminal"])
@pytest.mark.parametrize("writes", [False, True])
def test_stream_that_is_open_the_wrong_way(both: Runner, tmp_path: Path, kind: str, writes: bool) -> None:
    """As the input what can only be written, or the other way round: it is neither read nor written, and that is told.

    In asyncio the process is told, EBADF. Here it is the loop's exception handler, and the process's pipe ends.
    """

    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        with contextlib.ExitStack() as stack:
            mode = os.O_RDONLY if writes else os.O_WRONLY
            others = []
            if kind == "file":
                (tmp_path / "file").write_bytes(b"as it was")
                fd = os.open(tmp_path / "file", mode)
            elif kind == "pipe":
                reading, writing = os.pipe()
                fd, other = (reading, writing) if writes else (writing, reading)
                others.append(other)
            else:
                others += pty.openpty()
                tty.setraw(others[1])
                fd = os.open(os.ttyname(others[1]), mode | os.O_NOCTTY)
            for each in (fd, *others):
                stack.callback(os.close, each)
            if not writes and kind == "terminal":
                os.write(others[0], b"for another")
            elif not writes and kind == "pipe":
                os.write(fd, b"for another")
            if writes:
                status = await asyncio.wait_for(run(*python("print('x' * 100)"), stdout=fd, stderr=DEVNULL), 10)
            else:
                process = await asyncio.create_subprocess_exec(*CAT, stdin=fd, stdout=PIPE, stderr=DEVNULL)
                output, _ = await asyncio.wait_for(process.communicate(), 10)
                assert output == b""
                status = process.returncode or 0
            if isinstance(asyncio.get_running_loop(), transportd.EventLoop):
                assert [report["exception"].errno for report in reports] == [errno.EBADF]
                assert "writing only" in str(reports[0]["exception"]) or writes
            else:
                assert status != 0
            if kind == "file":
                assert (tmp_path / "file").read_bytes() == b"as it was"
                return
            # What was for others is there, and nothing else.
            source = fd if writes and kind == "pipe" else others[1] if not writes and kind == "terminal" else others[0]
            os.set_blocking(source, False)
            if writes:
                with pytest.raises(BlockingIOError):
                    os.read(source, 100)
            else:
                assert os.read(source, 100) == b"for another"

    both.run(main())


def test_programs_in_a_row(both: Runner) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        first = await asyncio.create_subprocess_exec("seq", "100000", stdout=writer)
        os.close(writer)
        second = await asyncio.create_subprocess_exec("wc", "-l", stdin=reader, stdout=PIPE)
        os.close(reader)
        output, _ = await second.communicate()
        assert output == b"100000\n"
        assert await first.wait() == 0

    both.run(main())


# Nothing is left


def test_descriptors_are_closed(both: Runner) -> None:
    async def once() -> None:
        with opened(__file__) as file, opened(os.devnull, "r+b") as null:
            for stdin in (file, null, None, DEVNULL, PIPE):
                reader, writer = os.pipe()
                process = await asyncio.create_subprocess_exec("true", stdin=stdin, stdout=writer, stderr=null)
                os.close(writer)
                if process.stdin is not None:
                    process.stdin.close()
                assert await process.wait() == 0
                assert os.read(reader, 1) == b""
                os.close(reader)

    both.run(once())
    before = sorted(os.listdir("/proc/self/fd"))
    both.run(once())
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_loop_that_is_closed_lets_go_of_descriptors(loop_factory: Factory) -> None:
    reader, writer = os.pipe()
    source, target = os.pipe()

    def run() -> None:
        with Runner(loop_factory=loop_factory) as runner:
            process = runner.run(asyncio.create_subprocess_exec("yes", stdin=source, stdout=writer))
        os.close(writer)
        os.close(source)
        read_all(reader)
        with pytest.raises(BrokenPipeError):
            os.write(target, b"data")
        os.close(target)
        del process
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed transport <SubprocessTransport"):
        run()


def test_service_that_is_lost(mortal: harness.Service) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        source, target = os.pipe()
        filling = bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
        os.write(writer, filling)
        command = "read line; echo one; echo done >&2; sleep 3600"
        recorder = await start("sh", "-c", command, stdin=source, stdout=writer)
        os.close(writer)
        os.close(source)
        os.write(target, b"\n")
        await recorder.when(lambda: bool(recorder.data[2]))
        recorder.transport.send_signal(0)  # Its answer comes behind the output.
        await asyncio.sleep(0)
        kill(mortal)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recorder.until_lost(), 0.1)
        assert await asyncio.to_thread(read_all, reader) == filling + b"one\n"
        await recorder.until_lost()
        with pytest.raises(BrokenPipeError):
            os.write(target, b"data")
        os.close(target)
        recorder.transport.close()

    with Runner(loop_factory=lambda: transportd.EventLoop(mortal.target)) as runner:
        runner.run(main())


def test_process_that_is_closed_while_it_writes(both: Runner) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        recorder = await start(*BLOCKED, stdout=writer, stdin=DEVNULL)
        os.close(writer)
        recorder.transport.close()
        await recorder.until_lost()
        assert recorder.returncode == -9
        assert read_all(reader) == b""

    both.run(main())
