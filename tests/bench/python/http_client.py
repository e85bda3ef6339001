"""Requests of aiohttp's client, over connections that it keeps."""

import asyncio
import time

from course import HOST, Course, WorkError


async def http(course: Course, port: int, connections: int, size: int) -> None:
    """`size`: of the server's answer."""
    import aiohttp  # Where the other works run it need not be there.

    url = f"http://{HOST}:{port}/"

    async def get_again_and_again(session: aiohttp.ClientSession) -> None:
        while not course.is_over:
            begin = time.perf_counter()
            try:
                async with session.get(url) as response:
                    body = await response.read()
            except aiohttp.ClientError as error:
                raise WorkError(f"aiohttp: {type(error).__name__}: {error}") from error
            if response.status != 200 or len(body) != size:
                raise WorkError(f"a response has status {response.status} and {len(body)} bytes")
            course.add_time(begin)

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(get_again_and_again(session))
        await course.run(port)
