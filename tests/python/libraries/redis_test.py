"""redis-py's asyncio against redis-server: TCP, TLS and a Unix socket. redis.readthedocs.io."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import harness
import pytest
import servers
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from libraries.conftest import Run
from libraries.sockets import Home


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Redis]:
    with servers.redis() as server:
        yield server


Arguments = dict[str, Any]


@pytest.fixture(params=["tcp", "tls", "unix"])
def arguments(request: pytest.FixtureRequest, server: servers.Redis) -> Arguments:
    """For redis.Redis(), in each way to the server."""
    if request.param == "unix":
        return {"unix_socket_path": str(server.path)}
    if request.param == "tls":
        return {"host": "localhost", "port": server.tls_port, "ssl": True, "ssl_ca_certs": str(server.certificate)}
    alive = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10}
    return {
        "host": "127.0.0.1", "port": server.port, "socket_keepalive": True, "socket_keepalive_options": alive,
    }  # fmt: skip


@contextlib.asynccontextmanager
async def client(arguments: Arguments, **more: Any) -> AsyncIterator[redis.Redis]:
    """With nothing in the database."""
    async with redis.Redis(**arguments | more) as client:
        await client.flushall()
        yield client


def test_where_the_connection_is(run: Run, home: Home, arguments: Arguments, server: servers.Redis) -> None:
    async def main() -> None:
        async with client(arguments) as one:
            info = await one.client_info()
            if "unix_socket_path" in arguments:
                home.check_unix_connections(server.path)
            else:
                home.check_connection(int(str(info["addr"]).rsplit(":", 1)[1]), arguments["port"])

    run(main())


def test_commands(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        async with client(arguments) as one:
            assert await one.ping()
            big = harness.pattern(8 << 20)
            await one.set("big", big)
            assert await one.get("big") == big
            await one.hset("hash", mapping={str(n): n for n in range(1000)})
            assert len(await one.hgetall("hash")) == 1000
            assert {key async for key in one.scan_iter()} == {b"big", b"hash"}

    run(main())


def test_pipelines(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        async with client(arguments) as one:
            async with one.pipeline(transaction=False) as pipeline:
                for _ in range(10_000):
                    pipeline.incr("n")
                assert await pipeline.execute() == list(range(1, 10_001))
            async with one.pipeline(transaction=True) as pipeline:
                await pipeline.watch("n")
                await one.set("n", 5)
                pipeline.multi()  # type: ignore[no-untyped-call]
                pipeline.set("n", 6)
                with pytest.raises(redis.WatchError):
                    await pipeline.execute()
            assert await one.get("n") == b"5"

    run(main())


def test_publish_and_subscribe(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        async with client(arguments) as one, one.pubsub() as subscription:
            await subscription.subscribe("news")
            await subscription.psubscribe("weather.*")
            # Each is confirmed.
            for _ in range(2):
                assert await subscription.get_message(timeout=harness.TIMEOUT)
            for number in range(500):
                await one.publish("news", number)
            await one.publish("weather.here", "rain")
            heard = [await subscription.get_message(timeout=harness.TIMEOUT) for _ in range(501)]
            assert [message["data"] for message in heard] == [b"%d" % number for number in range(500)] + [b"rain"]
            assert heard[-1]["channel"] == b"weather.here"
            assert await subscription.get_message(timeout=0.01) is None

    run(main())


def test_many_at_once(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        async with client(arguments) as one:
            # Each that waits has a connection of its own.
            waiting = [asyncio.ensure_future(one.blpop([f"list {n}"], timeout=harness.TIMEOUT)) for n in range(20)]
            while (await one.info("clients"))["blocked_clients"] < 20:
                pass
            for n in range(20):
                await one.rpush(f"list {n}", n)
            assert await asyncio.gather(*waiting) == [(b"list %d" % n, b"%d" % n) for n in range(20)]

    run(main())


def test_the_server_ends_the_connection(run: Run, arguments: Arguments) -> None:
    """The next command fails, or with a retry goes over a new connection."""

    async def main() -> None:
        async with redis.Redis(**arguments) as other:
            for retries in (0, 1):
                options = {"retry": Retry(NoBackoff(), retries), "single_connection_client": True}
                async with client(arguments, **options) as one:
                    await other.client_kill_filter(_id=str(await one.client_id()))
                    if retries:
                        assert await one.ping()
                    else:
                        with pytest.raises(redis.ConnectionError):
                            await one.ping()

    run(main())


def test_nobody_answers(run: Run) -> None:
    async def main() -> None:
        never = Retry(NoBackoff(), 0)
        async with redis.Redis(port=harness.free_port(), retry=never) as one:
            with pytest.raises(redis.ConnectionError, match="Connect call failed"):
                await one.ping()
        async with redis.Redis(unix_socket_path="/nowhere", retry=never) as one:
            with pytest.raises(redis.ConnectionError, match="No such file"):
                await one.ping()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            async with redis.Redis(port=port, retry=never, socket_timeout=0.1) as one:
                with pytest.raises(redis.TimeoutError):
                    await one.ping()

    run(main())
