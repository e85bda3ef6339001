#!/usr/bin/python3
"""The status page in a browser, with answers from stub.py: how it looks, and what it does.

Pictures of all are written to $TRANSPORTD_SCREENSHOTS.
"""

import copy
import datetime
import os
import unittest
from pathlib import Path

from browser import SIZES, Browser, browser
from harness import eventually
from stub import PAGE, Json, Stub, fixture

SCREENSHOTS = Path(os.environ.get("TRANSPORTD_SCREENSHOTS", "build/screenshots"))
MAX_PAGE_BYTES = 60 * 1024
EXPLAIN = "transportctl policy explain --policy /etc/transportd/policy/policy.txtpb"


class PageTestCase(unittest.TestCase):
    window: Browser

    @classmethod
    def setUpClass(cls) -> None:
        cls.window = cls.enterClassContext(browser())

    def setUp(self) -> None:
        self.window.look("wide", "light")
        self.expected_problem = ""

    def tearDown(self) -> None:
        self.assertEqual(self.window.problems(self.expected_problem), [])

    def serve(self, name: str, **options: object) -> Stub:
        stub = self.enterContext(Stub(fixture(name), **options))  # type: ignore[arg-type]
        self.window.open(stub.url)
        self.addCleanup(self.window.open, "about:blank")  # Before the stub is gone: cleanups run last to first.
        return stub

    def ready(self) -> None:
        eventually(lambda: self.window.shown("#content"), "the first answer is shown")
        self.window.run("poller.intervalMs = 50; poller.now()")

    def answers(self, stub: Stub, more: int = 2) -> None:
        """Until what is shown is from after this call."""
        asked = len(stub.requests) + more
        eventually(lambda: len(stub.requests) >= asked, "the page has asked again")

    def column(self, table: str, column: str) -> list[str]:
        return self.window.texts(f"#{table} td[data-id={column}] > :first-child")


class LookTest(PageTestCase):
    def test_fits_every_window_in_both_themes_whatever_clients_say(self) -> None:
        for name in ("busy", "empty", "hostile", "huge"):
            stub = self.serve(name, moving=True)
            self.ready()
            self.answers(stub)
            for size in SIZES:
                for theme in ("light", "dark"):
                    with self.subTest(name=name, size=size, theme=theme):
                        self.window.look(size, theme)
                        self.assertEqual(self.window.overflow(), 0)
                        self.window.screenshot(SCREENSHOTS / f"{name}-{size}-{theme}.png", whole=name != "huge")

    def test_theme_can_be_chosen_and_stays(self) -> None:
        self.serve("busy")
        background = "return getComputedStyle(document.documentElement).backgroundColor"
        light = self.window.run(background)
        self.window.choose("#theme", "dark")
        self.assertNotEqual(self.window.run(background), light)
        self.window.driver.refresh()
        self.assertNotEqual(self.window.run(background), light)
        self.window.choose("#theme", "")
        self.assertEqual(self.window.run(background), light)

    def test_text_has_the_contrast_of_wcag_aa(self) -> None:
        self.serve("hostile")
        self.ready()
        # Colours as the browser paints them: each text on the first opaque background behind it.
        script = """
        const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        function rgb(colour) {
          context.clearRect(0, 0, 1, 1);
          context.fillStyle = colour;
          context.fillRect(0, 0, 1, 1);
          return context.getImageData(0, 0, 1, 1).data;
        }
        function luminance([r, g, b]) {
          const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
          return .2126 * x + .7152 * y + .0722 * z;
        }
        const low = new Set();
        const texts = 'h1, h2, h3, p, a, b, dt, dd, th *, td > *, label, button, select, code, span';
        for (const e of document.querySelectorAll(texts)) {
          if (!e.checkVisibility() || !e.textContent.trim()) continue;
          let behind = e, back;
          do back = rgb(getComputedStyle(behind).backgroundColor);
          while (back[3] < 255 && (behind = behind.parentElement));
          const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(back)].sort((a, b) => b - a);
          const ratio = (a + .05) / (b + .05);
          if (ratio < 4.5) low.add(`${e.tagName} ${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
        }
        return [...low];
        """
        for theme in ("light", "dark"):
            self.window.look("wide", theme)
            self.assertEqual(self.window.run(script), [], theme)

    def test_every_control_and_table_has_a_name(self) -> None:
        self.serve("busy")
        self.ready()
        for size in SIZES:
            self.window.look(size, "light")
            tree = self.window.cdp("Accessibility.getFullAXTree")["nodes"]
            roles = [node["role"]["value"] for node in tree if not node.get("ignored")]
            nameless = [
                node["role"]["value"]
                for node in tree
                if not node.get("ignored")
                and node["role"]["value"] in ("button", "link", "searchbox", "combobox", "table", "region", "image")
                and not node.get("name", {}).get("value")
            ]
            self.assertEqual(nameless, [])
            self.assertGreaterEqual(roles.count("table"), 6, size)
            self.assertGreater(roles.count("cell"), 100, size)

    def test_is_small_and_self_contained(self) -> None:
        page = PAGE.read_text()
        self.assertLess(len(page.encode()), MAX_PAGE_BYTES)
        self.assertEqual((page.count("<script"), page.count("<style")), (1, 1))
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick="):
            self.assertNotIn(word, page)


class FiguresTest(PageTestCase):
    def test_transports_and_sessions_are_shown_as_they_are(self) -> None:
        self.serve("busy")
        self.ready()
        self.assertEqual(len(self.window.all("#transports tbody tr")), 13)
        row = '#transports tr[data-key="1c9a77e0/2"]'
        cells = {
            "id": ["1c9a77e0/2", "stream"],
            "principal": ["spiffe://example.org/ns/ci/sa/runner", "pytest-worker-3"],
            "peer": ["10.42.0.17:44120", "→\u00a010.8.4.31:443"],
            "age": ["25 min 20 s", ""],
            "received": ["18 MiB", ""],
            "unacknowledged": ["1.3 MiB", ""],
            "state": ["paused", "window is full"],
        }
        for column, texts in cells.items():
            self.assertEqual(self.window.texts(f"{row} td[data-id={column}] > *"), texts)
        peers = {
            "8e067521/4": "→\u00a0[fe80::a1%2]:8443",
            "8e067521/3": "→\u00a0unix:/run/postgresql/.s.PGSQL.5432",
            "c4d5e6f7/2": "→\u00a0anybody",
            "f07628b5/2": "→\u00a0fd 1 of subprocess 1",
        }
        for key, peer in peers.items():
            self.assertEqual(self.window.text(f'tr[data-key="{key}"] td[data-id=peer] .sub'), peer)
        self.assertEqual(self.column("servers", "address"), ["[::]:9000", "10.42.0.17:8080"])
        self.assertEqual(self.column("subprocesses", "program"), ["/usr/bin/git"])
        self.assertEqual(self.column("subprocesses", "pid"), ["21279"])
        self.assertEqual(self.column("sessions", "transports"), ["2", "4", "4", "3", "3"])
        self.assertEqual(self.window.text("#tile-sessions .value"), "5")
        self.assertEqual(self.window.text("#tile-fds .value"), "48")
        self.assertEqual(self.window.text("#uptime"), "3 d 3 h")
        self.assertEqual(self.column("quotas", "principal")[0], "All together")
        self.assertIn("6b1f0e5a", self.window.text("#policy-facts"))

    def test_rates_are_those_of_the_services_own_clock(self) -> None:
        def in_ten_seconds(status: Json) -> Json:
            later = copy.deepcopy(status)
            later["time"] = (datetime.datetime.fromisoformat(status["time"]) + datetime.timedelta(seconds=10)).isoformat()
            later["usage"]["receivedBytes"] = str(int(status["usage"]["receivedBytes"]) + 20480)
            later["process"]["cpuTime"] = f"{float(status['process']['cpuTime'][:-1]) + 5}s"
            later["eventLoops"][1]["busyTime"] = f"{float(status['eventLoops'][1]['busyTime'][:-1]) + 2.5}s"
            later["transports"][0]["sentBytes"] = str(int(status["transports"][0]["sentBytes"]) + 10240)
            return later

        stub = self.serve("busy")
        self.ready()
        stub.step = in_ten_seconds
        cell = 'tr[data-key="1c9a77e0/1"] td[data-id=sent] .sub'
        eventually(lambda: self.window.text("#tile-received .value") == "2.0 KiB/s", "the rate of all")
        self.assertEqual(self.window.text(cell), "1.0 KiB/s")
        self.assertEqual(self.window.text("#tile-cpu .value"), "50 %")
        self.assertEqual(self.window.text("#loop-1 .value"), "25 %")
        self.assertEqual(self.window.text("#loop-0 .value"), "0.0 %")

    def test_plots_grow_and_say_what_one_points_at(self) -> None:
        stub = self.serve("busy", moving=True)
        self.ready()
        self.answers(stub, 3)
        eventually(
            lambda: "L" in (self.window.one("#tile-received .plot path:nth-of-type(3)").get_attribute("d") or ""),
            "a line",
        )
        self.assertIn("last 1 min 0 s: now", self.window.one("#tile-received .plot").get_attribute("aria-label"))
        box = self.window.one("#tile-received .plot").rect
        self.window.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + box["width"] - 2, y=box["y"] + 10)
        eventually(lambda: self.window.text("#tile-received .readout").endswith("now"), "the readout")

    def test_a_service_that_began_anew_has_no_rates_of_the_one_before(self) -> None:
        stub = self.serve("busy", moving=True)
        self.ready()
        self.answers(stub)
        stub.status = {**fixture("empty"), "time": "2026-11-22T14:09:00Z"}
        stub.moving = False
        eventually(lambda: "started again" in self.window.text("#result-text"), "it says so")
        self.assertEqual(self.window.text("#tile-received .value"), "–")

    def test_what_needs_attention_is_on_top(self) -> None:
        self.serve("hostile")
        self.ready()
        items = self.window.texts("#attention li")
        for text in (
            "policy file",
            "expired",
            "soon: 23 h 59 min left",
            "audit log cannot",
            "4,711 audit records lost",
        ):
            self.assertTrue(any(text in item for item in items), text)
        self.assertTrue(any("turn of 1.3 s" in item for item in items))
        self.assertIn("bad", self.window.one("#policy-facts dd").get_attribute("class"))
        self.assertTrue(self.window.shown("#truncated"))

    def test_an_empty_service_says_what_to_try(self) -> None:
        self.serve("empty")
        self.ready()
        for section in (
            "transports",
            "sessions",
            "servers",
            "subprocesses",
            "policy",
            "audit",
            "certificates",
            "denials",
        ):
            self.assertTrue(self.window.shown(f"#{section} .empty"), section)
        self.assertFalse(self.window.shown("#attention"))

    def test_denials_have_the_command_that_explains_them(self) -> None:
        self.serve("busy")
        self.ready()
        ci = "--as spiffe://example.org/ns/ci/sa/runner"
        self.assertEqual(
            self.window.texts("#denials td[data-id=explain] .sub"),
            [
                f"{EXPLAIN} {ci} --at 169.254.169.254 connect metadata.google.internal:80",
                f"{EXPLAIN} --as spiffe://example.org/team/lab/alice run /bin/sh",
                f"{EXPLAIN} --as dns:gateway.lab.example listen 0.0.0.0:22",
                f"{EXPLAIN} --as ops admin EndSession",
                "–",
            ],
        )

    def test_details_say_all_and_go_on(self) -> None:
        stub = self.serve("busy")
        self.ready()
        self.window.click('#transports tr[data-key="c4d5e6f7/2"] td[data-id=id] button')
        self.assertIn("dropped received count", self.window.text("#details-facts"))
        self.assertIn("3,145,728 (3.0 MiB)", self.window.text("#details-facts"))
        self.assertEqual(self.window.run("return document.querySelector('#details').scrollTop"), 0)
        stub.status["transports"] = []
        eventually(lambda: self.window.shown("#details-gone"), "it is gone")
        self.window.click("#details-close")


class HostileTest(PageTestCase):
    def test_what_clients_say_is_text(self) -> None:
        self.serve("hostile")
        self.ready()
        self.window.click('#transports tr[data-key="deadbeef/1"] td[data-id=id] button')
        self.window.click("#details-close")
        self.window.click('#sessions tr[data-key="deadbeef"] td[data-id=end] button')
        self.window.click("#confirm-cancel")
        self.assertIsNone(self.window.run("return window.hit ?? null"))
        self.assertEqual(len(self.window.all("img, body b:not(nav b):not(.banner b)")), 0)
        self.assertIn("<script>", self.window.text('#sessions tr[data-key="deadbeef"] td[data-id=principal]'))

    def test_invisible_characters_are_seen(self) -> None:
        self.serve("hostile")
        self.ready()
        self.assertEqual(
            self.window.text('#sessions tr[data-key="deadbeef"] td[data-id=principal] .sub'),
            "\\u{202e}evil\\u{202c}\\u{a}\\u{9}name\\u{200b}",
        )
        self.assertIn("/tmp/\\xff\\xfe\\x1b[31m", self.window.text('tr[data-key="deadbeef/1"] td[data-id=peer]'))

    def test_commands_to_paste_are_quoted(self) -> None:
        self.serve("hostile")
        self.ready()
        commands = self.window.texts("#denials td[data-id=explain] .sub")
        self.assertIn(r"--as eve run $'/bin/sh\x0a\x03rm -rf ~\x1b]0;x\x07'", commands[1])
        self.assertIn(r"--as 'it'\''s' connect ''\''; rm -rf ~ #:80'", commands[2])


class TableTest(PageTestCase):
    def test_sorts_by_any_column_both_ways(self) -> None:
        self.serve("busy")
        self.ready()
        header = "#transports thead th:nth-child({}) button"
        self.window.click(header.format(5))
        self.assertEqual(self.column("transports", "received")[:3], ["1.5 GiB", "700 MiB", "18 MiB"])
        self.assertEqual(self.window.one("#transports th:nth-child(5)").get_attribute("aria-sort"), "descending")
        self.window.click(header.format(5))
        self.assertEqual(self.column("transports", "received")[:3], ["410 B", "2.0 KiB", "4.0 KiB"])
        self.window.click(header.format(1))
        self.assertEqual(self.column("transports", "id")[:2], ["1c9a77e0/1", "1c9a77e0/2"])

    def test_filter_wants_every_word(self) -> None:
        self.serve("busy")
        self.ready()
        self.window.type("#transports-filter", "RUNNER paused")
        self.assertEqual(self.column("transports", "id"), ["1c9a77e0/2"])
        self.assertEqual(self.window.text("#transports .count"), "1 of 13")
        self.window.type("#transports-filter", "10.8.4.20:5432")
        self.assertEqual(sorted(self.column("transports", "id")), ["1c9a77e0/1", "5be0c1d2/1"])
        self.window.type("#transports-filter", "nobody-at-all")
        self.assertEqual(self.column("transports", "id"), [])
        self.assertTrue(self.window.shown("#transports .empty:not([hidden])"))
        self.window.click('#sessions tr[data-key="f07628b5"] td[data-id=transports] button')
        self.assertEqual(sorted(self.column("transports", "id")), ["f07628b5/2", "f07628b5/3"])

    def test_a_refresh_keeps_rows_and_does_not_move_them_under_a_pointer(self) -> None:
        stub = self.serve("busy")
        self.ready()
        self.window.click("#transports thead th:nth-child(5) button")
        self.window.run("for (const tr of document.querySelectorAll('#transports tbody tr')) tr.seen = true")
        order = self.column("transports", "id")
        self.window.one('#transports tr[data-key="1c9a77e0/9"] td[data-id=end] button').send_keys("")
        self.window.run(
            "document.querySelector('#transports tr[data-key=\"1c9a77e0/9\"] td[data-id=end] button').focus()"
        )
        changed = copy.deepcopy(stub.status)
        next(t for t in changed["transports"] if t["transportId"] == 9)["receivedBytes"] = str(2**40)
        stub.status = changed
        cell = '#transports tr[data-key="1c9a77e0/9"] td[data-id=received] span'
        eventually(lambda: self.window.text(cell) == "1.0 TiB", "the new figure")
        self.assertEqual(self.column("transports", "id"), order)
        self.window.run("document.activeElement.blur()")
        self.window.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
        eventually(lambda: self.column("transports", "id")[0] == "1c9a77e0/9", "it comes first")
        seen = "return Array.from(document.querySelectorAll('#transports tbody tr')).every((tr) => tr.seen)"
        self.assertTrue(self.window.run(seen))

    def test_a_thousand_transports_are_not_all_drawn_and_are_drawn_fast(self) -> None:
        self.serve("huge", moving=True)
        self.ready()
        self.assertEqual(len(self.window.all("#transports tbody tr")), 200)
        self.assertIn("first 200 of 1,000", self.window.text("#transports .more"))
        self.window.type("#transports-filter", "runner-77")
        self.assertEqual(len(self.window.all("#transports tbody tr")), 10)
        self.window.type("#transports-filter", "load")
        self.window.click("#transports .more button")
        self.window.click("#transports .more button")
        self.assertEqual(len(self.window.all("#transports tbody tr")), 1000)
        refresh = """
        const began = performance.now();
        show(structuredClone(status));
        document.body.offsetTop;
        return performance.now() - began;
        """
        fastest = min(self.window.run(refresh) for _ in range(5))
        print(f"a refresh of 1000 rows: {fastest:.0f} ms")
        self.assertLess(fastest, 250)


class EndTest(PageTestCase):
    def test_ends_a_transport_after_asking(self) -> None:
        stub = self.serve("busy")
        self.ready()
        button = '#transports tr[data-key="1c9a77e0/1"] td[data-id=end] button'
        self.assertEqual(self.window.one(button).get_attribute("aria-label"), "End transport 1c9a77e0/1")
        self.window.click(button)
        self.assertIn("10.8.4.20:5432", self.window.text("#confirm-facts"))
        self.assertEqual(self.window.run("return document.activeElement.id"), "confirm-cancel")
        self.window.click("#confirm-cancel")
        self.window.click(button)
        self.window.screenshot(SCREENSHOTS / "confirm.png", whole=False)
        self.window.click("#confirm-end")
        eventually(lambda: not self.window.all(button), "the row is gone")
        self.assertEqual(self.window.text("#result-text"), "Ended transport 1c9a77e0/1.")
        posts = [request for request in stub.requests if request.startswith("POST")]
        self.assertEqual(posts, ["POST /sessions/1c9a77e0/transports/1/end"])

    def test_ends_a_session_a_server_and_a_subprocess(self) -> None:
        stub = self.serve("busy")
        self.ready()
        for table, key in (("servers", "1c9a77e0/5"), ("subprocesses", "f07628b5/1"), ("sessions", "5be0c1d2")):
            button = f'#{table} tr[data-key="{key}"] td[data-id=end] button'
            self.window.click(button)
            self.window.click("#confirm-end")
            eventually(lambda button=button: not self.window.all(button), f"{key} is gone")
        self.assertEqual(
            [request for request in stub.requests if request.startswith("POST")],
            [
                "POST /sessions/1c9a77e0/transports/5/end",
                "POST /sessions/f07628b5/transports/1/end",
                "POST /sessions/5be0c1d2/end",
            ],
        )

    def test_says_why_it_could_not(self) -> None:
        self.expected_problem = "403"
        stub = self.serve("busy")
        self.ready()
        message = "The policy grants `ops` no admin method EndTransport."
        stub.end_error = {"code": "PERMISSION_DENIED", "reason": "POLICY_DENIED", "message": message}
        self.window.click('#transports tr[data-key="1c9a77e0/1"] td[data-id=end] button')
        self.window.click("#confirm-end")
        eventually(lambda: message in self.window.text("#confirm-error"), "the reason")
        self.assertIn("PERMISSION_DENIED / POLICY_DENIED", self.window.text("#confirm-error"))
        self.window.click("#confirm-cancel")


class TokenTest(PageTestCase):
    def test_asks_for_a_token_and_keeps_it_in_this_tab_only(self) -> None:
        self.expected_problem = "401"
        stub = self.serve("busy", token="right")
        eventually(lambda: self.window.shown("#token"), "it asks")
        self.window.screenshot(SCREENSHOTS / "token.png", whole=False)
        asked = len(stub.requests)
        self.window.type("#token-value", "wrong")
        self.window.click("#token-use")
        eventually(lambda: "not known" in self.window.text("#token-heading"), "it says that it is wrong")
        # It does not go on asking: who guesses is refused.
        self.assertEqual(len(stub.requests), asked + 1)
        self.window.type("#token-value", "right")
        self.window.click("#token-use")
        self.ready()
        self.assertEqual(self.window.run("return sessionStorage['transportd-token']"), "right")
        self.assertNotIn("right", self.window.run("return JSON.stringify(localStorage) + document.cookie + location"))
        self.window.driver.refresh()
        self.ready()
        self.window.click("#forget")
        eventually(lambda: self.window.shown("#token"), "it asks again")
        self.assertIsNone(self.window.run("return sessionStorage['transportd-token'] ?? null"))

    def test_a_token_that_is_none_is_not_sent(self) -> None:
        self.expected_problem = "401"
        stub = self.serve("busy", token="right")
        eventually(lambda: self.window.shown("#token"), "it asks")
        self.window.type("#token-value", "two words\u00e9")
        self.window.click("#token-use")
        self.assertIn("ASCII", self.window.text("#token-error"))
        self.assertEqual(len(stub.requests), 1)

    def test_says_which_grant_is_missing(self) -> None:
        self.expected_problem = "403"
        stub = self.serve("busy")
        self.ready()
        message = "The policy grants `ci` no admin method GetStatus."
        stub.denied = {"code": "PERMISSION_DENIED", "reason": "POLICY_DENIED", "message": message}
        eventually(lambda: self.window.shown("#token"), "it says so")
        self.assertEqual(self.window.text("#token-why"), message)
        self.assertIn('methods: "GetStatus"', self.window.text("#token"))
        stub.denied = None
        self.window.click("#token-again")
        eventually(lambda: self.window.text("#state").startswith("Live"), "it goes on")


class PollTest(PageTestCase):
    def test_says_since_when_the_service_is_gone_and_goes_on_when_it_is_back(self) -> None:
        self.expected_problem = "ERR_CONNECTION"
        stub = self.serve("busy")
        self.ready()
        stub.stop()
        eventually(lambda: self.window.shown("#outage"), "it says so")
        self.assertRegex(self.window.text("#outage-text"), r"since \d\d:\d\d:\d\d: it cannot be reached\.")
        self.assertIn("Trying on", self.window.text("#outage-time"))
        self.assertEqual(len(self.window.all("#transports tbody tr")), 13)
        self.window.screenshot(SCREENSHOTS / "outage.png", whole=False)
        stub.start()
        eventually(lambda: not self.window.shown("#outage"), "it is back")
        self.assertTrue(self.window.text("#state").startswith("Live"))

    def test_says_what_a_failing_service_says(self) -> None:
        self.expected_problem = "503"
        stub = self.serve("busy")
        self.ready()
        stub.failure = 503
        eventually(lambda: "Not now. (UNAVAILABLE / OVERLOADED)" in self.window.text("#outage-text"), "the reason")
        stub.failure = 0
        eventually(lambda: not self.window.shown("#outage"), "it goes on")

    def test_counts_a_drain_down(self) -> None:
        stub = self.serve("busy", moving=True)
        self.ready()
        self.assertFalse(self.window.shown("#drain"))
        stub.status = {**stub.status, "drainTimeLeft": "300s"}
        eventually(lambda: self.window.shown("#drain"), "it says so")
        self.assertIn("5 are open", self.window.text("#drain-text"))
        eventually(lambda: self.window.text("#drain-time").startswith("At the latest in 4 min"), "it counts down")
        first = self.window.text("#drain-time")
        eventually(lambda: self.window.text("#drain-time") != first, "it goes on")
        self.window.screenshot(SCREENSHOTS / "drain.png", whole=False)

    def test_pauses_when_told_and_when_nobody_looks(self) -> None:
        stub = self.serve("busy")
        self.ready()
        self.window.click("#pause")
        self.assertTrue(self.window.text("#state").startswith("Paused"))
        self.asks_nothing(stub)
        self.window.click("#pause")
        self.answers(stub, 1)
        hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})"
        self.window.run(hide)
        self.asks_nothing(stub)
        self.window.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        self.answers(stub, 2)
        self.assertEqual(stub.at_once_max, 1)

    def asks_nothing(self, stub: Stub) -> None:
        eventually(lambda: not self.window.run("return poller.waiting"), "nothing is under way")
        asked = len(stub.requests)
        self.assertFalse(
            self.window.run("document.dispatchEvent(new Event('visibilitychange')); return poller.waiting")
        )
        self.assertEqual(len(stub.requests), asked)

    def test_slash_goes_to_the_filter(self) -> None:
        self.serve("busy")
        self.ready()
        self.window.one("body").send_keys("/")
        self.assertEqual(self.window.run("return document.activeElement.id"), "transports-filter")


if __name__ == "__main__":
    unittest.main(verbosity=2)
