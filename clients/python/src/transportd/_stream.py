"""Stream transports whose sockets and pipes are in the service."""

from __future__ import annotations

import asyncio
import logging
from asyncio import constants, trsock
from typing import TYPE_CHECKING, Any

from transportd._addresses import address_of
from transportd._errors import to_exception
from transportd._flow import Reading, Writing
from transportd._socket import RemoteSocket
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
        extra["socket"] = trsock.TransportSocket(remote)  # type: ignore[arg-type]
    if info.HasField("peercred"):
        extra["peercred"] = (info.peercred.pid, info.peercred.uid, info.peercred.gid)
    return extra


class _StreamReading(Reading):
    """Reading of a stream: it has an end."""

    def on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        if kind == "eof_received":
            self._on_eof()
        else:
            super().on_callback(kind, callback)

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
        super().__init__(loop, session, unclaimed.transport_id, protocol, own_extra | (extra or {}))
        unclaimed.claim(self)
        # connection_made comes before any data, and both before whoever made the transport goes on.
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._start_reading)
        if waiter is not None:
            loop.call_soon(_wake, waiter)

    def _stop(self) -> None:
        self._delivers = False
        self._held.clear()
        self._held_loss = None

    def _must_hold(self, lost: transport_pb2.ConnectionLost) -> bool:
        # Bytes that the kernel never took: the write error that they met is noticed, paused or not.
        return super()._must_hold(lost) and not (self._paused and self._accepted_bytes > self._sent_bytes)

    def _release(self) -> None:
        super()._release()
        socket = self._extra.get("socket")
        if socket is not None:
            socket._sock.forget()


class ServiceTlsTransport(StreamTransport):
    """A stream whose TLS the service does: `ssl=ServiceTls(...)`."""

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.set_write_buffer_limits(512 * 1024, 128 * 1024)

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

    def _after_eof(self, keep_open: bool) -> None:
        if keep_open:
            logger.warning("returning true from eof_received() has no effect when using ssl")
        self.close()


class ReadPipeTransport(_StreamReading, asyncio.ReadTransport):
    """The read end of a pipe of the service. It closes by itself behind eof_received."""

    def close(self) -> None:
        """connection_lost(None) follows. Idempotent."""
        if not self._closing:
            self._session.send(event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=self._id)))
            self._lose(None)

    def _after_eof(self, keep_open: bool) -> None:
        self.close()


class WritePipeTransport(Writing, asyncio.WriteTransport):
    """The write end of a pipe of the service. The reader's end is noticed without writing."""

    _lost_write_warning = "pipe closed by peer or os.write(pipe, data) raised exception."

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As of any transport; what is written after close is dropped."""
        if self._closing and not self._lost_count and isinstance(data, (bytes, bytearray, memoryview)):
            return
        super().write(data)

    def write_eof(self) -> None:
        """The same as close."""
        self.close()

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        # The service may have had nothing buffered, while bytes were on their way to it.
        if (not lost.HasField("error") and not self._closing and self._issued_bytes > lost.sent_bytes) or self._pending:
            self._pending.clear()
            self._progress(min(lost.sent_bytes, self._issued_bytes))
            self._lose(BrokenPipeError())
            return
        super()._on_connection_lost(lost)


def _wake(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
