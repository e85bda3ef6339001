"""Local sockets that stand for connections of the service.

Some libraries (aiohttp) resolve names and connect sockets by themselves, with loop.sock_connect, and then hand the
socket to create_connection. Such a socket is never connected here: the service connects in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from transportd import _connect
from transportd._session import Session, Unclaimed
from transportd._stream import StreamTransport

if TYPE_CHECKING:
    from transportd._loop import EventLoop


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


class StandIn(asyncio.Protocol):
    """A connection without a protocol: what comes waits for sock_recv."""

    def __init__(self, unclaimed: Unclaimed):
        self.unclaimed: Unclaimed | None = unclaimed
        self._transport: StreamTransport | None = None
        self._data: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: BaseException | None = None
        self._changed: asyncio.Future[None] | None = None

    def take(self) -> Unclaimed | None:
        """For create_connection(sock=…); None when sock_recv or sock_sendall was called already."""
        unclaimed, self.unclaimed = self.unclaimed, None
        return unclaimed

    def drop(self) -> None:
        """The socket is closed."""
        if self.unclaimed is not None:
            self.unclaimed.abort()
            self.unclaimed = None
        if self._transport is not None:
            self._transport.close()

    def _open(self, loop: EventLoop) -> StreamTransport:
        if self._transport is None:
            unclaimed = self.take()
            if unclaimed is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._transport = StreamTransport(loop, unclaimed, self)
        return self._transport

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _wait(self, loop: EventLoop) -> None:
        self._changed = loop.create_future()
        try:
            await self._changed
        finally:
            self._changed = None

    def data_received(self, data: bytes) -> None:
        self._data.append(data)
        self._size += len(data)
        if self._size > 65536 and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._ended = True
        self._error = exc
        self._wake()

    async def recv(self, loop: EventLoop, size: int) -> bytes:
        """As socket.recv: b"" at the end."""
        transport = self._open(loop)
        while not self._data:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._wait(loop)
        first = self._data.popleft()
        if len(first) > size:
            self._data.appendleft(first[size:])
            first = first[:size]
        self._size -= len(first)
        if self._size <= 16384:
            transport.resume_reading()
        return first

    async def sendall(self, loop: EventLoop, data: Any) -> None:
        """As socket.sendall: returns when the kernel of the service's machine has taken it."""
        transport = self._open(loop)
        if self._error is not None or transport.is_closing():
            raise self._error or BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        view = memoryview(data).cast("B")
        for start in range(0, len(view), 1 << 18):
            transport.write(view[start : start + (1 << 18)])
            try:
                await transport._wait_until_buffered(1 << 18)
            except ConnectionError:
                raise self._error or BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None


class Placeholders:
    """Those of one loop. A socket that is closed, or forgotten, lets go of its connection."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[socket.socket, StandIn] = weakref.WeakKeyDictionary()

    def find(self, sock: Any) -> StandIn | None:
        """None: an ordinary socket."""
        return self._known.get(sock) if self._known and isinstance(sock, socket.socket) else None

    async def connect(self, loop: EventLoop, session: Session, sock: socket.socket, address: Any) -> None:
        """loop.sock_connect."""
        if loop.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        self._sweep()
        if sock in self._known:
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        local_addr = None
        with contextlib.suppress(OSError):
            name = sock.getsockname()
            if name[1]:
                local_addr = name[:2]
        host = _connect._scoped(address)
        where = _connect.Where(host, address[1], family=sock.family, local_addr=local_addr, interleave=0)
        unclaimed = await _connect.connect(loop, session, where, _connect.Tls(None, None, None))
        if sock.fileno() == -1:
            unclaimed.abort()
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        stand_in = StandIn(unclaimed)
        self._known[sock] = stand_in
        weakref.finalize(sock, _drop_soon, weakref.ref(loop), stand_in)

    async def claim(self, loop: EventLoop, sock: Any) -> Unclaimed | None:
        """The connection that `sock` stands for; the socket is closed. None: an ordinary socket."""
        stand_in = self.find(sock)
        if stand_in is None or sock.fileno() == -1:
            return None
        unclaimed = stand_in.take()
        if unclaimed is not None:
            del self._known[sock]
            sock.close()
        return unclaimed

    def _sweep(self) -> None:
        for sock in [sock for sock in self._known if sock.fileno() == -1]:
            self._known.pop(sock).drop()


def _drop_soon(loop: weakref.ref[EventLoop], stand_in: StandIn) -> None:
    """The socket was collected, in whatever thread."""
    alive = loop()
    if alive is not None and not alive.is_closed() and (stand_in.unclaimed or stand_in._transport):
        with contextlib.suppress(RuntimeError):
            alive.call_soon_threadsafe(stand_in.drop)
