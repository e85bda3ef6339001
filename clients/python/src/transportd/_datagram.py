"""Datagram endpoints, UDP and Unix, whose sockets are in the service."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._addresses import Address, address_of, c_int, family_to_proto
from transportd._connect import LONGEST_SECONDS, scoped_host, unix_path
from transportd._destination import Destinations, Name
from transportd._errors import each_exception, plain_os_error, to_exception, transport_error_of
from transportd._flow import WARN_AFTER_LOST_WRITES, FlowControl, Reading
from transportd._frames import sendto_header
from transportd._stream import socket_extra
from transportd.v1 import datagram_pb2, event_loop_pb2, transport_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Session, Unclaimed

logger = logging.getLogger("asyncio")

# What a datagram weighs besides its bytes, in the service's windows; and, since 3.13, in asyncio's buffer.
_HEADER_BYTES = 8
_COUNTS_HEADERS = sys.version_info >= (3, 13)
_SENDS_EMPTY = sys.version_info >= (3, 13)
# What a frame needs besides its entries.
_FRAME_BYTES = 64


class DatagramTransport(Reading, FlowControl, asyncio.Transport, asyncio.DatagramTransport):
    """asyncio's transport of create_datagram_endpoint.

    An asyncio.Transport, too, as asyncio's own is: write, writelines, write_eof and can_write_eof raise
    NotImplementedError, while is_reading, pause_reading and resume_reading do what they do of a stream.
    """

    def __init__(
        self,
        loop: EventLoop,
        unclaimed: Unclaimed,
        protocol: asyncio.BaseProtocol,
        remote: Address,
        waiter: asyncio.Future[Any] | None = None,
    ):
        session = unclaimed.session
        info = unclaimed.made.extra_info
        self._remote = remote
        self._destinations = Destinations(session, info.socket.family)
        self._issued_sizes: deque[int] = deque()
        extra = socket_extra(session, unclaimed.transport_id, info)
        super().__init__(loop, session, unclaimed.transport_id, protocol, extra)
        self._begin(unclaimed, waiter)

    # Receiving

    def _on_callback(self, kind: str, callback: event_loop_pb2.Callback) -> None:
        if kind == "datagram_received":
            datagram = callback.datagram_received
            address = address_of(datagram.address) if datagram.HasField("address") else None
            self._on_datagram(datagram.data, address)
        elif kind == "error_received":
            error = to_exception(callback.error_received.error)
            if self._is_started:
                self._context.run(self._on_error, error)
            else:
                self._loop.call_soon(self._on_error, error)
        else:
            super()._on_callback(kind, callback)

    def _on_datagram(self, data: bytes, address: Address) -> None:
        if self._delivers:
            try:
                self._deliver((data, address))
            except (SystemExit, KeyboardInterrupt):
                self._consume(len(data))
                raise
            except BaseException as error:
                self._on_failed_delivery(error)
            self._consume(len(data))
        elif self._closing:
            self._consume(len(data))
        else:
            self._hold((data, address))

    def _deliver(self, item: Any) -> None:
        self._context.run(self._protocol.datagram_received, *item)

    def _size_of(self, item: Any) -> int:
        return len(item[0])

    def _on_failed_delivery(self, error: BaseException) -> None:
        # As asyncio: the endpoint goes on.
        self._report(error, "Exception in callback protocol.datagram_received()")

    def _on_error(self, error: Exception) -> None:
        if self._lost_count:
            return
        try:
            self._protocol.error_received(error)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self._report(failure, "Exception in callback protocol.error_received()")

    # Sending

    def sendto(self, data: bytes | bytearray | memoryview, addr: Address = None) -> None:
        """Sends one datagram, or buffers it. `addr`: as socket.sendto takes it, a name that is to be resolved, too.

        A name is resolved by the service. What is sent meanwhile waits behind it; error_received tells of a name that
        is none.

        TypeError: `data` is not bytes-like. ValueError: the endpoint has a remote address, and `addr` is another one.
        What else is wrong with `addr` ends the endpoint, as with asyncio.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        data = bytes(data)
        if not data and not _SENDS_EMPTY:
            return
        if self._remote and addr not in (None, self._remote):
            raise ValueError(f"Invalid address: must be None or {self._remote}")
        if self._lost_count:
            if self._remote:
                if self._lost_count >= WARN_AFTER_LOST_WRITES:
                    logger.warning("socket.send() raised exception.")
                self._lost_count += 1
            return
        try:
            address = b"" if self._remote else self._destinations.find(addr, self._pump)
            header = address if isinstance(address, Name) else self._header(address, data)
        except OSError as error:
            self._protocol.error_received(error)
            return
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal write error on datagram transport")
            return
        self._accepted_bytes += len(data) + _HEADER_BYTES
        self._pending.append((header, data))
        if len(self._pending) == 1:
            self._pump()
        self._maybe_pause_protocol()

    def _header(self, address: bytes, data: bytes) -> bytes:
        header = sendto_header(self._id, address, len(data))
        if len(header) + len(data) + _FRAME_BYTES > self._session.limits.max_client_frame_bytes:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return header

    def _pump(self) -> None:
        pending, session = self._pending, self._session
        while pending:
            header, data = pending[0]
            if isinstance(header, Name):
                if header.address is None and header.error is None:
                    return
                try:
                    if header.error is not None:
                        raise header.error
                    header = self._header(header.address or b"", data)
                except Exception as error:
                    pending.popleft()
                    self._accepted_bytes -= len(data) + _HEADER_BYTES
                    self._loop.call_soon(self._on_unsent, error, context=self._context)
                    continue
                pending[0] = (header, data)
            weight = len(data) + _HEADER_BYTES
            # A datagram does not go in pieces: however long it is, one may be on its way.
            in_flight = self._issued_bytes - self._sent_bytes
            if in_flight and in_flight + weight > self._send_window_bytes:
                return
            if session.unwritten_bytes and weight > session.credit():
                self._wait_for_credit()
                return
            pending.popleft()
            self._issued_bytes += weight
            self._issued_sizes.append(weight)
            session.unwritten_bytes += _HEADER_BYTES
            session.write(self._id, header, data)
            self._issued_sequence = session.open_sequence
        if self._close_is_due:
            self._send_close()

    def _on_unsent(self, error: Exception) -> None:
        """Of a datagram whose destination has turned out to be none."""
        if isinstance(error, OSError):
            self._on_error(error)
        elif not self._lost_count:
            self._fatal_error(error, "Fatal write error on datagram transport")
        if self._protocol_paused and not self._lost_count and self.get_write_buffer_size() <= self._low_bytes:
            self._resume_protocol()

    def _progress(self, sent_bytes: int) -> None:
        left = sent_bytes - self._sent_bytes
        if left <= 0:
            return
        self._sent_bytes = sent_bytes
        while left > 0 and self._issued_sizes:
            left -= self._issued_sizes.popleft()
        self._session.written(sent_bytes - self._sent_bytes)
        self._pump()
        if self._protocol_paused and self.get_write_buffer_size() <= self._low_bytes:
            self._resume_protocol()

    def get_write_buffer_size(self) -> int:
        """Bytes that the service's kernel has not taken yet; since Python 3.13, with 8 more for each datagram."""
        self._settle()
        size = self._accepted_bytes - self._sent_bytes
        if _COUNTS_HEADERS:
            return size
        return size - _HEADER_BYTES * (len(self._issued_sizes) + len(self._pending))

    # The end

    def _on_connection_lost(self, lost: transport_pb2.ConnectionLost) -> None:
        error = to_exception(lost.error) if lost.HasField("error") else None
        if error is None:
            # Everything was sent, or refused.
            self._progress(self._issued_bytes)
        if not self._lost_count:
            self._lose(error)

    def _drop(self) -> None:
        self._issued_sizes.clear()
        super()._drop()

    def _release(self) -> None:
        super()._release()
        sock = self._extra.get("socket")
        if sock is not None:
            sock._sock.forget()


def are_addresses(family: int, *addresses: Any) -> bool:
    """asyncio takes these as the local and remote addresses of an endpoint."""
    given = [address for address in addresses if address is not None]
    if not any(given):
        return family != 0
    if family == socket.AF_UNIX:
        return all(isinstance(address, str) for address in given)
    return all(isinstance(address, tuple) and len(address) == 2 for address in given)


async def create_datagram_endpoint(
    loop: EventLoop,
    session: Session,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    local_addr: Any,
    remote_addr: Any,
    *,
    family: int,
    proto: int,
    flags: int,
    reuse_port: bool,
    allow_broadcast: bool,
) -> tuple[DatagramTransport, asyncio.BaseProtocol]:
    """An endpoint in the service, for arguments that asyncio accepts; raises what asyncio raises."""
    ends: list[tuple[int, int, Any, Any]]
    if not (local_addr or remote_addr):
        ends = [(family, proto, None, None)]
    elif family == socket.AF_UNIX:
        ends = [(family, proto, local_addr or None, remote_addr or None)]
    else:
        ends = await _resolve(loop, local_addr, remote_addr, family, proto, flags)
    exceptions: list[Exception] = []
    for end_family, end_proto, local, remote in ends:
        try:
            request = _request(end_family, end_proto, local, remote)
            request.reuse_port = reuse_port
            request.allow_broadcast = allow_broadcast
            unclaimed = await session.create(event_loop_pb2.Command(create_datagram_endpoint=request))
            break
        except Exception as error:
            failure = each_exception(error)[0]
            if (told := transport_error_of(failure)) is not None and told.errno_number:
                failure = plain_os_error(told)
            if not isinstance(failure, OSError):
                raise failure from None
            exceptions.append(failure)
    else:
        raise exceptions[0]
    waiter: asyncio.Future[Any] = loop.create_future()
    try:
        protocol = protocol_factory()
    except BaseException:
        unclaimed.abort()
        raise
    transport = DatagramTransport(loop, unclaimed, protocol, remote, waiter)
    if loop.get_debug():
        logger.debug(
            "Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)",
            local_addr,
            remote_addr,
            transport,
            protocol,
        )
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    return transport, protocol


async def _resolve(
    loop: EventLoop, local_addr: Any, remote_addr: Any, family: int, proto: int, flags: int
) -> list[tuple[int, int, Any, Any]]:
    """(family, proto, local, remote) for each family that both ends have."""
    found: dict[tuple[int, int], list[Any]] = {}
    for index, address in ((0, local_addr), (1, remote_addr)):
        if address is None:
            continue
        infos = await loop._ensure_resolved(  # type: ignore[attr-defined]
            address, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags, loop=loop
        )
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        for info in infos:
            found.setdefault((info[0], info[2]), [None, None])[index] = info[4]
    ends = [
        (*key, local, remote)
        for key, (local, remote) in found.items()
        if not ((local_addr and local is None) or (remote_addr and remote is None))
    ]
    if not ends:
        raise ValueError("can not get address information")
    return ends


def _request(family: int, proto: int, local: Any, remote: Any) -> datagram_pb2.CreateDatagramEndpointRequest:
    try:
        number = family_to_proto(family)
    except ValueError:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT)) from None
    request = datagram_pb2.CreateDatagramEndpointRequest(family=number)
    proto = c_int(proto)
    if proto not in (0, socket.IPPROTO_UDP) or (proto and family == socket.AF_UNIX):
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    if family == socket.AF_UNIX:
        if local is not None:
            request.local_path = unix_path(local)
        if remote is not None:
            request.remote_path = unix_path(remote)
    else:
        if local is not None:
            _fill(request.local, local, "bind")
        if remote is not None:
            _fill(request.remote, remote, "connect")
    request.timeout.FromSeconds(LONGEST_SECONDS)
    return request


def _fill(message: types_pb2.HostPort, address: Any, operation: str) -> None:
    if not 0 <= address[1] <= 65535:
        raise OverflowError(f"{operation}(): port must be 0-65535.")
    message.host = scoped_host(address)
    message.port = address[1]
