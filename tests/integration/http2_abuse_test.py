"""HTTP/2 by hand against the service: it lives, and another session's ping-pong goes on meanwhile.

What gRPC 1.51 cannot do is in deploy/README.md (Security): there the service must live, and be as before afterwards.
"""

import contextlib
import gzip
import itertools
import os
import select
import ssl
import threading
from pathlib import Path

import harness
from bad_input_test import SLACK_BYTES, Bystander
from client import Admin
from harness import TIMEOUT, eventually
from policy_test import GRANTS, TOKEN, PolicyTestCase, role
from raw_http2 import (
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SESSION, SETTINGS, WINDOW_UPDATE, Connection, RawSession, connect, frame, integer, literal, message,
    request_headers, settings,
)  # fmt: skip
from servers import listening
from transportd.v1 import admin_pb2, event_loop_pb2

VERSION = "/transportd.v1.Admin/GetVersion"
WATCH = "/grpc.health.v1.Health/Watch"
SCALE = 10 if harness.SANITIZER else 1
HANDSHAKE_SECONDS = 10  # GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS.


def send_and_drop(peer: ssl.SSLSocket, data: bytes) -> None:
    """Sends it all, and meanwhile reads what comes, in one thread: OpenSSL's connections are not for two."""
    peer.setblocking(False)
    rest = memoryview(data)
    while rest:
        with contextlib.suppress(ssl.SSLWantReadError):
            while peer.recv(1 << 16):
                pass
            raise ConnectionResetError("the peer sends no more")
        try:
            rest = rest[peer.send(rest) :]
        except ssl.SSLWantWriteError:
            if select.select([peer], [peer], [], TIMEOUT) == ([], [], []):
                raise TimeoutError from None


def continued(block: bytes, stream_id: int = 1) -> bytes:
    """A block of headers in as many frames as it needs."""
    parts = [block[i : i + 16384] for i in range(0, len(block), 16384)]
    return b"".join(
        frame(CONTINUATION if i else HEADERS, END_HEADERS if i == len(parts) - 1 else 0, stream_id, part)
        for i, part in enumerate(parts)
    )


class AbuseTestCase(harness.ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fds = len(self.service.fds())
        self.bystander = self.enter(Bystander(self.service.target))
        self.rss = self.service.rss_bytes()

    def connect(self, greeting: bytes | None = None) -> Connection:
        return self.enter(Connection(connect(self.service.address), greeting))

    def all_is_as_before(self) -> None:
        self.bystander.played_on()
        with Admin(self.service.target) as admin:
            eventually(lambda: len(admin.call(admin_pb2.ListSessionsRequest()).sessions) == 1, "the sessions are gone")
        # The bystander's two.
        eventually(lambda: len(self.service.fds()) <= self.fds + 2, "the connections are closed")
        if not harness.SANITIZER:
            self.assertLess(self.service.rss_bytes() - self.rss, 8 * SLACK_BYTES)

    def flood(self, connection: Connection, chunk: bytes, count: int, reads: bool = True) -> None:
        """Sends `chunk` so often, or until the service has had enough; the bystander plays on all the while."""

        def send() -> None:
            with contextlib.suppress(OSError):
                for _ in range(count):
                    connection.send(chunk)

        def read() -> None:
            with contextlib.suppress(OSError):
                connection.read_to_end()

        # A flood that is not read ends where the kernel's buffers do.
        connection.socket.settimeout(harness.TIMEOUT if reads else 1)
        threads = [threading.Thread(target=send, daemon=True)]
        if reads:
            threads.append(threading.Thread(target=read, daemon=True))
        for thread in threads:
            thread.start()
        self.bystander.played_on()
        threads[0].join(harness.TIMEOUT)
        self.assertFalse(threads[0].is_alive(), "the flood is over")
        with contextlib.suppress(OSError):
            connection.socket.shutdown(2)
        for thread in threads:
            thread.join(harness.TIMEOUT)
        connection.socket.close()
        self.all_is_as_before()


class FloodTest(AbuseTestCase):
    def test_of_headers_in_one_block(self) -> None:
        for what in (
            literal("x", "v" * 1000) * 15,  # More and more fields,
            b"\xbe" * 16000,  # the same one, by one byte for each,
            b"v" * 16384,  # and one that never ends.
        ):
            connection = self.connect()
            begin = request_headers(SESSION) + literal("x", "v" * 3000, first=0x40)
            if what[:1] == b"v":
                begin += b"\0" + integer(1, 7) + b"x" + integer(2_000_000_000, 7)
            connection.send(frame(HEADERS, 0, 1, begin))
            self.flood(connection, frame(CONTINUATION, 0, 1, what), 4000 // SCALE)

    def test_of_headers_that_are_too_long(self) -> None:
        connection = self.connect()
        block = request_headers(SESSION, ("x", "v" * 60_000))
        self.flood(connection, b"".join(continued(block, 2 * i + 1) for i in range(50)), 1)

    def test_of_settings(self) -> None:
        for reads in (True, False):
            chunk = b"".join(settings(INITIAL_WINDOW_SIZE=65535 + i % 2) for i in range(1000))
            self.flood(self.connect(), chunk, 100 // SCALE, reads)

    def test_of_pings(self) -> None:
        for reads in (True, False):
            self.flood(self.connect(), frame(PING, payload=bytes(8)) * 1000, 200 // SCALE, reads)

    def test_on_an_open_session(self) -> None:
        for what in (
            frame(DATA, 0, 1),
            frame(WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big")),
            frame(PRIORITY, 0, 1, b"\0\0\0\0\0"),
            frame(77, 0, 1, b"unknown"),
        ):
            with self.subTest(kind=what[3]):
                connection = self.connect()
                self.assertIsNotNone(RawSession(connection).open().read())
                self.flood(connection, what * 1000, 100 // SCALE)

    def test_of_streams_that_are_reset_at_once(self) -> None:
        """As many as a listener's connection may have at once, over and over: gRPC 1.51 has no bound of its own."""
        block = request_headers(SESSION)
        connection = self.connect()
        numbers = itertools.count(1, 2)
        reset = CANCEL.to_bytes(4, "big")
        for _ in range(10 // SCALE):
            for _ in range(200):
                number = next(numbers)
                connection.send(frame(HEADERS, END_HEADERS, number, block) + frame(RST_STREAM, 0, number, reset))
            self.bystander.played_on()
        connection.socket.close()
        self.all_is_as_before()


class MalformedTest(AbuseTestCase):
    def test_frames(self) -> None:
        for what, data in {
            "data without a stream": frame(DATA, 0, 0, b"x"),
            "headers without a stream": frame(HEADERS, END_HEADERS, 0),
            "a stream of the service's": frame(HEADERS, END_HEADERS, 2, request_headers(SESSION)),
            "too long": frame(DATA, 0, 1, length=1 << 23),
            "bad compression": frame(HEADERS, END_HEADERS, 1, b"\xff" * 8),
            "a promise": frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"),
            "going away": frame(GOAWAY, 0, 0, bytes(8)),
            "a continuation of nothing": frame(CONTINUATION, END_HEADERS, 1),
            "half a setting": frame(SETTINGS, 0, 0, b"12345"),
            "a short ping": frame(PING, 0, 0, b"1234567"),
            "the end of what never began": frame(RST_STREAM, 0, 9, b"\0\0\0\1"),
            "padding beyond the end": frame(DATA, 8, 1, b"\xff"),
            "windows beyond all": frame(WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4, "big")) * 3,
            "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "noise": os.urandom(10_000),
        }.items():
            with self.subTest(what):
                greeting = b"" if what in ("HTTP/1", "noise") else None
                with Connection(connect(self.service.address), greeting) as connection:
                    connection.send(data)
                    self.bystander.played_on()
        self.all_is_as_before()

    def unary(self, block: bytes, data: bytes = message(b""), answered: bool = True) -> None:
        with Connection(connect(self.service.address)) as connection:
            connection.send(frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, data))
            if answered:
                # Or the connection is closed: that is an answer, too.
                connection.read_until(
                    lambda kind, flags, stream, _: stream == 1 and (flags & END_STREAM or kind == RST_STREAM)
                )
            self.bystander.played_on()

    def test_headers(self) -> None:
        for name, value in (
            ("grpclb_client_stats", "x"), ("lb-cost-bin", "AAAA"), ("grpc-timeout", "99999999H"), ("te", "x"),
            ("grpc-timeout", "9" * 200 + "H"), ("grpc-timeout", "-1S"), ("grpc-timeout", "abc"), (":scheme", "x"),
            (":status", "200"), ("x-bin", "!!!"), ("X-UPPER", "x"), ("x", "a\0b\r\nc"), ("grpc-encoding", "gzip"),
            ("grpc-status", "9" * 20), ("grpc-previous-rpc-attempts", "9" * 20), ("grpc-trace-bin", "AA"),
            ("grpc-tags-bin", "AA"), ("content-length", "9" * 30), ("user-agent", "x" * 5000), ("connection", "close"),
            ("grpc-internal-encoding-request", "gzip"), ("authorization", b"\xff\xfe"), ("authorization", "Bearer "),
        ):  # fmt: skip
            with self.subTest(f"{name}: {value!r:.20}"):
                self.unary(request_headers(VERSION, (name, value)))
        self.unary(request_headers(VERSION, content_type="text/html"))
        self.unary(request_headers("/" + "x" * 7000), answered=False)
        self.unary(b"")
        self.all_is_as_before()
        # Nobody writes into the service's log by what they send.
        self.assertNotIn("metadata", self.service.stderr())

    def test_messages(self) -> None:
        for path in (SESSION, VERSION):
            for data in (
                message(b"x", length=2**32 - 1), message(b"x", length=1 << 30), message(b"", compressed=7),
                message(b"abc", compressed=1), b"\0\0\0", message(b"") * 3,
            ):  # fmt: skip
                self.unary(request_headers(path), data, answered=False)
        self.all_is_as_before()

    def test_compressed_messages_are_refused(self) -> None:
        # As much as a window holds (RFC 9113, section 6.9.2): for more the connection would be closed, whatever is in it.
        bomb = message(gzip.compress(bytes(60 << 20)), compressed=1)
        self.assertLess(len(bomb), 1 << 16)
        for encoding in ("gzip", "deflate", "identity", "none-such"):
            with self.subTest(encoding), Connection(connect(self.service.address)) as connection:
                pieces = b"".join(frame(DATA, 0, 1, bomb[i : i + 16384]) for i in range(0, len(bomb), 16384))
                headers = request_headers(SESSION, ("grpc-encoding", encoding))
                connection.send(frame(HEADERS, END_HEADERS, 1, headers) + pieces)
                end = connection.read_until(
                    lambda kind, flags, stream, _: stream == 1 and (flags & END_STREAM or kind == RST_STREAM)
                )
                self.assertIsNotNone(end)
        if not harness.SANITIZER:
            self.assertLess(self.service.rss_bytes() - self.rss, SLACK_BYTES)
        # Not only large ones: a sound request.
        with Connection(connect(self.service.address)) as connection:
            session = RawSession(connection)
            opening = gzip.compress(event_loop_pb2.SessionRequest(sequence=1, open={"revision": 1}).SerializeToString())
            connection.send(frame(HEADERS, END_HEADERS, 1, request_headers(SESSION, ("grpc-encoding", "gzip"))))
            connection.send(frame(DATA, 0, 1, message(opening, compressed=1)))
            self.assertIsNone(session.read())
        self.all_is_as_before()


class SlowTest(AbuseTestCase):
    def test_who_says_nothing_or_too_little_is_cut_off(self) -> None:
        silent = [self.connect(greeting) for greeting in (b"", PREFACE[:10], PREFACE)]
        begin = harness.time.monotonic()
        for connection in silent:
            harness.read_all(connection.socket)  # Not read_to_end, which answers.
        # Long before keep-alive ends what does not answer: that takes 40 s.
        self.assertLess(harness.time.monotonic() - begin, 3 * HANDSHAKE_SECONDS)
        for connection in silent:
            connection.socket.close()
        self.all_is_as_before()

    def test_who_asks_and_does_not_read_costs_no_more_than_its_windows(self) -> None:
        # An answer of its own for each of so many calls, and no window for any.
        connection = self.connect(PREFACE + settings(INITIAL_WINDOW_SIZE=0))
        block = request_headers(VERSION)
        for number in range(1, 2 * 900, 2):
            connection.send(frame(HEADERS, END_HEADERS, number, block) + frame(DATA, END_STREAM, number, message(b"")))
        self.bystander.played_on()
        # A session whose transport has data without end.
        reader = self.connect(PREFACE + settings(INITIAL_WINDOW_SIZE=0))
        listener = self.listener()
        session = RawSession(reader).open()
        remote = {"host": "127.0.0.1", "port": listener.getsockname()[1]}
        reader.send(session.commands(event_loop_pb2.Command(request_id=1, create_connection={"remote": remote})))
        peer = self.accept(listener)
        peer.settimeout(1)
        with self.assertRaises(TimeoutError):
            for _ in range(1000):
                peer.sendall(bytes(1 << 20))
        if not harness.SANITIZER:
            self.assertLess(self.service.rss_bytes() - self.rss, 8 * SLACK_BYTES)
        self.bystander.played_on()
        for one in (connection, reader):
            one.socket.close()
        self.all_is_as_before()


class PolicyAbuseTest(PolicyTestCase):
    def test_headers_that_crash_grpc_when_it_asks_who_calls(self) -> None:
        """With identities, by TLS and in plain text: gRPC's own way to ask would abort the process."""
        self.start(role(GRANTS), "--listen=127.0.0.1:0,plaintext")
        address = ("127.0.0.1", int(self.service.targets[2].rsplit(":", 1)[1]))
        for name in ("grpclb_client_stats", "lb-cost-bin", "lb-token", "grpc-server-stats-bin"):
            with Connection(connect(address)) as connection:
                fields = ((name, "AAAA"), ("authorization", f"Bearer {TOKEN}"))
                connection.send(frame(HEADERS, END_HEADERS, 1, request_headers(VERSION, *fields)))
                connection.send(frame(DATA, END_STREAM, 1, message(b"")))
                ended = connection.read_until(lambda kind, flags, stream, _: stream == 1 and flags & END_STREAM)
                self.assertIsNotNone(ended, name)
        self.assertIsNone(self.service.process.poll())


class ProxyTest(PolicyTestCase):
    """deploy/haproxy.cfg keeps off what gRPC 1.51 cannot bear."""

    def setUp(self) -> None:
        super().setUp()
        harness.need("haproxy")
        flags = ("--listen=127.0.0.1:0,plaintext", "--refuse-after-failures=false", "--max-unauthenticated-count=1000")
        self.start(role(GRANTS + 'admin { name: "a" methods: "*" }'), *flags)
        port = self.service.targets[2].rsplit(":", 1)[1]
        both = self.folder / "proxy.pem"
        both.write_bytes(
            (self.certificates / "server.pem").read_bytes() + (self.certificates / "server.key").read_bytes()
        )
        configuration = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"

        def command(free: int) -> list:
            settings = [f"BIND=127.0.0.1:{free}", f"CERTIFICATE={both}", f"SERVICE=127.0.0.1:{port}"]
            return ["env", *settings, "haproxy", "-db", "-f", str(configuration)]

        self.address = ("127.0.0.1", self.enterContext(listening(command))[0])
        self.tls = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        self.tls.set_alpn_protocols(["h2"])

    def dial(self, source: str) -> Connection:
        return self.enterContext(Connection(connect(self.address, self.tls, source)))

    def survives(self, chunks) -> None:
        """Calls of a good client, on a connection that it has, are answered meanwhile and afterwards."""
        session = RawSession(self.good, next(self.streams), TOKEN).open()
        self.assertIsNotNone(session.read())
        rss = self.service.rss_bytes()
        bad = self.dial("127.0.0.2")
        bad.send(frame(SETTINGS, ACK))
        over = threading.Event()

        def send() -> None:
            try:
                for chunk in chunks:
                    send_and_drop(bad.socket, chunk)
            except (ConnectionError, ssl.SSLError, TimeoutError):
                pass
            finally:
                over.set()

        threading.Thread(target=send, daemon=True).start()
        for request_id in itertools.count(1):
            asked = event_loop_pb2.Command(request_id=request_id, create_server={"hosts": ["127.0.0.1"], "port": 0})
            session.connection.send(session.commands(asked))
            self.assertEqual([reply.request_id for reply in session.replies(1)], [request_id])
            closed = event_loop_pb2.Command(request_id=request_id, server_close={"server_id": request_id})
            session.connection.send(session.commands(closed))
            self.assertEqual([reply.request_id for reply in session.replies(1)], [request_id])
            if over.is_set() and request_id > 5:
                break
        session.close()
        if not harness.SANITIZER:
            self.assertLess(self.service.rss_bytes() - rss, 8 * SLACK_BYTES)

    def test_what_grpc_cannot_bear(self) -> None:
        self.good = self.dial("127.0.0.1")
        self.streams = itertools.count(1, 2)
        block, reset = request_headers(SESSION), CANCEL.to_bytes(4, "big")
        with self.subTest("streams that are reset at once"):
            self.survives(
                b"".join(
                    frame(HEADERS, END_HEADERS, number, block) + frame(RST_STREAM, 0, number, reset)
                    for number in range(first, first + 1000, 2)
                )
                for first in range(1, 200_000, 1000)
            )
        with self.subTest("a number that is padded without end"):
            begin = frame(HEADERS, 0, 1, block + b"\0\x7f")
            self.survives(itertools.chain([begin], itertools.repeat(frame(CONTINUATION, 0, 1, b"\x80" * 16384), 2000)))

    def test_strangers_keep_nobody_out(self) -> None:
        """To the service they come from the same address as everybody."""
        watch, wrong = request_headers(WATCH), request_headers(VERSION, ("authorization", "Bearer wrong"))
        for _ in range(12):
            bad = self.dial("127.0.0.2")
            for number in range(1, 200, 2):
                ask = wrong if number % 10 == 1 else watch
                bad.send(frame(HEADERS, END_HEADERS, number, ask) + frame(DATA, END_STREAM, number, message(b"")))
            # The last of those that stay has an answer.
            self.assertIsNotNone(bad.read_until(lambda kind, flags, stream, _: stream == 199 and kind == HEADERS))
        session = RawSession(self.dial("127.0.0.1"), token=TOKEN).open()
        self.assertIsNotNone(session.read())
        session.close()


if __name__ == "__main__":
    harness.main()
