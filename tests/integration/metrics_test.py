"""What /metrics says, against traffic that is known; and against the table in deploy/README.md."""

import re
import resource
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import harness
import policy_test
import scrape
from client import ServiceError, StreamSession
from harness import Service, eventually, pattern, read_exactly
from policy_test import Caller, role
from transportd.v1 import datagram_pb2, event_loop_pb2, subprocess_pb2, transport_pb2, types_pb2

README = Path(__file__).parents[2] / "deploy/README.md"
_ROW = re.compile(
    r"\| `(?P<name>(?:transportd|process)_[a-z_0-9]+)` \| (?P<type>\w+) \| (?P<labels>[^|]*) \| [^|]+ \|"
)


def documented() -> dict[str, tuple[str, set[str]]]:
    """Of each metric in deploy/README.md's table: its type and labels."""
    rows = [match for line in README.read_text().splitlines() if (match := _ROW.fullmatch(line))]
    return {row["name"]: (row["type"], set(re.findall(r"`([a-z_0-9]+)`", row["labels"]))) for row in rows}


def until(get: Callable[[], scrape.Page], condition: Callable[[scrape.Page], bool], what: str) -> scrape.Page:
    """The first page for which that is true: some numbers follow what the client sees."""
    return eventually(lambda: (page := get()) and condition(page) and page, what)


class MetricsTest(harness.ServiceTestCase):
    """With --dev. `session`: one on a stream."""

    def start_service(self) -> Service:
        self.socket = self.folder() / "metrics"
        return Service(
            f"--metrics-listen=unix:{self.socket}", "--max-session-count=7", "--max-transport-count=70",
            "--buffered-bytes=7MiB",
        )  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.session = self.enter(StreamSession(self.service.target))

    def page(self) -> scrape.Page:
        return scrape.scrape(self.socket)

    def page_when(self, condition: Callable[[scrape.Page], bool], what: str) -> scrape.Page:
        return until(self.page, condition, what)

    def connected(self) -> tuple[int, socket.socket]:
        listener = self.listener()
        transport_id = self.session.connect(listener.getsockname())
        return transport_id, self.accept(listener)

    def test_nothing_else_is_answered(self) -> None:
        for method, target, status in (("GET", "/", 404), ("GET", "/status.json", 404), ("POST", "/metrics", 405)):
            with self.subTest(f"{method} {target}"):
                self.assertEqual(scrape.request(self.socket, method, target)[0], status)

    def test_sessions(self) -> None:
        with StreamSession(self.service.target), StreamSession(self.service.target):
            page = self.page()
            self.assertEqual(page.value("transportd_sessions"), 3)
            self.assertEqual(page.value("transportd_event_loop_sessions"), 3)
            self.assertEqual(page.value("transportd_sessions_opened_total"), 3)
        page = self.page_when(lambda page: page.value("transportd_sessions") == 1, "two have ended")
        self.assertEqual(page.value("transportd_event_loop_sessions"), 1)
        self.assertEqual(page.value("transportd_sessions_opened_total"), 3)

    def test_limits(self) -> None:
        page = self.page()
        self.assertEqual(page.value("transportd_sessions_limit"), 7)
        self.assertEqual(page.value("transportd_transport_places_limit"), 70)
        self.assertEqual(page.value("transportd_buffered_bytes_limit"), 7 << 20)

    def test_streams(self) -> None:
        there, back = pattern(100_000, 1), pattern(50_000, 2)
        transport_id, peer = self.connected()
        self.session.write(transport_id, there)
        self.assertEqual(read_exactly(peer, len(there)), there)
        peer.sendall(back)
        self.session.wait_data(transport_id, back)
        page = self.page_when(
            lambda page: page.value("transportd_transport_bytes_total", kind="stream", direction="sent") == len(there),
            "all is counted",
        )
        self.assertEqual(page.value("transportd_transport_bytes_total", direction="received"), len(back))
        self.assertEqual(page.value("transportd_transport_bytes_total", kind="datagram"), 0)
        self.assertEqual(page.value("transportd_transports", kind="stream"), 1)
        self.assertEqual(page.value("transportd_transport_places"), 1)
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        self.session.wait_lost(transport_id)
        page = self.page_when(lambda page: page.value("transportd_transport_places") == 0, "it has gone")
        self.assertEqual(page.value("transportd_transports"), 0)
        self.assertEqual(page.value("transportd_transports_opened_total"), 1)
        self.assertEqual(page.value("transportd_transports_opened_total", kind="stream"), 1)
        self.assertEqual(page.value("transportd_transports_lost_total"), 1)
        self.assertEqual(page.value("transportd_transports_lost_total", cause="LOCAL_CLOSE"), 1)

    def test_servers(self) -> None:
        server_id, address = self.session.listen()
        self.dial(address)
        self.session.wait_accepted(server_id)
        page = self.page()
        self.assertEqual(page.value("transportd_transports", kind="server"), 1)
        self.assertEqual(page.value("transportd_transports", kind="stream"), 1)
        self.assertEqual(page.value("transportd_transport_places"), 2)

    def test_datagrams(self) -> None:
        # write_progress, of which what is sent is counted, has 8 bytes more for each datagram.
        peer = self.enter(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(harness.TIMEOUT)
        host, port = peer.getsockname()
        create = datagram_pb2.CreateDatagramEndpointRequest(remote=types_pb2.HostPort(host=host, port=port))
        transport_id = self.session.call(create).transport_id
        command = event_loop_pb2.Command(transport_id=transport_id, sendto=datagram_pb2.Datagram(data=b"x" * 700))
        self.session.send(commands=[command])
        data, sender = peer.recvfrom(1000)
        peer.sendto(data[:300], sender)
        self.session.wait(lambda: self.session.seen(transport_id).datagrams, "the answer")
        page = self.page_when(
            lambda page: page.value("transportd_transport_bytes_total", kind="datagram", direction="sent") == 700,
            "all is counted",
        )
        self.assertEqual(page.value("transportd_transport_bytes_total", kind="datagram", direction="received"), 300)
        self.assertEqual(page.value("transportd_transport_bytes_total", kind="stream"), 0)
        self.assertEqual(page.value("transportd_transports", kind="datagram"), 1)
        self.assertEqual(page.value("transportd_commands_total", command="sendto", code="OK"), 1)

    def test_subprocesses(self) -> None:
        self.session.call(subprocess_pb2.SubprocessExecRequest(program=b"/usr/bin/cat"))
        page = self.page()
        self.assertEqual(page.value("transportd_transports", kind="subprocess"), 1)
        self.assertEqual(page.value("transportd_transports_opened_total", kind="subprocess"), 1)
        self.assertEqual(page.value("transportd_transports", kind="stream"), 3)  # Its pipes.

    def test_commands(self) -> None:
        transport_id, _ = self.connected()
        nobody = socket.create_server(("127.0.0.1", 0))
        address = nobody.getsockname()
        nobody.close()
        for _ in range(2):
            with self.assertRaises(ServiceError):
                self.session.connect(address)
        for _ in range(3):
            self.session.write(transport_id, b"x")
        page = self.page_when(lambda page: page.value("transportd_commands_total", command="write") == 3, "they came")
        name = "transportd_commands_total"
        self.assertEqual(page.value(name, command="create_connection", code="OK"), 1)
        self.assertEqual(page.value(name, command="create_connection", code="UNAVAILABLE"), 2)
        self.assertEqual(page.value("transportd_command_duration_seconds_count", command="create_connection"), 3)

    def test_frames(self) -> None:
        before = self.page()
        with self.assertRaises(ServiceError):
            self.session.call(transport_pb2.CloseRequest(transport_id=77))
        after = self.page()

        def grown(name: str, **labels: str) -> float:
            return after.value(name, **labels) - before.value(name, **labels)

        self.assertEqual(grown("transportd_frame_bytes_count", direction="received"), 1)
        self.assertEqual(grown("transportd_frame_bytes_count", direction="sent"), 1)
        self.assertGreater(grown("transportd_frame_bytes_sum", direction="sent"), 10)
        self.assertEqual(grown("transportd_callbacks_total"), 1)

    def test_a_spent_window(self) -> None:
        transport_id, peer = self.connected()
        self.session.consume(transport_id, False)
        peer.setblocking(False)

        def full() -> bool:
            try:
                peer.send(bytes(1 << 16))
            except BlockingIOError:
                pass
            return self.page().value("transportd_reading_pauses_total", scope="window") > 0

        eventually(full, "the window is spent")
        self.session.consume(transport_id, True)

    def test_draining(self) -> None:
        self.assertEqual(self.page().value("transportd_draining"), 0)
        self.service.expect_ended()
        self.service.process.send_signal(signal.SIGTERM)
        self.page_when(lambda page: page.value("transportd_draining") == 1, "it drains")

    def test_the_process(self) -> None:
        page = self.page()
        pid = self.service.process.pid
        self.assertLess(abs(page.value("process_start_time_seconds") - time.time()), harness.TIMEOUT)
        self.assertEqual(page.value("process_max_fds"), resource.prlimit(pid, resource.RLIMIT_NOFILE)[0])
        # But for what answers right now, and what begins and ends on its own.
        self.assertLessEqual(abs(page.value("process_open_fds") - len(self.service.fds())), 3)
        self.assertLess(abs(page.value("process_resident_memory_bytes") / self.service.rss_bytes() - 1), 0.2)
        self.assertLessEqual(page.value("process_cpu_seconds_total"), self.service.cpu_seconds() + 0.02)
        self.assertGreater(page.value("process_cpu_seconds_total"), 0)
        self.assertEqual(page.value("transportd_build_info"), 1)

    def test_histograms_add_up(self) -> None:
        self.connected()
        page = self.page()
        count = 0
        for name in (name for name, kind in page.types.items() if kind == "histogram"):
            series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
            for sample, labels, value in page.samples:
                if sample == f"{name}_bucket":
                    others = tuple(sorted(item for item in labels.items() if item[0] != "le"))
                    series.setdefault(others, []).append((float(labels["le"]), value))
            for others, buckets in series.items():
                with self.subTest(f"{name} {others}"):
                    count += 1
                    self.assertEqual(buckets, sorted(buckets))
                    self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
                    self.assertEqual(buckets[-1], (float("inf"), page.value(f"{name}_count", **dict(others))))
        self.assertGreaterEqual(count, 5)

    def test_loops_are_busy(self) -> None:
        def busy(page: scrape.Page) -> float:
            return page.value("transportd_event_loop_turn_seconds_sum")

        before = busy(self.page())
        transport_id, peer = self.connected()
        self.session.write(transport_id, pattern(1 << 20))
        read_exactly(peer, 1 << 20)
        self.page_when(lambda page: busy(page) > before, "the loops have worked")
        self.assertGreater(self.page().value("transportd_event_loop_lag_seconds"), 0)


class PolicyMetricsTest(policy_test.PolicyTestCase):
    """With a policy: what it decides, and what becomes of its files."""

    def start(self, text: str, *flags: str) -> Service:
        self.socket = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="integration-"))) / "metrics"
        return super().start(text, f"--metrics-listen=unix:{self.socket}", *flags)

    def page(self) -> scrape.Page:
        return scrape.scrape(self.socket)

    def page_when(self, condition: Callable[[scrape.Page], bool], what: str) -> scrape.Page:
        return until(self.page, condition, what)

    def caller(self) -> Caller:
        return Caller(self.unix_channel()).open()

    def test_decisions(self) -> None:
        self.start(role(policy_test.GRANTS) + 'deny { name: "d" connect { cidrs: "127.0.0.1" ports { first: 25 } } }')
        caller = self.caller()
        for _ in range(3):
            caller.connect("127.0.0.1", self.port)
        for _ in range(2):
            self.assert_code(policy_test.DENIED, caller.connect, "127.0.0.1", 25)
        self.assert_code(policy_test.DENIED, caller.connect, "192.0.2.1", 80)
        self.assert_code(policy_test.DENIED, caller.run, "/usr/bin/false")
        page = self.page()
        name, connect = "transportd_policy_decisions_total", "transport.connect.decision"
        self.assertEqual(page.value(name, event=connect, decision="allow", rule="lab/c"), 3)
        self.assertEqual(page.value(name, event=connect, decision="deny", rule="deny/d"), 2)
        self.assertEqual(page.value(name, event=connect, decision="deny"), 3)
        self.assertEqual(page.value(name, event="process.spawn.decision", decision="deny"), 1)
        self.assertEqual(page.value("transportd_audit_records_total", event=connect, decision="deny"), 3)
        self.assertEqual(page.value("transportd_policy_shadow_differences_total"), 0)
        caller.close()

    def test_a_shadow_policy(self) -> None:
        shadow = self.folder / "shadow.txtpb"
        shadow.write_text('version: "v1"')
        self.start(role(policy_test.GRANTS), f"--shadow-policy={shadow}")
        caller = self.caller()
        caller.connect("127.0.0.1", self.port)
        page = self.page()
        name = "transportd_policy_shadow_differences_total"
        self.assertEqual(page.value(name, event="transport.connect.decision"), 1)
        self.assertEqual(page.value("transportd_file_good", file="shadow_policy"), 1)
        caller.close()

    def test_quotas(self) -> None:
        self.start(role(policy_test.GRANTS + "quota { transports: 2 listeners: 1 }"))
        caller = self.caller()
        caller.listen("127.0.0.1")
        caller.connect("127.0.0.1", self.port)
        for _ in range(3):
            self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, caller.connect, "127.0.0.1", self.port)
        page = self.page()
        self.assertEqual(page.value("transportd_quota_rejections_total"), 3)
        self.assertEqual(page.value("transportd_quota_rejections_total", quota="transports"), 3)
        self.assertEqual(page.value("transportd_quota_held", quota="sessions"), 1)
        self.assertEqual(page.value("transportd_quota_held", quota="transports"), 2)
        self.assertEqual(page.value("transportd_quota_held", quota="listeners"), 1)
        self.assertEqual(page.value("transportd_principals"), 1)
        caller.close()
        page = self.page_when(lambda page: page.value("transportd_principals") == 0, "everything is given back")
        self.assertEqual(page.value("transportd_quota_held"), 0)

    def test_the_audit_log(self) -> None:
        self.start(role(policy_test.GRANTS))
        caller = self.caller()
        caller.connect("127.0.0.1", self.port)
        caller.close()
        page = self.page_when(lambda page: page.value("transportd_audit_queued") == 0, "all is written")
        records = self.audit()
        self.assertEqual(page.value("transportd_audit_written_total"), len(records))
        for event in {record["event"] for record in records}:
            count = sum(record["event"] == event for record in records)
            self.assertEqual(page.value("transportd_audit_records_total", event=event), count, event)
        self.assertEqual(page.value("transportd_audit_lost_total"), 0)
        self.assertEqual(page.value("transportd_audit_refused_total"), 0)

    def start_with_a_full_disk(self, on_failure: str) -> None:
        self.write_policy(role(policy_test.GRANTS), ("unix",))
        self.socket = self.folder / "metrics"
        self.service = Service(
            f"--policy={self.policy}", f"--listen=unix:{self.folder}/socket,principal=unix", "--audit-log=/dev/full",
            f"--audit-on-failure={on_failure}", f"--metrics-listen=unix:{self.socket}", dev=False,
        )  # fmt: skip
        self.addCleanup(self.service.stop)

    def test_an_audit_log_that_cannot_be_written_refuses(self) -> None:
        self.start_with_a_full_disk("refuse")
        for _ in range(2):
            self.assert_code(grpc.StatusCode.UNAVAILABLE, Caller(self.unix_channel()).open)
        page = self.page()
        self.assertGreaterEqual(page.value("transportd_audit_refused_total"), 2)
        self.assertEqual(page.value("transportd_audit_written_total"), 0)

    def test_what_the_audit_log_cannot_write_waits(self) -> None:
        """Until 4 MiB do: then it is lost."""
        self.start_with_a_full_disk("continue")
        self.caller().close()
        page = self.page_when(lambda page: page.value("transportd_audit_queued") > 0, "records wait")
        self.assertEqual(page.value("transportd_audit_written_total"), 0)
        self.assertEqual(page.value("transportd_audit_refused_total"), 0)

    def test_files(self) -> None:
        self.start(role(policy_test.GRANTS))
        before = self.page()
        for file in ("policy", "identities", "certificate"):
            self.assertEqual(before.value("transportd_file_good", file=file), 1, file)
            self.assertLess(abs(before.value("transportd_file_load_timestamp_seconds", file=file) - time.time()), 60)
        self.policy.write_text('version: "v1" role { nonsense')
        page = self.page_when(lambda page: page.value("transportd_file_good", file="policy") == 0, "it is noticed")
        self.assertEqual(page.value("transportd_file_good", file="identities"), 1)
        name = "transportd_file_load_timestamp_seconds"
        self.assertEqual(page.value(name, file="policy"), before.value(name, file="policy"))
        self.write_policy(role(policy_test.OTHER_GRANTS))
        page = self.page_when(lambda page: page.value("transportd_file_good", file="policy") == 1, "it is read")
        self.assertGreater(page.value(name, file="policy"), before.value(name, file="policy"))
        self.assertNotEqual(page.labels("transportd_policy_info"), set())
        self.assertEqual(page.value("transportd_policy_info"), 1)

    def test_the_certificate(self) -> None:
        self.start(role(policy_test.GRANTS))
        end = self.openssl("x509", "-in", "server.pem", "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
        name = "transportd_certificate_expiry_timestamp_seconds"
        self.assertEqual(self.page().value(name, certificate="service"), ssl.cert_time_to_seconds(end))

    def test_nobody_is_named(self) -> None:
        self.start(role(policy_test.GRANTS))
        callers = self.callers()
        for caller in callers.values():
            caller.open().connect("127.0.0.1", self.port)
        text = self.page().text
        for secret in (policy_test.ID, "jwt:", "unix", "token", "127.0.0.1", str(self.port), str(self.folder)):
            self.assertNotIn(secret, text)
        for caller in callers.values():
            self.assertNotIn(caller.session_id, text)
            caller.close()

    def test_the_table_in_the_readme(self) -> None:
        """Each metric has a row with its type and labels there, and each row a metric."""
        shadow = self.folder / "shadow.txtpb"
        shadow.write_text('version: "v1"')
        self.start(role(policy_test.GRANTS + "quota { transports: 1 }"), f"--shadow-policy={shadow}")
        caller = self.caller()
        caller.connect("127.0.0.1", self.port)
        self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, caller.connect, "127.0.0.1", self.port)
        page = self.page()
        caller.close()
        self.maxDiff = None
        self.assertEqual({name: (kind, page.labels(name)) for name, kind in page.types.items()}, documented())


if __name__ == "__main__":
    harness.main()
