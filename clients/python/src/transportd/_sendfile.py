"""sendfile of a local file through a transport of the service: its bytes travel, in order with what was written."""

from __future__ import annotations

import asyncio
import io
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._stream import StreamTransport

_BLOCK_BYTES = 256 * 1024


async def sendfile(loop: EventLoop, transport: StreamTransport, file: Any, offset: int, count: int | None) -> int:
    """Returns the number of bytes that the kernel of the service's machine has taken."""
    loop._check_sendfile_params(transport.get_extra_info("socket"), file, offset, count)  # type: ignore[attr-defined]
    try:
        fd = file.fileno()
        os.fstat(fd)
    except (AttributeError, io.UnsupportedOperation, OSError):
        raise asyncio.SendfileNotAvailableError("not a regular file") from None
    was_reading = transport.is_reading()
    transport.pause_reading()
    transport._is_sending_file = True
    start: int | None = None
    try:
        await transport._wait_until_buffered(0)
        start = transport._sent_bytes
        position, end = offset, None if count is None else offset + count
        while True:
            size = _BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - position)
            block = await loop.run_in_executor(None, os.pread, fd, size, position) if size else b""
            if not block:
                break
            if transport.is_closing():
                raise ConnectionError("Connection closed by peer")
            transport._accept(block)
            position += len(block)
            await transport._wait_until_buffered(_BLOCK_BYTES)
        await transport._wait_until_buffered(0)
        return transport._sent_bytes - start
    finally:
        transport._is_sending_file = False
        if start is not None and (sent := transport._sent_bytes - start) > 0:
            file.seek(offset + sent)
        if was_reading:
            transport.resume_reading()
