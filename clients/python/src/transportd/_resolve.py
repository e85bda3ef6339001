"""getaddrinfo and getnameinfo, where the service is. As those of the socket module."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from transportd._addresses import address_of, c_int, family_of, family_to_proto
from transportd._errors import transport_error_of
from transportd.v1 import event_loop_pb2, socket_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._session import Session

_C_LONG = 1 << 63


async def getaddrinfo(
    session: Session, host: Any, port: Any, family: int, kind: int, proto: int, flags: int
) -> list[tuple[Any, ...]]:
    """https://docs.python.org/3/library/socket.html#socket.getaddrinfo"""
    try:
        family_number = family_to_proto(family)
    except ValueError:
        raise socket.gaierror(socket.EAI_FAMILY, "ai_family not supported") from None
    request = socket_pb2.GetaddrinfoRequest(
        family=family_number,
        type=c_int(kind),  # type: ignore[arg-type]
        proto=c_int(proto),
        flags=c_int(flags),
    )
    if host is not None:
        if not isinstance(host, (str, bytes)):
            raise TypeError("getaddrinfo() argument 1 must be string or None")
        request.host = host.encode("idna") if isinstance(host, str) else host
        if b"\0" in request.host:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if port is not None:
        if isinstance(port, int):
            if not -_C_LONG <= port < _C_LONG:
                raise OverflowError("Python int too large to convert to C long")
            request.port = str(int(port)).encode()
        elif isinstance(port, (str, bytes)):
            request.port = port.encode() if isinstance(port, str) else port
        else:
            raise OSError("Int or String expected")
        if b"\0" in request.port:
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    reply = await session.call(event_loop_pb2.Command(getaddrinfo=request))
    return [
        (
            socket.AddressFamily(family_of(info.family)),
            _kind(info.type),
            info.proto,
            info.canonname.decode("utf-8", "surrogateescape"),
            address_of(info.address),
        )
        for info in reply.getaddrinfo.infos
    ]


def _kind(number: int) -> int:
    try:
        return socket.SocketKind(number)
    except ValueError:
        return number


async def getnameinfo(session: Session, sockaddr: Any, flags: int) -> tuple[str, str]:
    """https://docs.python.org/3/library/socket.html#socket.getnameinfo"""
    if not isinstance(sockaddr, tuple):
        raise TypeError("getnameinfo() argument 1 must be a tuple")
    if not 2 <= len(sockaddr) <= 4 or not isinstance(sockaddr[0], str):
        raise TypeError("getnameinfo(): illegal sockaddr argument")
    host, port, flowinfo, scope_id = (*sockaddr, 0, 0)[:4]
    if "\0" in host:
        raise ValueError("embedded null character")
    port, flags = c_int(port), c_int(flags)
    if not 0 <= flowinfo <= 0xFFFFF:
        raise OverflowError("getnameinfo(): flowinfo must be 0-1048575.")
    if port < 0:
        raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    is_ipv6 = ":" in host
    if not is_ipv6 and len(sockaddr) != 2:
        raise OSError("IPv4 sockaddr must be 2 tuple")
    address = types_pb2.SocketAddress(
        family=types_pb2.ADDRESS_FAMILY_INET6 if is_ipv6 else types_pb2.ADDRESS_FAMILY_INET,
        host=host.partition("%")[0],
        port=port & 0xFFFF,  # As getaddrinfo(3) takes it, which Python asks for the address.
        flowinfo=flowinfo if is_ipv6 else 0,
        scope_id=scope_id if is_ipv6 else 0,
    )
    request = socket_pb2.GetnameinfoRequest(address=address, flags=flags)
    try:
        reply = await session.call(event_loop_pb2.Command(getnameinfo=request))
    except Exception as error:
        failure = transport_error_of(error)
        if failure is not None and failure.reason == "INVALID_HOST":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        raise
    answer = reply.getnameinfo
    return (
        answer.host.decode("utf-8", "surrogateescape"),
        answer.service.decode("utf-8", "surrogateescape"),
    )
