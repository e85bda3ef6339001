"""asyncpg against PostgreSQL: TCP, TLS (STARTTLS) and a Unix socket. magicstack.github.io/asyncpg/current/."""

import asyncio
import hashlib
import io
import ssl
from collections.abc import Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import harness
import pytest
import servers

from libraries.conftest import Run
from libraries.sockets import Home


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.Postgresql]:
    with servers.postgresql() as postgresql:
        yield postgresql


Arguments = dict[str, Any]


@pytest.fixture(params=["tcp", "tls", "unix"])
def arguments(request: pytest.FixtureRequest, postgresql: servers.Postgresql) -> Arguments:
    """For asyncpg.connect(), in each way to PostgreSQL."""
    common = {"user": "tester", "database": "postgres", "port": postgresql.port}
    if request.param == "unix":
        return common | {"host": str(postgresql.folder)}
    context = ssl.create_default_context(cafile=str(postgresql.certificate)) if request.param == "tls" else False
    return common | {"host": "localhost", "ssl": context}


@pytest.fixture
def tcp(postgresql: servers.Postgresql) -> Arguments:
    """For asyncpg.connect(), over TCP."""
    return {"user": "tester", "database": "postgres", "host": "127.0.0.1", "port": postgresql.port, "ssl": False}


def test_where_the_connection_is(run: Run, home: Home, arguments: Arguments, postgresql: servers.Postgresql) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(**arguments)
        port = await connection.fetchval("SELECT inet_client_port()")
        if port is None:
            home.check_unix_connections(postgresql.folder / f".s.PGSQL.{postgresql.port}")
        else:
            home.check_connection(port, postgresql.port)
        version = await connection.fetchval("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert version == ("TLSv1.3" if arguments.get("ssl") else None)
        await connection.close()

    run(main())


def test_queries(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(**arguments)
        try:
            await connection.execute("CREATE TEMPORARY TABLE t (n int PRIMARY KEY, text text, bytes bytea)")
            big = harness.pattern(1 << 20)
            await connection.executemany(
                "INSERT INTO t VALUES ($1, $2, $3)", [(n, f"text {n}", big if n == 7 else None) for n in range(500)]
            )
            assert await connection.fetchval("SELECT bytes FROM t WHERE n = $1", 7) == big
            await connection.execute("BEGIN; INSERT INTO t VALUES (1000, '', NULL)")
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute("INSERT INTO t VALUES (7, '', NULL)")
            await connection.execute("ROLLBACK")
            assert await connection.fetchval("SELECT count(*) FROM t") == 500
            async with connection.transaction():
                rows = [row["n"] async for row in connection.cursor("SELECT n FROM t ORDER BY n", prefetch=50)]
            assert rows == list(range(500))
        finally:
            await connection.close()

    run(main())


def test_a_large_result(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(**arguments)
        rows = await connection.fetch("SELECT n, repeat(md5(n::text), 10) AS text FROM generate_series(1, 30000) n")
        await connection.close()
        assert [row["n"] for row in rows] == list(range(1, 30001))
        for row in rows[::1000]:
            assert row["text"] == hashlib.md5(str(row["n"]).encode()).hexdigest() * 10

    run(main())


def test_copy(run: Run, arguments: Arguments) -> None:
    text = b"".join(b"%d\t%s\n" % (n, hashlib.md5(b"%d" % n).hexdigest().encode()) for n in range(100_000))

    async def main() -> None:
        connection = await asyncpg.connect(**arguments)
        await connection.execute("CREATE TEMPORARY TABLE t (n int, text text)")
        await connection.copy_to_table("t", source=io.BytesIO(text))
        out = io.BytesIO()
        await connection.copy_from_query("SELECT * FROM t ORDER BY n", output=out)
        assert out.getvalue() == text
        records = [(n, str(n)) for n in range(100_000, 110_000)]
        await connection.copy_records_to_table("t", records=records)
        assert await connection.fetchval("SELECT sum(n) FROM t") == sum(range(110_000))
        await connection.close()

    run(main())


def test_listen_and_notify(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

        def hear(_: object, pid: int, channel: str, payload: str) -> None:
            assert channel == "news"
            heard.put_nowait((pid, payload))

        listener, speaker = await asyncpg.connect(**arguments), await asyncpg.connect(**arguments)
        await listener.add_listener("news", hear)
        for number in range(100):
            await speaker.execute("SELECT pg_notify('news', $1)", str(number))
        pid = speaker.get_server_pid()
        assert [await heard.get() for _ in range(100)] == [(pid, str(number)) for number in range(100)]
        await listener.remove_listener("news", hear)
        await listener.close()
        await speaker.close()

    run(main())


def test_a_pool(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(**arguments, min_size=2, max_size=10) as pool:

            async def one(number: int) -> tuple[int, int]:
                async with pool.acquire() as connection:
                    pid = connection.get_server_pid()
                    return pid, await connection.fetchval("SELECT $1::int + 1 FROM pg_sleep(0.001)", number)

            answers = await asyncio.gather(*(one(number) for number in range(300)))
        assert [answer for _, answer in answers] == list(range(1, 301))
        assert 2 <= len({pid for pid, _ in answers}) <= 10

    run(main())


def test_a_query_that_is_given_up(run: Run, arguments: Arguments) -> None:
    """asyncpg opens another connection, which asks the server to cancel it; the first one is good afterwards."""

    async def main() -> None:
        connection = await asyncpg.connect(**arguments)
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(3600)", timeout=0.05)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()

    run(main())


def test_the_server_ends_the_connection(run: Run, arguments: Arguments) -> None:
    async def main() -> None:
        victim, other = await asyncpg.connect(**arguments), await asyncpg.connect(**arguments)
        waiting = asyncio.create_task(victim.execute("SELECT pg_sleep(3600)"))
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        victim.add_termination_listener(lambda _: ended.set_result(None))
        pid = victim.get_server_pid()
        while not await other.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid
        ):
            pass
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError, match="due to administrator command"):
            await waiting
        await ended
        assert victim.is_closed()
        await other.close()

    run(main())


def test_a_certificate_that_is_not_trusted(run: Run, tcp: Arguments) -> None:
    async def main() -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(**tcp | {"ssl": ssl.create_default_context()})

    run(main())


def test_nobody_listens(run: Run, tcp: Arguments) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(**tcp | {"port": harness.free_port()})
        with pytest.raises(FileNotFoundError):
            await asyncpg.connect(**tcp | {"host": "/nowhere"})

    run(main())
