"""Pipes of the service's machine: ServicePipe, and what connect_read_pipe and connect_write_pipe make of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transportd._addresses import path_to_proto
from transportd._errors import transport_error_of
from transportd._stream import ReadPipeTransport, WritePipeTransport
from transportd.v1 import event_loop_pb2, pipe_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Session


class ServicePipe:
    """Names a pipe where the service is: for `pipe` of connect_read_pipe and connect_write_pipe.

    By its path: a FIFO, a terminal, or another character device, which is opened each time; a relative path begins at
    the service's own folder. Or by `fd`: the number of a pipe or terminal that the service was started with and was
    told of (`--inherited-fd`), for one transport. A terminal is read by one transport and written by another.

    What the calls raise: as opening it here would (FileNotFoundError, PermissionError, …, with the path; ENXIO for a
    FIFO that nobody reads and that is to be written); ValueError: it is no pipe, or the service has no such `fd`.
    """

    def __init__(self, path: str | bytes | os.PathLike[str] | None = None, *, fd: int | None = None):
        """Nothing is opened yet. ValueError: not exactly one of the two is given, or it is none."""
        if (path is None) == (fd is None):
            raise ValueError("either a path or an fd is needed, and not both")
        self.path = None if path is None else path_to_proto(os.fspath(path))
        """As bytes. None: it is named by `fd`."""
        self.fd = fd
        """None: it is named by `path`."""
        if self.path is not None and (not self.path or b"\0" in self.path):
            raise ValueError("a path has at least one byte, and none that is 0")
        if fd is not None and not 0 <= fd < 1 << 31:
            raise ValueError(f"fd {fd!r}: it is not negative")

    def __repr__(self) -> str:
        return f"ServicePipe({os.fsdecode(self.path)!r})" if self.path is not None else f"ServicePipe(fd={self.fd})"

    def _to_proto(self) -> pipe_pb2.PipeSource:
        return pipe_pb2.PipeSource(path=self.path, fd=self.fd)


async def connect_read_pipe(
    loop: EventLoop, session: Session, protocol_factory: Callable[[], asyncio.BaseProtocol], pipe: ServicePipe
) -> tuple[ReadPipeTransport, asyncio.BaseProtocol]:
    """The read end of `pipe`, whatever it is."""
    command = event_loop_pb2.Command(connect_read_pipe=pipe_pb2.ConnectReadPipeRequest(source=pipe._to_proto()))
    refusal = "Pipe transport is for pipes/sockets only."
    return await _connect(loop, session, command, protocol_factory, pipe, ReadPipeTransport, refusal)


async def connect_write_pipe(
    loop: EventLoop, session: Session, protocol_factory: Callable[[], asyncio.BaseProtocol], pipe: ServicePipe
) -> tuple[WritePipeTransport, asyncio.BaseProtocol]:
    """The write end of `pipe`, whatever it is."""
    command = event_loop_pb2.Command(connect_write_pipe=pipe_pb2.ConnectWritePipeRequest(source=pipe._to_proto()))
    refusal = "Pipe transport is only for pipes, sockets and character devices"
    return await _connect(loop, session, command, protocol_factory, pipe, WritePipeTransport, refusal)


async def _connect(
    loop: EventLoop,
    session: Session,
    command: event_loop_pb2.Command,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    pipe: ServicePipe,
    kind: Any,
    refusal: str,
) -> tuple[Any, Any]:
    try:
        unclaimed = await session.create(command)
    except Exception as error:
        failure = transport_error_of(error)
        if failure is None:
            raise
        if failure.errno_number and pipe.path is not None:
            number = failure.errno_number
            raise OSError(number, os.strerror(number), os.fsdecode(pipe.path)) from None
        if failure.reason == "NOT_A_PIPE":
            raise ValueError(refusal) from None
        raise
    waiter: asyncio.Future[Any] = loop.create_future()
    try:
        protocol = protocol_factory()
    except BaseException:
        unclaimed.abort()
        raise
    transport = kind(loop, unclaimed, protocol, waiter, {"pipe": pipe})
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    return transport, protocol
