"""Where a datagram goes: what socket.sendto takes as an address, as the contract has it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._addresses import Address, address_of, family_of
from transportd._connect import unix_path
from transportd._frames import datagram_address
from transportd.v1 import event_loop_pb2, socket_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._session import Reply, Session

_MAX_COUNT = 256
_MAX_FLOWINFO = 0xFFFFF


class Name:
    """A host's name, which the service resolves. Then it has an `address`, datagram_address's, or an `error`."""

    address: bytes | None = None
    error: Exception | None = None


class Destinations:
    """Those of one endpoint. The last ones are kept as they are sent, save names, which may change."""

    def __init__(self, session: Session, family: types_pb2.AddressFamily):
        self._session = session
        self._family = family_of(family)
        self._number = family
        self._known: dict[Address, bytes] = {}
        self._asked: dict[tuple[Any, ...], Name] = {}  # Not answered yet: whoever comes meanwhile has the answer, too.

    def find(self, address: Address, on_resolved: Callable[[], None]) -> bytes | Name:
        """datagram_address's. Raises what socket.sendto raises.

        The thread does not wait for what a name means, as in socket.sendto: `on_resolved` is called when it is known,
        unless the session is lost first.
        """
        try:
            return self._known[address]
        except (KeyError, TypeError):
            pass
        if self._family == socket.AF_UNIX:
            message = self._unix(address)
        else:
            message, name = self._internet(address)
            if name is not None:
                return self._resolve(name, message, on_resolved)
        encoded = datagram_address(message)
        if len(self._known) >= _MAX_COUNT:
            self._known.clear()
        self._known[address] = encoded
        return encoded

    def _unix(self, address: Any) -> types_pb2.SocketAddress:
        if not isinstance(address, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"a bytes-like object is required, not {type(address).__name__!r}")
        if not isinstance(address, str):
            address = bytes(address)
        return types_pb2.SocketAddress(family=self._number, path=unix_path(address))

    def _internet(self, address: Any) -> tuple[types_pb2.SocketAddress, bytes | None]:
        """With the name that is still to be resolved, unless there is none."""
        is_ipv6 = self._family == socket.AF_INET6
        name = "AF_INET6" if is_ipv6 else "AF_INET"
        if not isinstance(address, tuple):
            raise TypeError(f"sendto(): {name} address must be tuple, not {type(address).__name__}")
        if not 2 <= len(address) <= (4 if is_ipv6 else 2):
            what = "tuple (host, port[, flowinfo[, scopeid]])" if is_ipv6 else "pair (host, port)"
            raise TypeError(f"{name} address must be a {what}")
        host, port, flowinfo, scope_id = (*address, 0, 0)[:4]
        if not isinstance(host, (str, bytes, bytearray)):
            raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
        for value in (port, flowinfo, scope_id):
            if not hasattr(value, "__index__"):
                raise TypeError(f"{type(value).__name__!r} object cannot be interpreted as an integer")
        numeric = self._numeric(host)
        if not 0 <= port <= 65535:
            raise OverflowError("sendto(): port must be 0-65535.")
        if not 0 <= flowinfo <= _MAX_FLOWINFO:
            raise OverflowError(f"sendto(): flowinfo must be 0-{_MAX_FLOWINFO}.")
        message = types_pb2.SocketAddress(
            family=self._number,
            host=numeric or "",
            port=port,
            flowinfo=flowinfo,
            scope_id=scope_id,
        )
        if numeric is not None:
            return message, None
        if isinstance(host, str):
            # Not as socket.getaddrinfo, which also encodes what is ASCII, and so refuses labels that are too long.
            host = host.encode("ascii" if host.isascii() else "idna")
        return message, bytes(host)

    def _numeric(self, host: str | bytes | bytearray) -> str | None:
        """None: a name."""
        text = host if isinstance(host, str) else bytes(host).decode("utf-8", "surrogateescape")
        if "\0" in text:
            raise TypeError("host name must not contain null character")
        if not text:
            return "::" if self._family == socket.AF_INET6 else "0.0.0.0"
        if text == "<broadcast>":
            if self._family != socket.AF_INET:
                raise OSError("address family mismatched")
            return "255.255.255.255"
        text = text.partition("%")[0]
        try:
            socket.inet_pton(self._family, text)
        except OSError:
            return None
        return text

    def _resolve(self, host: bytes, message: types_pb2.SocketAddress, on_resolved: Callable[[], None]) -> Name:
        key = (host, message.port, message.flowinfo, message.scope_id)
        if key in self._asked:
            return self._asked[key]
        name = Name()

        def done(reply: Reply | None, error: Exception | None) -> None:
            del self._asked[key]
            if self._session.lost is not None:
                return
            if reply is not None:
                message.host = address_of(reply.getaddrinfo.infos[0].address)[0]
                name.address = datagram_address(message)
            name.error = error
            on_resolved()

        request = socket_pb2.GetaddrinfoRequest(host=host, family=self._number, type=types_pb2.SOCKET_TYPE_DGRAM)
        self._session.request(event_loop_pb2.Command(getaddrinfo=request), done)
        self._asked[key] = name
        return name
