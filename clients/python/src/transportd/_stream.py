"""Stream transports whose sockets and pipes are in the service."""

from __future__ import annotations

import asyncio
import errno
import logging
from asyncio import constants
from typing import TYPE_CHECKING, Any

from transportd._addresses import address_of
from transportd._errors import to_exception, transport_error_of
from transportd._flow import WARN_AFTER_LOST_WRITES, Reading, Writing
from transportd._socket import RemoteSocket, TransportSocket
from transportd.v1 import event_loop_pb2, transport_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._session import Session, Unclaimed

logger = logging.getLogger("asyncio")

# What only reading meets: a transport that is paused does not notice.
_READ_CAUSES = frozenset(
    (
        types_pb2.END_CAUSE_EOF,
        types_pb2.END_CAUSE_RAGGED_EOF,
        types_pb2.END_CAUSE_RESET,
        types_pb2.END_CAUSE_TIMED_OUT,
        types_pb2.END_CAUSE_UNREACHABLE,
        types_pb2.END_CAUSE_TLS_ALERT,
        types_pb2.END_CAUSE_TLS_ERROR,
        types_pb2.END_CAUSE_OS_ERROR,
    )
)


def socket_extra(session: Session, transport_id: int, info: transport_pb2.ExtraInfo) -> dict[str, Any]:
    """get_extra_info's `socket`, `sockname` and `peername`."""
    sockname = address_of(info.sockname) if info.HasField("sockname") else None
    peername = address_of(info.peername) if info.HasField("peername") else None
    extra: dict[str, Any] = {"sockname": sockname, "peername": peername}
    if info.HasField("socket"):
        remote = RemoteSocket(session, transport_id, info.socket, sockname, peername)
        remote.can_be_waited_for = info.socket.type == types_pb2.SOCKET_TYPE_STREAM
        extra["socket"] = TransportSocket(remote)
    if info.HasField("peercred"):
        extra["peercred"] = (info.peercred.pid, info.peercred.uid, info.peercred.gid)
    return extra


class _StreamReading(Reading):
    """Reading of a stream: it has an end."""

    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        if kind == "eof_received":
            self._on_eof()
        else:
            super()._on_callback(kind, callback)

    def _must_hold(self, lost: transport_pb2.ConnectionLost) -> bool:
        if self._closing:
            return False
        if self._paused or not self._is_started:
            return lost.cause in _READ_CAUSES
        return bool(self._held)

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        if self._must_hold(lost):
            self._hold_loss(to_exception(lost.error) if lost.HasField("error") else None)
        else:
            super()._on_connection_lost(lost)


class StreamTransport(_StreamReading, Writing, asyncio.Transport):
    """A connected stream socket of the service: asyncio's transport of create_connection and create_server."""

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE
    _has_ended = False  # The peer has, and the protocol knows.
    # Less than what a kernel takes of a local socket before asyncio counts it.
    _on_its_way_bytes = 256 << 10

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        unclaimed: Unclaimed,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ):
        session = unclaimed.session
        own_extra = socket_extra(session, unclaimed.transport_id, unclaimed.made.extra_info)
        self._is_starting_tls = self._was_reading = False
        self._successor: ServiceTlsTransport | None = None
        super().__init__(loop, session, unclaimed.transport_id, protocol, own_extra | (extra or {}))
        self._begin(unclaimed, waiter)

    def resume_reading(self) -> None:
        """Undoes pause_reading. Idempotent."""
        if self._is_starting_tls:
            self._was_reading = True
        else:
            super().resume_reading()

    def close(self) -> None:
        """Flushes, then connection_lost(None). Idempotent."""
        if self._successor is not None:
            self._successor.close()
        else:
            super().close()

    def abort(self) -> None:
        """Drops what is buffered; connection_lost(None) follows. Idempotent."""
        if self._successor is not None:
            self._successor.abort()
        else:
            super().abort()

    # start_tls of the service's

    def _begin_start_tls(self) -> bool:
        """Nothing is delivered, and connection_lost comes at once, until `_end_start_tls`. False: it cannot be."""
        if self._is_starting_tls or self._eof or self._is_sending_file or self._held_loss is not None:
            return False
        self._was_reading = self.is_reading()
        self.pause_reading()
        self._is_starting_tls = True
        return True

    async def _wait_until_written(self) -> None:
        """Until the kernel has everything. ConnectionResetError: the connection is lost first."""
        try:
            await self._wait_until_buffered(0)
        except ConnectionError:
            raise ConnectionResetError from None

    def _take_held(self) -> bytes:
        """What has come and was not delivered: the pause is confirmed. ConnectionResetError: the peer has ended."""
        if self._closing or None in self._held:
            raise ConnectionResetError
        held = b"".join(self._held)
        for item in list(self._held)[self._acknowledged_held :]:
            self._consume(len(item))
        self._held.clear()
        self._acknowledged_held = 0
        return held

    def _end_start_tls(self, held: bytes) -> None:
        """It came to nothing, and all is as it was."""
        self._is_starting_tls = False
        if held:
            self._held.appendleft(held)
            self._acknowledged_held += 1
        if self._was_reading:
            self.resume_reading()

    def _must_hold(self, lost: transport_pb2.ConnectionLost) -> bool:
        # Bytes that the kernel never took: the write error that they met is noticed, paused or not.
        is_unsent = bool(self._pending) or self._issued_bytes > lost.sent_bytes
        if self._is_starting_tls or (self._paused and is_unsent):
            return False
        return super()._must_hold(lost)

    def _show_readable(self, is_readable: bool) -> None:
        shown = self._extra.get("socket")
        if shown is not None:
            shown._sock.show_readable(is_readable or self._has_ended)

    def _wants_paused(self) -> bool:
        # What follows is TLS, whether anything has come or not.
        return self._is_starting_tls or super()._wants_paused()

    def _call_eof_received(self) -> None:
        self._has_ended = True
        super()._call_eof_received()

    def _release(self) -> None:
        super()._release()
        socket = self._extra.get("socket")
        if socket is not None:
            socket._sock.forget()


class ServiceTlsTransport(StreamTransport):
    """A stream whose TLS the service does: `ssl=ServiceTls(...)`."""

    _sendfile_compatible = constants._SendfileMode.FALLBACK
    _default_limits = (512 * 1024, 128 * 1024)
    _close_is_answered = True
    _lost_write_warning = "SSL connection is closed"
    # A server that keeps the one before it, to close it, closes this.
    _predecessor: StreamTransport | None = None

    @classmethod
    def _over(cls, old: StreamTransport, protocol: asyncio.BaseProtocol, extra: dict[str, Any]) -> ServiceTlsTransport:
        """The connection of `old`, on which the service has begun TLS. Nothing is read before `_start_reading`."""
        self = cls.__new__(cls)
        self._is_starting_tls = self._was_reading = False
        self._successor = None
        super(StreamTransport, self).__init__(old._loop, old._session, old._id, protocol, old._extra | extra)
        self._take_over(old)
        old._successor, self._predecessor = self, old
        return self

    def can_write_eof(self) -> bool:
        """TLS has no half-close in asyncio: False."""
        return False

    def write_eof(self) -> None:
        """NotImplementedError."""
        raise NotImplementedError("a TLS transport cannot be half-closed")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As of any transport; what is written after close is dropped."""
        if self._closing and not self._lost_count and isinstance(data, (bytes, bytearray, memoryview)):
            return
        super().write(data)

    def _type_error(self, data: object) -> Exception:
        return TypeError(f"data: expecting a bytes-like instance, got {type(data).__name__}")

    def close(self) -> None:
        """Flushes, ends TLS, waits for the peer's end of it, then connection_lost(None). Idempotent."""
        if self._successor is not None:
            self._successor.close()
        elif self._has_ended:
            super().close()
        elif not self._closing:
            self._closing = True
            self._stop()
            self._session.before_flush(self._close_behind)

    def _on_eof(self) -> None:
        if self._closing and not self._lost_count:
            self._context.run(self._call_eof_received)
        else:
            super()._on_eof()

    def _after_eof(self, keep_open: bool) -> None:
        if keep_open:
            logger.warning("returning true from eof_received() has no effect when using ssl")
        self.close()

    def _call_connection_lost(self, error: BaseException | None) -> None:
        super()._call_connection_lost(error)
        self._predecessor = None


class ReadPipeTransport(_StreamReading, asyncio.ReadTransport):
    """The read end of a pipe of the service. It closes by itself behind eof_received."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        unclaimed: Unclaimed,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ):
        super().__init__(loop, unclaimed.session, unclaimed.transport_id, protocol, extra or {})
        self._begin(unclaimed, waiter)

    def close(self) -> None:
        """connection_lost(None) follows. Idempotent."""
        if not self._closing:
            self._session.send_end(event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=self._id)))
            self._lose(None)

    def _on_failed_delivery(self, error: BaseException) -> None:
        # As asyncio, whose pipes go on.
        self._report(error, "Exception in callback protocol.data_received()")

    def _call_eof_received(self) -> None:
        protocol = self._protocol
        self.close()
        try:
            protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(error, "Exception in callback protocol.eof_received()")

    def _lose(self, error: BaseException | None) -> None:
        failure = None if error is None else transport_error_of(error)
        # EIO is how a terminal ends.
        if error is not None and failure is not None and failure.errno_number not in (0, errno.EIO):
            self._report(error, "Fatal read error on pipe transport")
        super()._lose(error)


class WritePipeTransport(Writing, asyncio.Transport):
    """The write end of a pipe of the service. The reader's end is noticed without writing.

    As asyncio's it is an asyncio.Transport whose methods that read raise NotImplementedError.
    """

    _on_its_way_bytes = 0
    _lost_write_warning = "pipe closed by peer or os.write(pipe, data) raised exception."

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        unclaimed: Unclaimed,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ):
        super().__init__(loop, unclaimed.session, unclaimed.transport_id, protocol, extra or {})
        self._writes_after_close = 0
        self._begin(unclaimed, waiter)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As of any transport; what is written after close is dropped."""
        if self._closing and not self._lost_count and isinstance(data, (bytes, bytearray, memoryview)):
            if data and self._writes_after_close >= WARN_AFTER_LOST_WRITES:
                logger.warning(self._lost_write_warning)
            self._writes_after_close += bool(data)
            return
        super().write(data)

    def _type_error(self, data: object) -> Exception:
        return AssertionError(repr(data))

    def write_eof(self) -> None:
        """The same as close."""
        self.close()

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        if lost.HasField("error") or lost.sent_bytes >= self._accepted_bytes:
            super()._on_connection_lost(lost)
            return
        # The service had nothing buffered when the reader went, but bytes were on their way to it.
        self._pending.clear()
        self._progress(min(lost.sent_bytes, self._issued_bytes))
        if not self._lost_count:
            self._lose(BrokenPipeError())
