"""A loop's session with the service: frames in and out, requests and their replies, windows, and who has which id.

Opening → open → lost. Lost comes from the stream's end, from a frame that breaks the contract, or from `close`; every
transport, server and request is then told, once. Everything happens in the event loop's thread: no thread of its own.

A signal's handler, or a finalizer, may run in the middle of it and call transports' methods. What they send then is put
behind what is under construction, and goes out later; what must wait for an answer is refused while the session is at
work on its connection. CPython runs handlers behind calls and in loops, and finalizers where something is made: what
must be done in one go has neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from transportd._diagnosis import explain_handshake, explain_silence, wants_tls
from transportd._errors import (
    AuthenticationError,
    PolicyDeniedError,
    RequestTimeoutError,
    ServiceError,
    ServiceUnavailableError,
    SessionLostError,
    status_error,
    to_exception,
    transport_error_of,
)
from transportd._frames import Frame, LargeData, acknowledgement_entry, command_entry, frame_end
from transportd._http2 import Buffer, GrpcCall
from transportd._interruption import is_inside
from transportd._keepalive import Keepalive
from transportd._target import Target, is_loopback, seconds_until
from transportd._target_tls import TargetTls
from transportd._tls import connect_tls
from transportd._token import token_without_tls
from transportd.v1 import event_loop_pb2, transport_pb2

if TYPE_CHECKING:
    from transportd._server import RemoteServer

_REVISION = 1
_SESSION_PATH = "/transportd.v1.EventLoop/Session"
# A frame that is this large goes out as it is; the next one begins.
_FULL_FRAME_BYTES = 256 << 10
# The largest piece of one write: small enough that the service hands on the first while the next is on its way.
MAX_WRITE_BYTES = 64 << 10
_MAX_ENTRIES = 65_000
_WHO_CALLS = (
    "who calls is what token=…, token_file=… or a client certificate of ssl=… says, else TRANSPORTD_TOKEN,"
    " TRANSPORTD_TOKEN_FILE or TRANSPORTD_TARGET_CERTIFICATE"
)
# The longest wait for the service's goodbye, in seconds.
_CLOSE_TIMEOUT = 2.0
_MAX_CLIENT_NAME_BYTES = 128

Reply = event_loop_pb2.Reply
Done = Callable[[Reply | None, Exception | None], None]
_T = TypeVar("_T")


class Handle(Protocol):
    """Who hears what the service says of one transport. Each method is called in the loop's thread."""

    def _on_data(self, data: bytes) -> None: ...
    def _on_progress(self, sent_bytes: int) -> None: ...
    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None: ...
    def _on_credit(self) -> None: ...
    def _on_session_lost(self, error: Exception) -> None: ...
    def _take_consumed(self) -> tuple[int, int]: ...
    def _is_ending(self) -> bool: ...


class PausedWriter(Protocol):
    """Who waits until the kernel has taken what was written."""

    def _on_all_written(self, sequence: int) -> None: ...


class Unclaimed:
    """A transport that was made and has no owner yet: keeps what comes for it, which its window bounds."""

    def __init__(self, session: Session, transport_id: int, made: transport_pb2.ConnectionMade):
        self.session = session
        self.transport_id = transport_id
        self.made = made
        self._kept: list[tuple[str, Any]] = []
        self._loss: Exception | None = None

    def claim(self, handle: Handle) -> None:
        """`handle` hears everything, what was kept first."""
        if self._loss is not None:
            handle._on_session_lost(self._loss)
            return
        self.session.handles[self.transport_id] = handle
        for kind, value in self._kept:
            if kind == "data":
                handle._on_data(value)
            elif kind == "progress":
                handle._on_progress(value)
            else:
                handle._on_callback(kind, value)
        self._kept.clear()

    def abort(self) -> None:
        """Nobody wants it."""
        self._kept.clear()
        self.session.abort(self.transport_id)

    def _on_data(self, data: bytes) -> None:
        self._kept.append(("data", data))

    def _on_progress(self, sent_bytes: int) -> None:
        self._kept.append(("progress", sent_bytes))

    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        self._kept.append((kind, callback))

    def _on_credit(self) -> None:
        pass

    def _on_session_lost(self, error: Exception) -> None:
        self._loss = error

    def _take_consumed(self) -> tuple[int, int]:
        return 0, 0

    def _is_ending(self) -> bool:
        return False


class Session:
    """See the module. Not thread-safe."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        place: Target,
        *,
        token: str,
        tls: TargetTls | None,
        connect_timeout: float,
        answer_timeout: float,
        keepalive_time: float | None,
        keepalive_timeout: float,
        client_name: str,
        on_draining: Callable[[float], None],
    ):
        """Connects and opens the session, and waits for that: at most `connect_timeout` seconds.

        token: as token_to_send answers it. answer_timeout: the most seconds that call_now waits. keepalive_time,
        keepalive_timeout: Keepalive's, in seconds; None: there is none. on_draining: called with the seconds that are
        left when the service is about to stop.
        """
        self._loop = loop
        self._on_draining = on_draining
        self._answer_timeout = answer_timeout
        self.target = place.text
        self.handles: dict[int, Handle] = {}
        self.servers: dict[int, RemoteServer] = {}
        self.lost: Exception | None = None
        self._requests: dict[int, Done] = {}
        self._made: dict[int, int] = {}  # The transport that an unanswered request has made.
        self._last_request_id = 0
        self._is_forked = False

        self._entries: list[Buffer] = []
        self._entries_bytes = 0
        self._entry_count = 0
        self._sequence = 1  # Of the last frame that is complete.
        self._complete: deque[tuple[list[Buffer], int]] = deque()  # Frames, and their bytes: next to be sent.
        self._is_busy = False  # At work on the connection: only what has begun that may go on with it.
        self._flush_is_due = False
        self._is_watching_write = False
        self._received_sequence = 0
        self._backlog: deque[Frame] = deque()  # Read, and not dispatched, or not wholly.
        self._drain_is_due = False
        self._process_count = 0
        self.exit_codes: dict[int, int] = {}  # Of processes: what has arrived, though perhaps waits in the backlog.

        self.written_sequence = 0  # What the frames up to this one wrote, the kernel has.
        self._before_flush: list[Callable[[], None]] = []
        self.unwritten_bytes = 0
        self._waiting_for_credit: deque[int] = deque()
        self._paused_writers: set[PausedWriter] = set()
        self._untold: deque[Callable[[], None]] = deque()  # Of the session's loss.
        self.unacknowledged_bytes = 0
        self._to_acknowledge: set[int] = set()
        self._frame_is_due = False  # Even without an entry: it has something to say besides.

        deadline = time.monotonic() + connect_timeout
        self._call = _dial(place, token, tls, deadline)
        try:
            opened = self._open(client_name, deadline)
            if opened is None:
                raise _open_error(place, tls, self._call, deadline)
            limits = opened.limits
            if opened.revision != _REVISION or limits.max_client_frame_bytes < 1024 or not limits.send_window_bytes:
                raise ServiceUnavailableError(
                    f"the service at {self.target} speaks revision {opened.revision} of the contract, this package"
                    f" speaks {_REVISION}: install the versions that belong together"
                )
        except BaseException:
            self._call.close()
            raise
        self.session_id = opened.session_id
        self.limits = limits
        self.charge_bytes = limits.callback_charge_bytes
        self.urgent_bytes = max(1, limits.receive_window_bytes // 4)
        self.send_window_bytes = limits.send_window_bytes
        self.session_send_window_bytes = limits.session_send_window_bytes
        self.urgent_session_bytes = max(1, limits.session_receive_window_bytes // 4)
        self._max_frame_bytes = min(_FULL_FRAME_BYTES, limits.max_client_frame_bytes)
        self.max_write_bytes = min(MAX_WRITE_BYTES, limits.max_client_frame_bytes - 64)
        self._fd = self._call.fileno()
        loop.add_reader(self._fd, self._on_readable)
        self._keepalive: Keepalive | None = None
        if keepalive_time is not None:
            self._keepalive = Keepalive(
                loop,
                self._call,
                keepalive_time,
                keepalive_timeout,
                self._ping,
                lambda: self._on_silence(keepalive_timeout),
            )
        _sessions.add(self)

    def _open(self, client_name: str, deadline: float) -> event_loop_pb2.Opened | None:
        """None: the call has ended."""
        name = client_name.encode(errors="replace")[:_MAX_CLIENT_NAME_BYTES].decode(errors="ignore")
        request = event_loop_pb2.SessionRequest(
            open=event_loop_pb2.Open(revision=_REVISION, acknowledged=True, client_name=name), sequence=1
        ).SerializeToString()
        self._call.send([request], len(request))
        while True:
            if not self._call.wait(deadline):
                raise ServiceUnavailableError(
                    f"no answer from {self.target} in time: something listens there, but is it a transportd?"
                )
            messages = self._call.receive()
            if messages:
                try:
                    frame = Frame(messages[0])
                except ValueError as error:
                    raise ServiceUnavailableError(f"what {self.target} sent is no frame: {error}") from None
                if frame.opened is None or frame.sequence != 1:
                    raise ServiceUnavailableError(f"{self.target} did not begin with `opened`: is it a transportd?")
                self._received_sequence = 1
                self._backlog.append(frame)
                for later in messages[1:]:
                    self._read(later)
                self._drain_later()
                return frame.opened
            if self._call.status is not None:
                return None

    # Frames out

    def _check(self) -> None:
        if self.lost is not None:
            # Another one each time: an exception keeps what it was raised through.
            raise type(self.lost)(*self.lost.args)

    def _append(self, entry: Buffer) -> None:
        if self.lost is not None:
            self._refuse_after_fork()
            return
        size = len(entry)
        try:
            while (
                self._entries_bytes + size + 64 > self._max_frame_bytes or self._entry_count >= _MAX_ENTRIES
            ) and self._entries:
                self._seal()
            # In one go from the condition on.
            self._entries_bytes += size
            self._entry_count += 1
            self._entries.append(entry)
            if not self._flush_is_due:
                self._loop.call_soon(self._flush)  # Raises in debug mode, in another thread.
                self._flush_is_due = True
        except Exception:
            raise
        except BaseException:
            self.interrupt()
            raise

    def write(self, transport_id: int, header: bytes, data: bytes | memoryview) -> None:
        """Data for a transport, at most `credit` and `max_write_bytes` long. `header` is write_header's."""
        if self.lost is not None:
            self._refuse_after_fork()
            return
        entry = (header, data)
        size = len(header) + len(data)
        try:
            while (
                self._entries_bytes + size + 64 > self._max_frame_bytes or self._entry_count >= _MAX_ENTRIES
            ) and self._entries:
                self._seal()
            # In one go from the condition on.
            self._entries_bytes += size
            self._entry_count += 1
            self._entries.extend(entry)
            self.unwritten_bytes += len(data)
            if not self._flush_is_due:
                self._loop.call_soon(self._flush)  # Raises in debug mode, in another thread.
                self._flush_is_due = True
        except Exception:
            raise
        except BaseException:
            self.interrupt()
            raise

    def _refuse_after_fork(self) -> None:
        if self._is_forked:
            self._check()

    @property
    def open_sequence(self) -> int:
        """The number of the frame under construction, which has what was sent last."""
        return self._sequence + 1

    def send(self, command: event_loop_pb2.Command) -> None:
        """A command whose answer nobody waits for. RuntimeError in a fork's child."""
        self._append(command_entry(command))

    def send_end(self, command: event_loop_pb2.Command) -> None:
        """As `send`, for what ends something: a fork's child tidies up, and nothing happens."""
        if self.lost is None:
            self._append(command_entry(command))

    def before_flush(self, callback: Callable[[], None]) -> None:
        """Calls `callback` when the next frame is about to go: it may send what belongs behind all else in it."""
        self._before_flush.append(callback)
        self._flush_later()

    def _call_before_flush(self) -> None:
        while self._before_flush:
            callbacks, self._before_flush = self._before_flush, []
            for callback in callbacks:
                callback()

    def _seal(self) -> None:
        """Hands over the frame under construction, if there is one. RuntimeError in another thread."""
        self._check_thread()
        if self._is_busy:
            # A signal's handler has written much: who is at work, or the next flush, sends it.
            self._complete_frame()
            return
        self._is_busy = True
        try:
            self._send_frames()
        finally:
            self._is_busy = False

    def _check_thread(self) -> None:
        loop: Any = self._loop
        loop._check_thread()

    def _complete_frame(self) -> None:
        entries: list[Buffer] = []
        # In one go.
        entries, size, self._entries = self._entries, self._entries_bytes, entries
        self._entries_bytes = self._entry_count = 0
        self._sequence += 1
        self._complete.append((entries, size))

    def _send_frames(self) -> None:
        """What is complete, then the frame under construction."""
        try:
            if self._to_acknowledge:
                self._append_acknowledgements()
            if self._entries or self._frame_is_due:
                self._frame_is_due = False
                self._complete_frame()
            complete = self._complete
            while complete:
                entries, size = complete.popleft()
                sequence = self._sequence - len(complete)
                end = frame_end(sequence, self._received_sequence, bool(self._paused_writers))
                entries.append(end)
                self._call.send(entries, size + len(end))
        except BaseException:
            self.interrupt()
            raise

    def _flush(self) -> None:
        self._flush_is_due = False
        if self.lost is not None:
            return
        self._call_before_flush()
        if self._call.wants_write:
            # The kernel has not taken the last one: the next grows meanwhile.
            self._watch_write()
            return
        self._seal()
        if self._call.wants_write:
            self._watch_write()
        elif self._call.status is not None:
            self._lose_call()

    def _watch_write(self) -> None:
        if not self._is_watching_write:
            self._is_watching_write = True
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        self._is_busy = True
        try:
            self._call.flush()
        except BaseException:
            self.interrupt()
            raise
        finally:
            self._is_busy = False
        if not self._call.wants_write:
            self._is_watching_write = False
            self._loop.remove_writer(self._fd)
            self._flush()

    # Requests

    def request(self, command: event_loop_pb2.Command, done: Done) -> int:
        """Sends `command`; `done` is called in a later turn, once, or again if it was interrupted. Returns the id."""
        self._check()
        while True:
            request_id = self._last_request_id = self._last_request_id % 0xFFFFFFFF + 1
            if request_id not in self._requests:
                break
        command.request_id = request_id
        entry = command_entry(command)
        if len(entry) + 64 > self.limits.max_client_frame_bytes:
            raise ValueError(
                f"the request is too long: {len(entry)} bytes, and the service takes frames of at most"
                f" {self.limits.max_client_frame_bytes}"
            )
        self._requests[request_id] = done
        self._append(entry)
        return request_id

    async def ask(
        self,
        command: event_loop_pb2.Command,
        accept: Callable[[Reply], _T],
        undo: Callable[[_T], None] | None = None,
        *,
        at_once: bool = False,
    ) -> _T:
        """Sends `command` and waits for its reply. When this is cancelled, so is the command.

        accept: makes the result of the reply, before anything else that the service says is heard. What it raises is
        raised here.
        undo: gets the result that nobody takes any more.
        at_once: it does not wait for the end of the turn.
        """
        future: asyncio.Future[_T] = self._loop.create_future()

        def done(reply: Reply | None, error: Exception | None) -> None:
            if reply is None:
                if not future.done():
                    assert error is not None
                    future.set_exception(error)
            elif not future.done():
                try:
                    future.set_result(accept(reply))
                except Exception as failure:
                    future.set_exception(failure)
            elif undo is not None:
                with contextlib.suppress(Exception):
                    undo(accept(reply))

        request_id = self.request(command, done)
        if at_once:
            self._flush()
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled() or not future.done():
                self.cancel(request_id)
            elif future.exception() is None and undo is not None:
                undo(future.result())
            raise

    async def call(self, command: event_loop_pb2.Command) -> Reply:
        """As `ask`: the reply itself."""
        return await self.ask(command, lambda reply: reply)

    async def create(self, command: event_loop_pb2.Command, *, at_once: bool = False) -> Unclaimed:
        """As `ask`, for a command that makes a transport. What nobody takes is aborted."""

        def accept(reply: Reply) -> Unclaimed:
            return self.unclaimed(getattr(reply, reply.WhichOneof("result") or "").transport_id)

        return await self.ask(command, accept, Unclaimed.abort, at_once=at_once)

    def _begin_work(self) -> None:
        """The connection is the caller's, until it sets `_is_busy` to False. RuntimeError: it cannot be."""
        self._check()
        self._check_thread()
        if self._is_busy:
            raise RuntimeError(
                "the session with the service is at work, and cannot wait for an answer to something else: what a"
                " signal's handler or a finalizer asks for must wait for the event loop, as loop.add_signal_handler's"
                " callbacks and loop.call_soon_threadsafe do"
            )
        self._is_busy = True

    def call_now(self, command: event_loop_pb2.Command) -> Reply:
        """Sends `command` and waits for its reply, in this thread: nothing else happens meanwhile.

        For what asyncio answers at once, such as getsockopt. What the service says meanwhile is kept, in order.
        RequestTimeoutError when it says nothing to that in time. RuntimeError in another thread than the running
        loop's, and when a signal's handler calls this while the session is at work.
        """
        answers: list[tuple[Reply | None, Exception | None]] = []
        self._begin_work()
        try:
            self._call_before_flush()
            request_id = self.request(command, lambda reply, error: answers.append((reply, error)))
            deadline = time.monotonic() + self._answer_timeout
            self._send_frames()
            while not answers:
                is_readable = self._call.wait(deadline)
                for frame in self._receive() if is_readable else ():
                    callbacks = list(frame.callbacks)
                    frame.callbacks = iter([one for one in callbacks if not self._take_now(one, request_id)])
                if not answers and self._call.status is not None:
                    self._requests.pop(request_id, None)
                    raise SessionLostError(f"the session with the service is lost: {self._call.status.message}")
                if not answers and not is_readable:
                    self._requests.pop(request_id, None)
                    raise self._no_answer()
        finally:
            self._is_busy = False
            self._go_on()
        reply, error = answers[0]
        if error is not None:
            raise error
        assert reply is not None
        return reply

    def do_now(self, command: event_loop_pb2.Command) -> None:
        """As call_now, for what has no result.

        Called by a signal's handler while the session is at work, it does not wait: `command` is sent soon.
        """
        self._check_thread()
        if self._is_busy:
            self.send(command)
        else:
            self.call_now(command)

    def _no_answer(self) -> RequestTimeoutError:
        # The loop goes on: with what is still to be sent, and with what has come.
        if self._call.wants_write:
            self._watch_write()
        if self._backlog:
            self._drain_later()
        return RequestTimeoutError(
            f"the service at {self.target} did not answer within {self._answer_timeout:g} s: it stands still, or the"
            " way to it is broken. What was asked for may still be done. EventLoop(answer_timeout=…) sets how long to"
            " wait"
        )

    def _take_now(self, callback: event_loop_pb2.Callback | LargeData, request_id: int) -> bool:
        """Whether it is what call_now may hear at once: the answer, and the end of what is closing, told later."""
        if isinstance(callback, LargeData):
            return False
        if callback.HasField("reply") and callback.reply.request_id == request_id:
            self._on_reply(callback.reply)
            return True
        if callback.HasField("connection_lost"):
            handle = self.handles.get(callback.transport_id)
            if handle is not None and handle._is_ending():
                handle._on_callback("connection_lost", callback)
                return True
        return False

    # Processes

    def watch_process(self) -> None:
        """One more process: from now on `exit_codes` has that of each, as soon as it has arrived."""
        self._process_count += 1

    def forget_process(self, transport_id: int | None) -> None:
        """One fewer; None: it was never made."""
        self._process_count -= 1
        if transport_id is not None:
            self.exit_codes.pop(transport_id, None)

    def _note_exits(self, frame: Frame) -> None:
        callbacks = list(frame.callbacks)
        frame.callbacks = iter(callbacks)
        for callback in callbacks:
            if not isinstance(callback, LargeData) and callback.HasField("process_exited"):
                self.exit_codes[callback.transport_id] = callback.process_exited.returncode

    def read_now(self, timeout: float) -> None:
        """Waits in this thread, at most `timeout` seconds, until the service says something. It is kept, in order.

        0: only what has arrived; nothing when a signal's handler calls this while the session is at work, with more
        it is a RuntimeError. What was to be sent goes out first. SessionLostError when nothing can come any more.
        """
        self._check_thread()
        if self._is_busy and timeout <= 0:
            return
        self._begin_work()
        try:
            self._send_frames()
            if timeout > 0:
                self._call.wait(time.monotonic() + timeout)
            frames = self._receive()
        finally:
            self._is_busy = False
            self._go_on()
        if not frames and self._call.status is not None:
            raise SessionLostError(f"the session with the service is lost: {self._call.status.message}")

    def _go_on(self) -> None:
        """What was read in this thread, and what could not be written yet, is for a later turn."""
        if self.lost is not None:
            return
        if self._backlog or self._call.status is not None:
            self._drain_later()
        if self._call.wants_write:
            self._watch_write()

    def cancel(self, request_id: int) -> None:
        """Asks the service to stop an unanswered command; its `done` is still called."""
        if request_id in self._requests:
            self.send(event_loop_pb2.Command(cancel=event_loop_pb2.CancelRequest(request_id=request_id)))

    def abort(self, transport_id: int, reset: bool = False) -> None:
        """Ends a transport, and forgets it: what the service says of it from now on is ignored."""
        self.send_abort(transport_id, reset)
        self.handles.pop(transport_id, None)

    def send_abort(self, transport_id: int, reset: bool) -> None:
        """Ends a transport, which still hears what there is to hear."""
        self.send_end(event_loop_pb2.Command(abort=transport_pb2.AbortRequest(transport_id=transport_id, reset=reset)))

    def unclaimed(self, transport_id: int) -> Unclaimed:
        """The transport that a reply names: its connection_made came first."""
        handle = self.handles.get(transport_id)
        assert isinstance(handle, Unclaimed)
        return handle

    # Windows

    def credit(self) -> int:
        """How many bytes the session's window leaves."""
        return self.session_send_window_bytes - self.unwritten_bytes

    def written(self, size: int) -> None:
        """The kernel has taken `size` bytes more, or they are lost."""
        self.unwritten_bytes -= size
        if self._waiting_for_credit and self.credit() > 0:
            for _ in range(len(self._waiting_for_credit)):
                if self.credit() <= 0:
                    break
                handle = self.handles.get(self._waiting_for_credit.popleft())
                if handle is not None:
                    handle._on_credit()

    def wait_for_credit(self, transport_id: int) -> None:
        """Calls the handle's `_on_credit` when there is some."""
        self._waiting_for_credit.append(transport_id)

    def add_paused_writer(self, writer: PausedWriter) -> None:
        """Somebody waits until the kernel has taken what was written: progress is then told promptly."""
        if not self._paused_writers:
            self._frame_is_due = True
            self._flush_later()
        self._paused_writers.add(writer)

    def remove_paused_writer(self, writer: PausedWriter) -> None:
        """Nobody waits there any more."""
        self._paused_writers.discard(writer)

    def acknowledge(self, transport_id: int) -> None:
        """What this transport has consumed is told soon."""
        self._to_acknowledge.add(transport_id)
        self._frame_is_due = True
        self._flush_later()

    def acknowledge_all(self) -> None:
        """What all transports have consumed is told soon: together they come near the session's window."""
        self.unacknowledged_bytes = 0
        self._to_acknowledge.update(self.handles)
        self._frame_is_due = True
        self._flush_later()

    def _append_acknowledgements(self) -> None:
        handles, entries, size = self.handles, [], 0
        transport_ids, self._to_acknowledge = self._to_acknowledge, set()
        for transport_id in transport_ids:
            handle = handles.get(transport_id)
            if handle is None:
                continue
            data_bytes, data_count = handle._take_consumed()
            if data_count:
                entry = acknowledgement_entry(transport_id, data_bytes, data_count)
                entries.append(entry)
                size += len(entry)
        self._entries_bytes += size
        self._entries.extend(entries)

    def _flush_later(self) -> None:
        if not self._flush_is_due and self.lost is None:
            self._loop.call_soon(self._flush)
            self._flush_is_due = True

    # Frames in

    def _on_readable(self) -> None:
        call = self._call
        # All of them before the first is dispatched: a protocol may wait for an answer, which reads on (call_now).
        self._is_busy = True
        try:
            self._receive()
        finally:
            self._is_busy = False
        # What the protocols say goes out behind all of it, at once: another turn of the loop would only delay it.
        was_due, self._flush_is_due = self._flush_is_due, True
        try:
            self._dispatch_backlog()
        finally:
            self._flush_is_due = was_due
            if self.lost is None:
                if call.status is not None:
                    if not self._backlog:
                        self._lose_call()
                else:
                    if not call.wants_write:
                        self._call_before_flush()
                        self._seal()
                    if call.wants_write:
                        self._watch_write()

    def _receive(self) -> list[Frame]:
        """Reads what has arrived: the frames, which are in the backlog now."""
        try:
            return [frame for message in self._call.receive() if (frame := self._read(message)) is not None]
        except BaseException:
            self.interrupt()
            raise

    def _read(self, message: Buffer) -> Frame | None:
        """The frame, which is in the backlog now; None: it was none, and the session is lost."""
        try:
            frame = Frame(message)
        except ValueError as error:
            self._break_contract(str(error))
            return None
        if frame.sequence != self._received_sequence + 1 or frame.opened is not None:
            self._break_contract("its frames are not in order")
            return None
        self._received_sequence = frame.sequence
        if self._process_count:
            self._note_exits(frame)
        self._backlog.append(frame)
        return frame

    def _break_contract(self, what: str) -> None:
        self._unwatch()
        self._call.close()
        self.lose(SessionLostError(f"the session with the service is lost: it broke the contract: {what}"))

    def _dispatch_backlog(self) -> None:
        backlog = self._backlog
        try:
            while backlog:
                self._dispatch(backlog[0])
                backlog.popleft()
        except BaseException as error:
            # KeyboardInterrupt of a protocol, say: what else there is is not lost.
            if not isinstance(error, Exception) and is_inside(error):
                self.interrupt()
            else:
                self._drain_later()
            raise

    def _dispatch(self, frame: Frame) -> None:
        handles = self.handles
        for callback in frame.callbacks:
            data = callback.data_received
            if data:
                handle = handles.get(callback.transport_id)
                if handle is not None:
                    handle._on_data(data)
            else:
                self._on_callback(callback)  # type: ignore[arg-type]
        # Behind the callbacks: one of them may have been the end of a transport whose last bytes were not written.
        if frame.all_written:
            self.written_sequence = frame.acknowledged_sequence
            for writer in list(self._paused_writers):
                writer._on_all_written(self.written_sequence)

    def _drain_later(self) -> None:
        if not self._drain_is_due and not self._loop.is_closed():
            self._drain_is_due = True
            self._loop.call_soon(self._drain_backlog)

    def _drain_backlog(self) -> None:
        self._drain_is_due = False
        self._dispatch_backlog()
        if self._call.status is not None and self.lost is None:
            self._lose_call()

    def _on_callback(self, callback: event_loop_pb2.Callback) -> None:
        kind = callback.WhichOneof("callback")
        if kind == "write_progress":
            handle = self.handles.get(callback.transport_id)
            if handle is not None:
                handle._on_progress(callback.write_progress)
        elif kind == "reply":
            self._on_reply(callback.reply)
        elif kind == "connection_made":
            self._on_connection_made(callback.transport_id, callback.connection_made)
        elif kind == "call_exception_handler":
            self._on_exception(callback)
        elif kind == "draining":
            self._on_draining(callback.draining.time_left.ToNanoseconds() / 1e9)
        elif kind is not None:
            handle = self.handles.get(callback.transport_id)
            if handle is not None:
                handle._on_callback(kind, callback)

    def _on_reply(self, reply: Reply) -> None:
        made = self._made.pop(reply.request_id, None)
        if made is not None and reply.HasField("error"):
            # It was made, and cancelled behind that.
            self.handles.pop(made, None)
        done = self._requests.get(reply.request_id)
        if done is None:
            return
        if reply.HasField("error"):
            done(None, to_exception(reply.error))
        else:
            done(reply, None)
        # Behind it: if this is interrupted, it hears of the session's loss.
        self._requests.pop(reply.request_id, None)

    def _on_connection_made(self, transport_id: int, made: transport_pb2.ConnectionMade) -> None:
        unclaimed = Unclaimed(self, transport_id, made)
        self.handles[transport_id] = unclaimed
        if made.request_id:
            self._made[made.request_id] = transport_id
        if made.server_id:
            server = self.servers.get(made.server_id)
            if server is None:
                unclaimed.abort()
            else:
                server._on_connection(unclaimed)

    def _on_exception(self, callback: event_loop_pb2.Callback) -> None:
        context: dict[str, Any] = {"message": callback.call_exception_handler.message}
        if callback.call_exception_handler.HasField("error"):
            context["exception"] = to_exception(callback.call_exception_handler.error)
        server = self.servers.get(callback.transport_id)
        if server is not None:
            context["server"] = server
        self._loop.call_exception_handler(context)

    # The end

    def _ping(self) -> None:
        self._is_busy = True
        try:
            self._call.ping()
        finally:
            self._is_busy = False
        if self._call.wants_write:
            self._watch_write()
        if self._call.status is not None:
            self._drain_later()

    def _on_silence(self, seconds: float) -> None:
        self._call.give_up(
            f"it did not answer a ping within {seconds:g} s: its machine, or the way to it, is gone, or it stands still"
        )
        # What has come before is heard first.
        self._drain_backlog()

    def _lose_call(self) -> None:
        status = self._call.status
        assert status is not None
        self._unwatch()  # While the descriptor is one.
        self._call.close()
        error = status_error(status)
        text = f"the session with the service at {self.target} is lost: {error}"
        self.lose(SessionLostError(text))

    def lose(self, error: Exception) -> None:
        """Tells everybody that the session is gone. Idempotent."""
        if self.lost is None:
            self._end(error)
            self._tell_loss()

    def interrupt(self) -> None:
        """An exception from outside, such as KeyboardInterrupt, has left something here half done: the session is lost.

        Nothing is read or written any more; in a later turn everybody is told. Idempotent.
        """
        if self.lost is None:
            text = f"the session with the service at {self.target} is lost: an exception interrupted it halfway"
            self._end(SessionLostError(f"{text}, as a signal's KeyboardInterrupt does"))
        self._call.close()
        if not self._loop.is_closed():
            self._loop.call_soon(self._tell_loss)

    def _end(self, error: Exception) -> None:
        self.lost = error
        self._unwatch()
        requests, self._requests = self._requests, {}
        handles, self.handles = self.handles, {}
        servers, self.servers = self.servers, {}
        self._entries, self._entries_bytes = [], 0
        self._complete.clear()
        self._untold.extend(functools.partial(server._on_session_lost, error) for server in servers.values())
        self._untold.extend(functools.partial(done, None, error) for done in requests.values())
        self._untold.extend(functools.partial(handle._on_session_lost, error) for handle in handles.values())

    def _tell_loss(self) -> None:
        while self._untold:
            self._untold[0]()
            self._untold.popleft()  # Behind it: whoever is interrupted is told once more.

    def _unwatch(self) -> None:
        _sessions.discard(self)
        if self._keepalive is not None:
            self._keepalive.stop()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        """Ends the session: the loop is being closed, and nobody is told. Waits for the service's goodbye, not long.

        What was written goes out first, as far as the service's sockets take it; then it aborts what is open.
        """
        if self.lost is not None:
            return
        self._flush_is_due = True  # Nothing more is scheduled.
        self._call_before_flush()
        self._seal()
        self.lost = RuntimeError("Event loop is closed")
        self._unwatch()
        call = self._call
        self._requests.clear()
        self.handles.clear()
        self.servers.clear()
        try:
            call.half_close()
            deadline = time.monotonic() + _CLOSE_TIMEOUT
            while call.status is None and call.wait(deadline):
                call.receive()
        finally:
            call.close()

    @property
    def is_closed(self) -> bool:
        """By `close`: the loop is closed."""
        return isinstance(self.lost, RuntimeError) and not self._is_forked

    def forget(self) -> None:
        """A fork's child: the session is the parent's. Nothing is said to the service."""
        self._is_forked = True
        self.lost = RuntimeError("this event loop belongs to the process that made it, before os.fork()")
        if self._keepalive is not None:
            self._keepalive.stop()
        self._call.close()
        self._requests.clear()
        self.handles.clear()
        self.servers.clear()
        self._entries, self._entries_bytes = [], 0
        self._complete.clear()


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _forget_sessions() -> None:
    for session in list(_sessions):
        session.forget()
    _sessions.clear()


os.register_at_fork(after_in_child=_forget_sessions)


def _dial(place: Target, token: str, tls: TargetTls | None, deadline: float) -> GrpcCall:
    try:
        sock = place.connect(deadline)
    except OSError as error:
        raise ServiceUnavailableError(
            f"no service at {place.text}: {error.strerror or error}. Start one (transportd --listen={place.text}), or"
            " name another target: EventLoop(target) or TRANSPORTD_TARGET"
        ) from error
    try:
        if tls is not None:
            sock.settimeout(seconds_until(deadline))
            sock = connect_tls(tls.context, sock, tls.server_hostname, ["h2"])
        elif token and sock.family != socket.AF_UNIX:
            # Of a name, somebody else may have said what it means.
            address = sock.getpeername()[0]
            if not is_loopback(address):
                raise token_without_tls(place, address)
        metadata = [("user-agent", f"transportd-python/{sys.version_info[0]}.{sys.version_info[1]}")]
        if token:
            metadata.append(("authorization", f"Bearer {token}"))
        return GrpcCall(sock, place.authority, _SESSION_PATH, metadata)
    except OSError as error:
        sock.close()
        if tls is not None:
            raise explain_handshake(place, tls, error, deadline) from error
        raise ServiceUnavailableError(f"the connection with the service at {place.text} broke: {error}") from error
    except BaseException:
        sock.close()
        raise


def _open_error(place: Target, tls: TargetTls | None, call: GrpcCall, deadline: float) -> Exception:
    """Why the call ended."""
    status = call.status
    assert status is not None
    if call.met_tls:
        return wants_tls(place)
    if call.was_mute:
        call.close()
        why = explain_silence(place, tls, deadline) if place.family != socket.AF_UNIX else None
        if why is not None:
            return why
    error = status_error(status)
    told = transport_error_of(error)
    reason = told.reason if told is not None else ""
    failure: ServiceError
    if isinstance(error, (AuthenticationError, PolicyDeniedError)):
        hint = f"; {_WHO_CALLS}" if isinstance(error, AuthenticationError) else ""
        failure = type(error)(error.errno, f"the service at {place.text} refused the session: {error.strerror}{hint}")
    else:
        hint = "; install the versions that belong together" if reason == "UNSUPPORTED_REVISION" else ""
        text = told.message if told is not None and told.message else str(error)
        failure = ServiceUnavailableError(f"the service at {place.text} did not open a session: {text}{hint}")
    failure.reason = reason
    return failure
