"""create_connection and create_unix_connection: from what asyncio is asked to a transport of the service."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as ssl_module
from asyncio import staggered
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transportd._addresses import c_int, family_to_proto, path_to_proto
from transportd._errors import each_exception, plain_os_error, transport_error_of
from transportd._start_tls import start_tls
from transportd._stream import ServiceTlsTransport, StreamTransport
from transportd._tls import ServiceTls, TlsSide
from transportd.v1 import event_loop_pb2, types_pb2, unix_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Session, Unclaimed

# asyncio has no time limit of its own: the service's longest.
LONGEST_SECONDS = 3600
_MAX_UNIX_PATH_BYTES = 107
_MAX_INTERLEAVE = 1000  # The service's largest.


@dataclass(frozen=True)
class Tls:
    """What create_connection was told of TLS."""

    ssl: ssl_module.SSLContext | ServiceTls | bool | None
    server_hostname: str | None
    host: str | None
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.ssl, type):
            raise TypeError(f"ssl must be an ssl.SSLContext or a ServiceTls, not the class {self.ssl.__name__}")

    def with_timeouts(self, handshake: float | None, shutdown: float | None) -> Tls:
        """The same, with the two timeouts in seconds; None: asyncio's own."""
        return replace(self, handshake_timeout=handshake, shutdown_timeout=shutdown)

    def fill(self, request: Any) -> None:
        """The request's field, when the service does it."""
        if isinstance(self.ssl, ServiceTls):
            name = self.host if self.server_hostname is None else self.server_hostname
            request.tls.CopyFrom(self.ssl.to_proto(name, self.handshake_timeout, self.shutdown_timeout))


@dataclass(frozen=True)
class Where:
    """Where create_connection connects to."""

    host: Any
    port: Any
    family: int = 0
    proto: int = 0
    flags: int = 0
    local_addr: tuple[Any, Any] | None = None
    happy_eyeballs_delay: float | None = None
    interleave: int | None = None


async def connect(
    loop: EventLoop, session: Session, where: Where, tls: Tls, all_errors: bool = False, at_once: bool = False
) -> Unclaimed:
    """A connection in the service; raises what asyncio raises. `at_once`: see Session.create."""
    if loop._is_resolver_replaced() or _plain_port(where.port) is None or _has_service_port(where.local_addr):
        attempts = await _pairs(loop, where)
    else:
        attempts = [where]
    exceptions: list[list[Exception]] = []
    connected: list[Unclaimed] = []
    is_given_up = False

    async def attempt(one: Where) -> Unclaimed:
        command = event_loop_pb2.Command(create_connection=_request(one, tls))
        try:
            unclaimed = await session.create(command, at_once=at_once)
            if is_given_up:
                unclaimed.abort()
            connected.append(unclaimed)
            return unclaimed
        except Exception as error:
            if transport_error_of(error) is None:
                raise
            failures = [_as_asyncio(failure, one) for failure in each_exception(error)]
            exceptions.append(failures)
            if not all(isinstance(failure, OSError) for failure in failures):
                raise failures[0] from None
            raise OSError from None

    made: Unclaimed | None = None
    if where.happy_eyeballs_delay is not None and len(attempts) > 1:
        calls = [lambda one=one: attempt(one) for one in attempts]
        try:
            made, _, _ = await staggered.staggered_race(calls, where.happy_eyeballs_delay, loop=loop)
        except BaseException:
            # It is cancelled, perhaps after one has won; and one may not have heard of it (bpo-37658).
            is_given_up = True
            for unclaimed in connected:
                unclaimed.abort()
            raise
    else:
        for one in attempts:
            try:
                made = await attempt(one)
                break
            except OSError:
                if not exceptions:
                    raise
    if made is not None:
        return made
    failures = [failure for group in exceptions for failure in group]
    if isinstance(failures[0], socket.gaierror):
        raise failures[0]
    if all_errors:
        raise ExceptionGroup("create_connection failed", failures)
    if len({str(failure) for failure in failures}) == 1:
        raise failures[0]
    raise OSError(f"Multiple exceptions: {', '.join(str(failure) for failure in failures)}")


def _plain_port(port: Any, call: str = "connect") -> int | None:
    """None: the name of a service, which only a resolver knows. OverflowError, as of that call, for what is no port."""
    if port is None or port in ("", b""):
        return 0
    try:
        number = int(port)
    except (TypeError, ValueError):
        return None
    if not 0 <= number <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    return number


def _has_service_port(address: tuple[Any, Any] | None) -> bool:
    if address is None:
        return False
    _, port = address[:2]
    return _plain_port(port, "bind") is None


async def _pairs(loop: EventLoop, where: Where) -> list[Where]:
    """One for each pair of addresses."""
    infos = await _look_up(loop, (where.host, where.port), where)
    locals_: list[Any] = [None]
    if where.local_addr is not None:
        locals_ = await _look_up(loop, where.local_addr, where)
    interleave = where.interleave
    if interleave is None and where.happy_eyeballs_delay is not None:
        interleave = 1
    if interleave:
        infos = _interleave(infos, interleave)
    out = []
    for info in infos:
        for local in locals_:
            if local is not None and local[0] != info[0]:
                continue
            one = replace(
                where, host=scoped_host(info[4]), port=info[4][1], family=info[0], proto=0, flags=0, interleave=0
            )
            out.append(replace(one, local_addr=None if local is None else local[4][:2]))
            break
        else:
            raise OSError(f"no matching local address with family={info[0]} found")
    return out


async def _look_up(loop: EventLoop, address: tuple[Any, Any], where: Where) -> list[Any]:
    infos = await loop.getaddrinfo(
        address[0], address[1], family=where.family, type=socket.SOCK_STREAM, proto=where.proto, flags=where.flags
    )
    if not infos:
        raise OSError("getaddrinfo() returned empty list")
    return infos


def scoped_host(address: Any) -> str:
    host: str = address[0]
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] and "%" not in host else host


def _interleave(infos: list[Any], first_count: int) -> list[Any]:
    """RFC 8305: `first_count` of the first family, then the families in turn."""
    families: dict[int, list[Any]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    lists = list(families.values())
    first_count = max(first_count, 1)
    out = lists[0][: first_count - 1]
    lists[0] = lists[0][first_count - 1 :]
    while any(lists):
        out.extend(items.pop(0) for items in lists if items)
    return out


def _request(where: Where, tls: Tls) -> event_loop_pb2.CreateConnectionRequest:
    proto = c_int(where.proto)
    hosts = [where.host] if where.local_addr is None else [where.host, where.local_addr[0]]
    if proto == socket.IPPROTO_UDP and all(_is_numeric(host, where.family) for host in hosts):
        proto = 0  # asyncio does not resolve them, and so does not notice.
    if proto not in (0, socket.IPPROTO_TCP):
        raise socket.gaierror(socket.EAI_SOCKTYPE, "ai_socktype not supported")
    request = event_loop_pb2.CreateConnectionRequest(
        family=inet_family(where.family), proto=proto, flags=flags_for(hosts, where.family, where.flags)
    )
    _fill_host_port(request.remote, where.host, where.port)
    if where.local_addr is not None:
        _fill_host_port(request.local, where.local_addr[0], where.local_addr[1])
    if where.happy_eyeballs_delay is not None:
        seconds = min(max(where.happy_eyeballs_delay, 0), LONGEST_SECONDS)
        request.happy_eyeballs_delay.FromNanoseconds(int(seconds * 1e9))
    if where.interleave is not None:
        # Less than one is one, as with asyncio, but for 0: then they are not interleaved.
        request.interleave = min(max(where.interleave, 1), _MAX_INTERLEAVE) if where.interleave else 0
    request.timeout.FromSeconds(LONGEST_SECONDS)
    tls.fill(request)
    return request


def inet_family(family: int) -> types_pb2.AddressFamily:
    """As getaddrinfo: gaierror for a family that TCP does not have."""
    if c_int(family) not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise socket.gaierror(socket.EAI_FAMILY, "ai_family not supported")
    return family_to_proto(family)


def flags_for(hosts: Iterable[Any], family: int, flags: int) -> int:
    """getaddrinfo's flags. asyncio does not resolve numeric addresses, and so does not look at the flags for them."""
    return 0 if all(_is_numeric(host, family) for host in hosts) else c_int(flags)


def _is_numeric(host: Any, family: int) -> bool:
    if not host or not isinstance(host, (str, bytes)):
        return False
    for each in (family,) if family else (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(each, host_name(host))
        except (OSError, ValueError):
            continue
        return True
    return False


def _fill_host_port(message: types_pb2.HostPort, host: Any, port: Any) -> None:
    if host is not None:
        message.host = host_name(host)
    message.port = _plain_port(port) or 0


def host_name(host: Any) -> str:
    """As socket.getaddrinfo encodes it; UnicodeError for what is no name."""
    if isinstance(host, (bytes, bytearray)):
        return bytes(host).decode("ascii")
    if not isinstance(host, str):
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    if "\0" in host:
        raise ValueError("embedded null character")
    return host if host.isascii() and len(host) < 64 and ".." not in host else host.encode("idna").decode("ascii")


def _as_asyncio(error: Exception, where: Where) -> Exception:
    failure = transport_error_of(error)
    if failure is None:
        return error
    if failure.reason == "INVALID_HOST" and (not where.host or (where.local_addr and not where.local_addr[0])):
        return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if failure.reason == "NO_MATCHING_LOCAL_ADDRESS":
        family = socket.AF_INET6 if failure.address.startswith("[") else socket.AF_INET
        return OSError(f"no matching local address with family={family!r} found")
    return error


async def connect_unix(session: Session, path: Any, tls: Tls) -> Unclaimed:
    """A connection with a Unix stream socket of the service's machine."""
    request = unix_pb2.CreateUnixConnectionRequest(path=unix_path(path))
    request.timeout.FromSeconds(LONGEST_SECONDS)
    tls.fill(request)
    try:
        return await session.create(event_loop_pb2.Command(create_unix_connection=request))
    except Exception as error:
        failure = transport_error_of(error)
        if failure is not None and failure.errno_number:
            raise plain_os_error(failure) from None
        raise


def unix_path(path: Any) -> bytes:
    """Relative paths begin where this process is, as they do in asyncio."""
    encoded = path_to_proto(os.fspath(path))
    if encoded and not encoded.startswith((b"/", b"\0")):
        # The name itself, when it is short enough to be one: the service may be elsewhere, but its paths are absolute.
        encoded = os.path.join(os.getcwdb(), encoded)
    if len(encoded) > _MAX_UNIX_PATH_BYTES + encoded.startswith(b"\0"):
        error = OSError("AF_UNIX path too long")
        if len(path_to_proto(os.fspath(path))) <= _MAX_UNIX_PATH_BYTES:
            error.add_note(
                "The service may be in another folder, so it is given the absolute path, which is longer than"
                f" {_MAX_UNIX_PATH_BYTES} bytes: {os.fsdecode(encoded)}"
            )
        raise error
    if not encoded:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return encoded


async def make_transport(
    loop: EventLoop,
    unclaimed: Unclaimed,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    tls: Tls,
    server_side: bool = False,
) -> tuple[Any, Any]:
    """The protocol, and the transport over that connection; returns behind connection_made."""
    ssl = tls.ssl
    waiter: asyncio.Future[Any] = loop.create_future()
    transport: asyncio.Transport | None = None
    try:
        protocol = protocol_factory()
        if not ssl:
            transport = StreamTransport(loop, unclaimed, protocol, waiter)
        elif isinstance(ssl, ServiceTls) and unclaimed.made.extra_info.HasField("tls"):
            extra = ssl.extra(unclaimed.made.extra_info)
            transport = ServiceTlsTransport(loop, unclaimed, protocol, waiter, extra)
        elif isinstance(ssl, ServiceTls):
            # It was connected before anybody spoke of TLS.
            transport = StreamTransport(loop, unclaimed, asyncio.Protocol(), waiter)
            await waiter
            transport = await start_tls(
                loop,
                unclaimed.session,
                transport,
                protocol,
                ssl,
                server_side=server_side,
                server_hostname=tls.server_hostname,
                handshake_timeout=tls.handshake_timeout,
                shutdown_timeout=tls.shutdown_timeout,
                is_new=True,
            )
        else:
            side = TlsSide(
                ssl,
                tls.host if tls.server_hostname is None else tls.server_hostname,
                server_side,
                tls.handshake_timeout,
                tls.shutdown_timeout,
            )
            ssl_protocol = side.protocol(loop, protocol, waiter)
            StreamTransport(loop, unclaimed, ssl_protocol)
            transport = ssl_protocol._app_transport
        await waiter
    except BaseException:
        if transport is None:
            unclaimed.abort()
        else:
            transport.close()
        raise
    return transport, protocol
