"""Round trips: a message, all of it back, and again. With protocols, and with streams."""

import asyncio
import contextlib
import time

from connections import Client, connected
from course import HOST, Course, WorkError


def message(index: int, size: int) -> bytes:
    """So that bytes of another connection, or of another place in this one, do not pass for the right ones."""
    period = bytes((place * 7 + index) % 256 for place in range(256))
    return (period * (size // len(period) + 1))[:size]


class Pinger(Client):
    """Sends its message when all of the last one is back."""

    def __init__(self, course: Course, message: bytes):
        super().__init__(course)
        self._times = course.times
        self._message = message
        self._echoed = 0
        self._begin = 0.0

    def send(self) -> None:
        self._echoed = 0
        self._begin = time.perf_counter()
        self.transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        if not self._message.startswith(data, self._echoed):
            self.course.fail(WorkError("an echo is not what was sent"))
            return
        self._echoed += len(data)
        if self._echoed < len(self._message) or self.course.is_over:
            return
        self._times.append(time.perf_counter() - self._begin)
        self.send()


async def echo(course: Course, port: int, connections: int, size: int) -> None:
    async with connected(course, port, connections, lambda index: Pinger(course, message(index, size))) as pingers:
        # Not before all are connected: the load would slow that down.
        for pinger in pingers:
            pinger.send()
        await course.run(port)


async def streams(course: Course, port: int, connections: int, size: int) -> None:
    settings = course.settings

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> None:
        while not course.is_over:
            begin = time.perf_counter()
            writer.write(sent)
            await writer.drain()
            if await reader.readexactly(size) != sent:
                raise WorkError("an echo is not what was sent")
            course.add_time(begin)

    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(connections):
            reader, writer = await asyncio.open_connection(
                HOST, port, ssl=settings.tls, server_hostname=settings.server_hostname
            )
            stack.push_async_callback(writer.wait_closed)
            stack.callback(writer.close)
            opened.append((reader, writer))
        async with asyncio.TaskGroup() as group:
            for index, (reader, writer) in enumerate(opened):
                group.create_task(converse(reader, writer, message(index, size)))
            await course.run(port)
