"""Addresses, between the contract's messages and the tuples, strings and bytes that Python's socket module has."""

from __future__ import annotations

import socket
from array import array
from typing import Any

from transportd.v1 import types_pb2

# (host, port), (host, port, flowinfo, scope_id), a path, or an abstract name as bytes; None: there is none.
Address = Any

_FAMILIES = {
    types_pb2.ADDRESS_FAMILY_INET: socket.AF_INET,
    types_pb2.ADDRESS_FAMILY_INET6: socket.AF_INET6,
    types_pb2.ADDRESS_FAMILY_UNIX: socket.AF_UNIX,
}
_PROTO_FAMILIES = {int(family): number for number, family in _FAMILIES.items()}


def family_of(number: int) -> int:
    """The socket module's family of types_pb2.AddressFamily."""
    return _FAMILIES.get(number, socket.AF_UNSPEC)  # type: ignore[call-overload,no-any-return]


def c_int(value: Any) -> int:
    """`value` as the socket module takes it where C has an int: TypeError for no integer, OverflowError."""
    number: int = array("i", (value,))[0]
    return number


def family_to_proto(family: int) -> types_pb2.AddressFamily:
    """TypeError and OverflowError as of `c_int`; ValueError for a family that the service does not have."""
    number = c_int(family)
    if not number:
        return types_pb2.ADDRESS_FAMILY_UNSPECIFIED
    try:
        return _PROTO_FAMILIES[number]
    except KeyError:
        raise ValueError(f"family {family!r} is not AF_INET, AF_INET6 or AF_UNIX") from None


def address_of(message: types_pb2.SocketAddress) -> Address:
    """What getsockname() and getpeername() answer."""
    if message.family == types_pb2.ADDRESS_FAMILY_INET:
        return (message.host, message.port)
    if message.family == types_pb2.ADDRESS_FAMILY_INET6:
        return (message.host, message.port, message.flowinfo, message.scope_id)
    path = message.path
    return path if path.startswith(b"\0") else path.decode("utf-8", "surrogateescape")


def path_to_proto(path: str | bytes) -> bytes:
    """A path, or an abstract name after a byte 0."""
    return path.encode("utf-8", "surrogateescape") if isinstance(path, str) else bytes(path)


def text_address(text: str) -> Address:
    """The tuple of an error's `127.0.0.1:80` or `[::1]:80`; the text itself when it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        return text
    if host.startswith("[") and host.endswith("]"):
        address, _, scope = host[1:-1].partition("%")
        scope_id = 0
        if scope:
            try:
                scope_id = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
            except OSError:
                scope_id = 0
        return (address, int(port), 0, scope_id)
    return (host, int(port))
