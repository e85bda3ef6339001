"""dnspython's asyncio side against dnsmasq, over UDP, TCP and TLS: dnspython.readthedocs.io/en/stable/async.html."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import dns.asyncbackend
import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.resolver
import harness
import pytest
import servers

from libraries.conftest import Run
from libraries.sockets import Home
from libraries.tls import Tls

# Too long together for a datagram of 1232 bytes.
TEXTS = [f"{number} " + "x" * 200 for number in range(12)]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The name server's."""
    records = [
        "--address=/example.test/192.0.2.7", "--address=/example.test/2001:db8::7",
        "--mx-host=example.test,mail.example.test,10",
        *(f"--txt-record=long.test,{text}" for text in TEXTS), "--local=/test/",
    ]  # fmt: skip
    with servers.dnsmasq(*records) as port:
        yield port


def resolver_at(port: int) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = port
    resolver.lifetime = harness.TIMEOUT
    return resolver


async def make_socket(kind: int, *arguments: object) -> Any:
    """One of dnspython's sockets: local address, remote address, timeout."""
    backend = dns.asyncbackend.get_default_backend()
    assert backend.name() == "asyncio"
    return await backend.make_socket(socket.AF_INET, kind, 0, *arguments)  # type: ignore[no-untyped-call]


def test_a_resolver(run: Run, port: int) -> None:
    async def main() -> None:
        resolver = resolver_at(port)
        assert [record.address for record in await resolver.resolve("example.test", "A")] == ["192.0.2.7"]
        assert [record.address for record in await resolver.resolve("example.test", "AAAA")] == ["2001:db8::7"]
        (mx,) = await resolver.resolve("example.test", "MX")
        assert (mx.preference, str(mx.exchange)) == (10, "mail.example.test.")
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve("nobody.test", "A")
        with pytest.raises(dns.resolver.NoAnswer):
            await resolver.resolve("long.test", "A")

    run(main())


def test_a_long_answer_comes_over_tcp(run: Run, port: int) -> None:
    async def main() -> None:
        query = dns.message.make_query("long.test", "TXT")
        truncated = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=harness.TIMEOUT)
        assert truncated.flags & dns.flags.TC
        whole, by_tcp = await dns.asyncquery.udp_with_fallback(query, "127.0.0.1", port=port, timeout=harness.TIMEOUT)
        assert by_tcp
        assert sorted(record.strings[0].decode() for record in whole.answer[0]) == sorted(TEXTS)
        answer = await resolver_at(port).resolve("long.test", "TXT")
        assert len(answer) == len(TEXTS)

    run(main())


def test_one_udp_socket_for_many_queries(run: Run, home: Home, port: int) -> None:
    async def main() -> None:
        where = ("127.0.0.1", port)
        # Either knows its server, or is told with each query: connected, and not.
        for destination in (None, where):
            source = ("127.0.0.1", 0)
            async with await make_socket(socket.SOCK_DGRAM, source, destination) as endpoint:
                home.check_udp((await endpoint.getsockname())[1])
                for _ in range(100):
                    query = dns.message.make_query("example.test", "A")
                    answer = await dns.asyncquery.udp(
                        query, "127.0.0.1", port=port, sock=endpoint, timeout=harness.TIMEOUT
                    )
                    assert answer.answer[0][0].address == "192.0.2.7"

    run(main())


def test_one_tcp_connection_for_many_queries(run: Run, home: Home, port: int) -> None:
    async def main() -> None:
        async with await make_socket(socket.SOCK_STREAM, None, ("127.0.0.1", port), harness.TIMEOUT) as connection:
            home.check_connection((await connection.getsockname())[1], port)
            for _ in range(100):
                query = dns.message.make_query("long.test", "TXT")
                answer = await dns.asyncquery.tcp(query, "127.0.0.1", sock=connection, timeout=harness.TIMEOUT)
                assert len(answer.answer[0]) == len(TEXTS)

    run(main())


def test_many_at_once(run: Run, port: int) -> None:
    async def main() -> None:
        resolver = resolver_at(port)
        answers = await asyncio.gather(*(resolver.resolve(f"n{n}.example.test", "A") for n in range(200)))
        assert {answer[0].address for answer in answers} == {"192.0.2.7"}

    run(main())


def test_tls(run: Run, port: int, tls: Tls) -> None:
    """RFC 7858; socat does the server's TLS."""
    with servers.listening(
        lambda front: [
            "socat", f"OPENSSL-LISTEN:{front},bind=127.0.0.1,fork,cert={tls.certificate},key={tls.key},verify=0",
            f"TCP4:127.0.0.1:{port}",
        ]
    ) as (front,):  # fmt: skip

        async def main() -> None:
            query = dns.message.make_query("long.test", "TXT")
            answer = await dns.asyncquery.tls(
                query,
                "127.0.0.1",
                harness.TIMEOUT,
                front,
                ssl_context=tls.client_context(),
                server_hostname="localhost",
            )
            assert len(answer.answer[0]) == len(TEXTS)

        run(main())


def test_nobody_answers(run: Run) -> None:
    async def main() -> None:
        query = dns.message.make_query("example.test", "A")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            with pytest.raises(dns.exception.Timeout):
                await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=0.1)
            assert silent.recv(65536) == query.to_wire()
        with pytest.raises(ConnectionRefusedError):
            await dns.asyncquery.tcp(query, "127.0.0.1", port=harness.free_port(), timeout=harness.TIMEOUT)

    run(main())


def test_a_port_where_nobody_is(run: Run) -> None:
    """The kernel tells a connected endpoint, error_received() tells dnspython."""

    async def main() -> None:
        where = ("127.0.0.1", harness.free_port())
        async with await make_socket(socket.SOCK_DGRAM, None, where) as endpoint:
            await endpoint.sendto(b"anybody?", None, harness.TIMEOUT)
            with pytest.raises(ConnectionRefusedError):
                await endpoint.recvfrom(65536, harness.TIMEOUT)

    run(main())
