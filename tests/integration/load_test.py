"""Many connections, a stopped one among them, pings after idleness, and clients that come and go. Prints figures."""

import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from transportd.v1 import admin_pb2, transport_pb2

import harness
from client import Admin, UnarySession
from harness import Service, eventually, pattern, read_exactly

RELEASE = os.environ.get("TRANSPORTD_BUILD_TYPE") == "Release" and not harness.SANITIZER
# Beyond the windows: allocator slack, gRPC's own buffers for a connection and a stream.
SLACK_BYTES = 16 << 20
WINDOW_BYTES = 256 << 10


def start_load(test: harness.ServiceTestCase, service, *arguments) -> subprocess.Popen:
    """The C++ program, through `service`; None: on its own event loop, without any service."""
    words = [os.environ["TRANSPORTD_LOAD_BIN"], *(["--direct"] if service is None else []), *arguments]
    environment = dict(os.environ, TRANSPORTD_TARGET=service.target if service else "")
    return test.program(*words, env=environment, stdout=subprocess.PIPE, text=True)


class Rss:
    """The highest resident size of a service, for each phase that is named."""

    def __init__(self, service: Service):
        self._service = service
        self._phase = "start"
        self.highest = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def begin(self, phase: str) -> None:
        self._phase = phase

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(0.02):
            rss = self._service.rss_bytes()
            self.highest[self._phase] = max(self.highest.get(self._phase, 0), rss)


class EchoTest(harness.ServiceTestCase):
    def test_a_thousand_connections_through_the_stream(self):
        count = 200 if harness.SANITIZER else 1000
        rss = Rss(self.service)
        load = start_load(self, self.service, "echo", count, 100)
        out, _ = load.communicate(timeout=150)
        rss.stop()
        print(f"\n{out.strip()}, service at most {rss.highest['start'] >> 20} MiB")
        self.assertEqual(load.returncode, 0, out)
        self.assertIn(f" {count * 100} of {count * 100} messages right", out)

    def test_fifty_connections_through_the_unary_door(self):
        connection_count, message_count = 50, 20
        listener = self.listener()
        threading.Thread(target=self.echo, args=(listener, connection_count), daemon=True).start()
        session = self.enter(UnarySession(self.service.target))
        transports = [session.connect(listener.getsockname()) for _ in range(connection_count)]

        def play(index: int) -> int:
            transport_id = transports[index]
            expected = b""
            for message_index in range(message_count):
                message = pattern(16 + (index * 37 + message_index * 101) % 1000, index * 1000 + message_index)
                expected += message
                session.call(transport_pb2.WriteRequest(transport_id=transport_id, data=message))
                session.wait_data(transport_id, expected)
            session.call(transport_pb2.CloseRequest(transport_id=transport_id))
            session.wait_lost(transport_id)
            return message_count

        with ThreadPoolExecutor(connection_count) as pool:
            right = sum(pool.map(play, range(connection_count)))
        message_total = connection_count * message_count
        print(f"\nunary echo: {connection_count} connections, {right} of {message_total} messages right")
        self.assertEqual(right, message_total)

    def echo(self, listener: socket.socket, count: int) -> None:
        def serve(peer):
            with peer:
                while data := peer.recv(65536):
                    peer.sendall(data)

        for _ in range(count):
            peer, _ = listener.accept()
            threading.Thread(target=serve, args=(peer,), daemon=True).start()


class StalledTest(harness.ServiceTestCase):
    """A ratio within one run; on a machine that others use too, one run alone says little."""

    LEAST_RATIO = 0.5  # Blocked connections would come near 0.
    ROUND_COUNT = 3

    def test_one_of_a_hundred_stops_reading(self):
        base = self.service.rss_bytes()
        ratios = []
        while len(ratios) < self.ROUND_COUNT and max(ratios, default=0) <= self.LEAST_RATIO:
            ratios.append(self.measure(base))
        self.assertGreater(max(ratios), self.LEAST_RATIO)

    def measure(self, base: int) -> float:
        rss = Rss(self.service)
        load = start_load(self, self.service, "stalled", 100, 2)
        lines = []
        for line in load.stdout:
            lines.append(line)
            if line.startswith("phase "):
                rss.begin(line.split()[1])
        self.assertEqual(load.wait(harness.TIMEOUT), 0, lines)
        rss.stop()
        grown = rss.highest["stopped"] - rss.highest["alone"]
        print(
            f"\n{lines[-1].strip()}; RSS {base >> 10} KiB at start, {rss.highest['alone'] >> 10} KiB alone, "
            f"{rss.highest['stopped'] >> 10} KiB beside the stopped one"
        )
        if not harness.SANITIZER:
            self.assertLess(grown, 2 * WINDOW_BYTES + (4 << 20))
            self.assertLess(rss.highest["stopped"], base + 100 * 2 * WINDOW_BYTES + SLACK_BYTES)
        return float(re.search(r"ratio ([0-9.]+)", lines[-1])[1])


class PingTest(harness.ServiceTestCase):
    """Ten services, so that each is idle between its pings. Beside them the same without a service: what this machine
    itself makes of it. Where that is late too, nothing is said about the service."""

    SESSION_COUNT, PING_COUNT = 10, 10
    TARGET_US = 5000
    ROUND_COUNT = 3

    def test_ping_after_a_second_of_idleness(self):
        on_time = []
        for _ in range(self.ROUND_COUNT):
            pings, control = self.measure()
            print(f"\nping: {self.describe(pings)}; without the service: {self.describe(control)}")
            if pings[-1] < self.TARGET_US or not RELEASE:
                return
            # A machine that is late for others too, as one that also compiles, is late once in a while.
            on_time.append(control[-1] < self.TARGET_US / 5)
        if all(on_time):
            self.fail("a ping was late in every round, on a machine that is on time")
        self.skipTest("this machine is too busy to measure on")

    @staticmethod
    def describe(times: list[int]) -> str:
        p50, p90 = times[len(times) // 2], times[len(times) * 9 // 10]
        return f"{len(times)} after 1.0 to 1.3 s, p50 {p50} us, p90 {p90} us, max {times[-1]} us"

    def measure(self):
        services = [Service() for _ in range(self.SESSION_COUNT)]
        try:
            count = self.PING_COUNT
            loads = [start_load(self, service, "ping", count, seed) for seed, service in enumerate(services)]
            controls = [start_load(self, None, "ping", count, 100 + seed) for seed in range(self.SESSION_COUNT)]
            return self.results(loads), self.results(controls)
        finally:
            for service in services:
                service.stop()

    def results(self, loads) -> list[int]:
        times = []
        for load in loads:
            out, _ = load.communicate(timeout=90)
            self.assertEqual(load.returncode, 0, out)
            times += [int(line.split()[1]) for line in out.splitlines() if line.startswith("ping_us ")]
        self.assertEqual(len(times), self.SESSION_COUNT * self.PING_COUNT)
        return sorted(times)


class TlsTest(harness.ServiceTestCase):
    """TLS connections one after the other, both ends in the service. TRANSPORTD_TLS_COUNT: another number of them."""

    def test_connections_leave_nothing(self):
        count = int(os.environ.get("TRANSPORTD_TLS_COUNT", "200" if harness.SANITIZER else "2000"))
        figures = []
        for round_count in (count // 10, count):  # The first is the warm-up.
            load = start_load(self, self.service, "tls", round_count)
            out, _ = load.communicate(timeout=170)
            self.assertEqual(load.returncode, 0, out)
            with Admin(self.service.target) as admin:
                eventually(lambda: not admin.call(admin_pb2.ListSessionsRequest()).sessions, "no session is left")
                self.assertEqual(list(admin.call(admin_pb2.ListTransportsRequest()).transports), [])
            figures.append((out.strip(), self.service.rss_bytes(), len(self.service.fds())))
        for out, rss, fd_count in figures:
            print(f"\n{out}; then RSS {rss >> 10} KiB, {fd_count} descriptors")
        # The connection of whoever asked last may be about to be closed.
        eventually(lambda: len(self.service.fds()) <= figures[0][2], "every descriptor is closed")
        if not harness.SANITIZER:
            # A connection that leaves its context or session behind leaves kibibytes.
            self.assertLess(figures[1][1] - figures[0][1], 2 << 20)


class ChurnTest(harness.ServiceTestCase):
    """5,000 connections come and go through servers whose client vanishes at random."""

    def test_churn(self):
        count = 1000 if harness.SANITIZER else 5000
        choice = random.Random(1)
        done = vanished = 0
        with Admin(self.service.target) as admin:
            while done < count:
                client = start_load(self, self.service, "serve")
                address = ("127.0.0.1", int(client.stdout.readline()))
                life = choice.randrange(100, 900)
                for _ in range(min(life, count - done)):
                    self.come_and_go(address, choice)
                    done += 1
                # Some are open, and some on their way, when it vanishes.
                open_peers = [socket.create_connection(address, harness.TIMEOUT) for _ in range(choice.randrange(20))]
                client.send_signal(signal.SIGKILL)
                vanished += 1
                client.wait()
                for peer in open_peers:
                    peer.close()
            eventually(lambda: not admin.call(admin_pb2.ListSessionsRequest()).sessions, "no session is left")
            self.assertEqual(list(admin.call(admin_pb2.ListTransportsRequest()).transports), [])
        print(f"\nchurn: {done} connections, {vanished} clients vanished, RSS {self.service.rss_bytes() >> 10} KiB")

    def come_and_go(self, address, choice: random.Random) -> None:
        with socket.create_connection(address, harness.TIMEOUT) as peer:
            what = choice.randrange(4)
            if what == 0:
                return  # At once.
            peer.sendall(b"echo this")
            if what == 1:
                return  # Without reading: resets it, perhaps.
            if read_exactly(peer, 9) != b"echo this":
                raise AssertionError("wrong bytes")
            if what == 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                peer.shutdown(socket.SHUT_WR)
                if peer.recv(1) != b"":
                    raise AssertionError("more than was sent")


class BulkTest(harness.ServiceTestCase):
    """Every byte of a long stream, over every kind of stream, in each direction. TRANSPORTD_BULK_MIB says how long."""

    def test_sha256_of_every_kind_of_stream(self):
        size_mib = int(os.environ.get("TRANSPORTD_BULK_MIB", 16 if harness.SANITIZER else 128))
        for kind in ("tcp", "tls", "unix", "unix-tls", "socketpair", "pipe", "subprocess"):
            with self.subTest(kind):
                folder = self.folder()
                if kind.endswith("tls"):
                    self.make_certificate(folder)
                load = start_load(self, self.service, "bulk", kind, str(size_mib), str(folder))
                out, _ = load.communicate(timeout=150)
                print(f"\n{out.strip()}")
                self.assertEqual(load.returncode, 0, out)

    def make_certificate(self, folder) -> None:
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        words += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
        subprocess.run(words, check=True, capture_output=True, timeout=harness.TIMEOUT)


class SpawnTest(harness.ServiceTestCase):
    """Processes in a row leave nothing behind. TRANSPORTD_SPAWN_COUNT says how many."""

    def test_processes_in_a_row(self):
        count = int(os.environ.get("TRANSPORTD_SPAWN_COUNT", 100 if harness.SANITIZER else 1000))
        self.spawn(50)
        fds, rss = self.service.fds(), self.service.rss_bytes()
        print(f"\n{self.spawn(count)}; RSS {rss >> 10} KiB before, {self.service.rss_bytes() >> 10} KiB after")
        eventually(lambda: self.service.fds() == fds, "no descriptor is left")
        self.assertEqual(self.children(), "")
        if not harness.SANITIZER:
            self.assertLess(self.service.rss_bytes() - rss, 2 << 20)

    def children(self) -> str:
        """Zombies are children, too."""
        files = Path(f"/proc/{self.service.process.pid}/task").glob("*/children")
        return "".join(file.read_text() for file in files)

    def spawn(self, count: int) -> str:
        load = start_load(self, self.service, "spawn", str(count))
        out, _ = load.communicate(timeout=150)
        self.assertEqual(load.returncode, 0, out)
        return out.strip()


if __name__ == "__main__":
    harness.main()
