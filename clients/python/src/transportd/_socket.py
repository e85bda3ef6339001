"""What a socket of the service looks like here: get_extra_info('socket').

Its descriptor is in the service. What fileno() names here can only be waited for: poll(2) finds it readable while
something has come that the protocol has not had, and when the peer has ended. Servers' and datagram sockets' fileno()
is -1. Its options are those of the contract's allow-list; asking for one, or setting one that can fail, waits for the
service's answer in the calling thread, as a system call would.
"""

from __future__ import annotations

import errno
import operator
import os
import socket
import struct
from asyncio import trsock
from typing import TYPE_CHECKING, Any

from transportd._addresses import Address, c_int, family_of
from transportd._errors import transport_error_of
from transportd.v1 import event_loop_pb2, transport_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._session import Session


_LEVELS = {"SO": socket.SOL_SOCKET, "TCP": socket.IPPROTO_TCP, "IP": socket.IPPROTO_IP, "IPV6": socket.IPPROTO_IPV6}
# Of getsockopt's buffer, in the socket module.
_MAX_BUFFER_BYTES = 1024
# Of every network namespace: netdevice.h, LOOPBACK_IFINDEX.
_LOOPBACK_INDEX = 1


def _options() -> dict[tuple[int, int], types_pb2.SocketOption]:
    """The allow-list, by the numbers of this system."""
    options: dict[tuple[int, int], types_pb2.SocketOption] = {}
    for value in types_pb2.SocketOption.DESCRIPTOR.values:
        name = value.name.removeprefix("SOCKET_OPTION_")
        number = getattr(socket, name, None)
        if number is None and name == "SO_ACCEPTCONN":
            number = 30
        if isinstance(number, int):
            options[_LEVELS[name.partition("_")[0]], number] = value.number  # type: ignore[assignment]
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

    def describe(self) -> str:
        """As asyncio's own socket shows itself; its addresses, too, when it has no descriptor."""
        words = [f"fd={self._event}", f"family={self.family!s}", f"type={self.type!s}", f"proto={self.proto}"]
        if self._session is not None:
            words += [f"laddr={self._sockname}"] if self._sockname else []
            words += [f"raddr={self._peername}"] if self._peername else []
        return f"<asyncio.TransportSocket {', '.join(words)}>"

    def _check(self) -> Session:
        """OSError EBADF when the transport is lost."""
        if self._session is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._session

    def _ask(self, command: event_loop_pb2.Command) -> event_loop_pb2.Reply:
        session = self._check()
        if session.is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            return session.call_now(command)
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
        """The local address, as it was when the connection was made. OSError EBADF when the transport is lost."""
        self._check()
        return self._sockname

    def getpeername(self) -> Address:
        """The peer's address; OSError when there is none, or the transport is lost."""
        self._check()
        if self._peername is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peername

    def get_inheritable(self) -> bool:
        """False: no child process gets it."""
        self._check()
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
        how = c_int(how)
        session = self._check()
        if how == socket.SHUT_WR:
            request = transport_pb2.WriteEofRequest(transport_id=self._id)
            session.send(event_loop_pb2.Command(write_eof=request))
        elif how == socket.SHUT_RDWR:
            session.send(event_loop_pb2.Command(abort=transport_pb2.AbortRequest(transport_id=self._id)))
        elif how == socket.SHUT_RD:
            raise OSError(errno.EOPNOTSUPP, "the service has no shutdown(SHUT_RD)")
        else:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> int | bytes:
        """https://docs.python.org/3/library/socket.html#socket.socket.getsockopt; OSError ENOPROTOOPT: not allowed."""
        level, optname, buflen = c_int(level), c_int(optname), c_int(buflen)
        if not 0 <= buflen <= _MAX_BUFFER_BYTES:
            raise OSError("getsockopt buflen out of range")
        self._check()
        option = _option(level, optname, errno.EOPNOTSUPP)
        reply = self._ask(
            event_loop_pb2.Command(getsockopt=transport_pb2.GetsockoptRequest(transport_id=self._id, option=option))
        )
        value = reply.getsockopt.value
        if option == types_pb2.SOCKET_OPTION_SO_LINGER:
            linger = struct.pack("ii", value >= 0, max(value, 0))
            return linger[:buflen] if buflen else int(value >= 0)
        return struct.pack("i", value)[:buflen] if buflen else value

    def setsockopt(self, level: int, optname: int, value: int | bytes | None, optlen: int | None = None, /) -> None:
        """https://docs.python.org/3/library/socket.html#socket.socket.setsockopt; OSError ENOPROTOOPT: not allowed."""
        level, optname = c_int(level), c_int(optname)
        data = _value(value, optlen)
        session = self._check()
        if (level, optname) in _JOINS:
            self._ask(self._membership(level, optname, data))
            return
        option = _option(level, optname, errno.ENOPROTOOPT)
        number = _number(level, option, data)
        request = transport_pb2.SetsockoptRequest(transport_id=self._id, option=option, value=number)
        command = event_loop_pb2.Command(setsockopt=request)
        if option in _SWITCHES and number in (0, 1):
            session.send(command)
        else:
            self._ask(command)

    def _membership(self, level: int, name: int, data: int | bytes) -> event_loop_pb2.Command:
        """The command for joining or leaving a multicast group; ip(7), ipv6(7). What is longer has a tail, as there."""
        from transportd.v1 import datagram_pb2

        if self.type != socket.SOCK_DGRAM:
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        if not isinstance(data, bytes) or len(data) < (8 if level == socket.IPPROTO_IP else 20):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if level == socket.IPPROTO_IP:
            address = socket.inet_ntop(socket.AF_INET, data[:4])
            interface = _interface(data)
        else:
            address = socket.inet_ntop(socket.AF_INET6, data[:16])
            interface = int(struct.unpack("i", data[16:20])[0])
        interface &= 0xFFFFFFFF  # As the kernel has it.
        if _JOINS[level, name]:
            join = datagram_pb2.JoinGroupRequest(transport_id=self._id, address=address, interface_index=interface)
            return event_loop_pb2.Command(join_group=join)
        leave = datagram_pb2.LeaveGroupRequest(transport_id=self._id, address=address, interface_index=interface)
        return event_loop_pb2.Command(leave_group=leave)


class TransportSocket(trsock.TransportSocket):
    """What get_extra_info('socket') and a server's `sockets` are: it shows a RemoteSocket."""

    __slots__ = ()
    _sock: Any  # asyncio.TransportSocket's.

    def __init__(self, sock: RemoteSocket):
        super().__init__(sock)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return str(self._sock.describe())


# Whether they join.
_JOINS = {
    (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP): True,
    (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP): False,
    (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP): True,
    (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP): False,
}


def _option(level: int, name: int, of_unknown_level: int) -> types_pb2.SocketOption:
    """of_unknown_level: what the kernel says of a level that the socket does not have."""
    try:
        return _OPTIONS[level, name]
    except KeyError:
        if level not in _LEVELS.values():
            raise OSError(of_unknown_level, os.strerror(of_unknown_level)) from None
        raise OSError(
            errno.ENOPROTOOPT,
            f"{os.strerror(errno.ENOPROTOOPT)}: option {name} of level {level} is not in the service's allow-list"
            " (SocketOption in types.proto)",
        ) from None


def _value(value: Any, optlen: int | None) -> int | bytes:
    """An int, or the bytes of a buffer; raises what the socket module raises."""
    if optlen is not None:
        if value is not None:
            raise TypeError("setsockopt() takes exactly 3 arguments (4 given)")
        c_int(optlen)
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))  # The kernel wants a value, and there is no such option.
    try:
        return c_int(operator.index(value))
    except (OverflowError, TypeError):
        try:
            return bytes(memoryview(value))
        except TypeError:
            raise TypeError(f"a bytes-like object is required, not {type(value).__name__!r}") from None


def _number(level: int, option: types_pb2.SocketOption, data: int | bytes) -> int:
    if option == types_pb2.SOCKET_OPTION_IP_MULTICAST_IF:
        return _interface(struct.pack("i", data) if isinstance(data, int) else data)
    if option == types_pb2.SOCKET_OPTION_SO_LINGER:
        if isinstance(data, int) or len(data) < 8:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        is_on, seconds = struct.unpack("ii", data[:8])
        return seconds if is_on else -1
    if isinstance(data, int):
        return data
    if len(data) >= 4:
        return int(struct.unpack("i", data[:4])[0])
    if data and level == socket.IPPROTO_IP:
        return data[0]
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _interface(data: bytes) -> int:
    """The index in what ip(7) has as an in_addr, an ip_mreq, or an ip_mreqn with whatever may follow. 0: any.

    The service is told an index alone, and whose addresses its interfaces have is not known here, but for loopback's.
    """
    if len(data) < 4:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    index = int(struct.unpack("i", data[8:12])[0]) if len(data) >= 12 else 0
    address = data[4:8] if len(data) >= 8 else data[:4]
    if index or not any(address):
        return index
    if address[0] == 127:
        return _LOOPBACK_INDEX
    raise OSError(
        errno.EOPNOTSUPP,
        f"{os.strerror(errno.EOPNOTSUPP)}: the service takes an interface's index (struct ip_mreqn), not its address"
        f" {socket.inet_ntop(socket.AF_INET, address)}",
    )
