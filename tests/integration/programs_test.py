"""Real programs as peers: curl, nginx, python's http.server, socat, nc."""

import hashlib
import socket
import subprocess
import sys
import threading

from transportd.v1 import transport_pb2, types_pb2

import harness
import servers
from client import StreamSession, UnarySession
from harness import LOOPBACK, pattern

BIG = 64 << 20


class SinkTo:
    """Takes a transport's data as it comes: the place of Seen.data."""

    def __init__(self):
        self.sha256 = hashlib.sha256()
        self.head = bytearray()

    def __iadd__(self, data: bytes):
        if b"\r\n\r\n" in self.head:
            self.sha256.update(data)
            return self
        self.head += data
        head, found, body = bytes(self.head).partition(b"\r\n\r\n")
        if found:
            self.head = bytearray(head + found)
            self.sha256.update(body)
        return self

    def __len__(self) -> int:
        return len(self.head)


class HttpServerTest(harness.ServiceTestCase):
    """A program fetches from a server whose protocol is here and whose sockets are in the service."""

    def answer(self, session, server_id: int, count: int, body: bytes) -> None:
        """Answers `count` requests, in a thread of its own."""

        def serve():
            for index in range(count):
                transport_id = session.wait_accepted(server_id, index + 1)[index]
                seen = session.seen(transport_id)
                session.wait(lambda: b"\r\n\r\n" in seen.data, "a request")
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
                session.call(transport_pb2.WriteRequest(transport_id=transport_id, data=head))
                for start in range(0, len(body), 1 << 18):
                    piece = body[start : start + (1 << 18)]
                    session.call(transport_pb2.WriteRequest(transport_id=transport_id, data=piece))
                session.call(transport_pb2.CloseRequest(transport_id=transport_id))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, harness.TIMEOUT)

    def check_curl(self, session, family: int, size: int) -> None:
        host = LOOPBACK[family]
        server_id, address = session.listen(host)
        body = pattern(size)
        self.answer(session, server_id, 1, body)
        url = f"http://[{host}]:{address[1]}/file" if family == 6 else f"http://{host}:{address[1]}/file"
        curl = self.program("curl", "-sS", "--noproxy", "*", "--max-time", harness.TIMEOUT, url, stdout=subprocess.PIPE)
        out, _ = curl.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(curl.returncode, 0)
        self.assertTrue(out == body)
        transport_id = session.wait_accepted(server_id)[0]
        lost = session.wait_lost(transport_id)
        self.assertEqual(lost.dropped_bytes, 0)
        self.assertTrue(bytes(session.seen(transport_id).data).startswith(b"GET /file HTTP/1.1\r\n"))

    def test_curl_through_the_stream(self):
        with StreamSession(self.service.target) as session:
            self.check_curl(session, 4, 8 << 20)
            self.check_curl(session, 6, 1 << 20)

    def test_curl_through_the_unary_door(self):
        with UnarySession(self.service.target) as session:
            self.check_curl(session, 4, 2 << 20)
            self.check_curl(session, 6, 1 << 16)


class HttpClientTest(harness.ServiceTestCase):
    """A protocol here fetches from a real HTTP server."""

    def web_folder(self):
        folder = self.folder()
        folder.chmod(0o755)
        block = pattern(1 << 20)
        digest = hashlib.sha256()
        with open(folder / "big", "wb") as file:
            for _ in range(BIG >> 20):
                file.write(block)
                digest.update(block)
        return folder, digest.hexdigest()

    def fetch(self, session, address, path: str = "/big"):
        """(head, sha256 of the body)"""
        transport_id = session.connect(address)
        sink = SinkTo()
        session.seen(transport_id).data = sink
        session.write(transport_id, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        session.wait_callback(transport_id, "eof_received")
        session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        lost = session.wait_lost(transport_id)
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_EOF)
        self.assertEqual(lost.received_bytes, session.seen(transport_id).received)
        return bytes(sink.head), sink.sha256.hexdigest()

    def nginx(self, root, family: int = 4):
        """Its address."""
        return LOOPBACK[family], self.enter(servers.nginx(root, family)).port

    def test_nginx_a_big_file_through_the_stream(self):
        root, sha256 = self.web_folder()
        address = self.nginx(root)
        for acknowledged in (True, False):
            with self.subTest(acknowledged=acknowledged):
                with StreamSession(self.service.target, acknowledged=acknowledged) as session:
                    head, body = self.fetch(session, address)
                self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
                self.assertIn(f"Content-Length: {BIG}".encode(), head)
                self.assertEqual(body, sha256)

    def test_nginx_a_big_file_through_the_unary_door(self):
        root, sha256 = self.web_folder()
        with UnarySession(self.service.target) as session:
            _, body = self.fetch(session, self.nginx(root, 6))
        self.assertEqual(body, sha256)

    def test_python_http_server(self):
        root, sha256 = self.web_folder()
        server = self.program(
            sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", root, "0",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # "Serving HTTP on 127.0.0.1 port 12345 (http://…"
        port = int(server.stdout.readline().split(b" port ")[1].split()[0])
        with StreamSession(self.service.target) as session:
            head, body = self.fetch(session, ("127.0.0.1", port))
            self.assertIn(b" 200 OK\r\n", head)
            self.assertEqual(body, sha256)
            head, _ = self.fetch(session, ("127.0.0.1", port), "/missing")
            self.assertIn(b" 404 ", head)


class NetcatTest(harness.ServiceTestCase):
    """nc and socat as peers, with half-close in both orders."""

    def setUp(self):
        super().setUp()
        self.session = self.enter(StreamSession(self.service.target))

    def half_close_from_the_program(self, make_command, family: int) -> None:
        server_id, address = self.session.listen(LOOPBACK[family])
        data, answer = pattern(1 << 20, 1), pattern(1 << 20, 2)
        program = self.program(*make_command(*address), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        feeder = threading.Thread(target=self.feed, args=(program.stdin, data), daemon=True)
        feeder.start()
        transport_id = self.session.wait_accepted(server_id)[0]
        self.session.wait_callback(transport_id, "eof_received")
        self.session.wait_data(transport_id, data)
        # Only after its EOF is it answered.
        for start in range(0, len(answer), 65536):
            piece = answer[start : start + 65536]
            self.session.call(transport_pb2.WriteRequest(transport_id=transport_id, data=piece))
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        self.assertTrue(program.stdout.read() == answer)
        self.assertEqual(program.wait(harness.TIMEOUT), 0)
        self.assertEqual(self.session.wait_lost(transport_id).cause, types_pb2.END_CAUSE_EOF)

    @staticmethod
    def feed(stdin, data: bytes) -> None:
        stdin.write(data)
        stdin.close()

    def test_nc_half_closes(self):
        for family in (4, 6):
            with self.subTest(family=family):
                self.half_close_from_the_program(lambda host, port: ("nc", "-N", host, port), family)

    def test_socat_half_closes(self):
        for family in (4, 6):
            with self.subTest(family=family):
                form = "TCP6:[{}]:{}" if family == 6 else "TCP4:{}:{}"
                self.half_close_from_the_program(
                    lambda host, port: ("socat", "-t", harness.TIMEOUT, "-", form.format(host, port)), family
                )

    def test_half_close_towards_socat(self):
        # socat listens on a port of the kernel's and says which with -d -d.
        socat = self.program(
            "socat", "-d", "-d", "-t", harness.TIMEOUT, "TCP4-LISTEN:0,bind=127.0.0.1", "SYSTEM:sha256sum",
            stderr=subprocess.PIPE,
        )  # fmt: skip
        port = 0
        for line in socat.stderr:
            if b"listening on" in line:
                port = int(line.rsplit(b":", 1)[1])
                break
        drain = threading.Thread(target=socat.stderr.read, daemon=True)
        drain.start()
        self.addCleanup(drain.join, harness.TIMEOUT)
        transport_id = self.session.connect(("127.0.0.1", port))
        data = pattern(1 << 20)
        for start in range(0, len(data), 65536):
            piece = data[start : start + 65536]
            self.session.call(transport_pb2.WriteRequest(transport_id=transport_id, data=piece))
        self.session.call(transport_pb2.WriteEofRequest(transport_id=transport_id))
        seen = self.session.wait_callback(transport_id, "eof_received")
        self.assertEqual(bytes(seen.data).split()[0].decode(), hashlib.sha256(data).hexdigest())
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        self.session.wait_lost(transport_id)
        self.assertEqual(socat.wait(harness.TIMEOUT), 0)


if __name__ == "__main__":
    harness.main()
