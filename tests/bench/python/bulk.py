"""One way at full rate: up to a discard server, or down from a chargen server."""

import asyncio
import time

from connections import Client, connected
from course import Course, WorkError

_CHUNK = b"x" * (128 << 10)
# The last byte of what a discard server reads: it answers with how many came, as 8 bytes, little endian.
_COUNT_REQUEST = b"\n"
_COUNT_BYTES = 8


class Sender(Client):
    """Writes until it is told to end, then asks the server for its count, which must be what was written."""

    def __init__(self, course: Course, high_bytes: int):
        """`high_bytes`: the high-water mark; 0: asyncio's own."""
        super().__init__(course)
        self._high_bytes = high_bytes
        self._written_bytes = 0
        self._answer = b""
        self._is_paused = False
        self._is_queued = False
        self._is_ending = False
        self.counted: asyncio.Future[int] = course.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._high_bytes:
            self.transport.set_write_buffer_limits(high=self._high_bytes, low=self._high_bytes // 2)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if not self._is_queued:
            self.write()

    def write(self) -> None:
        """A chunk a turn of the loop, which has other things to do."""
        self._is_queued = False
        if self._is_ending or self._is_paused:
            return
        self._written_bytes += len(_CHUNK)
        self.transport.write(_CHUNK)
        if not self._is_paused:
            self._is_queued = True
            self.course.loop.call_soon(self.write)

    def end(self) -> None:
        self._is_ending = True
        self._written_bytes += len(_COUNT_REQUEST)
        self.transport.write(_COUNT_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if len(self._answer) < _COUNT_BYTES or self.counted.done():
            return
        count = int.from_bytes(self._answer, "little")
        if count == self._written_bytes:
            self.counted.set_result(count)
        else:
            self.counted.set_exception(WorkError(f"written {self._written_bytes} bytes, arrived {count}"))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._is_ending and not self.counted.done():
            self.counted.set_exception(error or ConnectionResetError("the server closed a connection"))


class Receiver(Client):
    def data_received(self, data: bytes) -> None:
        self.course.byte_count += len(data)


async def bulk_up(course: Course, port: int, connections: int, high_bytes: int = 0) -> None:
    """Counts from the first byte that is written to the last server's count: also what is on its way at the end."""
    async with connected(course, port, connections, lambda _: Sender(course, high_bytes)) as senders:
        begin = time.perf_counter()
        for sender in senders:
            sender.write()
        await course.run(port)
        for sender in senders:
            sender.end()
        counts = [await sender.counted for sender in senders]
        course.bytes_per_s = sum(counts) / (time.perf_counter() - begin)


async def bulk_down(course: Course, port: int, connections: int) -> None:
    async with connected(course, port, connections, lambda _: Receiver(course)):
        await course.run(port)
