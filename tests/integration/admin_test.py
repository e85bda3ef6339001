"""--admin-listen and --metrics-listen: who may ask, what is answered, what an operator can end; logs and traces."""

import hashlib
import http.client
import json
import re
import socket
import tempfile
import unittest
from pathlib import Path
from typing import Any

import grpc
import harness
from client import StreamSession, open_channel
from harness import TIMEOUT, Service, eventually
from transportd.v1 import admin_pb2, admin_pb2_grpc, event_loop_pb2, event_loop_pb2_grpc, types_pb2

OPERATOR, STRANGER, LOOKER = "transportd_operator", "transportd_stranger", "transportd_looker"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = {"X-Transportd": "1"}

POLICY = """
version: "v1"
role {
  name: "operator"
  admin { name: "all" methods: "*" }
  connect { name: "c" protocols: TCP to { classes: [LOOPBACK, SELF] any_port: true } }
}
role { name: "looker" admin { name: "look" methods: "GetStatus" } }
role { name: "stranger" connect { name: "c" protocols: TCP to { classes: LOOPBACK any_port: true } } }
binding { role: "operator" principals: "operator" }
binding { role: "looker" principals: "looker" }
binding { role: "stranger" principals: "stranger" }
"""


def http_addresses(service: Service) -> dict[str, tuple[str, int]]:
    """Of the status page and of the metrics, as the log says them."""
    found = re.findall(r"(the status page is|metrics are) on http://([0-9.]+):(\d+)/", service.stderr())
    return {what.split()[-2]: (host, int(port)) for what, host, port in found}


def ask(address, path: str, method: str = "GET", token: str = "", headers: dict[str, str] | None = None):
    """(status, body): the body of JSON as what it says."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        all_headers = dict(HEADER if headers is None else headers)
        if token:
            all_headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, headers=all_headers)
        response = connection.getresponse()
        body: Any = response.read()
        if response.headers["Content-Type"] == "application/json":
            body = json.loads(body)
        return response.status, body
    finally:
        connection.close()


class DevTest(harness.ServiceTestCase):
    """With --dev: nobody is asked who he is, but pages of other sites learn nothing."""

    FLAGS = ("--admin-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--log-format=json", "--log-level=debug")

    def setUp(self) -> None:
        super().setUp()
        addresses = http_addresses(self.service)
        self.page, self.metrics = addresses["page"], addresses["metrics"]

    def status(self) -> dict[str, Any]:
        code, body = ask(self.page, "/status.json")
        self.assertEqual(code, 200, body)
        return body

    def test_figures_are_those_of_the_transports(self):
        listener = self.listener()
        with StreamSession(self.service.target) as session:
            transport = session.connect(listener.getsockname())
            peer = self.accept(listener)
            peer.sendall(b"x" * 1000)
            session.wait_data(transport, b"x" * 1000)
            session.write(transport, b"y" * 10)
            harness.read_exactly(peer, 10)
            with open_channel(self.service.target) as channel:
                listed = admin_pb2_grpc.AdminStub(channel).ListTransports(admin_pb2.ListTransportsRequest())
            status = self.status()
            shown = status["transports"][0]
            self.assertEqual(shown["transportId"], transport)
            self.assertEqual((shown["receivedBytes"], shown["sentBytes"]), ("1000", "10"))
            self.assertEqual(shown["sessionPrefix"], listed.transports[0].session_prefix)
            self.assertEqual(shown["peername"]["port"], listener.getsockname()[1])
            self.assertEqual(status["usage"]["sessionCount"], 1)
            self.assertEqual(status["usage"]["openedTransportCount"], "1")
            self.assertEqual((status["usage"]["receivedBytes"], status["usage"]["sentBytes"]), ("1000", "10"))

    def test_why_a_transport_is_not_read(self):
        listener = self.listener()
        with StreamSession(self.service.target) as session:
            transport = session.connect(listener.getsockname())
            session.seen(transport).consumes = False
            peer = self.accept(listener)
            peer.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                while True:
                    peer.send(b"x" * 65536)
            shown = eventually(
                lambda: [t for t in self.status()["transports"] if t["readingPaused"]], "the window is spent"
            )
            self.assertEqual(shown[0]["readingPause"], "READING_PAUSE_WINDOW")
            metrics = ask(self.metrics, "/metrics")[1].decode()
            self.assertRegex(metrics, r'transportd_reading_pauses_total\{scope="window"\} [1-9]')

    def test_an_operator_ends_a_transport_and_a_session(self):
        listener = self.listener()
        with StreamSession(self.service.target) as session:
            first, second = (session.connect(listener.getsockname()) for _ in range(2))
            prefix = self.status()["sessions"][0]["sessionPrefix"]
            self.assertEqual(ask(self.page, f"/sessions/{prefix}/transports/{first}/end", "POST"), (200, {}))
            self.assertEqual(session.wait_lost(first).cause, types_pb2.END_CAUSE_OPERATOR)
            code, error = ask(self.page, f"/sessions/{prefix}/transports/{first}/end", "POST")
            self.assertEqual((code, error["reason"]), (404, "UNKNOWN_TRANSPORT"))
            self.assertEqual(ask(self.page, f"/sessions/{prefix}/end", "POST"), (200, {}))
            self.assertEqual(session.wait_lost(second).cause, types_pb2.END_CAUSE_OPERATOR)
            self.assertEqual(session.wait_ended().code(), grpc.StatusCode.ABORTED)
        eventually(lambda: not self.status()["sessions"], "the session is gone")
        code, error = ask(self.page, f"/sessions/{prefix}/end", "POST")
        self.assertEqual((code, error["reason"]), (404, "UNKNOWN_SESSION"))

    def test_a_server_ends_with_what_it_accepted(self):
        with StreamSession(self.service.target) as session:
            server, address = session.listen()
            self.dial(address)
            accepted = session.wait_accepted(server)[0]
            prefix = self.status()["sessions"][0]["sessionPrefix"]
            self.assertEqual(ask(self.page, f"/sessions/{prefix}/transports/{server}/end", "POST"), (200, {}))
            self.assertEqual(session.wait_lost(accepted).cause, types_pb2.END_CAUSE_OPERATOR)
            eventually(lambda: not self.status()["transports"], "the server is gone")

    def test_rows_are_bounded(self):
        first, second = (self.enter(StreamSession(self.service.target)) for _ in range(2))
        for session in (first, second):
            session.listen()
        with open_channel(self.service.target) as channel:
            admin = admin_pb2_grpc.AdminStub(channel)
            for count, truncated in ((1, True), (2, False)):
                status = admin.GetStatus(admin_pb2.GetStatusRequest(max_row_count=count))
                self.assertEqual((len(status.sessions), len(status.transports)), (count, count))
                self.assertEqual(status.truncated, truncated)
            self.assertGreater(status.time.seconds, 1_700_000_000)

    def test_looks_at_the_same_time_are_all_answered_each_with_its_rows(self):
        sessions = [self.enter(StreamSession(self.service.target)) for _ in range(3)]
        for session in sessions:
            session.listen()
        with open_channel(self.service.target) as channel:
            admin = admin_pb2_grpc.AdminStub(channel)
            counts = [1 + i % 4 for i in range(200)]
            answers = [admin.GetStatus.future(admin_pb2.GetStatusRequest(max_row_count=count)) for count in counts]
            for count, answer in zip(counts, answers, strict=True):
                status = answer.result(TIMEOUT)
                self.assertEqual(len(status.transports), min(count, 3))
                self.assertEqual(status.truncated, count < 3)
                self.assertEqual(status.process.subprocess_count, 0)

    def test_bad_requests(self):
        for path, method, code, reason in (
            ("/nothing", "GET", 404, "UNKNOWN_PATH"),
            ("/status.json", "POST", 405, "WRONG_METHOD"),
            ("/", "POST", 405, "WRONG_METHOD"),
            ("/sessions/0123/end", "POST", 400, "INVALID_SESSION_PREFIX"),
            ("/sessions/01234567/end", "GET", 405, "WRONG_METHOD"),
            ("/sessions/01234567/transports/x/end", "POST", 404, "UNKNOWN_PATH"),
            ("/sessions/01234567/transports/99999999999/end", "POST", 404, "UNKNOWN_PATH"),
            ("/sessions//end", "POST", 400, "INVALID_SESSION_PREFIX"),
        ):
            with self.subTest(path):
                found, error = ask(self.page, path, method)
                self.assertEqual((found, error["reason"]), (code, reason))

    def test_pages_of_other_sites_learn_nothing(self):
        self.assertEqual(ask(self.page, "/status.json", headers={})[1]["reason"], "NO_HEADER")
        others = ("evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "localhost:x", "[::1]x", "")
        for host in others:
            code, error = ask(self.page, "/", headers=HEADER | {"Host": host})
            self.assertEqual((code, error["reason"]), (403, "WRONG_HOST"), host)
        for host in ("localhost", "127.0.0.1", f"127.0.0.1:{2**16 - 1}", "[::1]", "[::1]:"):
            self.assertEqual(ask(self.page, "/", headers=HEADER | {"Host": host})[0], 200, host)

    def test_metrics_alone_are_on_their_port(self):
        self.assertEqual(ask(self.metrics, "/metrics", headers={})[0], 200)
        for path in ("/", "/status.json", "/metrics/"):
            self.assertEqual(ask(self.metrics, path)[0], 404)
        self.assertEqual(ask(self.metrics, "/metrics", "POST")[0], 405)

    def test_logs_are_json_with_session_transport_and_trace(self):
        listener = self.listener()
        traceparent = f"00-{TRACE}-{SPAN}-01"
        with open_channel(self.service.target) as channel:
            loop = event_loop_pb2_grpc.EventLoopStub(channel)
            opened = loop.OpenSession(
                event_loop_pb2.OpenSessionRequest(open={"revision": 1}), metadata=[("traceparent", traceparent)]
            ).opened
            host, port = listener.getsockname()
            loop.CreateConnection(
                event_loop_pb2.CreateConnectionRequest(
                    session_id=opened.session_id, remote=types_pb2.HostPort(host=host, port=port)
                )
            )
            self.assertEqual(self.status()["sessions"][0]["traceId"], TRACE)
            loop.CloseSession(event_loop_pb2.CloseSessionRequest(session_id=opened.session_id))
        eventually(lambda: not self.status()["sessions"], "the session is gone")
        lines = [json.loads(line) for line in self.service.stderr().splitlines()]
        about = [line for line in lines if line.get("session") == opened.session_id[:8]]
        self.assertEqual(
            [line["message"] for line in about],
            ["the session was opened", "a transport was made", "a transport has ended", "the session has ended"],
        )
        self.assertTrue(all(line["trace_id"] == TRACE and line["principal"] == "dev" for line in about), about)
        self.assertEqual([line.get("transport") for line in about], [None, "1", "1", None])


class PolicyTest(unittest.TestCase):
    """With a policy: a grant for each method, and what is denied is recorded."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="integration-")))
        (self.folder / "policy").write_text(POLICY)
        identities = "version: \"v1\"\n"
        for name, token in (("operator", OPERATOR), ("stranger", STRANGER), ("looker", LOOKER)):
            digest = hashlib.sha256(token.encode()).hexdigest()
            identities += f'token {{ principal: "{name}" sha256: "{digest}" }}\n'
        (self.folder / "identities").write_text(identities)
        self.audit = self.folder / "audit"
        self.unix = self.folder / "admin.sock"
        self.service = Service(
            "--listen=127.0.0.1:0,plaintext",
            f"--policy={self.folder}/policy",
            f"--identities={self.folder}/identities",
            f"--audit-log={self.audit}",
            "--admin-listen=127.0.0.1:0",
            f"--admin-listen=unix:{self.unix},principal=looker,mode=0600",
            "--metrics-listen=127.0.0.1:0",
            "--health-listen=127.0.0.1:0",
            dev=False,
        )
        self.addCleanup(self.service.stop)
        addresses = http_addresses(self.service)
        self.page, self.metrics = addresses["page"], addresses["metrics"]

    def records(self, event: str) -> list[dict[str, Any]]:
        return [r for r in map(json.loads, self.audit.read_text().splitlines()) if r["event"] == event]

    def open(self, token: str, **metadata: str) -> tuple[event_loop_pb2_grpc.EventLoopStub, str, list]:
        channel = self.enterContext(open_channel(self.service.target))
        loop = event_loop_pb2_grpc.EventLoopStub(channel)
        pairs = [("authorization", f"Bearer {token}"), *metadata.items()]
        opened = loop.OpenSession(event_loop_pb2.OpenSessionRequest(open={"revision": 1}), metadata=pairs)
        return loop, opened.opened.session_id, pairs

    def test_who_may_look_and_who_may_end(self):
        _, session_id, _ = self.open(STRANGER)
        end = f"/sessions/{session_id[:8]}/end"
        for token, looks, ends in (("", 401, 401), ("wrong", 401, 401), (STRANGER, 403, 403), (LOOKER, 200, 403)):
            with self.subTest(token):
                self.assertEqual(ask(self.page, "/status.json", token=token)[0], looks)
                self.assertEqual(ask(self.page, end, "POST", token)[0], ends)
        self.assertEqual(ask(self.page, "/", headers={})[0], 200)  # Says nothing of the service.
        self.assertEqual(ask(self.page, end, "POST", OPERATOR)[0], 200)
        record = eventually(lambda: self.records("admin.decision"), "the decision is recorded")[-1]
        self.assertEqual((record["principal"], record["decision"]), ("operator", "allow"))
        self.assertEqual(record["resource"]["requested"], f"EndSession {session_id[:8]}")
        failures = [r["cause"] for r in self.records("auth.fail")]
        self.assertEqual(len(failures), 2, failures)  # Of the wrong token, twice; not of who showed none.

    def test_a_unix_listener_stands_for_a_principal(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(str(self.unix))
            sock.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nX-Transportd: 1\r\nConnection: close\r\n\r\n")
            self.assertTrue(harness.read_all(sock).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(self.unix.stat().st_mode & 0o777, 0o600)

    def test_no_port_of_the_services_own_is_reached_through_it(self):
        loop, session_id, pairs = self.open(STRANGER)
        (health,) = re.findall(r"health is answered on 127\.0\.0\.1:(\d+)", self.service.stderr())
        for port in (self.page[1], self.metrics[1], int(health), self.service.address[1]):
            request = event_loop_pb2.CreateConnectionRequest(
                session_id=session_id, remote=types_pb2.HostPort(host="127.0.0.1", port=port)
            )
            with self.assertRaises(grpc.RpcError) as caught:
                loop.CreateConnection(request, metadata=pairs)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        _, status = ask(self.page, "/status.json", token=LOOKER)
        self.assertEqual({denial["resolved"].split()[-1] for denial in status["denials"]}, {"(SELF)"})

    def test_the_status_tells_of_policy_quotas_and_denials(self):
        loop, session_id, pairs = self.open(STRANGER)
        host, port = self.page
        request = event_loop_pb2.CreateConnectionRequest(
            session_id=session_id, remote=types_pb2.HostPort(host=host, port=port)
        )
        # The page's own port is SELF.
        with self.assertRaises(grpc.RpcError) as caught:
            loop.CreateConnection(request, metadata=pairs)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        _, status = ask(self.page, "/status.json", token=LOOKER)
        denial = status["denials"][0]
        self.assertEqual((denial["principal"], denial["event"]), ("stranger", "transport.connect.decision"))
        self.assertEqual((denial["requested"], denial["resolved"]), (f"{host}:{port}", f"{host}:{port} (SELF)"))
        self.assertIn(denial["uid"], caught.exception.details())
        self.assertEqual(status["policy"]["version"], "v1")
        self.assertEqual(len(status["policy"]["sha256"]), 64)
        quotas = {quota["principal"]: quota for quota in status["quotas"]}
        self.assertEqual((quotas[""]["sessions"], quotas["stranger"]["sessions"]), ("1", "1"))
        self.assertTrue(status["audit"]["healthy"])
        metrics = ask(self.metrics, "/metrics")[1].decode()
        self.assertRegex(metrics, r'policy_decisions_total\{event="transport.connect.decision",decision="deny",rule="[^"]+"\} 1')
        self.assertNotIn("stranger", metrics.replace('rule="stranger/c"', ""))

    def test_a_bad_policy_shows_with_its_error(self):
        (self.folder / "policy").write_text("no policy")
        status = eventually(
            lambda: (s := ask(self.page, "/status.json", token=LOOKER)[1])["policy"]["error"] and s, "the file was read"
        )
        self.assertIn(str(self.folder / "policy"), status["policy"]["error"])
        self.assertIn('transportd_file_good{file="policy"} 0', ask(self.metrics, "/metrics")[1].decode())
        (self.folder / "policy").write_text(POLICY + "# again\n")
        eventually(lambda: 'file_good{file="policy"} 1' in ask(self.metrics, "/metrics")[1].decode(), "it is good")

    def test_a_trace_is_in_the_audit_log(self):
        self.open(STRANGER, traceparent=f"00-{TRACE}-{SPAN}-00")
        record = eventually(lambda: self.records("session.open"), "the session is recorded")[0]
        self.assertEqual((record["trace_id"], record["span_id"]), (TRACE, SPAN))


if __name__ == "__main__":
    harness.main()
