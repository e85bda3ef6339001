"""Local sockets that stand for connections of the service.

Some libraries (aiohttp) resolve names and connect sockets by themselves, with loop.sock_connect, and then hand the
socket to create_connection. Such a socket is connected by the service. Its descriptor here becomes one end of a local
pair of sockets, so that it can be read, written, waited for and closed like any other: what goes through it is passed
on. create_connection(sock=…) takes the connection itself, and nothing is passed on any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import weakref
from typing import TYPE_CHECKING, Any

from transportd import _connect
from transportd._stream import StreamTransport

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Session, Unclaimed

# How long a connection waits for create_connection before what comes for it is passed on, in seconds; until then only
# when the loop is asked to read the socket, or somebody writes to it.
_CLAIM_SECONDS = 0.5
_HIGH_BYTES = 64 << 10
# Of the tuple that names an IPv6 address.
_MAX_ADDRESS_LENGTH = 4


def can_stand_in(sock: Any) -> bool:
    """An open TCP socket that is not connected."""
    if not isinstance(sock, socket.socket) or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if sock.type != socket.SOCK_STREAM or sock.fileno() == -1:
        return False
    try:
        sock.getpeername()
    except OSError:
        return True
    return False


class Relay:
    """The other end of the local pair, and the connection; passes on between them once it is started."""

    def __init__(
        self, loop: EventLoop, unclaimed: Unclaimed, near: socket.socket, sock: socket.socket, relays: set[Relay]
    ):
        self._loop = loop
        self._unclaimed: Unclaimed | None = unclaimed
        self._near = near
        self._sock = weakref.ref(sock)  # The other end: whoever asked for it has it.
        self.was_connected_again = False
        self._relays = relays
        self._ends: tuple[_Passing, ...] = ()
        relays.add(self)
        # Until it is started: somebody has written to the socket, or closed it.
        loop.add_reader(near, self.start)
        self._timer = loop.call_later(_CLAIM_SECONDS, self.start)

    def take(self) -> Unclaimed | None:
        """The connection, for create_connection; None when something was passed on already."""
        unclaimed, self._unclaimed = self._unclaimed, None
        if unclaimed is not None:
            self._leave()
            self._near.close()
        return unclaimed

    def _leave(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._near)
        self._relays.discard(self)

    def start(self) -> None:
        """Nobody has taken it: bytes are passed on, both ways."""
        unclaimed, self._unclaimed = self._unclaimed, None
        if unclaimed is None:
            return
        self._leave()
        far = _Passing()
        near = _NearPassing(self._sock)
        far.other, near.other = near, far
        self._ends = (far, near)
        far.transport = StreamTransport(self._loop, unclaimed, far)
        # asyncio's own transport for a socket of this process.
        far_task = self._loop._local().create_connection(lambda: near, sock=self._near)
        task = self._loop.create_task(far_task)

        def done(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or task.exception():
                self._near.close()
                far.abort()

        task.add_done_callback(done)
        self._relays.add(self)
        far.on_lost = near.on_lost = self._on_lost

    def _on_lost(self) -> None:
        if not any(end.transport for end in self._ends):
            self._relays.discard(self)

    def drop(self) -> None:
        """The loop is closing: nothing is called any more, and nobody is warned of what is not his."""
        self._timer.cancel()
        for end in self._ends:
            if end.transport is not None:
                end.transport.abort()
                end.transport._call_connection_lost(None)
        self._near.close()


class _Passing(asyncio.Protocol):
    """One side of a relay: hands what it gets to the other, which slows it down when it cannot keep up."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: _Passing | None = None
        self.on_lost: Any = None
        self._early: list[bytes] = []
        self._early_eof = False
        self._is_aborted = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(_HIGH_BYTES)
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._early_eof:
            transport.write_eof()
        if self._is_aborted:
            self.abort()

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def send_eof(self) -> None:
        if self.transport is None:
            self._early_eof = True
        elif not self.transport.is_closing():
            with contextlib.suppress(OSError):
                self.transport.write_eof()

    def abort(self) -> None:
        """The other side has met an error."""
        self._is_aborted = True
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.send(data)

    def eof_received(self) -> bool:
        if self.other is not None and not self._is_closed_locally():
            self.other.send_eof()
            return True
        return False

    def _is_closed_locally(self) -> bool:
        """The socket that was read to its end is a local one, and closed for both directions: poll(2), POLLHUP."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        if descriptor == -1:
            return False
        poller = select.poll()
        poller.register(descriptor, 0)
        return bool(poller.poll(0))

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if exc is not None:
                other.abort()
            elif other.transport is not None:
                other.transport.close()
        if self.on_lost is not None:
            self.on_lost()


class _NearPassing(_Passing):
    """The side of the local pair."""

    def __init__(self, sock: weakref.ref[socket.socket]) -> None:
        super().__init__()
        self._sock = sock

    def abort(self) -> None:
        """What has come before can be read, as of a connection that is reset; then it is ECONNRESET."""
        self._is_aborted = True
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_aborted:
            # An end of a Unix pair that is closed with something unread resets the other (unix_release_sock in
            # net/unix/af_unix.c). Nothing reads here any more.
            sock = self._sock()
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        super().connection_lost(exc)


def _put_in_place(new: socket.socket, sock: socket.socket) -> None:
    """`sock` becomes what `new` is."""
    new.settimeout(sock.gettimeout())
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        # The kernel has doubled what was set, and would do so again.
        new.setsockopt(socket.SOL_SOCKET, option, sock.getsockopt(socket.SOL_SOCKET, option) // 2)
    os.dup2(new.fileno(), sock.fileno(), inheritable=False)


def _unbind(sock: socket.socket) -> None:
    with socket.socket(sock.family, sock.type, sock.proto) as unbound:
        _put_in_place(unbound, sock)


class Placeholders:
    """Those of one loop."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[socket.socket, Relay] = weakref.WeakKeyDictionary()
        self._relays: set[Relay] = set()

    async def connect(self, loop: EventLoop, session: Session, sock: socket.socket, address: Any) -> None:
        """loop.sock_connect."""
        if loop.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        _, port = address[:2]  # As asyncio: ValueError for what is no pair.
        if isinstance(address, (str, bytes, bytearray)) or len(address) > _MAX_ADDRESS_LENGTH:
            raise TypeError(f"address {address!r}: (host, port[, flowinfo[, scope_id]]) is expected")
        local_addr = None
        with contextlib.suppress(OSError):
            name = sock.getsockname()
            if name[1] or name[0] not in ("0.0.0.0", "::"):
                local_addr = name[:2]
        host = _connect.scoped_host(address)
        where = _connect.Where(host, port, family=sock.family, local_addr=local_addr, interleave=0)
        if local_addr is not None:
            _unbind(sock)  # The service may be on this machine, and want the very address.
        try:
            unclaimed = await _connect.connect(loop, session, where, _connect.Tls(None, None, None), at_once=True)
        except BaseException:
            if local_addr is not None:
                with contextlib.suppress(OSError):
                    sock.bind(local_addr)
            raise
        if sock.fileno() == -1:
            unclaimed.abort()
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        near, end = socket.socketpair()
        with end:
            near.setblocking(False)
            _put_in_place(end, sock)
        self._known[sock] = Relay(loop, unclaimed, near, sock, self._relays)

    def connect_again(self, sock: Any) -> bool:
        """sock_connect of a placeholder, which is connected: as connect(2), which tells of it only from the second on.

        False: it is none. OSError: EISCONN.
        """
        relay = self._known.get(sock) if self._known and isinstance(sock, socket.socket) else None
        if relay is None or sock.fileno() == -1:
            return False
        if relay.was_connected_again:
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        relay.was_connected_again = True
        return True

    def start(self, sock: Any) -> None:
        """Somebody wants to read `sock`, if it is a placeholder."""
        relay = self._known.get(sock) if self._known and isinstance(sock, socket.socket) else None
        if relay is not None:
            relay.start()

    def claim(self, sock: Any) -> Unclaimed | None:
        """The connection that `sock` stands for; the socket is closed. None: an ordinary socket."""
        if not self._known or not isinstance(sock, socket.socket) or sock.fileno() == -1:
            return None
        relay = self._known.pop(sock, None)
        unclaimed = relay.take() if relay is not None else None
        if unclaimed is not None:
            sock.close()
        return unclaimed

    def close(self) -> None:
        """The loop is closing."""
        relays, self._relays = self._relays, set()
        for relay in list(relays):
            relay.drop()
