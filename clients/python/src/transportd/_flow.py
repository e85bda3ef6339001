"""What every transport through which data flows has: its end, what it has consumed, what it has not yet written.

asyncio's rules: https://docs.python.org/3/library/asyncio-protocol.html#transports. A transport's life:

    open → closing? → lost

    open     it reads unless it is paused, and writes
    closing  close was called, and the kernel has not taken everything yet: it only writes
    lost     connection_lost is called, or scheduled: what is written is dropped
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import io
import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._errors import to_exception
from transportd._frames import write_header
from transportd.v1 import event_loop_pb2, transport_pb2

if TYPE_CHECKING:
    from transportd._session import Session, Unclaimed

logger = logging.getLogger("asyncio")

_HIGH_BYTES, _LOW_BYTES = 65536, 16384
WARN_AFTER_LOST_WRITES = 5
_MAX_HEADERS = 64


def _ignore(data: bytes) -> None:
    """Nobody wants it. No method: a transport that held one of its own would never be freed by itself."""


class Endpoint(asyncio.BaseTransport):
    """A transport's identity and end. Threading: the loop's thread alone, as all of asyncio."""

    _loop: asyncio.AbstractEventLoop
    _protocol: Any
    _extra: dict[str, Any]  # asyncio.BaseTransport's.
    _held_loss: tuple[BaseException | None] | None = None  # Met, and not told yet.

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        session: Session,
        transport_id: int,
        protocol: asyncio.BaseProtocol,
        extra: dict[str, Any],
    ):
        super().__init__(extra)
        self._loop = loop
        self._session = session
        self._id = transport_id
        self._context = contextvars.copy_context()
        self._closing = False
        self._lost_count = 0  # Not 0: lost. Then it counts the writes that came after.
        self._is_gone = False  # connection_lost was called.
        self._on_lost: Callable[[], None] | None = None
        self._bind(protocol)

    def _begin(self, unclaimed: Unclaimed, waiter: asyncio.Future[Any] | None) -> None:
        """connection_made comes first, then whoever made the transport goes on, then comes the data."""
        self._loop.call_soon(self._protocol.connection_made, self)
        unclaimed.claim(self)
        if waiter is None:
            self._loop.call_soon(self._start_reading)
        else:
            self._loop.call_soon(self._wake, waiter)

    def _wake(self, waiter: asyncio.Future[Any]) -> None:
        _wake(waiter)
        self._loop.call_soon(self._start_reading)

    def _start_reading(self) -> None:
        """connection_made was called: data may follow. Once."""

    def _take_over(self, old: Any) -> None:
        """This one stands for the connection from now on. `old` is inert: nothing calls its protocol any more."""
        self._context = old._context
        self._on_lost, old._on_lost = old._on_lost, None
        old._closing = old._is_gone = True
        old._lost_count += 1
        self._session.handles[self._id] = self

    def __repr__(self) -> str:
        state = "closed" if self._is_gone else "closing" if self._closing else "open"
        name = self.__class__.__name__
        peer = self._extra.get("peername") or self._extra.get("sockname")
        return f"<{name} {state} id={self._id}{f' {peer!r}' if peer else ''}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not self._closing:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)

    def _bind(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From the next callback on, `protocol` hears them."""
        self._bind(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears the callbacks."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """It is closing, or closed."""
        return self._closing

    def abort(self) -> None:
        """Drops what is buffered; connection_lost(None) follows. Idempotent."""
        self._force_close(None)

    def _force_close(self, error: BaseException | None) -> None:
        if self._lost_count:
            return
        # What was not read makes it a reset, as the kernel does of a socket that is closed with something unread.
        self._session.send_abort(self._id, reset=self._has_unread())
        self._lose(error)

    def _has_unread(self) -> bool:
        """Something has come that the protocol has not had."""
        return False

    def _fatal_error(self, error: BaseException, message: str) -> None:
        if isinstance(error, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=True)
        else:
            self._report(error, message)
        self._force_close(error)

    def _report(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )

    def _lose(self, error: BaseException | None) -> None:
        """connection_lost is scheduled; nothing else is called any more."""
        self._closing = True
        self._drop()
        self._loop.call_soon(self._call_connection_lost, error)
        # Behind it: if this is interrupted, the session's loss calls it once more.
        self._lost_count += 1
        self._session.handles.pop(self._id, None)

    def _drop(self) -> None:
        """Lets go of what is buffered."""

    def _call_connection_lost(self, error: BaseException | None) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        protocol, self._protocol = self._protocol, None
        on_lost, self._on_lost = self._on_lost, None
        try:
            protocol.connection_lost(error)
        finally:
            self._release()
            if on_lost is not None:
                on_lost()

    def _release(self) -> None:
        """Lets go of what only its protocol could want."""

    # Handle

    def _on_data(self, data: bytes) -> None:
        pass

    def _on_progress(self, sent_bytes: int) -> None:
        pass

    def _on_credit(self) -> None:
        pass

    def _take_consumed(self) -> tuple[int, int]:
        return 0, 0

    def _is_ending(self) -> bool:
        """It is closing: its end concerns no callback but connection_lost, which is called later anyway."""
        return False

    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        if kind == "connection_lost" and not self._lost_count:
            self._context.run(self._on_connection_lost, callback.connection_lost)

    def _on_session_lost(self, error: Exception) -> None:
        if not self._lost_count:
            self._context.run(self._lose, error)

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        self._lose(to_exception(lost.error) if lost.HasField("error") else None)


class Reading(Endpoint):
    """The side that reads.

    While it is paused, data, the end and errors of reading are held back here, in order. When data is, the service is
    told to stop reading. What is held then no longer counts against the session's window, once nothing more can follow.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._paused = False
        self._is_started = False
        self._delivers = False  # Open, started, not paused, nothing held.
        self._held: deque[Any] = deque()  # What _deliver takes. None: the end.
        self._told_paused = False
        self._sync_is_due = False
        self._acknowledged_held = 0  # How many of `_held` are counted as consumed already.
        self._consumed_bytes = 0
        self._consumed_count = 0
        self._unacknowledged = 0
        super().__init__(*args, **kwargs)
        self._charge = self._session.charge_bytes
        self._urgent_bytes = self._session.urgent_bytes

    def _bind(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._data_received = self._feed
        else:
            self._data_received = getattr(protocol, "data_received", _ignore)

    def _start_reading(self) -> None:
        self._is_started = True
        self._deliver_held()

    def _take_over(self, old: Any) -> None:
        super()._take_over(old)
        self._told_paused = old._told_paused
        self._consumed_bytes, self._consumed_count = old._consumed_bytes, old._consumed_count
        self._unacknowledged = old._unacknowledged

    def is_reading(self) -> bool:
        """Neither paused nor closing."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """No data_received from now on, nor anything else that reading would notice. Idempotent."""
        if self._closing or self._paused:
            return
        self._paused = True
        self._delivers = False
        self._sync_soon()
        if self._loop.get_debug():
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Undoes pause_reading. Idempotent."""
        if self._closing or not self._paused:
            return
        self._paused = False
        self._sync_soon()
        self._context = contextvars.copy_context()
        self._loop.call_soon(self._deliver_held)
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    def _on_data(self, data: bytes) -> None:
        if self._delivers:
            try:
                self._context.run(self._data_received, data)
            except (SystemExit, KeyboardInterrupt):
                self._consume(len(data))
                raise
            except BaseException as error:
                self._on_failed_delivery(error)
            size = len(data)
            self._consumed_bytes += size
            self._consumed_count += 1
            weight = size + self._charge
            self._unacknowledged += weight
            session = self._session
            session.unacknowledged_bytes += weight
            if self._unacknowledged >= self._urgent_bytes:
                session.acknowledge(self._id)
            elif session.unacknowledged_bytes >= session.urgent_session_bytes:
                session.acknowledge_all()
        elif self._closing or self._held_loss is not None:
            self._consume(len(data))
        else:
            self._hold(data)

    def _hold(self, item: Any) -> None:
        """It waits until the protocol may have it."""
        self._held.append(item)
        self._show_readable(True)
        if self._paused:
            self._sync_soon()

    def _show_readable(self, is_readable: bool) -> None:
        """Something came that the protocol has not had, or not any more."""

    def _consume(self, size: int) -> None:
        self._consumed_bytes += size
        self._consumed_count += 1
        self._unacknowledged += size + self._charge
        session = self._session
        session.unacknowledged_bytes += size + self._charge
        if self._unacknowledged >= self._urgent_bytes:
            session.acknowledge(self._id)
        elif session.unacknowledged_bytes >= session.urgent_session_bytes:
            session.acknowledge_all()

    def _take_consumed(self) -> tuple[int, int]:
        self._unacknowledged = 0
        return self._consumed_bytes, self._consumed_count

    def _feed(self, data: bytes) -> None:
        """A BufferedProtocol gets what it has room for, again and again; what it does not want any more is held."""
        protocol = self._protocol
        rest = io.BytesIO(data)  # Writes into every kind of buffer that recv_into takes.
        left = len(data)
        while left:
            try:
                buffer = protocol.get_buffer(left)
                if not len(buffer):
                    raise RuntimeError("get_buffer() returned an empty buffer")
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal_error(error, "Fatal error: protocol.get_buffer() call failed.")
                return
            try:
                size = rest.readinto(buffer)
                if not size:
                    raise RuntimeError("get_buffer() returned a buffer of nothing")
            except Exception as error:
                self._fatal_error(error, "Fatal read error on socket transport")
                return
            left -= size
            try:
                protocol.buffer_updated(size)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal_error(error, "Fatal error: protocol.buffer_updated() call failed.")
                return
            if left and (not self._delivers or self._protocol is not protocol):
                if not self._closing:
                    # Not counted again: the whole counts as consumed when this returns.
                    self._held.appendleft(rest.read())
                    self._acknowledged_held += 1
                    self._delivers = False
                    if not self._paused:
                        self._loop.call_soon(self._deliver_held)
                return

    def _deliver_held(self) -> None:
        held = self._held
        while held and not self._paused and self._is_started and not self._closing:
            item = held.popleft()
            if item is None:
                self._context.run(self._call_eof_received)
                continue
            is_counted = self._acknowledged_held > 0
            if is_counted:
                self._acknowledged_held -= 1
            self._delivers = not held
            try:
                self._deliver(item)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._on_failed_delivery(error)
            if not is_counted:
                self._consume(self._size_of(item))
        if self._closing or self._paused or not self._is_started:
            return
        if self._held_loss is not None:
            (loss,), self._held_loss = self._held_loss, None
            self._context.run(self._lose, loss)
            return
        self._delivers = True
        self._show_readable(False)
        if self._told_paused:
            self._sync_soon()

    def _deliver(self, item: Any) -> None:
        """One thing that was held."""
        self._context.run(self._data_received, item)

    def _size_of(self, item: Any) -> int:
        """Its bytes, as they are acknowledged."""
        return len(item)

    def _on_failed_delivery(self, error: BaseException) -> None:
        """The protocol has raised."""
        self._fatal_error(error, "Fatal error: protocol.data_received() call failed.")

    def _on_eof(self) -> None:
        """The peer has ended. As with asyncio, in a turn after that of the last data."""
        if self._closing:
            return
        self._hold(None)
        self._delivers = False
        if not self._paused and self._is_started:
            self._loop.call_soon(self._deliver_held)

    def _call_eof_received(self) -> None:
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.eof_received() call failed.")
            return
        self._after_eof(bool(keep_open))

    def _after_eof(self, keep_open: bool) -> None:
        if not keep_open:
            self.close()

    def _hold_loss(self, error: BaseException | None) -> None:
        """What reading met is noticed when everything before it is."""
        self._delivers = False
        self._show_readable(True)
        if self._held_loss is None:
            self._held_loss = (error,)
        if not self._paused and self._is_started:
            self._loop.call_soon(self._deliver_held)

    def _has_unread(self) -> bool:
        return bool(self._held) and self._held[0] is not None

    # Telling the service

    def _wants_paused(self) -> bool:
        # Not before something has come that the protocol does not want: until then the end is noticed, too.
        return bool(self._held) and self._held[0] is not None and (self._paused or self._told_paused)

    def _sync_soon(self) -> None:
        if not self._sync_is_due and self._wants_paused() != self._told_paused:
            self._sync_is_due = True
            self._loop.call_soon(self._sync_reading)

    def _sync_reading(self) -> None:
        self._sync_is_due = False
        if self._closing or self._held_loss is not None or self._wants_paused() == self._told_paused:
            return
        session = self._session
        if session.lost is not None:
            return
        self._told_paused = not self._told_paused
        if self._told_paused:
            session.request(
                event_loop_pb2.Command(pause_reading=transport_pb2.PauseReadingRequest(transport_id=self._id)),
                self._on_pause_confirmed,
            )
        else:
            session.send(
                event_loop_pb2.Command(resume_reading=transport_pb2.ResumeReadingRequest(transport_id=self._id))
            )

    def _on_pause_confirmed(self, reply: event_loop_pb2.Reply | None, error: Exception | None) -> None:
        """Nothing more comes: what is held weighs on nobody else."""
        if error is not None or self._closing or not self._told_paused:
            return
        for index, item in enumerate(self._held):
            if item is not None and index >= self._acknowledged_held:
                self._consume(self._size_of(item))
        self._acknowledged_held = sum(item is not None for item in self._held)
        if self._unacknowledged:
            self._session.acknowledge(self._id)

    def _stop(self) -> None:
        """Closing: nothing is read any more."""
        self._delivers = False
        self._held.clear()
        self._held_loss = None

    def _drop(self) -> None:
        self._stop()
        super()._drop()

    def _release(self) -> None:
        self._data_received = _ignore
        super()._release()


class FlowControl(Endpoint):
    """What is not yet in the kernel of the service's machine: its size, the watermarks, the flush of close.

    Accepted: in the kernel, or on its way to the service as far as the windows allow, or waiting here.
    """

    _default_limits = (_HIGH_BYTES, _LOW_BYTES)
    # What may be on its way to the kernel before it counts as buffered.
    _on_its_way_bytes = 0
    # close is answered by the peer: what happens until then matters.
    _close_is_answered = False

    def __init__(self, *args: Any, **kwargs: Any):
        # By the service's measure, all told.
        self._accepted_bytes = 0
        self._issued_bytes = 0
        self._issued_sequence = 0  # The frame with the last of them.
        self._sent_bytes = 0
        self._pending: deque[Any] = deque()
        self._waits_for_credit = False
        self._close_is_due = False
        self._high_bytes, self._low_bytes = self._default_limits
        self._pause_above = self._resume_at = 0
        self._set_marks()
        self._protocol_paused = False
        self._size_waiters: list[tuple[int, asyncio.Future[None]]] = []
        super().__init__(*args, **kwargs)
        self._send_window_bytes = self._session.send_window_bytes

    def _take_over(self, old: Any) -> None:
        super()._take_over(old)
        self._accepted_bytes, self._sent_bytes = old._accepted_bytes, old._sent_bytes
        self._issued_bytes, self._issued_sequence = old._issued_bytes, old._issued_sequence
        self._pending, self._size_waiters = old._pending, old._size_waiters
        self._waits_for_credit = old._waits_for_credit
        self._protocol_paused, old._protocol_paused = old._protocol_paused, False
        self._session.remove_paused_writer(old)
        if self._protocol_paused or self._size_waiters:
            self._session.add_paused_writer(self)

    def _pump(self) -> None:
        """Sends what the windows allow, then what was to follow."""
        raise NotImplementedError

    def _send_close(self) -> None:
        self._close_is_due = False
        self._session.send_end(event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=self._id)))

    def _wait_for_credit(self) -> None:
        if not self._waits_for_credit:
            self._waits_for_credit = True
            self._session.wait_for_credit(self._id)

    def _on_credit(self) -> None:
        self._waits_for_credit = False
        self._pump()

    def _on_progress(self, sent_bytes: int) -> None:
        if self._protocol_paused:
            self._context.run(self._progress, sent_bytes)
        else:
            self._progress(sent_bytes)

    def _progress(self, sent_bytes: int) -> None:
        delta = sent_bytes - self._sent_bytes
        if delta <= 0:
            return
        self._sent_bytes = sent_bytes
        self._session.written(delta)
        if self._pending:
            self._pump()
        size = self._accepted_bytes - sent_bytes
        if self._protocol_paused and size <= self._resume_at:
            self._resume_protocol()
        if self._size_waiters:
            self._wake_size_waiters(size)

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel of the service's machine has not taken yet, as far as is known here.

        Of a socket without the last 256 KiB, which are on their way to it, unless the high-water mark is 0.
        """
        self._settle()
        return max(0, self._accepted_bytes - self._sent_bytes - (self._pause_above - self._high_bytes))

    def _settle(self) -> None:
        """What the service has said of all its transports may say it of this one, too."""
        if (
            self._sent_bytes != self._issued_bytes
            and self._issued_sequence <= self._session.written_sequence
            and not self._protocol_paused
        ):
            self._progress(self._issued_bytes)

    def _on_all_written(self, sequence: int) -> None:
        if self._issued_sequence <= sequence:
            self._on_progress(self._issued_bytes)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high), bytes."""
        return self._low_bytes, self._high_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """pause_writing comes strictly above `high` bytes, resume_writing at `low` or below.

        Without `high` it is 4 x `low`, or the default; without `low` it is a quarter of `high`. ValueError unless
        high >= low >= 0.
        """
        if high is None:
            high = self._default_limits[0] if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_bytes, self._low_bytes = high, low
        self._set_marks()
        self._maybe_pause_protocol()

    def _set_marks(self) -> None:
        on_its_way = self._on_its_way_bytes if self._high_bytes else 0
        self._pause_above = self._high_bytes + on_its_way
        self._resume_at = self._low_bytes + on_its_way

    def _maybe_pause_protocol(self) -> None:
        if not self._protocol_paused and self.get_write_buffer_size() > self._high_bytes:
            self._pause_protocol()

    def _pause_protocol(self) -> None:
        self._protocol_paused = True
        self._session.add_paused_writer(self)
        try:
            self._protocol.pause_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(error, "protocol.pause_writing() failed")

    def _resume_protocol(self) -> None:
        self._protocol_paused = False
        self._unpause()
        try:
            self._protocol.resume_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(error, "protocol.resume_writing() failed")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From the next callback on, `protocol` hears them. One that was not paused is not resumed."""
        if self._protocol_paused:
            self._protocol_paused = False
            self._unpause()
        super().set_protocol(protocol)

    def close(self) -> None:
        """Flushes, then connection_lost(None). Idempotent."""
        if self._closing:
            return
        self._closing = True
        held_loss = self._held_loss
        self._stop()
        if held_loss is not None:
            # The service has told the end, and tells nothing more: what waits here cannot be flushed.
            self._lose(held_loss[0] if self._accepted_bytes > self._sent_bytes else None)
            return
        self._settle()
        if self._accepted_bytes == self._sent_bytes:
            self._send_close()
            self._lose(None)
        else:
            # What is written until then goes first.
            self._session.before_flush(self._close_behind)

    def _is_ending(self) -> bool:
        return self._closing and not self._close_is_answered and not self._protocol_paused

    def _stop(self) -> None:
        """Closing: nothing is read any more."""

    def _close_behind(self) -> None:
        if not self._lost_count:
            self._close_is_due = True
            self._pump()

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        # The last bytes may have reached the kernel in the turn that ended it: the protocol hears of them first.
        # Not what all_written has said: it says so of what a lost transport has dropped, too.
        is_sent = not self._pending and lost.sent_bytes >= self._issued_bytes
        self._pending.clear()
        self._progress(min(lost.sent_bytes, self._issued_bytes))
        if self._closing and not self._close_is_answered and is_sent:
            # Whatever the socket met after the last byte: nobody would have looked.
            self._lose(None)
        else:
            super()._on_connection_lost(lost)

    def _drop(self) -> None:
        self._pending.clear()
        self._session.written(self._issued_bytes - self._sent_bytes)
        self._issued_bytes = self._accepted_bytes = self._sent_bytes
        self._fail_size_waiters()
        self._session.remove_paused_writer(self)
        super()._drop()

    async def _wait_until_buffered(self, size: int) -> None:
        """Until at most `size` bytes are buffered; ConnectionError when the transport is lost first."""
        if self._lost_count:
            raise ConnectionError("Connection closed by peer")
        self._settle()
        if self._accepted_bytes - self._sent_bytes <= size:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._size_waiters.append((size, waiter))
        self._session.add_paused_writer(self)
        await waiter

    def _wake_size_waiters(self, size: int) -> None:
        waiting = self._size_waiters
        self._size_waiters = [(limit, waiter) for limit, waiter in waiting if size > limit and not waiter.done()]
        for limit, waiter in waiting:
            if size <= limit and not waiter.done():
                waiter.set_result(None)
        self._unpause()

    def _unpause(self) -> None:
        if not self._protocol_paused and not self._size_waiters:
            self._session.remove_paused_writer(self)

    def _fail_size_waiters(self) -> None:
        waiting, self._size_waiters = self._size_waiters, []
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(ConnectionError("Connection closed by peer"))


class Writing(FlowControl):
    """The side that writes a stream."""

    _lost_write_warning = "socket.send() raised exception."
    _pending: deque[bytes | memoryview]

    def __init__(self, *args: Any, **kwargs: Any):
        self._eof = False
        self._eof_is_due = False
        self._is_sending_file = False
        self._headers: dict[int, bytes] = {}
        super().__init__(*args, **kwargs)
        self._max_write_bytes = self._session.max_write_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Buffers `data`, which may be reused at once. Never blocks, and never raises for what the network does."""
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise self._type_error(data)
            data = bytes(data)
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_sending_file:
            raise RuntimeError("unable to write; sendfile is in progress")
        if not data:
            return
        if self._lost_count:
            if self._lost_count >= WARN_AFTER_LOST_WRITES:
                logger.warning(self._lost_write_warning)
            self._lost_count += 1
            return
        self._accept(data)

    def _type_error(self, data: object) -> Exception:
        return TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")

    def _accept(self, data: bytes) -> None:
        if self._held_loss is not None:
            # Reading has met it and the protocol was not told, because it is paused. Writing meets it, too.
            self._lose(self._held_loss[0] or BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
            return
        size = len(data)
        self._accepted_bytes += size
        session = self._session
        if (
            not self._pending
            and size <= self._max_write_bytes
            and self._issued_bytes - self._sent_bytes + size <= self._send_window_bytes
            and size <= session.session_send_window_bytes - session.unwritten_bytes
        ):
            self._issued_bytes += size
            header = self._headers.get(size)
            if header is None:
                header = self._new_header(size)
            session.write(self._id, header, data)
            self._issued_sequence = session.open_sequence
        else:
            self._pending.append(data)
            self._pump()
        if self._accepted_bytes - self._sent_bytes > self._pause_above and not self._protocol_paused:
            self._pause_protocol()

    def _new_header(self, size: int) -> bytes:
        if len(self._headers) >= _MAX_HEADERS:
            self._headers.clear()
        header = self._headers[size] = write_header(self._id, size)
        return header

    def writelines(self, list_of_data: Any) -> None:
        """As write of all of them, one after the other."""
        if self._eof and sys.version_info >= (3, 12):
            raise RuntimeError("Cannot call writelines() after write_eof()")
        self.write(b"".join(list_of_data))

    def _pump(self) -> None:
        """Sends what the windows allow, then what was to follow."""
        pending, session = self._pending, self._session
        while pending:
            room = min(
                self._max_write_bytes,
                self._send_window_bytes - (self._issued_bytes - self._sent_bytes),
                session.session_send_window_bytes - session.unwritten_bytes,
            )
            if room <= 0:
                if session.session_send_window_bytes <= session.unwritten_bytes:
                    self._wait_for_credit()
                return
            piece = pending[0]
            if len(piece) > room:
                view = memoryview(piece)
                pending[0] = view[room:]
                piece = view[:room]
            else:
                pending.popleft()
            size = len(piece)
            self._issued_bytes += size
            session.write(self._id, write_header(self._id, size), piece)
            self._issued_sequence = session.open_sequence
        if self._eof_is_due:
            self._eof_is_due = False
            session.send(event_loop_pb2.Command(write_eof=transport_pb2.WriteEofRequest(transport_id=self._id)))
        if self._close_is_due:
            self._send_close()

    def write_eof(self) -> None:
        """Half-closes behind what is buffered; reading goes on. Idempotent."""
        if self._closing or self._eof:
            return
        self._eof = True
        self._eof_is_due = True
        self._pump()

    def can_write_eof(self) -> bool:
        """write_eof is possible."""
        return True


def _wake(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
