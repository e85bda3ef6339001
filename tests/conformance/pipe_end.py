"""The other end of a scenario's FIFOs. pipe_end.h is the same in C++."""

import os

from stage import data_text, errno_name


class PipeEnd:
    """Plain blocking calls. Its methods run in threads; see Stage.run."""

    def __init__(self, fd, trace):
        self._fd = fd
        self._trace = trace

    def send(self, data):
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            self._trace.add(f"send {data_text(data)}")
        except OSError as error:
            self._trace.add(f"send {errno_name(error)}")

    def _receive(self, size):
        data = bytearray()
        while size is None or len(data) < size:
            piece = os.read(self._fd, 65536 if size is None else min(65536, size - len(data)))
            if not piece:
                return bytes(data), True
            data += piece
        return bytes(data), False

    def recv(self, size):
        """Exactly `size` bytes."""
        data, eof = self._receive(size)
        self._trace.add(f"recv {data_text(data)}" + (" then eof" if eof else ""))

    def recv_all(self):
        """Until the other side ends."""
        self._trace.add(f"recv_all {data_text(self._receive(None)[0])} then eof")

    def close(self):
        os.close(self._fd)
        self._fd = None
        self._trace.add("close")

    def release(self):
        if self._fd is not None:
            os.close(self._fd)


def make_fifo(s, name):
    path = s.path_of(name)
    os.mkfifo(path)
    return path


async def connect_read(s, protocol, path):
    try:
        pipe = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
        await s.loop.connect_read_pipe(lambda: protocol, pipe)
        protocol.note("connect_read_pipe returns")
    except OSError as error:
        protocol.note("connect_read_pipe", errno_name(error))


async def connect_write(s, protocol, path):
    try:
        pipe = os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb", 0)
        await s.loop.connect_write_pipe(lambda: protocol, pipe)
        protocol.note("connect_write_pipe returns")
    except OSError as error:
        protocol.note("connect_write_pipe", errno_name(error))


def _open(s, path, mode):
    fd = os.open(path, mode | os.O_NONBLOCK)
    os.set_blocking(fd, True)  # The opening alone must not wait.
    end = PipeEnd(fd, s.new_trace("peer"))
    s.keep(end)
    return end


async def read(s, **hooks):
    """A protocol `client` that reads a FIFO, and the other end."""
    protocol, path = s.protocol("client", **hooks), make_fifo(s, "fifo")
    await connect_read(s, protocol, path)
    return protocol, _open(s, path, os.O_WRONLY)


async def write(s, **hooks):
    """A protocol `client` that writes to a FIFO, and the other end."""
    protocol, path = s.protocol("client", **hooks), make_fifo(s, "fifo")
    end = _open(s, path, os.O_RDONLY)
    await connect_write(s, protocol, path)
    return protocol, end
