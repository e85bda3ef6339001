"""`transportctl udp` against socat and dnsmasq."""

import base64
import contextlib
import json
import re
import socket
import struct
import subprocess
import threading

import harness
import servers
from harness import eventually, free_port
from servers import is_bound
from transportctl_case import FAILED, TIMED_OUT, USAGE, TransportctlTestCase


class UdpTest(TransportctlTestCase):
    def peer(self, family: int = 4) -> socket.socket:
        """A UDP socket that answers only when the test does."""
        peer = self.enterContext(
            socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        )
        peer.bind((harness.LOOPBACK[family], 0))
        peer.settimeout(harness.TIMEOUT)
        return peer

    @staticmethod
    def address(peer: socket.socket) -> str:
        host, port = peer.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def socat_echo(self, *address: str) -> subprocess.Popen:
        """Each datagram from anybody starts a cat of its own."""
        return self.program("socat", *address, "EXEC:cat", stdin=subprocess.DEVNULL)

    def test_a_datagram_for_each_line(self):
        for family in (4, 6):
            peer = self.peer(family)
            process = self.transportctl("udp", "--count", "4", self.address(peer))
            process.stdin.write(b"one\n\ntwo\nlast")
            process.stdin.close()
            for expected in (b"one", b"", b"two", b"last"):
                data, sender = peer.recvfrom(100)
                self.assertEqual(data, expected)
                peer.sendto(data.upper(), sender)
            self.assertEqual(process.stdout.read(), b"ONE\n\nTWO\nLAST\n")
            self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_the_whole_is_one_datagram(self):
        peer = self.peer()
        for data in (b"a\nb\n", b"", harness.pattern(65507)):
            process = self.transportctl("udp", "--whole", "-c", "1", self.address(peer))
            process.stdin.write(data)
            process.stdin.close()
            got, sender = peer.recvfrom(1 << 16)
            self.assertTrue(got == data)
            peer.sendto(data[::-1], sender)
            self.assertTrue(process.stdout.read() == data[::-1])
            self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_echo_by_socat(self):
        for _ in range(5):
            port = free_port()
            socat = self.socat_echo(f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork")
            eventually(lambda: socat.poll() is not None or is_bound(port), "socat is there")
            if socat.poll() is None:
                break
        status, out, err = self.run_to_end("udp", "-c", "1", f"127.0.0.1:{port}", data=b"to and fro\n")
        self.assertEqual((status, out), (0, b"to and fro\n"), err)

    def test_unix_datagrams(self):
        folder = self.folder()
        path = folder / "socket"
        self.socat_echo(f"UNIX-RECVFROM:{path},fork")
        eventually(path.exists, "socat is there")
        status, out, err = self.run_to_end("udp", "-c", "1", f"unix:{path}", data=b"to and fro\n")
        self.assertEqual((status, out), (0, b"to and fro\n"), err)
        status, out, err = self.run_to_end(
            "udp", "-c", "1", "--source", f"unix:{folder}/mine", f"unix:{path}", data=b"x\n"
        )
        self.assertEqual((status, out), (0, b"x\n"), err)
        status, _, err = self.run_to_end("udp", f"unix:{folder}/nobody", data=b"x\n")
        self.assertEqual(status, FAILED)
        self.assertIn("ENOENT", err)

    def test_unix_abstract_names(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind("")  # The kernel picks a name.
            peer.settimeout(harness.TIMEOUT)
            process = self.transportctl("udp", "-c", "1", "unix:@" + peer.getsockname()[1:].decode())
            process.stdin.write(b"x\n")
            process.stdin.close()
            data, sender = peer.recvfrom(10)
            peer.sendto(data * 2, sender)
            self.assertEqual(process.stdout.read(), b"xx\n")
            self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_nobody_answers(self):
        peer = self.peer()
        status, out, err = self.run_to_end("udp", "--timeout", "100ms", self.address(peer), data=b"x\n")
        self.assertEqual((status, out), (TIMED_OUT, b""))
        self.assertIn("no answer within 100ms", err)
        self.assertEqual(peer.recv(10), b"x")
        # Nothing to wait for: a timeout of an hour does not matter.
        status, out, err = self.run_to_end("udp", "--no-reply", "--timeout", "1h", self.address(peer), data=b"y\nz")
        self.assertEqual((status, out), (0, b""), err)
        self.assertEqual((peer.recv(10), peer.recv(10)), (b"y", b"z"))

    def test_nobody_is_there(self):
        peer = self.peer()
        address = self.address(peer)
        peer.close()
        status, out, err = self.run_to_end("udp", "--timeout", "1h", address, data=b"x\n")
        self.assertEqual((status, out), (FAILED, b""))
        self.assertIn("ECONNREFUSED", err)

    def test_too_long(self):
        peer = self.peer()
        for size, what in ((65508, "EMSGSIZE"), (300_000, "too long for a datagram")):
            status, out, err = self.run_to_end("udp", self.address(peer), data=b"x" * size + b"\n")
            self.assertEqual((status, out), (FAILED, b""))
            self.assertIn(what, err)

    def test_the_others_are_answered_when_one_is_too_long(self):
        peer = self.peer()

        def echo():
            with contextlib.suppress(OSError):
                while True:
                    data, sender = peer.recvfrom(1 << 16)
                    peer.sendto(data, sender)

        threading.Thread(target=echo, daemon=True).start()
        for size in (65_508, 70_000, 300_000):
            bad, good = b"x" * size + b"\n", b"good\n"
            for data, options in ((bad + good, ("-c", "1")), (good + bad, ("--timeout", "1s"))):
                with self.subTest(size=size, options=options):
                    status, out, err = self.run_to_end("udp", *options, self.address(peer), data=data)
                    self.assertEqual((status, out), (FAILED, good), err)
                    self.assertIn("a line of more than 65507 bytes is too long for a datagram (EMSGSIZE)", err)
        # One that fails, and none that is answered: in time, and with the reason.
        silent = self.peer()
        status, out, err = self.run_to_end("udp", "--timeout", "100ms", self.address(silent), data=bad + good)
        self.assertEqual((status, out), (FAILED, b""))
        self.assertIn("no answer within 100ms", err)

    def test_json(self):
        peer = self.peer()
        process = self.transportctl("udp", "--json", "-c", "1", self.address(peer))
        process.stdin.write(b"x\n")
        process.stdin.close()
        peer.sendto(b"a\0\xff", peer.recvfrom(10)[1])
        events = [json.loads(line) for line in process.stdout]
        self.assertEqual(process.wait(harness.TIMEOUT), 0)
        self.assertEqual(
            [event["callback"] for event in events], ["connection_made", "datagram_received", "connection_lost"]
        )
        self.assertEqual(events[0]["args"]["peername"], self.address(peer))
        self.assertEqual(base64.b64decode(events[1]["args"]["data"]), b"a\0\xff")
        self.assertEqual(events[2]["args"]["sent_count"], 1)

    def test_a_bad_command_line(self):
        for words, what in (
            (("udp",), "udp needs HOST:PORT or unix:PATH"),
            (("udp", "host"), "the port is missing"),
            (("udp", "--count", "0", "host:53"), "--count must be a number, 1 or more"),
            (("udp", "--source", "unix:/x", "host:53"), "of one kind"),
            (("udp", "-c", "1", "--no-reply", "host:53"), "give one of them"),
            (("udp", "-4", "unix:/x"), "-4 has no meaning for a Unix socket"),
            (("udp", "--tls", "host:53"), "--tls has no meaning for udp"),
            (("connect", "--whole", "host:53"), "--whole has no meaning for connect"),
        ):
            status, _, err = self.run_to_end(*words)
            self.assertEqual(status, USAGE, words)
            self.assertIn(what, err)


class DnsTest(TransportctlTestCase):
    """A real name server on loopback, asked by hand: RFC 1035."""

    def setUp(self) -> None:
        super().setUp()
        self.port = self.enter(servers.dnsmasq("--address=/example.test/192.0.2.7"))

    def test_a_query(self):
        query = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + b"\x07example\x04test\0" + struct.pack("!2H", 1, 1)
        status, out, err = self.run_to_end("udp", "--whole", "-c", "1", f"127.0.0.1:{self.port}", data=query)
        self.assertEqual(status, 0, err)
        number, flags, questions, answers = struct.unpack("!4H", out[:8])
        self.assertEqual((number, flags & 0x800F, questions, answers), (0x1234, 0x8000, 1, 1))
        self.assertEqual(out[12 : len(query)], query[12:])
        # A name, type A, class IN, a time, 4 bytes.
        self.assertTrue(re.search(rb"\0\x01\0\x01....\0\x04\xc0\0\x02\x07$", out, re.DOTALL), out)


if __name__ == "__main__":
    harness.main()
