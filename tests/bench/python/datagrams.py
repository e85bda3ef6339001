"""Round trips of datagrams. One whose answer does not come in time counts as lost."""

import asyncio
import time
from typing import cast

from course import HOST, Course

_LOST_AFTER_SECONDS = 0.2
_NUMBER_BYTES = 8


class Endpoint(asyncio.DatagramProtocol):
    """Each datagram begins with its number, so that an answer that comes late is not taken for the next one's."""

    transport: asyncio.DatagramTransport

    def __init__(self, course: Course, size: int):
        self._course = course
        self._padding = b"x" * (size - _NUMBER_BYTES)
        self._number = 0
        self._datagram = b""
        self._begin = 0.0
        self.lost: asyncio.Future[None] = course.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def send(self) -> None:
        self._number += 1
        self._datagram = self._number.to_bytes(_NUMBER_BYTES, "little") + self._padding
        self._begin = time.perf_counter()
        self.transport.sendto(self._datagram)

    def datagram_received(self, data: bytes, address: object) -> None:
        if data != self._datagram or self._course.is_over:
            return
        self._course.times.append(time.perf_counter() - self._begin)
        self.send()

    def look_for_loss(self) -> None:
        """To be called every so often."""
        if time.perf_counter() - self._begin >= _LOST_AFTER_SECONDS:
            self._course.lost_count += 1
            self.send()

    def error_received(self, error: Exception) -> None:
        self._course.fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)
        self._course.fail(error or ConnectionResetError("a datagram endpoint was closed"))


async def udp(course: Course, port: int, endpoints: int, size: int) -> None:
    opened: list[Endpoint] = []

    def look_for_loss() -> None:
        if not course.is_over:
            for endpoint in opened:
                endpoint.look_for_loss()
            course.loop.call_later(_LOST_AFTER_SECONDS / 4, look_for_loss)

    try:
        for _ in range(endpoints):
            _, endpoint = await course.loop.create_datagram_endpoint(
                lambda: Endpoint(course, size), remote_addr=(HOST, port)
            )
            opened.append(endpoint)
        for endpoint in opened:
            endpoint.send()
        look_for_loss()
        await course.run(port)
    finally:
        course.is_over = True  # What is lost from here on is no failure.
        for endpoint in opened:
            endpoint.transport.abort()
        for endpoint in opened:
            await endpoint.lost
