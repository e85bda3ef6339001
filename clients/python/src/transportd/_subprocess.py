"""Subprocesses of the service: asyncio's transport of subprocess_exec and subprocess_shell.

    connection_made → pipe_data_received*, pipe_connection_lost, process_exited, in any order → connection_lost

connection_lost comes when the process has exited, each of its pipes is lost, and what of its output goes to files of
this process has been copied. Its returncode is known from process_exited on; not when the session was lost before.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import logging
import operator
import os
import signal as signals
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._copy import InputCopy, OutputCopy
from transportd._errors import SessionLostError, to_exception
from transportd._popen import Popen
from transportd._stream import ReadPipeTransport, WritePipeTransport
from transportd.v1 import event_loop_pb2, subprocess_pb2

if TYPE_CHECKING:
    from transportd._local_file import LocalFile
    from transportd._loop import EventLoop
    from transportd._session import Unclaimed
    from transportd._stdio import StandardStreams

logger = logging.getLogger("asyncio")

_LARGEST_SIGNAL = 64


class PipeProtocol(asyncio.Protocol):
    """Turns the callbacks of one pipe into those of the subprocess's protocol."""

    def __init__(self, process: SubprocessTransport, fd: int):
        self._process: SubprocessTransport | None = process
        self.fd = fd
        self.pipe: ReadPipeTransport | WritePipeTransport | None = None
        self.is_lost = False

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} fd={self.fd} pipe={self.pipe!r}>"

    def data_received(self, data: bytes) -> None:
        """pipe_data_received; what it raises leaves the pipe as it is."""
        process = self._process
        assert process is not None
        try:
            process._protocol.pipe_data_received(self.fd, data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            process._loop.call_exception_handler(
                {
                    "message": f"Exception in callback {type(process._protocol).__qualname__}.pipe_data_received",
                    "exception": error,
                    "transport": process,
                    "protocol": process._protocol,
                }
            )

    def pause_writing(self) -> None:
        """The subprocess's protocol is told, which knows of one pipe that is written."""
        assert self._process is not None
        self._process._protocol.pause_writing()

    def resume_writing(self) -> None:
        """As pause_writing."""
        assert self._process is not None
        self._process._protocol.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """pipe_connection_lost."""
        self.is_lost = True
        process, self._process = self._process, None
        assert process is not None
        process._on_pipe_lost(self.fd, exc)


class _Output(ReadPipeTransport):
    """stdout or stderr. `_start_later` calls what begins reading, when it may."""

    _start_later: Callable[[Callable[[], None]], None] | None = None

    def _start_reading(self) -> None:
        start_later, self._start_later = self._start_later, None
        if start_later is None:
            super()._start_reading()
        else:
            start_later(self._start_reading)


class _CopiedOutput(ReadPipeTransport):
    """Only its copy knows of it: nobody has forgotten to close it, and nothing that has come is dropped."""

    def __del__(self, _warn: Any = None) -> None:
        pass

    def _drop(self) -> None:
        for data in self._held:
            if isinstance(data, bytes):
                self._protocol.data_received(data)
        super()._drop()


class _CopiedInput(WritePipeTransport):
    """As _CopiedOutput."""

    def __del__(self, _warn: Any = None) -> None:
        pass


class SubprocessTransport(asyncio.SubprocessTransport):
    """A process of the service. Threading: the loop's thread."""

    def __init__(
        self,
        loop: EventLoop,
        unclaimed: Unclaimed,
        protocol: asyncio.BaseProtocol,
        args: Any,
        streams: StandardStreams,
        made: asyncio.Future[SubprocessTransport],
    ):
        """Takes over `unclaimed`, its pipes and the files of `streams`. `made` is told behind connection_made."""
        super().__init__()
        session = unclaimed.session
        self._loop = loop
        self._session = session
        self._id = unclaimed.transport_id
        self._protocol: Any = protocol
        self._context = contextvars.copy_context()
        self._pid = unclaimed.made.extra_info.pid
        self._returncode: int | None = None
        self._loss: Exception | None = None
        self._closed = False
        self._is_held = True  # Whoever made it has not got it yet: its protocol hears nothing behind connection_made.
        self._held_calls: list[tuple[Any, ...]] = []
        self._is_finished = False
        self._exit_waiters: list[asyncio.Future[int]] = []
        self._pipes: dict[int, PipeProtocol] = {}
        self._output_copies: list[OutputCopy] = []
        self._unsettled_count = 0
        self._input_copy: InputCopy | None = None
        self._proc: Popen | None = Popen(loop, self, args, self._pid)
        self._extra: dict[str, Any] = {"subprocess": self._proc}
        loop.call_soon(protocol.connection_made, self)
        for pipe in unclaimed.made.pipes:
            end = session.unclaimed(pipe.transport_id)
            if pipe.fd in streams.pipe_fds:
                self._take_pipe(pipe.fd, end)
            else:
                self._take_copied_pipe(pipe.fd, end, streams.files.pop(pipe.fd))
        unclaimed.claim(self)
        loop.call_soon(_wake, made, self)
        if loop.get_debug():
            logger.debug("process %r created: pid %s", args if isinstance(args, (str, bytes)) else args[0], self._pid)

    def _take_pipe(self, fd: int, end: Unclaimed) -> None:
        protocol = self._pipes[fd] = PipeProtocol(self, fd)
        if fd:
            protocol.pipe = output = _Output(self._loop, end, protocol)
            output._start_later = self._call_soon
        else:
            protocol.pipe = WritePipeTransport(self._loop, end, protocol)

    def _take_copied_pipe(self, fd: int, end: Unclaimed, file: LocalFile) -> None:
        if fd:
            copy = OutputCopy(self._loop, end.session, end.transport_id, file)
            self._output_copies.append(copy)
            self._unsettled_count += 1
            _CopiedOutput(self._loop, end, copy)
        else:
            self._input_copy = InputCopy(self._loop, file)
            _CopiedInput(self._loop, end, self._input_copy)

    def _release(self) -> None:
        """Whoever started the process has got it: what has come meanwhile is heard, in later turns. Once."""
        self._is_held = False
        calls, self._held_calls = self._held_calls, []
        for callback, *args in calls:
            self._call_soon(callback, *args)

    def __repr__(self) -> str:
        info = [self.__class__.__name__]
        if self._closed:
            info.append("closed")
        info.append(f"pid={self._pid}")
        info.append("running" if self._returncode is None else f"returncode={self._returncode}")
        for name, fd in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
            if fd in self._pipes:
                info.append(f"{name}={self._pipes[fd].pipe!r}")
        return f"<{' '.join(info)}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not getattr(self, "_closed", True):
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)

    # What a program asks for

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From the next callback on, `protocol` hears them."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears the callbacks."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """close was called. A process that has exited by itself is not closing."""
        return self._closed

    def get_pid(self) -> int:
        """The process's number, where the service is."""
        return self._pid

    def get_returncode(self) -> int | None:
        """0 to 255, the exit status; -N when signal N killed it; None before process_exited, or when nobody knows."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        """That of descriptor 0, 1 or 2; None when it was not asyncio's PIPE."""
        protocol = self._pipes.get(fd)
        return protocol.pipe if protocol is not None else None

    def send_signal(self, signal: int) -> None:
        """Sends it, and waits for the service's answer; nothing when the process has exited.

        ProcessLookupError after connection_lost, PermissionError when the process is another user's, OSError for what
        is no signal.
        """
        if self._proc is None:
            raise ProcessLookupError
        number = operator.index(signal)
        if not 0 <= number <= _LARGEST_SIGNAL:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self._session.lost is not None:
            raise ProcessLookupError from self._session.lost
        try:
            if self._exit_told() is None:
                self._session.do_now(self._signal_command(number))
        except SessionLostError as error:
            raise ProcessLookupError from error

    def terminate(self) -> None:
        """SIGTERM; see send_signal."""
        self.send_signal(signals.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; see send_signal."""
        self.send_signal(signals.SIGKILL)

    def close(self) -> None:
        """Closes the pipes, and kills the process if it has not exited. Idempotent.

        What is copied between the process and files of this one goes on until it ends by itself.
        """
        if self._closed:
            return
        self._closed = True
        # Before its pipes are closed: that may make it end by itself first.
        self._kill_running()
        for protocol in self._pipes.values():
            if protocol.pipe is not None:
                protocol.pipe.close()

    def _kill_running(self) -> None:
        if self._proc is None or self._has_exited() or self._session.lost is not None:
            return
        with contextlib.suppress(SessionLostError):  # The session's end is the process's.
            if self._proc.poll() is None:
                if self._loop.get_debug():
                    logger.warning("Close running child process: kill %r", self)
                self._proc.kill()

    async def _wait(self) -> int:
        """Waits for connection_lost; the returncode. asyncio.subprocess.Process.wait calls this."""
        if self._returncode is None and not self._is_over():
            waiter: asyncio.Future[int] = self._loop.create_future()
            self._exit_waiters.append(waiter)
            return await waiter
        if self._returncode is None:
            assert self._loss is not None
            raise self._loss
        return self._returncode

    # For Popen

    def _exit_told(self) -> int | None:
        """The returncode, if it has arrived, though perhaps not yet at the protocol."""
        session = self._session
        if self._returncode is None and session.lost is None and self._id not in session.exit_codes:
            session.read_now(0)
        return session.exit_codes.get(self._id, self._returncode)

    def _send_signal(self, number: int) -> None:
        if self._session.lost is None:
            self._session.send(self._signal_command(number))

    def _signal_command(self, number: int) -> event_loop_pb2.Command:
        request = subprocess_pb2.SendSignalRequest(transport_id=self._id, number=number)
        return event_loop_pb2.Command(send_signal=request)

    # Handle

    def _on_data(self, data: bytes) -> None:
        """Never: its pipes have transports of their own."""

    def _on_progress(self, sent_bytes: int) -> None:
        """Never, likewise."""

    def _on_credit(self) -> None:
        """Never, likewise."""

    def _take_consumed(self) -> tuple[int, int]:
        """Nothing."""
        return 0, 0

    def _is_ending(self) -> bool:
        """False: the order of its callbacks counts."""
        return False

    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        """process_exited, and connection_lost: of interest only without process_exited."""
        if kind == "process_exited":
            self._call_soon(self._on_exited, callback.process_exited.returncode)
        elif kind == "connection_lost":
            lost = callback.connection_lost
            error = to_exception(lost.error) if lost.HasField("error") else None
            self._call_soon(self._on_service_lost, error)

    def _on_session_lost(self, error: Exception) -> None:
        """Whatever waits for the process must not wait for ever: its protocol hears that it is gone."""
        self._call_soon(self._on_lost, error)

    # The end

    def _has_exited(self) -> bool:
        return self._returncode is not None or self._loss is not None

    def _on_service_lost(self, error: Exception | None) -> None:
        if not self._has_exited():
            self._on_lost(error or SessionLostError("the service has ended the process, and did not say how"))

    def _on_lost(self, error: Exception) -> None:
        if self._loss is not None or self._is_finished:
            return
        self._loss = error
        if self._returncode is None:
            self._end_process()

    def _on_exited(self, returncode: int) -> None:
        if self._has_exited():
            return
        self._returncode = returncode
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._end_process()

    def _end_process(self) -> None:
        if self._proc is not None:
            self._proc._end(self._returncode, self._loss)
        if self._input_copy is not None:
            self._input_copy.stop()
            self._input_copy = None
        copies, self._output_copies = self._output_copies, []
        self._call_soon(self._protocol.process_exited)
        for copy in copies:
            copy.settle(self._on_settled)
        self._try_finish()

    def _call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        if self._is_held:
            self._held_calls.append((callback, *args))
        else:
            self._loop.call_soon(callback, *args, context=self._context)

    def _on_settled(self) -> None:
        self._unsettled_count -= 1
        self._try_finish()

    def _on_pipe_lost(self, fd: int, error: BaseException | None) -> None:
        self._call_soon(self._protocol.pipe_connection_lost, fd, error)
        self._try_finish()

    def _try_finish(self) -> None:
        if self._is_finished or not self._has_exited() or self._unsettled_count:
            return
        if all(protocol.is_lost for protocol in self._pipes.values()):
            self._is_finished = True
            self._call_soon(self._call_connection_lost)

    def _is_over(self) -> bool:
        return self._is_finished and self._proc is None

    def _call_connection_lost(self) -> None:
        self._session.handles.pop(self._id, None)
        self._session.forget_process(self._id)
        protocol, self._protocol, self._proc = self._protocol, None, None
        waiters, self._exit_waiters = self._exit_waiters, []
        try:
            protocol.connection_lost(self._loss)
        finally:
            for waiter in waiters:
                if waiter.done():
                    continue
                if self._returncode is not None:
                    waiter.set_result(self._returncode)
                else:
                    assert self._loss is not None
                    waiter.set_exception(self._loss)


def _wake(made: asyncio.Future[SubprocessTransport], transport: SubprocessTransport) -> None:
    if made.done():
        # Nobody waits any more.
        transport._release()
        transport.close()
    else:
        made.set_result(transport)
