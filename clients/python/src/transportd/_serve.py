"""create_server and create_unix_server: from what asyncio is asked to a server of the service."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from transportd._addresses import text_address
from transportd._connect import (
    LONGEST_SECONDS,
    Tls,
    flags_for,
    host_name,
    inet_family,
    scoped_host,
    unix_path,
)
from transportd._errors import each_exception, transport_error_of
from transportd._server import RemoteServer
from transportd.v1 import event_loop_pb2, server_pb2, types_pb2, unix_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Reply, Session

logger = logging.getLogger("asyncio")

# This version of asyncio passes over an address that the machine does not have when there is another (python/cpython
# issue 75128). The others fail, and bind nothing.
_PASSES_OVER = "EADDRNOTAVAIL" in asyncio.BaseEventLoop.create_server.__code__.co_names


class _PassedOverError(Exception):
    """The service has bound other addresses, and not those of `hosts`, which are numeric. Nothing is left of it."""

    def __init__(self, hosts: list[str]):
        super().__init__(hosts)
        self.hosts = hosts


async def create_server(
    loop: EventLoop,
    session: Session,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    hosts: list[str | None],
    port: Any,
    *,
    family: int,
    flags: int,
    backlog: int,
    reuse_address: bool,
    reuse_port: bool,
    keep_alive: bool,
    tls: Tls,
    start_serving: bool,
) -> RemoteServer:
    """A TCP server in the service; raises what asyncio raises. Of `hosts`, None: all interfaces."""
    if loop._is_resolver_replaced():
        hosts, port = await _resolve(loop, hosts, port, family, flags)
    elif not _PASSES_OVER:
        hosts = await _resolve_names(loop, hosts, family, flags)
    request = event_loop_pb2.CreateServerRequest(
        hosts=["" if host is None else _name(host) for host in hosts],
        port=await _port_number(loop, port),
        family=inet_family(family),
        flags=flags_for(hosts, family, flags),
        backlog=_backlog(backlog),
        reuse_address=reuse_address,
        reuse_port=reuse_port,
        keep_alive=keep_alive,
        start_serving=start_serving,
    )
    request.timeout.FromSeconds(LONGEST_SECONDS)
    tls.fill(request)
    while True:
        command = event_loop_pb2.Command(create_server=request)
        try:
            server = await _create(
                loop, session, command, protocol_factory, backlog, tls, start_serving, wants_all=not _PASSES_OVER
            )
            if loop.get_debug():
                logger.info("%r is serving", server)
            return server
        except _PassedOverError as passed_over:
            without = [host for host in passed_over.hosts if not await _can_be_bound(session, request, host)]
            kept = [host for host in request.hosts if host not in without]
            del request.hosts[:]
            request.hosts.extend(kept)
        except OSError as error:
            failures = [transport_error_of(each) for each in each_exception(error)]
            is_elsewhere = all(failure and failure.errno_number == errno.EADDRNOTAVAIL for failure in failures)
            if is_elsewhere and _PASSES_OVER:
                addresses = [text_address(failure.address) for failure in failures if failure]
                raise OSError(f"could not bind on any address out of {addresses!r}") from None
            raise


async def _can_be_bound(session: Session, request: event_loop_pb2.CreateServerRequest, host: str) -> bool:
    """Why the service has passed over `host`. False: it has no such family, which asyncio passes over, too."""
    alone = event_loop_pb2.CreateServerRequest()
    alone.CopyFrom(request)
    del alone.hosts[:]
    alone.hosts.append(host)
    alone.start_serving = False
    try:
        reply = await session.call(event_loop_pb2.Command(create_server=alone))
    except OSError as error:
        failure = transport_error_of(error)
        if failure is None or failure.errno_number != errno.EAFNOSUPPORT:
            raise
        return False
    _close(session, reply.create_server.server_id)
    return True


async def create_unix_server(
    loop: EventLoop,
    session: Session,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    path: Any,
    *,
    backlog: int,
    cleanup_socket: bool,
    tls: Tls,
    start_serving: bool,
) -> RemoteServer:
    """A server on a Unix stream socket of the service's machine; raises what asyncio raises."""
    name = os.fspath(path)
    name[0]  # As asyncio, which looks for an abstract name: IndexError when it is empty.
    request = unix_pb2.CreateUnixServerRequest(
        path=unix_path(name), backlog=_backlog(backlog), cleanup_socket=cleanup_socket, start_serving=start_serving
    )
    tls.fill(request)
    command = event_loop_pb2.Command(create_unix_server=request)
    try:
        return await _create(loop, session, command, protocol_factory, backlog, tls, start_serving)
    except OSError as error:
        failure = transport_error_of(error)
        if failure is None or not failure.errno_number:
            raise
        if failure.errno_number == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise OSError(failure.errno_number, os.strerror(failure.errno_number)) from None


async def _resolve(
    loop: EventLoop, hosts: list[str | None], port: Any, family: int, flags: int
) -> tuple[list[str | None], Any]:
    """Asks the loop's own getaddrinfo: numeric hosts, and a port."""
    found: list[str | None] = []
    for host in hosts:
        infos = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, proto=0, flags=flags)
        if not infos:
            raise OSError(f"getaddrinfo({host!r}) returned empty list")
        found.extend(scoped_host(info[4]) for info in infos)
        port = infos[0][4][1]
    return found, port


async def _resolve_names(loop: EventLoop, hosts: list[str | None], family: int, flags: int) -> list[str | None]:
    """Numeric hosts for the names among several addresses: so it is known what was to be bound."""
    found: list[str | None] = []
    for host in hosts:
        if host is None or _packed(name := _name(host)) is not None:
            found.append(host)
        else:
            found.extend((await _resolve(loop, [name], 0, family, flags))[0])
    return found


def _name(host: Any) -> str:
    """As getaddrinfo takes it: for the service an empty one is all interfaces."""
    name = host_name(host)
    if not name:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return name


def _packed(host: str) -> bytes | None:
    """Of a numeric host, without its scope."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError:
        return None


def _passed_over(hosts: Iterable[str], sockets: Iterable[types_pb2.SocketAddress]) -> list[str]:
    bound = {_packed(address.host) for address in sockets}
    return [host for host in hosts if (packed := _packed(host)) is not None and packed not in bound]


def _close(session: Session, server_id: int) -> None:
    session.send_end(event_loop_pb2.Command(server_close=server_pb2.ServerCloseRequest(server_id=server_id)))


def _backlog(backlog: int) -> int:
    if not isinstance(backlog, int):
        raise TypeError(f"{type(backlog).__name__!r} object cannot be interpreted as an integer")
    return min(max(backlog, 1), 65535)


async def _port_number(loop: EventLoop, port: Any) -> int:
    if port is None or port in ("", b""):
        return 0
    try:
        number = int(port)
    except (TypeError, ValueError):
        infos = await loop.getaddrinfo(None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return int(infos[0][4][1])
    if not 0 <= number <= 65535:
        raise OverflowError("bind(): port must be 0-65535.")
    return number


async def _create(
    loop: EventLoop,
    session: Session,
    command: event_loop_pb2.Command,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    backlog: int,
    tls: Tls,
    start_serving: bool,
    wants_all: bool = False,
) -> RemoteServer:
    """wants_all: _PassedOverError when not every numeric host was bound."""
    context = contextvars.copy_context()

    def accept(reply: Reply) -> RemoteServer:
        result = getattr(reply, reply.WhichOneof("result") or "")
        passed_over = _passed_over(command.create_server.hosts, result.sockets) if wants_all else []
        if passed_over:
            _close(session, result.server_id)
            raise _PassedOverError(passed_over)
        sockets = list(result.sockets)
        return RemoteServer(
            loop, session, result.server_id, sockets, protocol_factory, tls, backlog, start_serving, context
        )

    return await session.ask(command, accept, RemoteServer.close)
