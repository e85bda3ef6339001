"""Subprocesses: what asyncio's loop does with them is what transportd's does."""

import asyncio
import contextvars
import errno
import gc
import logging
import os
import re
import signal
import weakref
from pathlib import Path
from typing import Any

import harness
import pytest
import transportd
from transportd.v1 import event_loop_pb2, transport_pb2

from subprocess_case import (
    BLOCKED,
    CAT,
    DEVNULL,
    MUCH_BYTES,
    PIPE,
    STDOUT,
    Factory,
    Recorder,
    Runner,
    exists,
    is_in_state,
    kill,
    python,
    start,
)


def test_protocol_hears_all_in_order(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "cat; echo bad >&2; exit 3")
        transport = recorder.transport
        assert recorder.heard == [("connection_made",)]
        assert transport.get_returncode() is None
        assert transport.get_pid() > 0
        assert not transport.is_closing()
        transport.get_pipe_transport(0).write(b"in")
        transport.get_pipe_transport(0).write_eof()
        await recorder.until_lost()
        assert recorder.data == {1: b"in", 2: b"bad\n"}
        assert recorder.heard[0] == ("connection_made",)
        assert recorder.heard[-1] == ("connection_lost", None)
        lost = {("pipe_connection_lost", fd, None) for fd in range(3)}
        assert sorted(map(repr, recorder.heard[1:-1])) == sorted(map(repr, {*lost, ("process_exited",)}))
        assert recorder.returncode == transport.get_returncode() == 3
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()
        assert len([heard for heard in recorder.heard if heard[0] == "connection_lost"]) == 1

    both.run(main())


@pytest.mark.parametrize(
    ("command", "returncode"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", -9), ("kill -15 $$", -15), ("kill -34 $$", -34)],
)
def test_returncode(both: Runner, command: str, returncode: int) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(command)
        assert await process.wait() == returncode
        assert process.returncode == returncode
        assert await process.wait() == returncode

    both.run(main())


def test_data_goes_through_whole(both: Runner) -> None:
    async def main() -> None:
        sent = os.urandom(1 << 16) * (MUCH_BYTES >> 16)
        process = await asyncio.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
        received, _ = await process.communicate(sent)
        assert received == sent
        assert process.returncode == 0

    both.run(main())


def test_streams_do_not_mix(both: Runner) -> None:
    async def main() -> None:
        code = "import os\nfor _ in range(2000): os.write(1, b'out'); os.write(2, b'error')"
        process = await asyncio.create_subprocess_exec(*python(code), stdout=PIPE, stderr=PIPE)
        assert await process.communicate() == (b"out" * 2000, b"error" * 2000)

    both.run(main())


def test_pipe_transports(both: Runner) -> None:
    async def main() -> None:
        recorder = await start(*CAT)
        get = recorder.transport.get_pipe_transport
        assert isinstance(get(0), asyncio.WriteTransport)
        assert isinstance(get(1), asyncio.ReadTransport)
        assert isinstance(get(2), asyncio.ReadTransport)
        assert get(3) is None
        assert not hasattr(get(1), "write")
        assert get(0).can_write_eof()
        assert get(0).get_write_buffer_size() == 0
        assert get(0).get_write_buffer_limits() == (16384, 65536)
        assert recorder.transport.get_protocol() is recorder
        assert f"pid={recorder.transport.get_pid()} running" in repr(recorder.transport)
        get(0).close()
        await recorder.until_lost()
        assert get(0) is not None
        assert get(1).is_closing()
        assert "returncode=0" in repr(recorder.transport)
        recorder.transport.close()

    both.run(main())


@pytest.mark.parametrize(
    ("options", "present"),
    [
        ({}, {0, 1, 2}),
        ({"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}, set()),
        ({"stdin": DEVNULL, "stderr": STDOUT}, {1}),
        ({"stdin": DEVNULL, "stdout": DEVNULL, "stderr": STDOUT}, set()),
    ],
)
def test_which_pipes_there_are(both: Runner, options: dict[str, Any], present: set[int]) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "echo one; echo two >&2", **options)
        assert {fd for fd in range(-1, 4) if recorder.transport.get_pipe_transport(fd) is not None} == present
        await recorder.until_lost()
        assert recorder.data[1] == (
            b"" if 1 not in present else b"one\ntwo\n" if options.get("stderr") == STDOUT else b"one\n"
        )
        assert {heard[1] for heard in recorder.heard if heard[0] == "pipe_connection_lost"} == present
        recorder.transport.close()

    both.run(main())


def test_writing_is_paused_and_resumed(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "kill -STOP $$; cat >/dev/null")
        stdin = recorder.transport.get_pipe_transport(0)
        stdin.write(bytes(MUCH_BYTES))
        assert recorder.heard[-1] == ("pause_writing",)
        assert stdin.get_write_buffer_size() > 65536
        harness.eventually(lambda: is_in_state(recorder, "T"), "it has stopped")
        recorder.transport.send_signal(signal.SIGCONT)
        await recorder.until("resume_writing")
        assert stdin.get_write_buffer_size() <= 16384
        stdin.close()
        await recorder.until_lost()
        assert recorder.returncode == 0
        assert [heard[0] for heard in recorder.heard].count("pause_writing") == 1
        recorder.transport.close()

    both.run(main())


def test_output_that_is_not_read_stops_the_process(both: Runner) -> None:
    async def main() -> None:
        recorder = await start(*python(f"import os; os.write(1, bytes({MUCH_BYTES})); os.write(2, b'done')"))
        stdout = recorder.transport.get_pipe_transport(1)
        stdout.pause_reading()
        before = len(recorder.data[1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recorder.when(lambda: bool(recorder.data[2])), 0.2)
        assert len(recorder.data[1]) == before
        stdout.resume_reading()
        await recorder.until_lost()
        assert len(recorder.data[1]) == MUCH_BYTES
        assert recorder.data[2] == b"done"
        recorder.transport.close()

    both.run(main())


def test_process_that_closes_its_stdin(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "exec 0<&-; echo closed; read line <&2", stderr=DEVNULL)
        await recorder.until("pipe_connection_lost", 0, None)
        recorder.transport.close()
        await recorder.until_lost()

    both.run(main())


def test_process_that_does_not_read_its_stdin(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "read line")
        recorder.transport.get_pipe_transport(0).write(b"\n" + bytes(MUCH_BYTES))
        await recorder.until_lost()
        (lost,) = [heard for heard in recorder.heard if heard[:2] == ("pipe_connection_lost", 0)]
        assert isinstance(lost[2], BrokenPipeError)
        assert recorder.heard[-1] == ("connection_lost", None)
        recorder.transport.close()

    both.run(main())


def test_drain_tells_that_the_process_is_gone(both: Runner) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sh", "-c", "read line", stdin=PIPE)
        assert process.stdin is not None
        process.stdin.write(b"\n" + bytes(MUCH_BYTES))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await process.stdin.drain()
        assert await process.wait() == 0

    both.run(main())


def test_grandchild_that_holds_a_pipe_delays_the_end(both: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        os.mkfifo(tmp_path / "go")
        recorder = await start("sh", "-c", f"(read line <'{tmp_path}/go'; echo late) & exit 4", stderr=DEVNULL)
        await recorder.until("process_exited")
        await recorder.until("pipe_connection_lost", 0, None)
        assert recorder.returncode == 4
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recorder.until_lost(), 0.1)
        (tmp_path / "go").write_text("\n")
        await recorder.until_lost()
        assert recorder.data[1] == b"late\n"
        assert recorder.heard[-2:] == [("pipe_connection_lost", 1, None), ("connection_lost", None)]
        recorder.transport.close()

    both.run(main())


def test_what_a_callback_raises_is_reported_and_harms_nothing(both: Runner) -> None:
    class Raising(Recorder):
        def pipe_data_received(self, fd: int, data: bytes) -> None:
            super().pipe_data_received(fd, data)
            raise ZeroDivisionError("data")

        def process_exited(self) -> None:
            super().process_exited()
            raise ZeroDivisionError("exited")

    async def main() -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        recorder = await start(*CAT, protocol=Raising)
        stdin = recorder.transport.get_pipe_transport(0)
        stdin.write(b"one")
        await recorder.when(lambda: recorder.data[1] == b"one")
        stdin.write(b"two")
        await recorder.when(lambda: recorder.data[1] == b"onetwo")
        stdin.close()
        await recorder.until_lost()
        assert recorder.returncode == 0
        assert sorted(str(context["exception"]) for context in reported) == ["data", "data", "exited"]
        assert all("Exception in callback" in context["message"] for context in reported)
        recorder.transport.close()

    both.run(main())


def test_set_protocol(both: Runner) -> None:
    async def main() -> None:
        first = await start(*CAT)
        second = Recorder()
        second.transport = first.transport
        first.transport.set_protocol(second)
        assert first.transport.get_protocol() is second
        first.transport.get_pipe_transport(0).write(b"data")
        await second.when(lambda: second.data[1] == b"data")
        first.transport.close()
        await second.until_lost()
        assert first.heard == [("connection_made",)]

    both.run(main())


def test_context_of_callbacks(both: Runner, request: pytest.FixtureRequest) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    class Seeing(Recorder):
        def note(self, *what: Any) -> None:
            seen.append((what[0], variable.get()))
            super().note(*what)

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            self.note("pipe_data_received")

    async def main() -> None:
        variable.set("inside")
        recorder = await start("echo", protocol=Seeing, stdin=DEVNULL, stderr=DEVNULL)
        await recorder.until_lost()
        recorder.transport.close()

    both.run(main())
    assert {name for name, _ in seen} == {
        "connection_made", "pipe_data_received", "pipe_connection_lost", "process_exited", "connection_lost"
    }  # fmt: skip
    outside = {name for name, value in seen if value != "inside"}
    # asyncio's watcher calls process_exited, and then perhaps connection_lost, in no context in particular.
    assert outside <= ({"process_exited", "connection_lost"} if "[asyncio]" in request.node.name else set())


def test_nothing_keeps_what_has_ended(remote: Runner) -> None:
    # The thread in which asyncio waits for a process may keep it a little longer.
    async def main() -> list[weakref.ref[Any]]:
        recorder = await start("true")
        await recorder.until_lost()
        recorder.transport.close()
        references: list[weakref.ref[Any]] = [weakref.ref(recorder.transport), weakref.ref(recorder)]
        recorder.transport = None
        return references

    gc.disable()
    try:
        references = remote.run(main())
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def test_transport_that_nobody_closes_is_warned_of(both_loops: Factory) -> None:
    async def main() -> None:
        recorder = await start("true")
        await recorder.until_lost()

    def run() -> None:
        with Runner(loop_factory=both_loops) as runner:
            runner.run(main())
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed transport <.*SubprocessTransport pid=.* returncode=0"):
        run()


def test_debug_mode(both: Runner, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        output, _ = await process.communicate(b"data")
        assert output == b"data"
        process = await asyncio.create_subprocess_shell("exit 3", stdout=DEVNULL)
        assert await process.wait() == 3
        recorder = await start(*BLOCKED)
        recorder.transport.close()
        await recorder.until_lost()

    with caplog.at_level(logging.DEBUG, "asyncio"):
        both.run(main())
    for text in (
        r"execute program 'cat' stdin=<pipe> stdout=<pipe>",
        r"process 'cat' created: pid \d+",
        r"run shell command 'exit 3' stdout=",
        r"pid=\d+.* exited with return code 3",
        r"Close running child process: kill <",
    ):
        assert re.search(text, caplog.text), text


def test_signals(both: Runner) -> None:
    async def main() -> None:
        for method, arguments, number in (
            ("send_signal", (signal.SIGHUP,), signal.SIGHUP),
            ("send_signal", (34,), 34),
            ("terminate", (), signal.SIGTERM),
            ("kill", (), signal.SIGKILL),
        ):
            recorder = await start(*BLOCKED)
            transport = recorder.transport
            transport.send_signal(0)
            getattr(transport, method)(*arguments)
            assert transport.get_returncode() is None
            await recorder.until_lost()
            assert recorder.returncode == -number
            for call in (transport.kill, transport.terminate):
                with pytest.raises(ProcessLookupError):
                    call()
            with pytest.raises(ProcessLookupError):
                transport.send_signal(0)
            transport.close()

    both.run(main())


def test_bad_signals(both: Runner) -> None:
    async def main() -> None:
        recorder = await start(*BLOCKED)
        for number in (65, -1):
            with pytest.raises(OSError, match="Invalid argument") as info:
                recorder.transport.send_signal(number)
            assert info.value.errno == errno.EINVAL
        with pytest.raises(TypeError):
            recorder.transport.send_signal("TERM")
        recorder.transport.close()
        await recorder.until_lost()
        assert recorder.returncode == -9

    both.run(main())


def test_signal_of_a_process_that_has_exited_does_nothing(remote: Runner) -> None:
    # asyncio's own does nothing, too, but then does not always learn the returncode.
    async def main() -> None:
        recorder = await start("true")
        harness.eventually(lambda: is_in_state(recorder, "Z"), "it has exited")
        recorder.transport.terminate()
        recorder.transport.kill()
        await recorder.until_lost()
        assert recorder.returncode == 0
        recorder.transport.close()

    remote.run(main())


def test_close_kills(both: Runner) -> None:
    async def main() -> None:
        recorder = await start(*BLOCKED)
        transport = recorder.transport
        pid = transport.get_pid()
        transport.close()
        transport.close()
        assert transport.is_closing()
        assert transport.get_returncode() is None
        await recorder.until_lost()
        assert recorder.returncode == -9
        assert not exists(pid)
        assert [heard[0] for heard in recorder.heard].count("process_exited") == 1

    both.run(main())


def test_close_does_not_kill_what_has_exited(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "sleep 3600 >/dev/null 2>&1 & echo $!; exit 5", stdin=DEVNULL)
        await recorder.until_lost()
        recorder.transport.close()
        assert recorder.returncode == 5
        left = int(recorder.data[1])
        assert exists(left)
        os.kill(left, signal.SIGKILL)

    both.run(main())


def test_close_of_a_pipe(both: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "trap '' PIPE; read line; echo out || echo failed >&2; cat >/dev/null")
        recorder.transport.get_pipe_transport(1).close()
        await recorder.until("pipe_connection_lost", 1, None)
        recorder.transport.get_pipe_transport(0).write(b"\n")
        await recorder.when(lambda: recorder.data[2].endswith(b"failed\n"))
        recorder.transport.get_pipe_transport(0).close()
        await recorder.until_lost()
        assert recorder.returncode == 0
        recorder.transport.close()

    both.run(main())


def test_process_that_has_exited_before_its_caller_goes_on(remote: Runner) -> None:
    async def begin() -> Recorder:
        recorder = await start("sh", "-c", "echo out")
        assert recorder.heard == [("connection_made",)]
        assert recorder.transport.get_returncode() is None
        recorder.transport.kill()
        # What comes now comes behind that.
        lost = event_loop_pb2.Callback(connection_lost=transport_pb2.ConnectionLost())
        recorder.transport._on_callback("connection_lost", lost)
        return recorder

    async def main() -> None:
        task = asyncio.create_task(begin())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, transportd.EventLoop)
        while not loop._session.exit_codes:  # It is told all, and dispatches nothing.
            loop._session.read_now(harness.TIMEOUT)
        assert not task.done()
        recorder = await task
        await recorder.until_lost()
        assert recorder.returncode == 0
        assert recorder.data[1] == b"out\n"
        recorder.transport.close()

    remote.run(main())


def test_several_wait(both: Runner) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*CAT, stdin=PIPE, stdout=DEVNULL)
        waits = [asyncio.create_task(process.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.gather(*waits[1:]) == [0, 0]
        assert waits[0].cancelled()

    both.run(main())


def test_cancelled_start_leaves_no_process(both: Runner) -> None:
    async def main() -> None:
        for turns in range(4):
            recorder = Recorder()
            loop = asyncio.get_running_loop()
            task = asyncio.create_task(loop.subprocess_exec(iter([recorder]).__next__, *BLOCKED))
            for _ in range(turns + 1):
                await asyncio.sleep(0)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert recorder.heard[0] == ("connection_made",)
            assert recorder.heard[-1] == ("connection_lost", None)
            assert recorder.returncode == -9
            assert not exists(recorder.transport.get_pid())
            assert recorder.transport.is_closing()

    both.run(main())


def test_start_that_is_cancelled_and_fails(remote: Runner) -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.get_running_loop().subprocess_exec(Recorder, "no-such-program"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    remote.run(main())


def test_start_that_is_cancelled_twice_ends_at_once(remote: Runner) -> None:
    async def main() -> None:
        recorder = Recorder()
        task = asyncio.create_task(asyncio.get_running_loop().subprocess_exec(lambda: recorder, *BLOCKED))
        await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not recorder.heard
        await recorder.until_lost()
        assert recorder.returncode == -9

    remote.run(main())


def test_many_at_once(both: Runner) -> None:
    async def one(number: int) -> bytes:
        process = await asyncio.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
        output, _ = await process.communicate(str(number).encode() * 1000)
        return output

    async def main() -> None:
        outputs = await asyncio.gather(*map(one, range(30)))
        assert outputs == [str(number).encode() * 1000 for number in range(30)]

    both.run(main())


def test_loop_that_is_closed_ends_its_processes(loop_factory: Factory) -> None:
    async def begin() -> Recorder:
        recorder = await start("sh", "-c", "sleep 3600 & echo $!; wait")
        await recorder.when(lambda: recorder.data[1].endswith(b"\n"))
        return recorder

    def run() -> None:
        with Runner(loop_factory=loop_factory) as runner:
            recorder = runner.run(begin())
        pids = [recorder.transport.get_pid(), int(recorder.data[1])]
        harness.eventually(lambda: not any(map(exists, pids)), "the processes are gone")
        with pytest.raises(ProcessLookupError):
            recorder.transport.kill()
        del recorder
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed transport"):
        run()


def test_service_that_is_lost(mortal: harness.Service) -> None:
    async def main() -> None:
        recorder = await start(*BLOCKED)
        transport = recorder.transport
        process = await asyncio.create_subprocess_exec(*CAT, stdin=PIPE, stdout=PIPE)
        waits = [asyncio.create_task(process.wait()), asyncio.create_task(process.communicate(bytes(MUCH_BYTES)))]
        ended = await asyncio.create_subprocess_exec("true")
        assert await ended.wait() == 0
        popen = transport.get_extra_info("subprocess")
        kill(mortal)
        await recorder.until_lost()
        errors = {heard[1]: heard[2] for heard in recorder.heard if heard[0] == "pipe_connection_lost"}
        assert set(errors) == {0, 1, 2}
        for error in (*errors.values(), recorder.heard[-1][1]):
            assert isinstance(error, transportd.SessionLostError)
        assert ("process_exited",) in recorder.heard
        assert transport.get_returncode() is None
        for wait in waits:
            with pytest.raises(transportd.SessionLostError):
                await wait
        for call in (transport._wait, process.wait):
            with pytest.raises(transportd.SessionLostError):
                await call()
        for blocking in (popen.poll, popen.wait):
            with pytest.raises(transportd.SessionLostError):
                blocking()
        with pytest.raises(ProcessLookupError):
            transport.kill()
        assert await ended.wait() == 0
        transport.close()
        assert process.stdin is not None
        process._transport.close()  # type: ignore[attr-defined]
        with pytest.raises(transportd.SessionLostError):
            await asyncio.create_subprocess_exec("true")

    with Runner(loop_factory=lambda: transportd.EventLoop(mortal.target)) as runner:
        runner.run(main())
