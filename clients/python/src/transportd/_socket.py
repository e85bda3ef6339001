"""What a socket of the service looks like here: get_extra_info('socket').

Its descriptor is in the service. What fileno() names here can only be waited for: poll(2) finds it readable while
something has come that the protocol has not had, and when the peer has ended. Servers' and datagram sockets' fileno()
is -1. Its options are those of the contract's allow-list; asking for one, or
setting one that can fail, waits for the service's answer in the calling thread, as a system call would.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from transportd._addresses import Address, family_of
from transportd._errors import transport_error_of
from transportd.v1 import event_loop_pb2, transport_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._session import Session


def _options() -> dict[tuple[int, int], types_pb2.SocketOption]:
    """The allow-list, by the numbers of this system."""
    levels = {"SO": socket.SOL_SOCKET, "TCP": socket.IPPROTO_TCP, "IP": socket.IPPROTO_IP, "IPV6": socket.IPPROTO_IPV6}
    options: dict[tuple[int, int], types_pb2.SocketOption] = {}
    for value in types_pb2.SocketOption.DESCRIPTOR.values:
        name = value.name.removeprefix("SOCKET_OPTION_")
        number = getattr(socket, name, None)
        if number is None and name == "SO_ACCEPTCONN":
            number = 30
        if isinstance(number, int):
            options[levels[name.partition("_")[0]], number] = value.number  # type: ignore[assignment]
    return options


_OPTIONS = _options()
# 0 or 1, and the kernel never refuses them: nobody waits for the answer.
_SWITCHES = frozenset(
    (
        types_pb2.SOCKET_OPTION_TCP_NODELAY,
        types_pb2.SOCKET_OPTION_SO_KEEPALIVE,
        types_pb2.SOCKET_OPTION_SO_BROADCAST,
        types_pb2.SOCKET_OPTION_SO_REUSEADDR,
        types_pb2.SOCKET_OPTION_TCP_QUICKACK,
    )
)
_TYPES = {
    types_pb2.SOCKET_TYPE_STREAM: socket.SOCK_STREAM,
    types_pb2.SOCKET_TYPE_DGRAM: socket.SOCK_DGRAM,
    types_pb2.SOCKET_TYPE_SEQPACKET: socket.SOCK_SEQPACKET,
}


class RemoteSocket:
    """The part of socket.socket's interface that asyncio.TransportSocket shows. Threading: the loop's thread."""

    def __init__(
        self,
        session: Session,
        transport_id: int,
        kind: types_pb2.SocketKind,
        sockname: Address,
        peername: Address,
    ):
        self._session: Session | None = session
        self._id = transport_id
        self.family = family_of(kind.family)
        self.type = _TYPES.get(kind.type, socket.SOCK_STREAM)
        self.proto = kind.proto
        self._sockname = sockname
        self._peername = peername
        self.can_be_waited_for = False  # fileno() names something.
        self._event = -1  # An eventfd(2), made when it is asked for.
        self._is_readable = False

    def forget(self) -> None:
        """The transport is lost."""
        self._session = None
        self._close_event()

    def __del__(self) -> None:
        self._close_event()

    def _close_event(self) -> None:
        if self._event != -1:
            os.close(self._event)
            self._event = -1

    def show_readable(self, is_readable: bool) -> None:
        """What a poll of fileno() finds."""
        if is_readable == self._is_readable:
            return
        self._is_readable = is_readable
        if self._event != -1:
            if is_readable:
                os.eventfd_write(self._event, 1)
            else:
                os.eventfd_read(self._event)

    def _ask(self, command: event_loop_pb2.Command) -> event_loop_pb2.Reply:
        if self._session is None or isinstance(self._session.lost, RuntimeError):  # The loop is closed.
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            return self._session.call_now(command)
        except Exception as error:
            failure = transport_error_of(error)
            if failure is not None and failure.reason == "TRANSPORT_LOST":
                raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
            if failure is not None and failure.errno_number:
                raise OSError(failure.errno_number, os.strerror(failure.errno_number)) from None
            if isinstance(error, ValueError):
                raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {error}") from None
            raise

    def fileno(self) -> int:
        """Something to poll, while the transport is open; -1 for what cannot be waited for."""
        if self._event == -1 and self.can_be_waited_for and self._session is not None:
            self._event = os.eventfd(int(self._is_readable), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._event

    def getsockname(self) -> Address:
        """The local address, as it was when the connection was made."""
        return self._sockname

    def getpeername(self) -> Address:
        """The peer's address; OSError when there is none."""
        if self._peername is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peername

    def get_inheritable(self) -> bool:
        """False: no child process gets it."""
        return False

    def gettimeout(self) -> float:
        """0: it does not block."""
        return 0.0

    def settimeout(self, value: float | None) -> None:
        """Only 0 is allowed."""
        if value != 0:
            raise ValueError("settimeout(): only 0 timeout is allowed on transport sockets")

    def setblocking(self, flag: bool) -> None:
        """Only False is allowed."""
        if flag:
            raise ValueError("setblocking(): transport sockets cannot be blocking")

    def dup(self) -> Any:
        """OSError: a socket of the service has no descriptor here."""
        raise OSError(errno.EOPNOTSUPP, "the socket is in the service: it has no descriptor here")

    def shutdown(self, how: int) -> None:
        """SHUT_WR half-closes; SHUT_RDWR aborts."""
        if self._session is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        if how == socket.SHUT_WR:
            request = transport_pb2.WriteEofRequest(transport_id=self._id)
            self._session.send(event_loop_pb2.Command(write_eof=request))
        elif how == socket.SHUT_RDWR:
            self._session.send(event_loop_pb2.Command(abort=transport_pb2.AbortRequest(transport_id=self._id)))
        else:
            raise OSError(errno.EOPNOTSUPP, "the service has no shutdown(SHUT_RD)")

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> int | bytes:
        """https://docs.python.org/3/library/socket.html#socket.socket.getsockopt; OSError ENOPROTOOPT: not allowed."""
        option = _option(level, optname)
        reply = self._ask(
            event_loop_pb2.Command(getsockopt=transport_pb2.GetsockoptRequest(transport_id=self._id, option=option))
        )
        value = reply.getsockopt.value
        if not buflen:
            return value
        if option == types_pb2.SOCKET_OPTION_SO_LINGER:
            return struct.pack("ii", value >= 0, max(value, 0))[:buflen]
        return struct.pack("i", value)[:buflen]

    def setsockopt(self, level: int, optname: int, value: int | bytes | None, optlen: int | None = None, /) -> None:
        """https://docs.python.org/3/library/socket.html#socket.socket.setsockopt; OSError ENOPROTOOPT: not allowed."""
        if self._session is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        membership = _membership(level, optname, value, self._id)
        if membership is not None:
            self._ask(membership)
            return
        option = _option(level, optname)
        number = _number(option, value)
        request = transport_pb2.SetsockoptRequest(transport_id=self._id, option=option, value=number)
        command = event_loop_pb2.Command(setsockopt=request)
        if option in _SWITCHES and number in (0, 1):
            self._session.send(command)
        else:
            self._ask(command)


def _option(level: int, name: int) -> types_pb2.SocketOption:
    try:
        return _OPTIONS[level, name]
    except KeyError:
        raise OSError(
            errno.ENOPROTOOPT,
            f"{os.strerror(errno.ENOPROTOOPT)}: option {name} of level {level} is not in the service's allow-list"
            " (SocketOption in types.proto)",
        ) from None


def _number(option: types_pb2.SocketOption, value: int | bytes | None) -> int:
    if option == types_pb2.SOCKET_OPTION_IP_MULTICAST_IF:
        return _interface(struct.pack("i", value) if isinstance(value, int) else bytes(value or b""))
    if isinstance(value, int):
        return int(value)
    if value is not None and option == types_pb2.SOCKET_OPTION_SO_LINGER and len(value) == 8:
        is_on, seconds = struct.unpack("ii", value)
        return seconds if is_on else -1
    if value is not None and len(value) == 4:
        return int(struct.unpack("i", value)[0])
    if value is not None and len(value) == 1:
        return value[0]
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _interface(value: bytes) -> int:
    """The index in what ip(7) has as an in_addr, an ip_mreq or an ip_mreqn."""
    if len(value) not in (4, 8, 12):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if len(value) == 12 and value[8:] != bytes(4):
        return int(struct.unpack("i", value[8:])[0])
    if value[4:8] not in (b"", bytes(4)) or (len(value) == 4 and value != bytes(4)):
        raise OSError(errno.EOPNOTSUPP, "name the interface by its index (struct ip_mreqn), not by its address")
    return 0


def _membership(level: int, name: int, value: int | bytes | None, transport_id: int) -> event_loop_pb2.Command | None:
    """The command for joining or leaving a multicast group; ip(7), ipv6(7)."""
    from transportd.v1 import datagram_pb2

    joins = {
        (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP): True,
        (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP): False,
        (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP): True,
        (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP): False,
    }.get((level, name))
    if joins is None or not isinstance(value, (bytes, bytearray, memoryview)):
        return None
    data = bytes(value)
    if level == socket.IPPROTO_IP and len(data) in (8, 12):
        address = socket.inet_ntop(socket.AF_INET, data[:4])
        interface = _interface(data)
    elif level == socket.IPPROTO_IPV6 and len(data) == 20:
        address = socket.inet_ntop(socket.AF_INET6, data[:16])
        interface = int(struct.unpack("i", data[16:])[0])
    else:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if joins:
        join = datagram_pb2.JoinGroupRequest(transport_id=transport_id, address=address, interface_index=interface)
        return event_loop_pb2.Command(join_group=join)
    leave = datagram_pb2.LeaveGroupRequest(transport_id=transport_id, address=address, interface_index=interface)
    return event_loop_pb2.Command(leave_group=leave)
