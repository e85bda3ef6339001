"""Connections that are there for a whole course."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar, cast

from course import HOST, Course


class Client(asyncio.Protocol):
    """One of them. It must not be lost before the course is over."""

    transport: asyncio.Transport

    def __init__(self, course: Course):
        self.course = course
        self.lost: asyncio.Future[None] = course.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)
        self.course.fail(error or ConnectionResetError("the server closed a connection"))


AnyClient = TypeVar("AnyClient", bound=Client)


@contextlib.asynccontextmanager
async def connected(
    course: Course, port: int, count: int, make: Callable[[int], AnyClient]
) -> AsyncIterator[list[AnyClient]]:
    """As many clients, made by `make`, which is told the index of each. On the way out they are aborted, and lost."""
    clients: list[AnyClient] = []
    try:
        for index in range(count):
            client = make(index)
            await _connect(course, port, client)
            clients.append(client)
        yield clients
    finally:
        course.is_over = True  # What is lost from here on is no failure.
        for client in clients:
            client.transport.abort()
        for client in clients:
            await client.lost


async def _connect(course: Course, port: int, client: Client) -> None:
    settings = course.settings
    await course.loop.create_connection(
        lambda: client, HOST, port, ssl=settings.tls, server_hostname=settings.server_hostname
    )
