"""sendfile of a local file through a transport of the service: its bytes travel, in order with what was written."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._stream import StreamTransport

_BLOCK_BYTES = 256 * 1024


async def sendfile(
    loop: EventLoop,
    transport: StreamTransport,
    file: Any,
    offset: int,
    count: int | None,
    *,
    is_fallback: bool = False,
) -> int:
    """Returns the number of bytes that the kernel of the service's machine has taken.

    is_fallback: any object with readinto will do; else SendfileNotAvailableError unless it is a file of the system.
    """
    if is_fallback:
        if offset:
            file.seek(offset)
        read = _reader(loop, file)
    else:
        check: Any = loop
        check._check_sendfile_params(transport.get_extra_info("socket"), file, offset, count)
        read = _positional_reader(loop, file, offset)
    was_reading = transport.is_reading()
    transport.pause_reading()
    transport._is_sending_file = True
    start: int | None = None
    try:
        await transport._wait_until_buffered(0)
        start = transport._sent_bytes
        left = count
        while True:
            block = await read(_BLOCK_BYTES if left is None else min(_BLOCK_BYTES, left))
            if not block:
                break
            if transport.is_closing():
                raise ConnectionError("Connection closed by peer")
            transport._accept(block)
            if left is not None:
                left -= len(block)
            await transport._wait_until_buffered(_BLOCK_BYTES)
        await transport._wait_until_buffered(0)
        return transport._sent_bytes - start
    finally:
        transport._is_sending_file = False
        if start is not None and (sent := transport._sent_bytes - start) > 0 and hasattr(file, "seek"):
            file.seek(offset + sent)
        if was_reading:
            transport.resume_reading()


def _positional_reader(loop: EventLoop, file: Any, offset: int) -> Callable[[int], Awaitable[bytes]]:
    try:
        descriptor = file.fileno()
        os.fstat(descriptor)
    except (AttributeError, io.UnsupportedOperation, OSError):
        raise asyncio.SendfileNotAvailableError("not a regular file") from None
    position = offset

    async def read(size: int) -> bytes:
        nonlocal position
        block = await loop.run_in_executor(None, os.pread, descriptor, size, position) if size else b""
        position += len(block)
        return block

    return read


def _reader(loop: EventLoop, file: Any) -> Callable[[int], Awaitable[bytes]]:
    buffer = bytearray(_BLOCK_BYTES)

    async def read(size: int) -> bytes:
        view = memoryview(buffer)[:size]
        count = await loop.run_in_executor(None, file.readinto, view) if size else 0
        return bytes(view[: count or 0])

    return read
