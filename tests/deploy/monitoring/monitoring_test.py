#!/usr/bin/python3
"""deploy/monitoring by promtool, and against the pages of running services: monitoring_test.py [TEST…]

The pages are those that tests/integration/metrics_test.py gets: with --dev and with a policy, of known traffic. The
environment says with which programs: TRANSPORTD_BIN, and PYTHONPATH for the stubs and tests/integration.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

import scrape

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "deploy/README.md"
MONITORING = ROOT / "deploy/monitoring"
ALERTS = MONITORING / "alerts.yaml"
ALERT_TESTS = MONITORING / "alerts_test.yaml"
DASHBOARD = MONITORING / "dashboard.json"
SCENARIOS = ROOT / "tests/integration/metrics_test.py"

# What Grafana puts in.
MACROS = {"$__rate_interval": "5m", "$instance": ".*"}
# Of Grafana 10, the oldest that is meant.
SCHEMA_VERSIONS = range(37, 40)
NAME = re.compile(r"\b(?:transportd|process)_[a-z_0-9]+\b")
SELECTOR = re.compile(r"\b(?P<name>(?:transportd|process)_[a-z_0-9]+)(?:\{(?P<matchers>[^}]*)\})?")


def promtool(*arguments: str | Path, **options: object) -> str:
    try:
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, **options)
    except FileNotFoundError:
        raise AssertionError("promtool is not installed: deploy/packages/install.sh deploy") from None
    if done.returncode != 0:
        raise AssertionError(f"promtool {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def alerts() -> dict[str, str]:
    """Their expressions by their names. promtool has read the file already: it is the YAML that this expects."""
    found = {}
    for text in re.split(r"\n      - alert: ", ALERTS.read_text())[1:]:
        name, rest = text.split("\n", 1)
        found[name] = re.search(r"expr: (.*?)\n        \w+:", rest, re.DOTALL)[1].removeprefix("|")
    return found


def panels() -> Iterator[dict]:
    """With those that are in rows."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield panel
        yield from panel.get("panels", ())


def dashboard_expressions() -> list[str]:
    expressions = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    for macro, value in MACROS.items():
        expressions = [expression.replace(macro, value) for expression in expressions]
    return expressions


def setUpModule() -> None:
    """What services of each kind have said."""
    with tempfile.TemporaryDirectory(prefix="monitoring-") as folder:
        command = [sys.executable, "-B", SCENARIOS]
        environment = os.environ | {"TRANSPORTD_METRICS_FOLDER": folder}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise AssertionError(f"{SCENARIOS}:\n{done.stderr}")
        MetricsTest.pages = [path.read_text() for path in Path(folder).iterdir()]


class AlertsTest(unittest.TestCase):
    def test_rules(self) -> None:
        self.assertIn(f"{len(alerts())} rules found", promtool("check", "rules", "--lint-fatal", ALERTS))

    def test_each_fires_and_does_not(self) -> None:
        promtool("test", "rules", ALERT_TESTS)

    def test_each_is_tested(self) -> None:
        firing = set(re.findall(r"'ALERTS\{alertname=\"(\w+)\", alertstate=\"firing\"", ALERT_TESTS.read_text()))
        self.assertEqual(firing, alerts().keys())

    def test_each_says_what_to_do_and_where_it_is_explained(self) -> None:
        for text in re.split(r"\n      - alert: ", ALERTS.read_text())[1:]:
            name = text.split("\n", 1)[0]
            with self.subTest(name):
                self.assertRegex(text, r"severity: (warning|critical)\n")
                for annotation in ("summary", "description"):
                    self.assertRegex(text, rf"\n          {annotation}: ")
                self.assertIn(f"\n          runbook: deploy/README.md#{name}\n", text + "\n")

    def test_each_has_a_line_in_the_readme(self) -> None:
        rows = dict(re.findall(r'^\| <a name="(\w+)"></a>\1 \| (\w+) \|', README.read_text(), re.MULTILINE))
        severities = dict(re.findall(r"- alert: (\w+)\n.*?severity: (\w+)", ALERTS.read_text(), re.DOTALL))
        self.assertEqual(rows, severities)


class DashboardTest(unittest.TestCase):
    def test_expressions(self) -> None:
        rules = [{"record": f"r{i}", "expr": expression} for i, expression in enumerate(dashboard_expressions())]
        self.assertGreater(len(rules), 40)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML.
            file.flush()
            self.assertIn(f"{len(rules)} rules found", promtool("check", "rules", "--lint=none", file.name))

    def test_no_macro_is_left(self) -> None:
        for expression in dashboard_expressions():
            self.assertNotIn("$", expression)

    def test_form(self) -> None:
        dashboard = json.loads(DASHBOARD.read_text())
        self.assertIn(dashboard["schemaVersion"], SCHEMA_VERSIONS)
        self.assertIsNone(dashboard["id"])
        variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
        self.assertEqual(variables, {"datasource": "datasource", "instance": "query"})
        ids = [panel["id"] for panel in panels()]
        self.assertEqual(len(ids), len(set(ids)))
        taken: set[tuple[int, int]] = set()
        for panel in panels():
            with self.subTest(panel["title"]):
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24)
                cells = {
                    (x, y)
                    for x in range(place["x"], place["x"] + place["w"])
                    for y in range(place["y"], place["y"] + place["h"])
                }
                self.assertFalse(cells & taken, "it lies over another one")
                taken |= cells
                if panel["type"] == "row":
                    continue
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                references = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(references), len(set(references)))
                for part in (panel, *panel["targets"]):
                    self.assertEqual(part["datasource"], {"type": "prometheus", "uid": "${datasource}"})


class MetricsTest(unittest.TestCase):
    pages: list[str]

    def test_the_format(self) -> None:
        """promtool also knows what names ought to look like."""
        self.assertGreater(len(self.pages), 20)
        for page in self.pages:
            self.assertEqual(promtool("check", "metrics", input=page), "")

    def test_what_is_asked_for_exists(self) -> None:
        """Each metric of alerts and dashboard, with each label that is asked for."""
        known: dict[str, set[str]] = {}
        for page in map(scrape.parse, self.pages):
            for name, labels, _ in page.samples:
                known.setdefault(name, set()).update(labels)
        asked = [*alerts().values(), *dashboard_expressions()]
        count = 0
        for expression in asked:
            for selector in SELECTOR.finditer(expression):
                count += 1
                with self.subTest(selector[0]):
                    self.assertIn(selector["name"], known)
                    wanted = set(re.findall(r"([a-z_]+)\s*[=!]", selector["matchers"] or "")) - {"instance", "job"}
                    self.assertLessEqual(wanted, known[selector["name"]])
        self.assertGreater(count, 80)

    def test_what_is_there_is_looked_at(self) -> None:
        """Each metric is on the dashboard or in an alert."""
        text = " ".join([*alerts().values(), *dashboard_expressions()])
        asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(text)}
        there = {name for page in map(scrape.parse, self.pages) for name in page.types}
        self.assertEqual(there - asked, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
