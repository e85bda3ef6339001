"""What stdin=, stdout= and stderr= of asyncio's subprocess calls mean, where the process is elsewhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from transportd._addresses import c_int
from transportd._local_file import LocalFile
from transportd.v1 import subprocess_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop

_NAMES = ("stdin", "stdout", "stderr")


class StandardStreams:
    """The three standard streams of a subprocess.

    PIPE, DEVNULL and STDOUT are as always. A descriptor or a file of this process is copied, through a pipe of the
    service. None is this process's own standard output and error, copied likewise; but its standard input is read only
    if it is named (sys.stdin): None is then an empty one.
    """

    def __init__(self, loop: EventLoop, stdin: Any, stdout: Any, stderr: Any):
        """OSError for a descriptor that is not open; what Popen raises for what is none.

        Whoever makes one closes it, until each file has its copy.
        """
        self._loop = loop
        if sys.version_info >= (3, 13) and stdout is subprocess.STDOUT:
            raise ValueError("STDOUT can only be used for stderr")
        self.files: dict[int, LocalFile] = {}  # By the process's descriptor: what is copied.
        self.pipe_fds = {fd for fd, value in enumerate((stdin, stdout, stderr)) if _is_number(value, subprocess.PIPE)}
        try:
            self.stdin = self._input(stdin)
            output_fd = self._fd_of(stdout, 1)
            self.stdout = self._output(1, stdout, output_fd)
            error_fd = self._fd_of(stderr, 2)
            if _is_number(stderr, subprocess.STDOUT) or _is_same_file(output_fd, error_fd):
                self.stderr = subprocess_pb2.STDIO_STDOUT
            else:
                self.stderr = self._output(2, stderr, error_fd)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the files that have no copy. Idempotent."""
        for file in self.files.values():
            file.close()
        self.files.clear()

    def _input(self, value: Any) -> subprocess_pb2.Stdio:
        if _is_number(value, subprocess.PIPE):
            return subprocess_pb2.STDIO_PIPE
        fd = None if value is None else self._fd_of(value, 0)
        if fd is None or _is_null(fd):
            return subprocess_pb2.STDIO_NULL
        self.files[0] = LocalFile(self._loop, fd, writes=False)
        return subprocess_pb2.STDIO_PIPE

    def _output(self, number: int, value: Any, fd: int | None) -> subprocess_pb2.Stdio:
        if _is_number(value, subprocess.PIPE):
            return subprocess_pb2.STDIO_PIPE
        if fd is None or _is_null(fd):
            return subprocess_pb2.STDIO_NULL
        self.files[number] = LocalFile(self._loop, fd, writes=True)
        return subprocess_pb2.STDIO_PIPE

    def _fd_of(self, value: Any, inherited: int) -> int | None:
        """This process's descriptor; None when there is none to copy from or to."""
        if value is None:
            return inherited if _is_standard_stream(inherited) else None
        special = (subprocess.PIPE, subprocess.DEVNULL, *((subprocess.STDOUT,) if inherited == 2 else ()))
        if isinstance(value, int) and value in special:
            return None
        fd = c_int(value if isinstance(value, int) else value.fileno())
        try:
            os.fstat(fd)
        except OSError as error:
            is_stdout = _is_number(value, subprocess.STDOUT)
            shown = "subprocess.STDOUT, which only stderr can be" if is_stdout else repr(value)
            raise OSError(error.errno, f"{error.strerror}: {_NAMES[inherited]} is {shown}") from None
        return fd


def _is_number(value: Any, number: int) -> bool:
    return isinstance(value, int) and value == number


def _is_standard_stream(fd: int) -> bool:
    """Not if it is closed, or was, and has become a socket or the like of this process: that has no other heir."""
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def _is_null(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev


def _is_same_file(one: int | None, other: int | None) -> bool:
    """Whether what is written to either comes out in one stream: the process then gets one pipe, which keeps the order.

    Two descriptors of a regular file may have places of their own in it; they have one if they stand at the same.
    """
    if one is None or other is None:
        return False
    if one == other:
        return True
    status = os.fstat(one)
    if not os.path.samestat(status, os.fstat(other)):
        return False
    return not stat.S_ISREG(status.st_mode) or os.lseek(one, 0, os.SEEK_CUR) == os.lseek(other, 0, os.SEEK_CUR)
