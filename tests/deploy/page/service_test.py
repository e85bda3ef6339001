#!/usr/bin/python3
"""The status page of a real transportd: its figures are those that transportctl tells, and its buttons end things."""

import contextlib
import json
import os
import re
import subprocess
import unittest
from typing import Any

import harness
from browser import Browser, browser
from harness import eventually
from lab import CI_TOKEN, OPS_TOKEN, Lab, page_url
from transportctl_case import TransportctlTestCase

# Every row of the four tables, by its key: what is exact in it.
ROWS = """
const rows = {};
const tables = ['transports', 'servers', 'subprocesses'];
for (const tr of document.querySelectorAll(tables.map((table) => `#${table} tr[data-key]`).join())) {
  const td = (name) => tr.querySelector(`td[data-id=${name}]`);
  const exact = (name) => Number(td(name).title.split(' ')[0].replaceAll(',', ''));
  rows[tr.dataset.key] = {
    table: tr.closest('section').id,
    who: td('principal').firstChild.textContent,
    ...td('received') && {received: exact('received'), sent: exact('sent')},
    ...td('received') && {unacknowledged: exact('unacknowledged'), write: exact('write')},
    ...td('pid') && {pid: Number(td('pid').textContent)},
    ...td('address') && {address: td('address').textContent},
    ...td('state') && {paused: td('state').textContent.includes('paused')},
  };
}
return rows;
"""


def told(transport: dict[str, Any], principal: str) -> dict[str, Any]:
    """What the page should show of a transport of `transportctl --json transports`."""
    row: dict[str, Any] = {"who": principal}
    if transport["kind"] == "TRANSPORT_KIND_SERVER":
        address = transport["sockname"]
        return row | {"table": "servers", "address": f"{address['host']}:{address['port']}"}
    if transport["kind"] == "TRANSPORT_KIND_SUBPROCESS":
        return row | {"table": "subprocesses", "pid": transport["pid"]}
    return row | {
        "table": "transports",
        "received": int(transport["received_bytes"]),
        "sent": int(transport["sent_bytes"]),
        "unacknowledged": int(transport["unacknowledged_bytes"]),
        "write": int(transport["write_buffer_size_bytes"]),
        "paused": transport["reading_paused"],
    }


class PageCase(unittest.TestCase):
    window: Browser

    def open(self, url: str) -> None:
        """In a browser that goes before the service does, with the connections that it keeps."""
        self.window = self.enterContext(browser())
        self.window.open(url)

    def ready(self) -> None:
        eventually(lambda: self.window.shown("#content"), "the first answer is shown")
        self.window.run("poller.intervalMs = 100; poller.now()")

    def gone(self, selector: str) -> None:
        eventually(lambda: not self.window.all(selector), f"{selector} is gone")


class DevServiceTest(PageCase, TransportctlTestCase):
    FLAGS = ("--admin-listen=127.0.0.1:0",)

    def setUp(self) -> None:
        super().setUp()
        self.open(page_url(self.service))
        self.ready()
        self.expected_problem = ""

    def tearDown(self) -> None:
        self.assertEqual(self.window.problems(self.expected_problem or "nothing"), [])

    def asked(self, what: str) -> list[dict[str, Any]]:
        status, out, err = self.run_to_end("--json", what)
        self.assertEqual(status, 0, err)
        rows: list[dict[str, Any]] = json.loads(out)[what]
        return rows

    def echo(self, size: int) -> subprocess.Popen:
        """A connection to a server in the service that has sent so much, and has it back."""
        server = self.transportctl("listen", "127.0.0.1:0", "--echo", "--keep")
        host, port = self.listening_on(server)
        client = self.transportctl("connect", f"{host}:{port}")
        client.stdin.write(bytes(size))
        client.stdin.flush()
        self.assertEqual(len(client.stdout.read(size)), size)
        return client

    def key(self, kind: str, session: str | None = None) -> str:
        keys = [
            f"{t['session_prefix']}/{t['transport_id']}"
            for t in self.asked("transports")
            if t["kind"] == f"TRANSPORT_KIND_{kind}" and session in (None, t["session_prefix"])
        ]
        return keys[0]

    def test_figures_are_those_that_transportctl_tells(self) -> None:
        self.echo(123_456)
        child = self.transportctl("exec", "--interactive", "--", "cat")
        child.stdin.write(b"through a pipe\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"through a pipe\n")
        datagrams = self.transportctl("udp", f"127.0.0.1:{self.udp_peer()}", "--timeout", "10m")
        datagrams.stdin.write(b"a datagram\n")
        datagrams.stdin.flush()
        eventually(lambda: len(self.asked("transports")) == 8, "all are open")

        def agrees() -> bool:
            principals = {s["session_prefix"]: s["principal"] for s in self.asked("sessions")}
            self.expected = {
                f"{t['session_prefix']}/{t['transport_id']}": told(t, principals.get(t["session_prefix"], "–"))
                for t in self.asked("transports")
            }
            self.shown = self.window.run(ROWS)
            return bool(self.shown == self.expected)

        with contextlib.suppress(AssertionError):
            eventually(agrees, "the page shows the same")
        self.assertEqual(self.shown, self.expected)
        received = [row.get("received") for row in self.shown.values()]
        self.assertEqual(received.count(123_456), 2)

        # transportctl's own session, of the moment, may be among them.
        sessions = {s["session_prefix"]: s["transport_count"] for s in self.asked("sessions") if s["transport_count"]}
        ids, counts = (self.window.texts(f"#sessions td[data-id={column}] button") for column in ("id", "transports"))
        shown = {prefix: int(n) for prefix, n in zip(ids, counts, strict=True) if n != "0"}
        self.assertEqual(shown, sessions)
        self.assertEqual(self.window.text("#tile-transports .value"), str(len(self.expected)))
        status, out, _ = self.run_to_end("--json", "version")
        self.assertEqual(status, 0)
        self.assertIn(self.window.text("#version"), out.decode())
        self.assertTrue(self.window.shown("#policy-none"))

    def udp_peer(self) -> int:
        peer = self.enter(harness.socket.socket(harness.socket.AF_INET, harness.socket.SOCK_DGRAM))
        peer.bind(("127.0.0.1", 0))
        port: int = peer.getsockname()[1]
        return port

    def test_a_transport_is_ended_by_its_button(self) -> None:
        self.echo(10)
        accepted = next(t for t in self.asked("transports") if t["server_id"])
        key = f"{accepted['session_prefix']}/{accepted['transport_id']}"
        button = f'#transports tr[data-key="{key}"] td[data-id=end] button'
        self.window.click(button)
        self.window.click("#confirm-end")
        self.gone(button)
        self.assertEqual(self.window.text("#result-text"), f"Ended transport {key}.")
        self.assertNotIn(key, [f"{t['session_prefix']}/{t['transport_id']}" for t in self.asked("transports")])

    def test_a_session_is_ended_by_its_button(self) -> None:
        client = self.transportctl("exec", "--interactive", "--", "cat")
        self.drain_stderr(client)
        eventually(lambda: self.window.all("#subprocesses tbody tr"), "the program is shown")
        prefix = self.key("SUBPROCESS").split("/")[0]
        button = f'#sessions tr[data-key="{prefix}"] td[data-id=end] button'
        self.window.click(button)
        self.window.click("#confirm-end")
        self.gone(button)
        self.gone("#subprocesses tbody tr")
        self.assertNotEqual(client.wait(harness.TIMEOUT), 0)

    def test_a_drain_is_announced_and_its_end_is_an_outage(self) -> None:
        client = self.transportctl("exec", "--interactive", "--", "cat")
        self.drain_stderr(client)
        eventually(lambda: self.window.all("#subprocesses tbody tr"), "the program is shown")
        self.service.process.terminate()
        self.service.expect_ended()
        eventually(lambda: self.window.shown("#drain"), "it drains")
        client.stdin.close()
        eventually(lambda: self.window.shown("#outage"), "it is gone")
        self.expected_problem = "ERR_"


class PolicyServiceTest(PageCase):
    def setUp(self) -> None:
        self.lab = Lab(self.enterContext(contextlib.ExitStack()))
        self.open(self.lab.url)
        eventually(lambda: self.window.shown("#token"), "it asks for a token")

    def give(self, token: str) -> None:
        self.window.type("#token-value", token)
        self.window.click("#token-use")

    def test_says_what_is_missing_to_whom_the_policy_grants_nothing(self) -> None:
        self.give(CI_TOKEN)
        eventually(lambda: "Not allowed" in self.window.text("#token-heading"), "it says so")
        self.assertIn("PERMISSION_DENIED", self.window.text("#token-reason"))
        self.give(OPS_TOKEN)
        self.ready()
        problems = self.window.problems("/status.json - Failed to load resource")
        self.assertEqual(problems, [])

    def test_shows_the_policy_and_what_it_denies(self) -> None:
        self.give(OPS_TOKEN)
        self.ready()
        self.lab.work()
        eventually(lambda: len(self.window.all("#denials tbody tr")) >= 4, "all denials are shown")
        self.assertIn("policy.txtpb", self.window.text("#policy-facts"))
        self.assertIn("can be written", self.window.text("#audit-facts"))
        eventually(lambda: "by the client" in self.window.text("#transports"), "who does not read is paused")
        traffic = "#tile-sent .value"
        eventually(lambda: re.search("[KM]iB/s", self.window.text(traffic)), "the traffic is shown")
        self.assertLessEqual({"ci", "lab"}, set(self.window.texts("#quotas td[data-id=principal] span")))
        # The command that the page gives says what the service has said.
        commands = self.window.texts("#denials td[data-id=explain] .sub")
        for command in (c for c in commands if c.startswith("transportctl ")):
            done = subprocess.run(
                ["/bin/bash", "-c", re.sub("^transportctl", os.environ["TRANSPORTCTL_BIN"], command)],
                capture_output=True,
                text=True,
            )
            self.assertEqual((done.returncode, "denied" in done.stdout), (1, True), f"{command}\n{done}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
