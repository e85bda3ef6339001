"""redis and PostgreSQL: long-lived servers with protocols of their own, plain, over Unix sockets, and over TLS."""

import hashlib
import struct

from transportd.v1 import tls_pb2, transport_pb2

import harness
import servers
from client import StreamSession
from transportctl_case import TransportctlTestCase


class RedisTest(TransportctlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.redis = self.enter(servers.redis())

    def each_address(self):
        for address, *options in (
            (f"127.0.0.1:{self.redis.port}",),
            (f"unix:{self.redis.path}",),
            (f"127.0.0.1:{self.redis.tls_port}", "--tls", "--cacert", self.redis.certificate),
        ):
            with self.subTest(address):
                yield "connect", *options, address

    def test_commands_and_their_answers(self):
        for command in self.each_address():
            data = b"PING\r\nSET key value\r\nGET key\r\nQUIT\r\n"
            status, out, err = self.run_to_end(*command, data=data)
            self.assertEqual((status, out), (0, b"+PONG\r\n+OK\r\n$5\r\nvalue\r\n+OK\r\n"), err)

    def test_a_long_pipeline(self):
        count = 20000
        for command in self.each_address():
            data = b"DEL n\r\n" + b"INCR n\r\n" * count + b"QUIT\r\n"
            status, out, err = self.run_to_end(*command, data=data)
            self.assertEqual(status, 0, err)
            self.assertEqual(out.split(b"\r\n")[1:-2], [b":%d" % (n + 1) for n in range(count)])

    def test_its_own_client_runs_there(self):
        value = "x" * 1000000
        redis_cli = "redis-cli", "-p", str(self.redis.port)
        status, _, err = self.run_to_end("exec", "-i", "--", *redis_cli, "-x", "SET", "big", data=value.encode())
        self.assertEqual(status, 0, err)
        status, out, err = self.run_to_end("exec", "--", *redis_cli, "GET", "big")
        self.assertEqual((status, out), (0, value.encode() + b"\n"), err)


class PostgresqlTest(TransportctlTestCase):
    """STARTTLS as PostgreSQL has it: https://www.postgresql.org/docs/15/protocol-flow.html, SSL Session Encryption."""

    SSL_REQUEST = struct.pack("!ii", 8, 80877103)
    VERSION_3 = 196608

    @classmethod
    def setUpClass(cls) -> None:
        cls.postgresql = cls.enterClassContext(servers.postgresql())

    def query(self, session: StreamSession, transport_id: int, sql: str) -> bytes:
        """What it answers until it is ready for the next."""
        seen = session.seen(transport_id)
        before = len(seen.data)
        session.write(transport_id, b"Q" + struct.pack("!i", len(sql) + 5) + sql.encode() + b"\0")
        # ReadyForQuery, idle.
        session.wait(lambda: bytes(seen.data[before:]).endswith(b"Z\0\0\0\x05I"), "the answer")
        return bytes(seen.data[before:])

    def test_start_tls(self):
        with StreamSession(self.service.target) as session:
            transport_id = session.connect(("127.0.0.1", self.postgresql.port))
            session.write(transport_id, self.SSL_REQUEST)
            session.wait_data(transport_id, b"S")
            tls = tls_pb2.TlsOptions(
                server_hostname="localhost", trust_roots_pem=self.postgresql.certificate.read_bytes()
            )
            info = session.call(tls_pb2.StartTlsRequest(transport_id=transport_id, tls=tls)).tls
            self.assertEqual(info.version, "TLSv1.3")
            who = b"user\0tester\0database\0postgres\0\0"
            session.write(transport_id, struct.pack("!ii", len(who) + 8, self.VERSION_3) + who)
            seen = session.seen(transport_id)
            session.wait(lambda: bytes(seen.data).endswith(b"Z\0\0\0\x05I"), "ready")
            sql = "SELECT 'ssl is ' || ssl || ' ' || version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            self.assertIn(b"ssl is true TLSv1.3", self.query(session, transport_id, sql))
            many = self.query(session, transport_id, "SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
            self.assertEqual(many.count(b"x" * 1000), 5000)
            session.write(transport_id, b"X" + struct.pack("!i", 4))
            session.wait_callback(transport_id, "eof_received")
            session.call(transport_pb2.CloseRequest(transport_id=transport_id))
            self.assertEqual(session.wait_lost(transport_id).dropped_bytes, 0)

    def test_its_own_client_runs_there(self):
        sql = "COPY (SELECT n, md5(n::text) FROM generate_series(1, 300000) n) TO STDOUT"
        expected = hashlib.sha256()
        for n in range(1, 300001):
            expected.update(b"%d\t%s\n" % (n, hashlib.md5(b"%d" % n).hexdigest().encode()))
        for host in ("127.0.0.1", str(self.postgresql.folder)):
            status, out, err = self.run_to_end(
                "exec", "--", "psql", "-X", "-h", host, "-p", str(self.postgresql.port), "-U", "tester", "-c", sql, "postgres"
            )
            self.assertEqual((status, hashlib.sha256(out).hexdigest()), (0, expected.hexdigest()), err)


if __name__ == "__main__":
    harness.main()
