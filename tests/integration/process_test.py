"""transportd as a process: its flags, its exit status, its end."""

import os
import signal
import socket
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import grpc
from transportd.v1 import admin_pb2, types_pb2

import harness
from client import Admin, ServiceError, StreamSession, UnarySession, open_channel
from harness import Service, eventually, read_all

FAILURE, BAD_CONFIGURATION = 1, 78
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse.status = 1.


class FlagsTest(unittest.TestCase):
    """What does not start, and says what to do."""

    def refused(self, status: int, *flags: str) -> str:
        command = [os.environ["TRANSPORTD_BIN"], *flags]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=harness.TIMEOUT)
        self.assertEqual((ended.returncode, ended.stdout), (status, b""), ended.stderr)
        return ended.stderr.decode()

    def test_nobody_would_be_allowed_anything(self):
        self.assertIn("--dev", self.refused(BAD_CONFIGURATION))

    def test_a_policy_needs_to_be_there_and_callers_to_be_known(self):
        self.assertIn("--tls-certificate", self.refused(BAD_CONFIGURATION, "--policy=/nowhere/policy"))
        with tempfile.TemporaryDirectory(prefix="integration-") as folder:
            listen = f"--listen=unix:{folder}/socket,principal=me"
            self.assertIn("/nowhere/policy", self.refused(BAD_CONFIGURATION, "--policy=/nowhere/policy", listen))
            policy = Path(folder, "policy")
            policy.write_text('version: "v1"\nrole {')
            self.assertIn(f"{policy}:2:", self.refused(BAD_CONFIGURATION, f"--policy={policy}", listen))
            self.assertFalse(Path(folder, "socket").exists())

    def test_dev_is_for_this_machine_only(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
            self.assertIn(address, self.refused(BAD_CONFIGURATION, "--dev", f"--listen={address}"))

    def test_the_message_begins_with_what_is_wrong(self):
        self.assertTrue(self.refused(BAD_CONFIGURATION, "--dev", "--loops=0").startswith("transportd: --loops=0: "))

    def test_flags_that_are_none(self):
        for flag in ("--listen=nowhere", "--loops=0", "--loops=x", "--no-such-flag", "word", "--drain-timeout=-1s"):
            self.assertTrue(self.refused(BAD_CONFIGURATION, "--dev", flag))

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            wrong = f": bind {address}: Address already in use\n"
            self.assertIn(f"transportd: --listen{wrong}", self.refused(FAILURE, "--dev", f"--listen={address}"))
            for name in ("--health-listen", "--admin-listen", "--metrics-listen"):
                flags = ("--dev", "--listen=127.0.0.1:0", f"{name}={address}")
                with self.subTest(name):
                    self.assertIn(f"transportd: {name}{wrong}", self.refused(FAILURE, *flags))

    def test_each_listener_has_its_line(self):
        service = Service("--listen=127.0.0.1:0", "--listen=127.0.0.2:0")
        try:
            self.assertEqual(len(set(service.targets)), 3, service.targets)
            hosts = [target.rsplit(":", 1)[0] for target in service.targets]
            self.assertEqual(hosts, ["127.0.0.1", "127.0.0.1", "127.0.0.2"])
            with StreamSession(service.targets[2]) as session:
                self.assertEqual(session.opened.instance_target, service.targets[0])
        finally:
            service.stop()

    def test_the_instance_s_target_is_told(self):
        service = Service("--instance-target=dns:///pod.lab:50051")
        try:
            with StreamSession(service.target) as session:
                self.assertEqual(session.opened.instance_target, "dns:///pod.lab:50051")
        finally:
            service.stop()

    def test_print_config_says_where_each_value_comes_from(self):
        command = [os.environ["TRANSPORTD_BIN"], "--print-config", "--loops=2"]
        environment = {**os.environ, "TRANSPORTD_DEV": "true", "TRANSPORTD_LISTEN": "127.0.0.1:0 [::1]:0"}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=harness.TIMEOUT)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for line in (
            'listen: "127.0.0.1:0"  # environment, TRANSPORTD_LISTEN',
            'listen: "[::1]:0"  # environment, TRANSPORTD_LISTEN',
            "dev: true  # environment, TRANSPORTD_DEV",
            "loops: 2  # command line",
            'drain_timeout: "30s"  # default',
        ):
            self.assertIn(f"\n{line}\n", ended.stdout)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertEqual(ended.returncode, BAD_CONFIGURATION)
        self.assertIn("dev: false  # default", ended.stdout)
        self.assertIn("--dev", ended.stderr)

    def test_help_and_version(self):
        for flag in ("--help", "--version"):
            out = subprocess.run([os.environ["TRANSPORTD_BIN"], flag], capture_output=True, timeout=harness.TIMEOUT)
            self.assertEqual((out.returncode, out.stderr), (0, b""))
            self.assertIn(b"transportd", out.stdout)


class UnixSocketTest(harness.ServiceTestCase):
    def setUp(self) -> None:
        self.path = self.folder() / "socket"
        self.FLAGS = (f"--listen=unix:{self.path}",)
        super().setUp()

    def test_only_this_user_may_open_it(self):
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        listener = self.listener()
        with StreamSession(f"unix:{self.path}") as session:
            transport_id = session.connect(listener.getsockname())
            peer = self.accept(listener)
            peer.sendall(b"through a Unix socket")
            session.wait_data(transport_id, b"through a Unix socket")


class StopTest(harness.ServiceTestCase):
    FLAGS = ("--drain-timeout=20s",)

    def setUp(self) -> None:
        super().setUp()
        self.ended = False
        self.session = StreamSession(self.service.target)
        self.addCleanup(self.session.close)
        listener = self.listener()
        self.transport_id = self.session.connect(listener.getsockname())
        self.peer = self.accept(listener)

    def signal(self) -> None:
        self.service.process.send_signal(signal.SIGTERM)

    def service_is_stopping(self) -> bool:
        try:
            StreamSession(self.service.target).close()
        except ServiceError as error:
            self.assertEqual(error.reason, "SERVICE_STOPPING")
            return True
        return False

    def test_open_sessions_go_on_and_new_ones_are_refused(self):
        self.signal()
        eventually(self.service_is_stopping, "new sessions are refused")
        self.assertIn("waiting at most 20s for the open sessions to end; a second signal", self.service.stderr())
        self.peer.sendall(b"still here")
        self.session.wait_data(self.transport_id, b"still here")
        self.session.write(self.transport_id, b"here, too")
        self.assertEqual(harness.read_exactly(self.peer, 9), b"here, too")
        self.session.close()
        self.assertEqual(self.service.process.wait(harness.TIMEOUT), 0)
        self.service.expect_ended()

    def test_each_session_is_told_how_long_it_has(self):
        unary = self.enter(UnarySession(self.service.target))
        self.signal()
        for session in (self.session, unary):
            session.wait(lambda: session.draining is not None, "draining")
            self.assertTrue(0 < session.draining.time_left.seconds <= 20, session.draining)
            session.close()
        self.assertEqual(self.service.process.wait(harness.TIMEOUT), 0)
        self.service.expect_ended()

    def test_the_second_signal_ends_it_at_once(self):
        self.signal()
        eventually(self.service_is_stopping, "new sessions are refused")
        self.signal()
        lost = self.session.wait_lost(self.transport_id)
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_SERVICE_STOPPING)
        self.assertEqual(self.session.wait_ended().code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(read_all(self.peer), b"")
        self.assertEqual(self.service.process.wait(harness.TIMEOUT), 0)
        self.assertFalse((self.service.folder / "address").exists())
        self.service.expect_ended()


def check_health(target: str, name: bytes = b"") -> bytes:
    """grpc.health.v1 by hand, on a channel of its own: its Python package need not be here."""
    with open_channel(target) as channel:
        request = b"\x0a" + bytes([len(name)]) + name if name else b""
        return channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=harness.TIMEOUT)


class HealthListenTest(harness.ServiceTestCase):
    """--health-listen: for probes that have no credentials."""

    FLAGS = ("--health-listen=127.0.0.1:0", "--drain-timeout=30s")

    def setUp(self) -> None:
        super().setUp()
        lines = [line for line in self.service.stderr().splitlines() if "health is answered on " in line]
        self.target = lines[0].rsplit(" ", 1)[1]

    def test_health_is_answered_there_and_nothing_else(self):
        for name in (b"", b"startup", b"liveness", b"readiness", b"transportd.v1.EventLoop"):
            self.assertEqual(check_health(self.target, name), SERVING, name)
        with self.assertRaises(ServiceError) as caught:
            StreamSession(self.target).close()
        # The answer of a port that has no such method: sessions are not opened there.
        self.assertEqual(caught.exception.error.code, grpc.StatusCode.UNIMPLEMENTED.value[0])
        with open_channel(self.target) as channel, self.assertRaises(grpc.RpcError) as failed:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"x" * 4096, timeout=harness.TIMEOUT)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_who_drains_is_not_ready_and_lives(self):
        session = self.enter(StreamSession(self.service.target))
        self.service.process.send_signal(signal.SIGTERM)
        eventually(lambda: check_health(self.target, b"readiness") == NOT_SERVING, "it is not ready")
        self.assertEqual(check_health(self.target), NOT_SERVING)
        for name in (b"startup", b"liveness"):
            self.assertEqual(check_health(self.target, name), SERVING, name)
        session.close()
        self.assertEqual(self.service.process.wait(harness.TIMEOUT), 0)
        self.service.expect_ended()


class FewDescriptorsTest(harness.ServiceTestCase):
    """Sockets take all that they may of a low limit; the service's own listener still has room."""

    LIMIT = 128

    def start_service(self) -> Service:
        return Service(wrapper=("sh", "-c", f'ulimit -n {self.LIMIT} && exec "$@"', "sh"))

    def test_the_start_warns(self):
        self.assertIn("sockets may have 96 file descriptors, fewer than --max-transport-count=", self.service.stderr())
        self.assertIn("ulimit -n", self.service.stderr())

    def test_new_clients_come_in_while_sockets_are_refused(self):
        session = self.enter(StreamSession(self.service.target))
        _, address = session.listen(close_on_eof=True)
        peers = [self.dial(address) for _ in range(self.LIMIT)]
        session.wait(lambda: session.exceptions, "call_exception_handler")
        self.assertEqual(session.exceptions[0].error.errno_name, "EMFILE")
        self.assertEqual(session.exceptions[0].error.address, f"{address[0]}:{address[1]}")
        self.assertEqual(check_health(self.service.target), SERVING)
        with self.assertRaises(ServiceError) as caught:
            session.connect(address)
        self.assertEqual(caught.exception.reason, "EMFILE")

        for peer in peers:
            peer.close()
        late = self.dial(address)
        late.sendall(b"late")
        session.wait(lambda: any(seen.data == b"late" for seen in session._seen.values()), "accepting goes on")
        self.assertEqual(check_health(self.service.target), SERVING)


class HealthTest(harness.ServiceTestCase):
    FLAGS = ("--reflection",)

    def test_health_and_reflection_are_answered(self):
        self.assertEqual(check_health(self.service.target), SERVING)
        with open_channel(self.service.target) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            name = b"transportd.v1.EventLoop"
            self.assertEqual(check(b"\x0a" + bytes([len(name)]) + name, timeout=harness.TIMEOUT), SERVING)
            with self.assertRaises(grpc.RpcError) as caught:
                check(b"\x0a\x04none", timeout=harness.TIMEOUT)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
            # ServerReflectionRequest{list_services = 7: ""}; v1 and v1alpha mean the same.
            for version in ("v1", "v1alpha"):
                reflect = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
                try:
                    answers = list(reflect(iter([b"\x3a\x00"]), timeout=harness.TIMEOUT))
                except grpc.RpcError as error:
                    self.assertEqual((version, error.code()), ("v1alpha", grpc.StatusCode.UNIMPLEMENTED))
                    continue
                self.assertIn(b"transportd.v1.EventLoop", answers[0])

    def test_the_service_tells_its_uptime(self):
        with Admin(self.service.target) as admin:
            first = admin.call(admin_pb2.GetVersionRequest()).uptime.ToNanoseconds()
            self.assertGreater(admin.call(admin_pb2.GetVersionRequest()).uptime.ToNanoseconds(), first)


if __name__ == "__main__":
    harness.main()
