"""Subprocesses: how fast they come and go."""

import asyncio
import time
from typing import cast

from course import Course, WorkError


class Child(asyncio.SubprocessProtocol):
    """`ended`: it has exited, and its pipes are closed. The result is its status."""

    transport: asyncio.SubprocessTransport

    def __init__(self, course: Course):
        self.ended: asyncio.Future[int | None] = course.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(self.transport.get_returncode())
        self.transport.close()


async def spawn(course: Course, concurrency: int) -> None:
    async def spawn_one_after_the_other() -> None:
        while not course.is_over:
            begin = time.perf_counter()
            _, child = await course.loop.subprocess_exec(lambda: Child(course), "/bin/true")
            if await child.ended != 0:
                raise WorkError("a process did not exit with 0")
            course.add_time(begin)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(spawn_one_after_the_other())
        await course.run()
