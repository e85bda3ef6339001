"""Descriptors of this process, from which a subprocess of the service reads, or to which it writes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transportd._loop import EventLoop

# pipe(7), PIPE_BUF: a pipe that poll(2) says can be written takes this many bytes at once.
_PIPE_BUF = 4096
# The kernel's devices.txt: /dev/tty, /dev/console, /dev/ptmx. To open the last one makes another terminal.
_TTY_MAJOR = 5


class LocalFile:
    """A duplicate of one of this process's descriptors, which is read or written without ever blocking.

    The descriptor's own mode is left alone, because other descriptors and processes share it: pipes and terminals are
    opened once more, sockets are told with each call. Regular files and disks answer at once.

    Threading: the loop's thread. The loop closes what is open when it is closed itself.
    """

    def __init__(self, loop: EventLoop, fd: int, *, writes: bool):
        """OSError when `fd` is not open."""
        self._loop = loop
        self._writes = writes
        self._socket: socket.socket | None = None
        self._handle: asyncio.Handle | None = None
        self._is_watched = False
        self._fd = os.dup(fd)
        status = os.fstat(self._fd)
        kind = stat.S_IFMT(status.st_mode)
        # Ready whenever it is asked, so that a selector has nothing to tell.
        self._is_always_ready = kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)
        # Only poll(2) tells whether a call would block.
        self._may_block = False
        # As the kernel, which would tell a process that has it itself (read(2), write(2)): each call fails, at once.
        self._is_opened_wrongly = fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_ACCMODE == (
            os.O_RDONLY if writes else os.O_WRONLY
        )
        if self._is_opened_wrongly:
            self._is_always_ready = True
        elif kind == stat.S_IFSOCK:
            self._socket = _as_socket(self._fd)
        elif not self._is_always_ready:
            self._may_block = not self._open_again(kind, status)
        loop._local_files.add(self)

    def _open_again(self, kind: int, status: os.stat_result) -> bool:
        """The same pipe or terminal with a mode of its own: proc(5), /proc/pid/fd. Whether that went well."""
        is_terminal = os.isatty(self._fd) and os.major(status.st_rdev) != _TTY_MAJOR
        if kind != stat.S_IFIFO and not is_terminal:
            return False
        flags = (os.O_WRONLY if self._writes else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOCTTY
        try:
            again = os.open(f"/proc/self/fd/{self._fd}", flags)
        except OSError:  # Another user's, a pipe without a reader, or a system without /proc.
            return False
        os.close(self._fd)
        self._fd = again
        return True

    def read(self, size: int) -> bytes:
        """As os.read: b"" at the end. BlockingIOError when there is nothing yet."""
        if self._is_opened_wrongly:
            raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: it is open for writing only")
        if self._socket is not None:
            return self._socket.recv(size, socket.MSG_DONTWAIT)
        if self._may_block:
            self._check_ready(select.POLLIN)
        return os.read(self._fd, size)

    def write(self, data: memoryview) -> int:
        """As os.write: how many bytes were taken. BlockingIOError when none can be."""
        if self._is_opened_wrongly:
            raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: it is open for reading only")
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        if self._may_block:
            self._check_ready(select.POLLOUT)
            data = data[:_PIPE_BUF]
        return os.write(self._fd, data)

    def _check_ready(self, events: int) -> None:
        poller = select.poll()
        poller.register(self._fd, events)
        if not poller.poll(0):
            raise BlockingIOError

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn, when the file can be read or written; replaces the last one.

        Never when it is closed.
        """
        self.stop_waiting()
        if self._fd < 0:
            return
        if not self._is_always_ready:
            watch = self._loop.add_writer if self._writes else self._loop.add_reader
            try:
                watch(self._fd, self._on_ready, callback)
            except PermissionError:  # epoll_ctl(2): a device that cannot be waited for.
                self._is_always_ready = True
            else:
                self._is_watched = True
                return
        self._handle = self._loop.call_soon(callback)

    def _on_ready(self, callback: Callable[[], None]) -> None:
        self.stop_waiting()
        callback()

    def stop_waiting(self) -> None:
        """Nothing is called any more. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._is_watched:
            self._is_watched = False
            if self._writes:
                self._loop.remove_writer(self._fd)
            else:
                self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Lets go of the descriptor. Idempotent."""
        if self._fd < 0:
            return
        self.stop_waiting()
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)
        self._fd = -1
        self._loop._local_files.discard(self)


def _as_socket(fd: int) -> socket.socket:
    """That of `fd`, which it takes over. Whether it blocks stays as it was, even if there is a default timeout."""
    blocks = os.get_blocking(fd)
    sock = socket.socket(fileno=fd)
    if sock.gettimeout() is not None:
        sock.settimeout(None)  # Else Python waits by itself.
        os.set_blocking(fd, blocks)
    return sock
