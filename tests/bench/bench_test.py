"""The programs of this folder run and say what they should. What they measure in so short a time means nothing.

The environment: BENCH_PROGRAMS is the folder of the programs. DriverTest needs none: it brings its own. For
PythonClientTest, BENCH_PYTHON is a Python with the client and the libraries, TRANSPORTD_BIN the service.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import bench
import ending
import metrics
import nginx
import options
import peers
import ratios
import report
import selection
import works
from peer import PLAIN_SERVERS, TLS_SERVERS
from processes import CannotRun, Program
from samples import Sample, Samples
from setting import make_certificate

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


class PythonLoadTestCase(ProgramTestCase):
    """The load generator in Python, against the servers of bench_peer."""

    python = sys.executable
    loop = "asyncio"

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = Path(folder)
        self.certificate, key = make_certificate(self.folder)
        certified = (f"--certificate={self.certificate}", f"--key={key}")
        self.ports = self.enterContext(self.server("bench_peer", *certified))

    def load(self, *arguments, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        words = [self.python, "-B", "-W", "error", str(Path(__file__).with_name("python") / "load.py")]
        words += [f"--loop={self.loop}", *SHORT, *map(str, arguments)]
        environment = os.environ | (environment or {})
        return subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
        )

    def figures(self, *arguments, environment: dict[str, str] | None = None) -> dict[str, float]:
        done = self.load(*arguments, environment=environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def assert_every_work(self, is_local: bool, environment: dict[str, str] | None = None) -> None:
        """But for http."""
        for work in (
            ("echo", self.ports["echo"], 8, 64),
            ("echo", self.ports["echo"], 8, 300_000),  # In many pieces.
            (f"--ca={self.certificate}", "echo", self.ports["tls_echo"], 8, 64),
            ("streams", self.ports["echo"], 8, 64),
            ("udp", self.ports["udp_echo"], 8, 64),
        ):
            with self.subTest(work=work):
                figures = self.figures(*work, environment=environment)
                self.assert_round_trips(figures)
                self.assertEqual(figures["is_local"], is_local)
        for work in (
            ("bulk-up", self.ports["discard"], 8),
            ("bulk-up", self.ports["discard"], 8, 1 << 20),
            ("bulk-down", self.ports["chargen"], 8),
        ):
            with self.subTest(work=work):
                figures = self.figures(*work, environment=environment)
                self.assertGreater(figures["bytes_per_s"], 0)
                self.assertEqual(figures["is_local"], is_local)
        figures = self.figures("spawn", 2, environment=environment)
        self.assertGreater(figures["processes_per_s"], 0)
        self.assertEqual(figures["is_local"], is_local)


class PythonLoadTest(PythonLoadTestCase):
    def test_every_work_on_asyncio(self):
        self.assert_every_work(is_local=True)

    def test_a_server_that_does_not_echo_is_caught(self):
        for name, fault in (("discard", "nothing was finished"), ("chargen", "an echo is not what was sent")):
            done = self.load("echo", self.ports[name], 1, 64)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(fault, done.stderr)
        done = self.load("streams", self.ports["chargen"], 1, 64)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("an echo is not what was sent", done.stderr)

    def test_a_server_that_closes_is_an_error(self):
        def accept_and_close() -> None:
            with contextlib.suppress(OSError):  # The listener is shut down.
                while True:
                    listener.accept()[0].close()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=accept_and_close)
            thread.start()
            for work in ("echo", "bulk-up", "bulk-down", "streams"):
                size = (64,) if work in ("echo", "streams") else ()
                done = self.load(work, listener.getsockname()[1], 1, *size)
                self.assertEqual((done.returncode, done.stdout), (1, ""), work)
                self.assertNotIn("Traceback", done.stderr)
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def test_a_server_that_is_not_there_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        done = self.load("echo", port, 1, 64)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("ConnectionRefusedError", done.stderr)

    def test_bad_usage(self):
        for words in ((), ("unheard-of",), ("echo", 1), ("bulk-up", 1), ("bulk-up", 1, 1, 1, 1), ("echo", "x", 1, 64)):
            self.assertEqual(self.load(*words).returncode, 2, words)

    def test_a_loop_that_is_not_installed_is_said(self):
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).with_name('python'))!r}); import load; load.main()"
        # Nothing is installed but what Python brings.
        words = [self.python, "-I", "-S", "-B", "-c", code, "--loop=transportd", "--version"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No module named 'transportd'", done.stderr)


class PythonClientTest(PythonLoadTestCase):
    """The same through the service, and the work that takes aiohttp."""

    python = os.environ.get("BENCH_PYTHON", "")
    loop = "transportd"

    def setUp(self):
        super().setUp()
        address_file = self.folder / "address"
        words = [os.environ["TRANSPORTD_BIN"], "--dev", "--listen=127.0.0.1:0", f"--address-file={address_file}"]
        service = self.enterContext(Program(self.folder, "transportd", words))
        service.wait_until(lambda: address_file.exists() and address_file.read_text().strip(), "answers calls")
        self.environment = {"TRANSPORTD_TARGET": address_file.read_text().splitlines()[0]}

    def test_every_work_is_done_by_the_service(self):
        self.assert_every_work(is_local=False, environment=self.environment)

    def test_http(self):
        setting = argparse.Namespace(folder=self.folder, far_ports={})
        self.enterContext(nginx.start(setting))
        work = ("http", setting.far_ports["http"], 8, works.HTTP_BODY_BYTES)
        self.assertGreater(self.figures(*work, environment=self.environment)["requests_per_s"], 0)


def usage(*words: str) -> tuple[int, str]:
    """The status of selection.py as a program, and what it says on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        output = () if any(word.startswith("--output") for word in words) else (f"--output={folder}",)
        command = [sys.executable, "-B", str(Path(__file__).with_name("selection.py")), *words, *output]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
        return done.returncode, done.stderr


def verdicts(rows: set[str], value: float | None = None) -> list[ratios.Verdict]:
    """Of the requirements of these rows: reached, when no value is given."""
    asked = ratios.asked(rows)
    return [ratios.Verdict(one, one.bound if value is None else value) for one in asked]


class UsageTest(unittest.TestCase):
    def assert_usage_error(self, words: tuple[str, ...], *texts: str) -> None:
        status, message = usage(*words)
        self.assertEqual(status, 2, message)
        self.assertNotIn("Traceback", message)
        for text in texts:
            self.assertIn(text, message)

    def test_a_check_of_nothing(self):
        self.assert_usage_error(("--check", "--only=^connect-1$"), "--check", "connect-16", "soak (takes --soak)")
        # One of two rows is not enough.
        self.assert_usage_error(("--check", "--only=^echo-64B-5000$"), "echo-64B-5000 with echo-64B-500")
        self.assert_usage_error(("--micro", "--check"), "micro-benchmarks")
        self.assert_usage_error(("--python", "--check", "--only=^python-spawn-1$"), "--check", "Rows with requirements: python-")

    def test_a_check_of_something(self):
        for words in ((), ("--check",), ("--check", "--quick"), ("--check", "--only=^connect-16$"), ("--micro", "--only=x")):
            self.assertEqual(usage(*words), (0, ""), words)
        for words in ((), ("--check",), ("--check", "--quick"), ("--check", "--only=http"), ("--only=spawn",)):
            self.assertEqual(usage("--python", *words), (0, ""), words)

    def test_rows_that_are_not_there(self):
        self.assert_usage_error(("--only=TYPO",), "no row has such a name")
        self.assert_usage_error(("--only=soak",), "--soak")
        self.assert_usage_error(("--quick", "--only=^connect-1$"), "--quick", "connect-16")
        self.assert_usage_error(("--bogus",), "--bogus")
        self.assert_usage_error(("--only=^python-spawn-1$",), "no row has such a name")
        self.assert_usage_error(("--python", "--only=^spawn-1$"), "--list --python")
        self.assert_usage_error(("--python", "--quick", "--only=^python-spawn-1$"), "--quick", "python-http-50")
        self.assert_usage_error(("--python", "--soak"), "--soak")
        self.assert_usage_error(("--python", "--micro"), "--micro")

    def test_a_folder_that_cannot_be_written(self):
        for folder in (__file__, f"{__file__}/x", "/proc/x", "/proc"):
            self.assert_usage_error((f"--output={folder}",), f"error: --output {folder}: ")

    def test_a_width_that_is_no_number(self):
        for width in ("x", "", "0", "-3", "1", "80"):
            environment = dict(os.environ, COLUMNS=width)
            command = [sys.executable, "-B", str(Path(__file__).with_name("bench.py")), "--help"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stderr), (0, ""), width)

    def test_bad_usage_is_said_before_anything_is_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copytree(Path(__file__).parent, root / "tests/bench")
            self.write_common(root, build_status=1)
            words = [root / "tests/bench/run", f"--output={folder}/out"]
            for bad in ("--bogus", "--only=TYPO", f"--output={__file__}"):
                done = subprocess.run([*words, bad], capture_output=True, text=True, timeout=TIMEOUT)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stdout), (3, "INSTALLS\n"), done.stderr)

    def test_what_is_set_up_for_the_python_client(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copytree(Path(__file__).parent, root / "tests/bench")
            self.write_common(root, build_status=0)
            environment = root / "tests/python/environment"
            environment.parent.mkdir()
            environment.write_text("#!/bin/sh\necho ENVIRONMENT $1\nexit 1\n")
            environment.chmod(0o755)
            default = f"{root}/build/release/python-venv"
            for words, said in (
                ((), f"INSTALLS\nBUILDS\nENVIRONMENT {default}\n"),
                (("--no-install", f"--build={root}/other"), f"ENVIRONMENT {root}/other/python-venv\n"),
                (("--no-install", "--build", f"{root}/other"), f"ENVIRONMENT {root}/other/python-venv\n"),
            ):
                command = [root / "tests/bench/run", "--python", f"--output={root}/out", *words]
                done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
                self.assertEqual((done.returncode, done.stdout), (3, said), done.stderr)
            command = [root / "tests/bench/run", "--list", "--python"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("python-http-50", done.stdout)
            self.assertNotIn("ENVIRONMENT", done.stdout)

    @staticmethod
    def write_common(root: Path, build_status: int) -> None:
        """Functions that only say that they are called."""
        path = root / "deploy/common.sh"
        path.parent.mkdir()
        build = "echo BUILDS; return 0" if build_status == 0 else f"return {build_status}"
        path.write_text(f"root={root}\ninstall_packages() {{ echo INSTALLS; }}\nbuild_preset() {{ {build}; }}\n")


class VerdictTest(unittest.TestCase):
    ROWS = {"connect-16"}

    def status(self, judged: list[ratios.Verdict], failed: bool) -> int:
        failures = [("echo-64B-1", "chisel", "flaky")] if failed else []
        return bench.exit_status(judged, Samples(failures=failures))

    def test_a_missed_requirement_outweighs_a_failed_sample(self):
        self.assertEqual(self.status(verdicts(self.ROWS, 0.0), failed=True), 1)
        self.assertEqual(self.status(verdicts(self.ROWS, 0.0), failed=False), 1)
        self.assertEqual(self.status(verdicts(self.ROWS), failed=True), 3)
        self.assertEqual(self.status(verdicts(self.ROWS), failed=False), 0)

    def test_what_was_not_measured_is_neither_reached_nor_missed(self):
        unmeasured = [ratios.Verdict(one, None) for one in ratios.asked(self.ROWS)]
        self.assertEqual(self.status(unmeasured, failed=False), 3)

    def test_the_summary_names_what_was_not_asked_for(self):
        everything = {row.name for row in works.matrix(is_python=False)}
        count = len(ratios.asked(everything))
        self.assertEqual(ratios.summary(verdicts(everything), everything), f"{count} of {count} requirements reached")
        text = ratios.summary(verdicts(everything - {"soak"}), everything)
        soak = "ten minutes of mixed load: memory does not grow (soak)"
        self.assertEqual(text, f"{count - 1} of {count - 1} requirements reached; not asked for: {soak}")
        text = ratios.summary(verdicts(self.ROWS, 0.0), everything)
        self.assertTrue(text.startswith("0 of 1 requirements reached; not asked for: "))

    def test_requirements_are_of_one_matrix(self):
        matrices = [{row.name for row in works.matrix(is_python)} for is_python in (False, True)]
        self.assertFalse(matrices[0] & matrices[1])
        self.assertEqual([len(ratios.asked(matrix)) for matrix in matrices], [len(ratios.REQUIREMENTS) - 8, 8])

    def test_every_requirement_is_of_rows_and_peers_that_there_are(self):
        runners = {row.name: row.peers for is_python in (False, True) for row in works.matrix(is_python)}
        for row, peer in ratios.cells():
            self.assertIn(peer, runners[row])

    def test_a_service_that_holds_ten_times_its_outbox_is_caught(self):
        (grown,) = (one for one in ratios.asked({"stalled-64"}) if one.metric == "grown_bytes")
        self.assertLess(grown.bound, 10 * 2 * metrics.MIB)

    def test_the_table_shows_what_bulk_is_carried_beside_the_pings(self):
        (row,) = (row for row in works.ROWS if row.name == "ping-among-bulk-64")
        result = {"p99_us": 900.0, "p50_us": 300.0, "bytes_per_s": 1234 * metrics.MIB}
        samples = Samples([Sample(row.name, name, 0, 1, result) for name in row.peers])
        named = {name: argparse.Namespace(title=name) for name in row.peers}
        lines = report.table([row], named, samples).splitlines()
        self.assertIn("MiB/s", lines[2])
        self.assertEqual([line.split()[-1] for line in lines[3:]], ["1,234"] * len(row.peers))


    def test_the_table_compares_with_the_python_client_where_it_is_measured(self):
        (row,) = (row for row in works.PYTHON_ROWS if row.name == "python-http-50")
        rates = {"asyncio": 1000.0, "service-python": 800.0}
        results = {name: {"requests_per_s": rate, "p50_us": 1.0, "p99_us": 2.0} for name, rate in rates.items()}
        samples = Samples([Sample(row.name, name, 0, 1, result) for name, result in results.items()])
        named = {name: argparse.Namespace(title=name) for name in row.peers}
        lines = report.table([row], named, samples).splitlines()[3:]
        self.assertEqual(["0.80 x" in line for line in lines], [True, False], lines)
        (verdict,) = ratios.judge(samples, {row.name})
        self.assertEqual((verdict.value, verdict.reached), (0.8, True))


class EndingTest(unittest.TestCase):
    def test_the_unexpected_is_status_3(self):
        def fail() -> int:
            raise ValueError("nobody thought of this")

        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(ending.guarded(fail), 3)
        self.assertIn("Traceback", said.getvalue())
        self.assertEqual(said.getvalue().splitlines()[-1], "error: unexpected: ValueError: nobody thought of this")

    def test_a_signal_leaves_no_temporary_folder(self):
        for number in (signal.SIGHUP, signal.SIGTERM):
            with DriverTest.build("bench_peer", "bench_load", "transportd") as build:
                self.end_run(build, number)

    def end_run(self, build: Path, number: signal.Signals) -> None:
        temporary = build / "tmp"
        temporary.mkdir()
        # nohup may be around the tests.
        words = ["env", "--default-signal", sys.executable, "-B", str(Path(__file__).with_name("bench.py"))]
        words += [f"--build={build}", "--only=^spawn-1$", f"--output={build}/out"]
        with subprocess.Popen(
            words, env=dict(os.environ, TMPDIR=str(temporary)), stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                # The load generator runs, without end.
                text = ""
                while not text.endswith("spawn-1 direct"):
                    more = process.stdout.read(1)
                    self.assertTrue(more, text)
                    text += more
                self.assertTrue(list(temporary.iterdir()))
                process.send_signal(number)
                self.assertEqual(process.wait(TIMEOUT), 128 + number)
            finally:
                process.kill()
        self.assertEqual(list(temporary.iterdir()), [])


class DriverTest(unittest.TestCase):
    """Programs that are shell scripts stand for this project's."""

    SCRIPTS = {
        "bench_peer": f"echo '{json.dumps(dict.fromkeys((*PLAIN_SERVERS, *TLS_SERVERS, 'udp_echo'), 1))}'\ncat",
        "bench_load": "cat",
        "transportd": 'for word; do case $word in --address-file=*) echo x >"${word#*=}" ;; esac; done; cat',
        # No loop but asyncio's.
        "python": 'case $* in *--loop=asyncio*) echo Python 3 ;; *) echo "no such module" >&2; exit 1 ;; esac',
    }
    FOLDERS = {"transportd": "bin", "python": "python-venv/bin"}

    @classmethod
    @contextlib.contextmanager
    def build(cls, *names: str):
        """A build folder with these programs."""
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                path = Path(folder, cls.FOLDERS.get(name, "tests/bench"), name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"#!/bin/sh\n{cls.SCRIPTS[name]}\n")
                path.chmod(0o755)
            yield Path(folder)

    @contextlib.contextmanager
    def started(self, build: Path, *words: str):
        """The run, its peers started, and what it said."""
        parsed = options.parse([f"--build={build}", f"--output={build}", *words])
        rows = selection.selected_rows(parsed)
        if not parsed.python:
            rows = [row.with_peers(("direct", "service", "grpc")) for row in rows]
        with contextlib.redirect_stdout(io.StringIO()) as said, bench.Run(parsed, rows) as run_:
            yield run_, said.getvalue()

    def test_a_peer_whose_program_is_not_built_is_left_out(self):
        with self.build("bench_peer", "bench_load", "transportd") as build:
            with self.started(build, "--only=^echo-64B-64$") as (run_, said):
                self.assertEqual(list(run_.peers), ["direct", "service"])
                self.assertEqual(run_.rows[0].peers, ("direct", "service"))
            missing = f"there is no {build}/tests/bench/bench_grpc. Build target bench_grpc in {build}, or"
            self.assertIn(f"without grpc: {missing}", said)

    def test_a_peer_that_a_requirement_needs_is_not_left_out(self):
        with self.build("bench_peer", "bench_load", "transportd") as build:
            with self.assertRaisesRegex(CannotRun, "a requirement needs grpc: .*Build target bench_grpc in"):
                with self.started(build, "--only=^echo-64B-64$", "--check"):
                    pass
            # No requirement of this row needs it.
            with self.started(build, "--only=^connect-16$", "--check") as (run_, _):
                self.assertNotIn("grpc", run_.peers)

    def test_the_python_client_is_left_out_where_it_is_not_installed(self):
        with self.build("bench_peer", "transportd", "python") as build:
            with self.started(build, "--python", "--only=^python-echo-64B-1$") as (run_, said):
                self.assertEqual(list(run_.peers), ["asyncio"])
                command = run_.peers["asyncio"].command(run_.rows[0])
            self.assertIn(f"without service-python: {build}/python-venv/bin/python cannot run it: no such module\n", said)
            self.assertEqual(command[0], f"{build}/python-venv/bin/python")
            self.assertEqual(command[-4:], ["echo", "1", "1", "64"])
            with self.assertRaisesRegex(CannotRun, "a requirement needs service-python: .*no such module"):
                with self.started(build, "--python", "--only=^python-echo-64B-1$", "--check"):
                    pass
        with self.build("bench_peer", "transportd") as build:
            with self.assertRaisesRegex(CannotRun, "no peer is left"), self.started(build, "--python", "--only=-spawn-1$"):
                pass

    def test_no_peer_is_left(self):
        with self.build("bench_peer") as build:
            with self.assertRaisesRegex(CannotRun, "no peer is left"), self.started(build, "--only=^spawn-1$"):
                pass

    def test_every_peer_says_what_it_needs(self):
        setting = argparse.Namespace(far_ports={"echo": 1})
        for name in peers.PEERS:
            self.assertLessEqual(set(peers.create(name, setting).own_programs), {"bench_load", "bench_grpc", "transportd"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
