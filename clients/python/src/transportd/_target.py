"""Where the service is: gRPC's names for a server.

https://github.com/grpc/grpc/blob/master/doc/naming.md
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass

DEFAULT_TARGET = "127.0.0.1:50051"

_V4_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96 (RFC 4291, 2.5.5.2)

_ALLOWED = (
    "allowed are HOST:PORT, dns:///HOST:PORT, ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT, unix:PATH and unix-abstract:NAME"
)


@dataclass(frozen=True)
class Target:
    """A service's address, taken apart."""

    text: str  # As it was given.
    family: int  # socket.AF_UNIX, AF_INET, AF_INET6, or AF_UNSPEC: what the name resolves to.
    host: str  # Without brackets. AF_UNIX: the path, or the name after a byte 0.
    port: int  # 0 for AF_UNIX.

    @property
    def is_local(self) -> bool:
        """Whether what is sent there stays within this machine. Of a name: by RFC 6761, section 6.3."""
        name = self.host.lower()
        return (
            self.family == socket.AF_UNIX
            or name == "localhost"
            or name.endswith(".localhost")
            or is_loopback(self.host)
        )

    @property
    def authority(self) -> str:
        """What HTTP/2's `:authority` says."""
        if self.family == socket.AF_UNIX:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, deadline: float) -> socket.socket:
        """A connected socket. Raises OSError, of the first address; `deadline` is of the monotonic clock."""
        if self.family == socket.AF_UNIX:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(seconds_until(deadline))
                sock.connect(self.host)
            except BaseException:
                sock.close()
                raise
            return sock
        failure: OSError | None = None
        for family, kind, proto, _, address in socket.getaddrinfo(
            self.host, self.port, family=self.family, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, proto)
            try:
                sock.settimeout(seconds_until(deadline))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failure = failure or error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure or OSError(f"{self.host} has no address")


def is_loopback(address: str) -> bool:
    """Of a numeric address; False for anything else."""
    with contextlib.suppress(OSError):
        return socket.inet_pton(socket.AF_INET, address)[0] == 127
    with contextlib.suppress(OSError):
        packed = socket.inet_pton(socket.AF_INET6, address)
        return packed[12] == 127 if packed[:12] == _V4_MAPPED else packed == bytes(15) + b"\1"
    return False


def seconds_until(deadline: float) -> float:
    """What is left, as a socket's timeout: never 0, which would mean not to wait."""
    return max(deadline - time.monotonic(), 0.001)


def default_target() -> str:
    """The environment's TRANSPORTD_TARGET, or this machine's port 50051."""
    return os.environ.get("TRANSPORTD_TARGET") or DEFAULT_TARGET


def parse_target(text: str) -> Target:
    """ValueError says what is allowed."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "unix":
        path = rest.removeprefix("//")
        if not path or (rest.startswith("//") and not path.startswith("/")):
            raise _bad(text, "it has no path" if not path else "unix:// takes an absolute path")
        return Target(text, socket.AF_UNIX, path, 0)
    if colon and scheme == "unix-abstract":
        if not rest:
            raise _bad(text, "it has no name")
        return Target(text, socket.AF_UNIX, "\0" + rest, 0)
    if colon and scheme == "dns":
        if rest.startswith("//"):
            authority, slash, rest = rest[2:].partition("/")
            if authority or not slash:
                raise _bad(text, "a name server cannot be chosen: write dns:///HOST:PORT")
        return _host_and_port(text, rest, socket.AF_UNSPEC)
    if colon and scheme in ("ipv4", "ipv6"):
        family = socket.AF_INET if scheme == "ipv4" else socket.AF_INET6
        target = _host_and_port(text, rest, family)
        try:
            socket.inet_pton(family, target.host.partition("%")[0])
        except OSError:
            raise _bad(text, f"{target.host!r} is not a numeric address") from None
        return target
    if "://" in text or (colon and rest.startswith("/")):
        raise _bad(text, f"{scheme!r} is not a scheme")
    if "," in text:
        raise _bad(text, "a loop has one service")
    return _host_and_port(text, text, socket.AF_UNSPEC)


def _host_and_port(text: str, rest: str, family: int) -> Target:
    host, colon, port = rest.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _bad(text, "an IPv6 address stands in brackets")
    if not colon or not host:
        raise _bad(text, "it has no port" if rest and not colon else "it has no host")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _bad(text, f"{port!r} is not a port from 1 to 65535")
    return Target(text, family, host, int(port))


def _bad(text: str, what: str) -> ValueError:
    return ValueError(f"target {text!r}: {what}; {_ALLOWED}")
