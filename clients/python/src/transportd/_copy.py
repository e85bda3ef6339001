"""Between a pipe of a subprocess in the service and a file of this process: what it does not get as asyncio's PIPE."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd.v1 import event_loop_pb2, transport_pb2

if TYPE_CHECKING:
    from transportd._local_file import LocalFile
    from transportd._loop import EventLoop
    from transportd._session import Reply, Session
    from transportd._stream import ReadPipeTransport, WritePipeTransport

_READ_BYTES = 64 << 10
# A pipe holds this many bytes, unless it was told otherwise; pipe(7). The most that it can be told is 1 MiB.
_PIPE_BYTES = 64 << 10
_LARGEST_PIPE_BYTES = 1 << 20
# How long the service has for reading what a process has left in a pipe, and the pipe's end: it takes a fraction of it.
_GRACE_SECONDS = 0.1


class OutputCopy(asyncio.Protocol):
    """What the pipe brings is written to the file, in order and completely; the file is closed behind it.

    While the file takes nothing, the pipe is not read, so that the process waits as it would if it wrote by itself.
    When the file is gone for good, so is the pipe, and the process learns of it when it writes.
    """

    def __init__(self, loop: EventLoop, session: Session, pipe_id: int, file: LocalFile):
        self._loop = loop
        self._session = session
        self._pipe_id = pipe_id
        self._file = file
        self._pipe: ReadPipeTransport | None = None
        self._pending: memoryview | None = None
        self._is_broken = False
        self._received_bytes = 0
        self._received_at_exit = 0
        self._timer: asyncio.TimerHandle | None = None
        self._on_settled: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        """`transport` is the pipe."""
        self._pipe = transport

    def data_received(self, data: bytes) -> None:
        """Writes it, or keeps it and reads no more. What the pipe holds back when it is lost comes here, too."""
        self._received_bytes += len(data)
        if self._is_broken:
            return
        if self._pending is None:
            self._write(memoryview(data))
        else:
            self._pending = memoryview(bytes(self._pending) + data)

    def _has_pending(self) -> bool:
        return self._pending is not None

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except BlockingIOError:
            self._pending = data
            if self._pipe is not None:
                self._pipe.pause_reading()
            self._file.when_ready(self._write_pending)
        except OSError as error:
            self._fail(error)

    def _write_pending(self) -> None:
        data, self._pending = self._pending, None
        assert data is not None
        self._write(data)
        if self._has_pending():
            return
        if self._pipe is None:
            self._end()
        else:
            self._pipe.resume_reading()
            if self._on_settled is not None:
                self._watch()

    def _fail(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET):
            self._loop.call_exception_handler(
                {"message": "What a subprocess has written could not be copied to a file", "exception": error}
            )
        self._is_broken = True
        self._file.close()
        if self._pipe is not None:
            self._pipe.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The pipe brings nothing more; what is pending is still written."""
        self._pipe = None
        if self._pending is None:
            self._end()

    def _end(self) -> None:
        self._file.close()
        self._settle()

    # The process has exited

    def settle(self, on_settled: Callable[[], None]) -> None:
        """The process has exited. Calls `on_settled` once, in a later turn, when all that it wrote is in the file.

        That is the pipe's end, unless another process holds it, as a program does that was left in the background:
        copying goes on then, and nobody waits for it. So a pipe that has not ended after a while, in which the service
        read it and there was not more in it than a pipe holds, is another's.
        """
        self._on_settled = on_settled
        self._received_at_exit = self._received_bytes
        if self._pipe is None and self._pending is None:
            self._loop.call_soon(self._settle)
        elif self._pending is None:
            self._watch()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        on_settled, self._on_settled = self._on_settled, None
        if on_settled is not None:
            on_settled()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_GRACE_SECONDS, self._ask, self._received_bytes)

    def _ask(self, before: int) -> None:
        self._timer = None
        if self._received_bytes - self._received_at_exit >= _LARGEST_PIPE_BYTES:
            self._settle()
            return
        if self._session.lost is not None or self._pipe is None or self._pending is not None:
            return  # What comes next watches again, or ends it.

        def done(reply: Reply | None, _error: Exception | None) -> None:
            if self._on_settled is None or self._pipe is None or self._pending is not None or reply is None:
                return
            if reply.get_state.is_reading and self._received_bytes - before < _PIPE_BYTES:
                self._settle()
            else:
                self._watch()

        # The answer comes behind what was read before it.
        request = transport_pb2.GetStateRequest(transport_id=self._pipe_id)
        self._session.request(event_loop_pb2.Command(get_state=request), done)


class InputCopy(asyncio.BaseProtocol):
    """What the file has is written to the pipe, the process's standard input; at the file's end the pipe is closed.

    No more is read than the pipe takes. What was read and never taken is lost: the file's place is then behind it.
    """

    def __init__(self, loop: EventLoop, file: LocalFile):
        self._loop = loop
        self._file = file
        self._pipe: WritePipeTransport | None = None
        self._is_paused = False

    def connection_made(self, transport: Any) -> None:
        """`transport` is the pipe; reading begins."""
        self._pipe = transport
        self._file.when_ready(self._copy)

    def _copy(self) -> None:
        assert self._pipe is not None
        try:
            data = self._file.read(_READ_BYTES)
        except BlockingIOError:
            self._file.when_ready(self._copy)
            return
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ECONNRESET):  # A terminal that has hung up; a peer that is gone.
                self._loop.call_exception_handler(
                    {"message": "A subprocess's input could not be read from a file", "exception": error}
                )
            data = b""
        if not data:
            self.stop()
            return
        self._pipe.write(data)
        if not self._is_paused:
            self._file.when_ready(self._copy)

    def pause_writing(self) -> None:
        """The pipe takes no more for now."""
        self._is_paused = True
        self._file.stop_waiting()

    def resume_writing(self) -> None:
        """The pipe takes more."""
        self._is_paused = False
        if self._pipe is not None:
            self._file.when_ready(self._copy)

    def stop(self) -> None:
        """Reads no more; what was read is still written. Idempotent."""
        pipe, self._pipe = self._pipe, None
        self._file.close()
        if pipe is not None:
            pipe.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The process has closed its input, or is gone."""
        self._pipe = None
        self._file.close()
