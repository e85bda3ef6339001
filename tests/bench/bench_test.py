"""The programs of this folder run and say what they should. What they measure in so short a time means nothing.

The environment: BENCH_PROGRAMS is the folder of the programs.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import unittest
from pathlib import Path

TIMEOUT = 60  # Seconds until a test gives up waiting. Never reached when all is well.
SHORT = ("--seconds=0.1", "--warmup=0.05")


def program(name: str) -> str:
    return str(Path(os.environ["BENCH_PROGRAMS"], name))


def run(name: str, *arguments) -> subprocess.CompletedProcess:
    words = [program(name), *map(str, arguments)]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)


class ProgramTestCase(unittest.TestCase):
    @contextlib.contextmanager
    def server(self, name: str, *arguments):
        """What a program prints when it is ready; it ends in order when its standard input does."""
        words = [program(name), *map(str, arguments)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield json.loads(process.stdout.readline())
                process.stdin.close()
                self.assertEqual(process.wait(TIMEOUT), 0)
            finally:
                process.kill()

    def figures(self, name: str, *arguments) -> dict[str, float]:
        done = run(name, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def assert_round_trips(self, figures: dict[str, float]) -> None:
        self.assertGreater(figures["round_trips_per_s"], 0)
        times = [figures[name] for name in ("p50_us", "p90_us", "p99_us", "max_us")]
        self.assertGreater(times[0], 0)
        self.assertEqual(times, sorted(times))


class MicroTest(ProgramTestCase):
    def test_every_benchmark_runs(self):
        figures = self.figures("bench_micro", "--benchmark_format=json", "--benchmark_min_time=0.0001")
        names = {each["name"].split("/")[0] for each in figures["benchmarks"]}
        self.assertLessEqual({"WriteWrites", "ReadProgress", "CallSoon", "AddAndExpireTimer", "AppendPeekConsume"}, names)
        for each in figures["benchmarks"]:
            self.assertGreater(each["items_per_second"], 0, each)

    def figures(self, name: str, *arguments) -> dict[str, float]:
        # Standard error is Google Benchmark's, which describes the machine there.
        done = run(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class GrpcTest(ProgramTestCase):
    def test_a_stream_a_connection(self):
        with self.server("bench_grpc", "serve", "--threads=2") as ready:
            self.assert_round_trips(self.figures("bench_grpc", "load", ready["target"], 8, 64, *SHORT))

    def test_one_stream_for_all_connections(self):
        with self.server("bench_grpc", "serve") as ready:
            load = ("load", ready["target"], 8, 64, "--one-stream", *SHORT)
            self.assert_round_trips(self.figures("bench_grpc", *load))

    def test_a_tunnel_carries_each_stream_to_a_connection(self):
        with self.echo_port() as port, self.server("bench_grpc", "tunnel", port) as ready:
            for size_bytes in (64, 300_000):  # The second in many messages.
                load = ("load", ready["target"], 8, size_bytes, *SHORT)
                self.assert_round_trips(self.figures("bench_grpc", *load))

    def test_a_server_that_is_not_there_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        done = run("bench_grpc", "load", f"127.0.0.1:{port}", 1, 64, *SHORT)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("UNAVAILABLE", done.stderr)

    def test_a_tunnel_to_nowhere_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with self.server("bench_grpc", "tunnel", port) as ready:
            done = run("bench_grpc", "load", ready["target"], 2, 64, *SHORT)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("cannot connect", done.stderr)

    def test_bad_usage(self):
        for arguments in ((), ("tunnel",), ("serve", "--threads=0"), ("load", "x", 1, 0), ("load", "x", 1, 64, "--seconds=x")):
            self.assertEqual(run("bench_grpc", *arguments).returncode, 2, arguments)

    @contextlib.contextmanager
    def echo_port(self):
        def serve(peer: socket.socket) -> None:
            with peer:
                while data := peer.recv(1 << 16):
                    peer.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):  # The listener is shut down.
                while True:
                    threading.Thread(target=serve, args=listener.accept()[:1]).start()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=accept)
            thread.start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


if __name__ == "__main__":
    unittest.main(verbosity=2)
