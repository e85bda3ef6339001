"""Servers whose listening sockets are in the service."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import warnings
from asyncio import base_events
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._addresses import address_of
from transportd._errors import SessionLostError
from transportd._socket import RemoteSocket, TransportSocket
from transportd._stream import ServiceTlsTransport, StreamTransport
from transportd._tls import ServiceTls, TlsSide
from transportd.v1 import event_loop_pb2, server_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._connect import Tls
    from transportd._loop import EventLoop
    from transportd._session import Session, Unclaimed

logger = logging.getLogger("asyncio")


class ListeningSocket(RemoteSocket):
    """One of a server's sockets."""

    def __init__(self, session: Session, server_id: int, address: types_pb2.SocketAddress):
        kind = types_pb2.SocketKind(
            family=address.family,
            type=types_pb2.SOCKET_TYPE_STREAM,
            proto=0 if address.family == types_pb2.ADDRESS_FAMILY_UNIX else 6,
        )
        super().__init__(session, server_id, kind, address_of(address), None)
        self.server_id = server_id

    def listen(self, backlog: int) -> None:
        """The service listens, from this call's return on."""
        request = server_pb2.StartServingRequest(server_id=self.server_id)
        self._ask(event_loop_pb2.Command(start_serving=request))

    def close(self) -> None:
        """The server's sockets are closed, from this call's return on: a connect is refused."""
        session = self._session
        self.forget()
        if session is None:
            return
        session.servers.pop(self.server_id, None)
        if session.lost is None:
            request = server_pb2.ServerCloseRequest(server_id=self.server_id)
            try:
                session.do_now(event_loop_pb2.Command(server_close=request))
                if any(handle._is_ending() for handle in session.handles.values()):
                    # Those that were closed before, and are by now: as in asyncio, they are gone in the next turn.
                    session.do_now(event_loop_pb2.Command(cancel=event_loop_pb2.CancelRequest()))
            except SessionLostError:
                pass  # Then it is closed, too.
            except TimeoutError as error:
                # asyncio's close() raises nothing, and would be half done if this did.
                logger.warning("%r is closed when the service goes on: %s", self, error)


class RemoteServer(base_events.Server):
    """asyncio.Server, whose sockets are in the service. The session keeps it while it serves."""

    # asyncio.base_events.Server's.
    _sockets: list[Any] | None
    _attach: Any
    _detach: Any
    _serving_forever_fut: asyncio.Future[None] | None

    def __init__(
        self,
        loop: EventLoop,
        session: Session,
        server_id: int,
        addresses: list[types_pb2.SocketAddress],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: Tls,
        backlog: int,
        is_serving: bool,
        context: contextvars.Context,
    ):
        sockets: list[Any] = [ListeningSocket(session, server_id, address) for address in addresses]
        super().__init__(
            loop,
            sockets,
            protocol_factory,
            None if isinstance(tls.ssl, ServiceTls) else tls.ssl,
            backlog,
            tls.handshake_timeout,
            tls.shutdown_timeout,
        )
        self._factory = protocol_factory
        self._event_loop = loop
        self._tls = tls
        self._context = context
        self._serving = is_serving
        session.servers[server_id] = self

    def __repr__(self) -> str:
        return f"<Server sockets={self.sockets!r}>"

    @property
    def sockets(self) -> tuple[Any, ...]:
        """What it listens on; () when it is closed."""
        return tuple(TransportSocket(sock) for sock in self._sockets or ())

    def _use_current_context(self) -> None:
        """Of who starts it: accepted protocols are called in copies of it."""
        self._context = contextvars.copy_context()

    def _on_connection(self, unclaimed: Unclaimed) -> None:
        """A connection has come."""
        self._context.run(contextvars.copy_context).run(self._accept, unclaimed)

    def _accept(self, unclaimed: Unclaimed) -> None:
        loop = self._event_loop
        protocol: asyncio.BaseProtocol | None = None
        try:
            protocol = self._factory()
            tls = self._tls
            if tls.ssl is None:
                raw = StreamTransport(loop, unclaimed, protocol)
            elif isinstance(tls.ssl, ServiceTls):
                raw = ServiceTlsTransport(loop, unclaimed, protocol, extra=tls.ssl.extra(unclaimed.made.extra_info))
            else:
                waiter = loop.create_future()
                side = TlsSide(tls.ssl, None, True, tls.handshake_timeout, tls.shutdown_timeout)
                ssl_protocol = side.protocol(loop, protocol, waiter)
                raw = StreamTransport(loop, unclaimed, ssl_protocol)
                transport = ssl_protocol._app_transport
                waiter.add_done_callback(lambda waiter: self._after_handshake(waiter, transport, protocol))
        except (SystemExit, KeyboardInterrupt):
            unclaimed.abort()
            raise
        except BaseException as error:
            unclaimed.abort()
            self._report(error, None, protocol)
            return
        self._attach_transport(raw)

    def _after_handshake(
        self, waiter: asyncio.Future[Any], transport: asyncio.Transport, protocol: asyncio.BaseProtocol | None
    ) -> None:
        error = None if waiter.cancelled() else waiter.exception()
        if error is not None:
            transport.close()
            self._report(error, transport, protocol)

    def _report(
        self, error: BaseException, transport: asyncio.BaseTransport | None, protocol: asyncio.BaseProtocol | None
    ) -> None:
        """As asyncio: only in debug mode."""
        if not self._event_loop.get_debug():
            return
        context: dict[str, Any] = {
            "message": "Error on transport creation for incoming connection",
            "exception": error,
        }
        if protocol is not None:
            context["protocol"] = protocol
        if transport is not None:
            context["transport"] = transport
        self._event_loop.call_exception_handler(context)

    def close(self) -> None:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.Server.close; RuntimeError elsewhere."""
        loop: Any = self._event_loop
        loop._check_thread()
        super().close()

    def _attach_transport(self, transport: StreamTransport) -> None:
        if self._sockets is None:  # Its factory has closed the server.
            transport.abort()
            return
        if sys.version_info >= (3, 13):
            self._attach(transport)
            transport._on_lost = lambda: self._detach(transport)
        else:
            self._attach()
            transport._on_lost = self._detach

    def _on_session_lost(self, error: Exception) -> None:
        """The service is gone, and the sockets with it: serve_forever raises, or the loop's exception handler hears."""
        if self._sockets is None:
            return
        for sock in self._sockets:
            sock.forget()
        forever = self._serving_forever_fut
        if forever is not None and not forever.done():
            forever.set_exception(type(error)(*error.args))
        else:
            self._event_loop.call_exception_handler(
                {"message": "The server is closed, as the service is gone", "exception": error, "server": self}
            )
        self.close()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._sockets is not None:
            _warn(f"unclosed server {self!r}", ResourceWarning, source=self)
