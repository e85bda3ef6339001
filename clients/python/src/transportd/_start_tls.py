"""start_tls with a ServiceTls: the service puts TLS over a connection that it has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from transportd._errors import ServiceBusyError, ServiceError, transport_error_of
from transportd._stream import ServiceTlsTransport, StreamTransport
from transportd.v1 import event_loop_pb2, tls_pb2, transport_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Reply, Session
    from transportd._tls import ServiceTls

# asyncio's, and the service's.
_HANDSHAKE_SECONDS = 60.0


class _Silence(asyncio.Protocol):
    """Stands for the protocol until TLS has begun.

    What the protocol hears all the same is whether it may write.
    """

    def __init__(self, protocol: asyncio.BaseProtocol):
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]
        self.is_lost = False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost = True


async def start_tls(
    loop: EventLoop,
    session: Session,
    transport: StreamTransport,
    protocol: asyncio.BaseProtocol,
    tls: ServiceTls,
    *,
    server_side: bool,
    server_hostname: str | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
    is_new: bool = False,
) -> ServiceTlsTransport:
    """The transport that takes the place of `transport`; raises what asyncio raises.

    When the handshake fails, the protocol's connection_lost is called, as asyncio does; not when it is cancelled or
    takes too long. `transport` is closed then. It is left as it was when the arguments are bad, or the service refuses
    before it begins. is_new: `protocol` has not heard of the connection yet, and is called first.
    """
    options = tls.to_proto(server_hostname, handshake_timeout, shutdown_timeout)
    if transport.is_closing() or not transport._begin_start_tls():
        raise RuntimeError(
            f"start_tls is not possible: {transport!r} is not open both ways, or a file is being sent through it, or"
            " TLS is being started already"
        )
    # Not set_protocol, which takes the new one for one that may write.
    own_protocol = transport.get_protocol()
    silence = _Silence(protocol)
    transport._bind(silence)

    def end(error: BaseException) -> None:
        if is_new or not isinstance(error, Exception) or isinstance(error, ConnectionAbortedError):
            transport.abort()
        elif silence.is_lost:
            loop.call_soon(own_protocol.connection_lost, error)
        else:
            transport._bind(own_protocol)
            transport._force_close(error)

    seconds = _HANDSHAKE_SECONDS if handshake_timeout is None else handshake_timeout
    try:
        incoming = await _quiet(session, transport, seconds)
    except BaseException as error:
        end(error)
        raise
    request = tls_pb2.StartTlsRequest(
        transport_id=transport._id, server_side=server_side, tls=options, incoming=incoming
    )

    def accept(reply: Reply) -> ServiceTlsTransport:
        if transport.is_closing():
            raise ConnectionResetError
        extra = tls.extra(transport_pb2.ExtraInfo(tls=reply.start_tls.tls))
        successor = ServiceTlsTransport._over(transport, protocol, extra)
        if is_new:
            loop.call_soon(protocol.connection_made, successor)
        loop.call_soon(successor._start_reading)
        return successor

    try:
        return await session.ask(event_loop_pb2.Command(start_tls=request), accept, ServiceTlsTransport.abort)
    except BaseException as error:
        failure = transport_error_of(error)
        if transport.is_closing() and failure is not None and failure.reason == "TRANSPORT_LOST":
            end(reset := ConnectionResetError())
            raise reset from None
        if isinstance(error, Exception) and _leaves_transport(error) and not transport.is_closing():
            transport._bind(own_protocol)
            transport._end_start_tls(incoming)
        else:
            end(error)
        raise


async def _quiet(session: Session, transport: StreamTransport, seconds: float) -> bytes:
    """Until all that was written is sent, and nothing more is read. Returns what was read and not yet delivered."""
    request = transport_pb2.PauseReadingRequest(transport_id=transport._id)
    transport._told_paused = True
    try:
        async with asyncio.timeout(seconds):
            await session.call(event_loop_pb2.Command(pause_reading=request))
            await transport._wait_until_written()
    except TimeoutError:
        raise ConnectionAbortedError(
            f"SSL handshake is taking longer than {seconds} seconds: aborting the connection"
        ) from None
    return transport._take_held()


def _leaves_transport(error: Exception) -> bool:
    """The service has refused, and the connection is as it was."""
    failure = transport_error_of(error)
    if failure is None:
        return isinstance(error, ValueError)  # The request is too long.
    if isinstance(error, ServiceError):
        return isinstance(error, (PermissionError, ServiceBusyError, NotImplementedError))
    return isinstance(error, ValueError) or failure.reason == "START_TLS_IMPOSSIBLE"
