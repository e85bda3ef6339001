"""Pipes: ServicePipe on this loop beside the same pipe, opened here, on asyncio's."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import transportd
from transportd import ServicePipe
from transportd._stream import ReadPipeTransport
from transportd.service import Service

from recorders import LoopFactory, StreamRecorder, exceptions_of, run, soon, until

KIB = 1024


def reads(transport: Any) -> bool | None:
    """None: asyncio's pipes could not tell before 3.11.4."""
    if sys.version_info < (3, 11, 4) and not isinstance(transport, ReadPipeTransport):
        return None
    is_reading: bool = transport.is_reading()
    return is_reading


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@contextlib.contextmanager
def opened(path: Path | str, mode: int) -> Iterator[int]:
    """The test's own end. It does not wait for the other."""
    fd = os.open(path, mode | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield fd
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)


def pipe_of(path: Path | str, mode: int) -> Any:
    """What connect_read_pipe and connect_write_pipe of the running loop take."""
    if isinstance(asyncio.get_running_loop(), transportd.EventLoop):
        return ServicePipe(path)
    return open(os.open(path, mode | os.O_NONBLOCK | os.O_NOCTTY), "rb" if mode == os.O_RDONLY else "wb", buffering=0)


@contextlib.asynccontextmanager
async def reading(
    path: Path | str, factory: Callable[[], StreamRecorder] = StreamRecorder
) -> AsyncIterator[StreamRecorder]:
    transport, protocol = await asyncio.get_running_loop().connect_read_pipe(factory, pipe_of(path, os.O_RDONLY))
    assert protocol.transport is transport
    assert protocol.events == ["made"]
    assert not protocol.data
    try:
        yield protocol
    finally:
        transport.close()
        await protocol.wait_lost()


@contextlib.asynccontextmanager
async def writing(
    path: Path | str, factory: Callable[[], StreamRecorder] = StreamRecorder
) -> AsyncIterator[StreamRecorder]:
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(factory, pipe_of(path, os.O_WRONLY))
    assert protocol.transport is transport
    try:
        yield protocol
    finally:
        if not protocol.lost.done():
            transport.abort()
        await protocol.wait_lost()


def read_some(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 20)
    except BlockingIOError:
        return b""


async def read_exactly(fd: int, size: int) -> bytes:
    data = bytearray()

    def more() -> bool:
        data.extend(read_some(fd))
        return len(data) >= size

    await until(more)
    return bytes(data)


# Reading


def test_read(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo) as protocol:
                transport = protocol.transport
                assert isinstance(transport, asyncio.ReadTransport)
                assert not isinstance(transport, asyncio.WriteTransport)
                assert not hasattr(transport, "write")
                assert transport.get_protocol() is protocol
                assert reads(transport) is not False
                pipe = transport.get_extra_info("pipe")
                assert pipe is not None
                assert pipe is transport.get_extra_info("pipe")
                assert transport.get_extra_info("socket") is None
                os.write(writer, b"one")
                assert await protocol.wait_data(3) == b"one"
                os.write(writer, b"two")
                assert await protocol.wait_data(6) == b"onetwo"
                os.write(writer, b"end")
                os.close(writer)
                assert await protocol.wait_lost() is None
                assert protocol.data == b"onetwoend"
                assert protocol.events == ["made", "eof", "lost"]
                assert transport.is_closing()
                assert not reads(transport)
                transport.close()
                transport.pause_reading()
                transport.resume_reading()

    run(both_loops, main)


def test_the_end_cannot_be_kept_open(both_loops: LoopFactory, fifo: Path) -> None:
    class KeepOpen(StreamRecorder):
        keep_open = True

        def eof_received(self) -> bool:
            assert self.transport.is_closing()
            return super().eof_received()

    async def main() -> None:
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo, KeepOpen) as protocol:
                os.close(writer)
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "eof", "lost"]

    run(both_loops, main)


def test_read_much(both_loops: LoopFactory, fifo: Path) -> None:
    data = os.urandom(3 << 20)

    def write(fd: int) -> None:
        os.set_blocking(fd, True)
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.close(fd)

    async def main() -> None:
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo) as protocol:
                await asyncio.get_running_loop().run_in_executor(None, write, writer)
                assert await protocol.wait_lost() is None
                assert protocol.data == data

    run(both_loops, main)


def test_streams(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with opened(fifo, os.O_RDWR) as holder:
            reader = asyncio.StreamReader()
            source, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe_of(fifo, os.O_RDONLY)
            )
            transport, protocol = await loop.connect_write_pipe(
                lambda: asyncio.streams.FlowControlMixin(loop=loop), pipe_of(fifo, os.O_WRONLY)
            )
            writer = asyncio.StreamWriter(transport, protocol, None, loop)
            os.close(holder)
            for index in range(2000):
                writer.write(b"line %d\n" % index)
                await writer.drain()
                assert await soon(reader.readline()) == b"line %d\n" % index
            writer.close()
            assert await soon(reader.read()) == b""
            source.close()

    run(both_loops, main)


def test_pause_reading_holds_data_and_the_end(both_loops: LoopFactory, fifo: Path, unix_answer: Any) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo) as protocol:
                os.write(writer, b"before")
                await protocol.wait_data(6)
                protocol.transport.pause_reading()
                protocol.transport.pause_reading()
                assert not reads(protocol.transport)
                os.write(writer, b"held")
                os.close(writer)
                await unix_answer()
                assert protocol.data == b"before"
                assert protocol.events == ["made"]
                protocol.transport.resume_reading()
                assert reads(protocol.transport) is not False
                assert await protocol.wait_lost() is None
                assert protocol.data == b"beforeheld"
                assert protocol.events == ["made", "eof", "lost"]

    run(both_loops, main)


@pytest.fixture
def unix_answer(tmp_path: Path) -> Any:
    """Waits as long as another pipe takes to tell of its end, on the running loop: others could have told by then."""

    async def answer() -> None:
        path = tmp_path / "another"
        os.mkfifo(path)
        with opened(path, os.O_RDWR) as writer:
            async with reading(path) as protocol:
                os.close(writer)
                await protocol.wait_lost()

    return answer


def test_closed_while_paused(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo) as protocol:
                protocol.transport.pause_reading()
                os.write(writer, b"never read")
                protocol.transport.close()
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "lost"]
                assert protocol.data == b""

    run(both_loops, main)


def test_exceptions_of_the_protocol(both_loops: LoopFactory, fifo: Path) -> None:
    class Raising(StreamRecorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ZeroDivisionError

        def eof_received(self) -> bool:
            super().eof_received()
            raise ZeroDivisionError

    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        with opened(fifo, os.O_RDWR) as writer:
            async with reading(fifo, Raising) as protocol:
                os.write(writer, b"one")
                await protocol.wait_data(3)
                assert not protocol.transport.is_closing()
                os.write(writer, b"two")
                await protocol.wait_data(6)
                os.close(writer)
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "eof", "lost"]
                assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError] * 3

    run(both_loops, main)


# Writing


def test_write(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                transport = protocol.transport
                assert isinstance(transport, asyncio.WriteTransport)
                assert transport.get_extra_info("pipe") is not None
                assert transport.get_write_buffer_limits() == (16 * KIB, 64 * KIB)
                assert transport.can_write_eof()
                transport.write(b"bytes ")
                transport.write(bytearray(b"bytearray "))
                transport.write(memoryview(b"memoryview "))
                transport.writelines([b"lines ", b"of them"])
                transport.write(b"")
                expected = b"bytes bytearray memoryview lines of them"
                assert await read_exactly(reader, len(expected)) == expected

    run(both_loops, main)


def test_what_a_write_pipe_has_not(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDONLY):
            async with writing(fifo) as protocol:
                for data in ("text", 5, [1]):
                    with pytest.raises(AssertionError):
                        protocol.transport.write(data)
                for name in ("pause_reading", "resume_reading", "is_reading"):
                    with pytest.raises(NotImplementedError):
                        getattr(protocol.transport, name)()

    run(both_loops, main)


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_close_writes_what_is_buffered(
    both_loops: LoopFactory, fifo: Path, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = os.urandom(500_000)

    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                transport = protocol.transport
                transport.write(data)
                assert protocol.events == ["made", "pause"]
                getattr(transport, end)()
                getattr(transport, end)()
                assert transport.is_closing()
                for _ in range(8):
                    transport.write(b"dropped")
                assert await read_exactly(reader, len(data)) == data
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "pause", "resume", "lost"]
                assert os.read(reader, 100) == b""

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        run(both_loops, main)
    warning = "pipe closed by peer or os.write(pipe, data) raised exception."
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == [warning] * 3


def test_watermarks(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                transport = protocol.transport
                transport.set_write_buffer_limits(high=50_000, low=10_000)
                transport.write(bytes(64 * KIB))
                await until(lambda: transport.get_write_buffer_size() == 0)
                protocol.events.clear()
                transport.write(bytes(50_000))
                assert protocol.events == []
                transport.write(b"x")
                assert protocol.events == ["pause"]
                assert transport.get_write_buffer_size() == 50_001
                await read_exactly(reader, 64 * KIB + 50_001)
                await until(lambda: transport.get_write_buffer_size() == 0)
                assert protocol.events == ["pause", "resume"]

    run(both_loops, main)


def test_abort_drops_what_is_buffered(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                protocol.transport.write(bytes(1 << 20))
                protocol.transport.abort()
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "pause", "lost"]
                assert len(read_some(reader)) <= 64 * KIB

    run(both_loops, main)


def test_the_reader_goes_while_nothing_is_buffered(both_loops: LoopFactory, fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                protocol.transport.write(b"seen")
                assert await read_exactly(reader, 4) == b"seen"
                await until(lambda: protocol.transport.get_write_buffer_size() == 0)
                os.close(reader)
                assert await protocol.wait_lost() is None
                assert protocol.events == ["made", "lost"]
                protocol.transport.write(b"dropped")

    run(both_loops, main)


@pytest.mark.parametrize("closes_first", [False, True])
def test_the_reader_goes_while_something_is_buffered(both_loops: LoopFactory, fifo: Path, closes_first: bool) -> None:
    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                protocol.transport.write(bytes(1 << 20))
                await read_exactly(reader, 1000)
                if closes_first:
                    protocol.transport.close()
                os.close(reader)
                assert isinstance(await protocol.wait_lost(), BrokenPipeError)
                assert protocol.events[-1] == "lost"
        assert contexts == []

    run(both_loops, main)


def test_the_reader_is_gone_before_the_bytes_are_there(loop_factory: LoopFactory, fifo: Path) -> None:
    """The service had nothing to write when it noticed: the bytes were on their way to it."""

    async def main() -> None:
        with opened(fifo, os.O_RDONLY) as reader:
            async with writing(fifo) as protocol:
                os.close(reader)
                protocol.transport.write(b"too late")
                assert isinstance(await protocol.wait_lost(), BrokenPipeError)

    run(loop_factory, main)


# Terminals


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal's master, and the path of its other side, which is raw."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        with contextlib.suppress(OSError):
            os.close(master)


def test_terminal(both_loops: LoopFactory) -> None:
    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        with terminal() as (master, path):
            async with reading(path) as source, writing(path) as sink:
                os.write(master, b"typed")
                assert await source.wait_data(5) == b"typed"
                sink.transport.write(b"shown")
                assert await read_exactly(master, 5) == b"shown"
                assert not sink.transport.is_closing()
                sink.transport.close()
                assert await sink.wait_lost() is None
                os.close(master)
                assert await source.wait_lost() is None
                assert source.events == ["made", "eof", "lost"]
                assert contexts == []

    run(both_loops, main)


# Starts the command that follows with the master of a new pseudo-terminal as descriptor 7, and tells its other side.
WITH_MASTER = """
import os, sys, tty
master, slave = os.openpty()
tty.setraw(slave)
with open(sys.argv[1], "w") as file:
    file.write(os.ttyname(slave))
os.dup2(master, 7)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def test_how_a_terminal_ends(tmp_path: Path) -> None:
    name = tmp_path / "name"
    service = harness.Service("--inherited-fd=7", wrapper=(sys.executable, "-c", WITH_MASTER, str(name)))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        contexts = exceptions_of(loop)
        with opened(name.read_text(), os.O_RDWR) as slave:
            _, protocol = await loop.connect_read_pipe(StreamRecorder, ServicePipe(fd=7))
            os.write(slave, b"shown")
            assert await protocol.wait_data(5) == b"shown"
            os.close(slave)
            error = await protocol.wait_lost()
            assert isinstance(error, OSError)
            assert error.args == (errno.EIO, "Input/output error")
            assert protocol.events == ["made", "lost"]
            assert contexts == []

    run(lambda: transportd.new_event_loop(service.target), main)
    service.stop()


# What cannot be opened


def test_what_cannot_be_opened(loop_factory: LoopFactory, tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for connect in (loop.connect_read_pipe, loop.connect_write_pipe):
            with pytest.raises(FileNotFoundError) as missing:
                await connect(StreamRecorder, ServicePipe(tmp_path / "missing"))
            assert missing.value.filename == str(tmp_path / "missing")
            assert missing.value.strerror == "No such file or directory"
            with pytest.raises(ValueError, match="no pipe that was inherited"):
                await connect(StreamRecorder, ServicePipe(fd=1000))
        for path in (tmp_path / "file", tmp_path):
            with pytest.raises(ValueError, match=r"^Pipe transport is for pipes/sockets only\.$"):
                await loop.connect_read_pipe(StreamRecorder, ServicePipe(path))
            with pytest.raises(ValueError, match=r"^Pipe transport is only for pipes, sockets and character devices$"):
                await loop.connect_write_pipe(StreamRecorder, ServicePipe(path))
        with pytest.raises(OSError, match="No such device or address") as unread:
            await loop.connect_write_pipe(StreamRecorder, ServicePipe(fifo))
        assert unread.value.errno == errno.ENXIO

    run(loop_factory, main)


def test_arguments() -> None:
    for arguments, options in [((), {}), (("x",), {"fd": 1}), (("",), {}), (("a\0b",), {}), ((), {"fd": -1})]:
        with pytest.raises(ValueError, match=r"needed|at least one byte|negative"):
            ServicePipe(*arguments, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ServicePipe(5)  # type: ignore[arg-type]
    assert repr(ServicePipe(Path("/a/é"))) == "ServicePipe('/a/é')"
    assert repr(ServicePipe(fd=3)) == "ServicePipe(fd=3)"
    assert ServicePipe("/a").path == b"/a"


def test_cancelled_or_refused_by_the_factory(loop_factory: LoopFactory, fifo: Path) -> None:
    """Nothing is left in the service: that is checked when it stops."""

    def factory() -> StreamRecorder:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.connect_read_pipe(factory, ServicePipe(fifo))
        for turns in range(6):
            task = loop.create_task(loop.connect_read_pipe(StreamRecorder, ServicePipe(fifo)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(loop_factory, main)


# Elsewhere


def test_local_pipes_are_local(both_loops: LoopFactory) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        read_fd, write_fd = os.pipe()
        out = open(write_fd, "wb", 0)  # noqa: ASYNC230, SIM115
        sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, out)
        sink.write(b"at once")
        assert os.read(read_fd, 100) == b"at once"
        file = open(read_fd, "rb", 0)  # noqa: ASYNC230, SIM115
        source, protocol = await loop.connect_read_pipe(StreamRecorder, file)
        assert source.get_extra_info("pipe") is file
        sink.write(b"more")
        sink.close()
        assert await protocol.wait_lost() is None
        assert protocol.data == b"more"

    run(both_loops, main)


def test_inherited_descriptor(fifo: Path) -> None:
    wrapper = ("sh", "-c", f'exec "$@" 7<>"{fifo}"', "sh")
    service = harness.Service("--inherited-fd=7", wrapper=wrapper)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with opened(fifo, os.O_RDWR) as writer:
            pipe = ServicePipe(fd=7)
            transport, protocol = await loop.connect_read_pipe(StreamRecorder, pipe)
            assert transport.get_extra_info("pipe") is pipe
            os.write(writer, b"inherited")
            assert await protocol.wait_data(9) == b"inherited"
            transport.close()
            assert await protocol.wait_lost() is None
            with pytest.raises(ValueError, match="inherited"):
                await loop.connect_write_pipe(StreamRecorder, pipe)

    run(lambda: transportd.new_event_loop(service.target), main)
    service.stop()


def test_the_service_is_lost(fifo: Path) -> None:
    async def main() -> None:
        with opened(fifo, os.O_RDWR):
            async with reading(fifo) as source, writing(fifo) as sink:
                os.kill(service.pid, signal.SIGKILL)
                for protocol in (source, sink):
                    assert isinstance(await protocol.wait_lost(), transportd.SessionLostError)

    with Service() as service:
        run(lambda: transportd.new_event_loop(service.target), main)


def test_repr(loop_factory: LoopFactory, fifo: Path) -> None:
    loop = loop_factory()
    with opened(fifo, os.O_RDWR):
        transport, _ = loop.run_until_complete(loop.connect_read_pipe(StreamRecorder, ServicePipe(fifo)))
        assert "open" in repr(transport)
        transport.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert "closed" in repr(transport)
