"""redis and PostgreSQL: long-lived servers with protocols of their own, plain, over Unix sockets, and over TLS."""

import hashlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from transportd.v1 import tls_pb2, transport_pb2

import harness
from client import StreamSession
from transportctl_case import TransportctlTestCase


def make_certificate(folder: Path) -> None:
    """cert.pem and key.pem for localhost, signed by itself."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class RedisTest(TransportctlTestCase):
    def setUp(self) -> None:
        super().setUp()
        harness.need("openssl")
        self.files = self.folder()
        make_certificate(self.files)
        self.port, self.tls_port = harness.free_port(), harness.free_port()
        self.program(
            "redis-server", "--bind", "127.0.0.1", "--port", self.port, "--tls-port", self.tls_port,
            "--tls-cert-file", self.files / "cert.pem", "--tls-key-file", self.files / "key.pem",
            "--tls-ca-cert-file", self.files / "cert.pem", "--tls-auth-clients", "no",
            "--unixsocket", self.files / "socket", "--save", "", "--dir", self.files,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        harness.eventually(lambda: answers(self.port) and (self.files / "socket").exists(), "redis answers")

    def each_address(self):
        for address, *options in (
            (f"127.0.0.1:{self.port}",),
            (f"unix:{self.files}/socket",),
            (f"127.0.0.1:{self.tls_port}", "--tls", "--cacert", self.files / "cert.pem"),
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
        redis_cli = "redis-cli", "-p", str(self.port)
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
        harness.need("openssl")
        homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not homes:
            raise unittest.SkipTest("postgresql is not installed")
        cls.bin = homes[-1].parent
        # It does not run as root.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        cls.files = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="integration-")))
        make_certificate(cls.files)
        as_account = {"cwd": cls.files}
        if os.geteuid() == 0:
            as_account |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (cls.files, *cls.files.iterdir()):
                shutil.chown(path, account.pw_uid, account.pw_gid)
        subprocess.run(
            [cls.bin / "initdb", "-D", "data", "-U", "tester", "--auth=trust", "--locale=C", "--no-sync"],
            check=True, capture_output=True, **as_account,
        )  # fmt: skip
        cls.port = harness.free_port()
        settings = {
            "listen_addresses": "127.0.0.1", "port": cls.port, "unix_socket_directories": cls.files, "fsync": "off",
            "ssl": "on", "ssl_cert_file": cls.files / "cert.pem", "ssl_key_file": cls.files / "key.pem",
        }  # fmt: skip
        server = subprocess.Popen(
            [cls.bin / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_account,
        )  # fmt: skip
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        harness.eventually(lambda: answers(cls.port), "PostgreSQL answers")

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
            transport_id = session.connect(("127.0.0.1", self.port))
            session.write(transport_id, self.SSL_REQUEST)
            session.wait_data(transport_id, b"S")
            tls = tls_pb2.TlsOptions(
                server_hostname="localhost", trust_roots_pem=(self.files / "cert.pem").read_bytes()
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
        for host in ("127.0.0.1", str(self.files)):
            status, out, err = self.run_to_end(
                "exec", "--", "psql", "-X", "-h", host, "-p", str(self.port), "-U", "tester", "-c", sql, "postgres"
            )
            self.assertEqual((status, hashlib.sha256(out).hexdigest()), (0, expected.hexdigest()), err)


if __name__ == "__main__":
    harness.main()
