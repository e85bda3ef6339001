"""The results as text and as JSON."""

import json
import statistics
from pathlib import Path

import metrics
from samples import Samples

_NAME_WIDTH = 38


def heading(facts: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory']}, {facts['kernel']}, "
        f"revision {facts['revision']}\n{versions}"
    )


def table(rows, peers: dict, samples: Samples) -> str:
    """Each row with its peers: the median, its spread, what transportd is of it, and the medians of the rest."""
    lines = []
    for row in rows:
        measured = [name for name in row.peers if samples.of(row.name, name)]
        if not measured:
            continue
        main, *others = (metrics.METRICS[key] for key in row.metrics)
        words = [f"{main.label:>16}", f"{'min .. max':>26}", f"{'transportd is':>14}"]
        lines += ["", f"{row.title} ({row.name})"]
        lines.append(" " * _NAME_WIDTH + " ".join(words + [f"{other.label:>18}" for other in others]))
        subject = samples.median(row.name, row.subject, main.key)
        for name in measured:
            values = samples.values(row.name, name, main.key)
            median = statistics.median(values)
            spread = f"{main.text(min(values))} .. {main.text(max(values))}"
            share = f"{subject / median:.2f} x" if subject is not None and median and name != row.subject else ""
            words = [f"{main.text(median):>16}", f"{spread:>26}", f"{share:>14}"]
            for other in others:
                value = samples.median(row.name, name, other.key)
                words.append(f"{'' if value is None else other.text(value):>18}")
            lines.append((f"  {peers[name].title:<{_NAME_WIDTH - 2}}" + " ".join(words)).rstrip())
    return "\n".join(lines)


def requirements(verdicts) -> str:
    """What is required, the ratio of the medians, and the least and the greatest ratio of one repeat."""
    lines = ["", f"{'required':<58}{'needs':>34}{'measured':>12}{'min .. max':>22}"]
    for verdict in verdicts:
        requirement = verdict.requirement
        if verdict.value is None:
            value, spread = "-", ""
        else:
            value = requirement.text(verdict.value)
            spread = f"{requirement.text(verdict.low)} .. {requirement.text(verdict.high)}"
        mark = "reached" if verdict.reached else "not measured" if verdict.value is None else "MISSED"
        lines.append(f"{requirement.name:<58}{requirement.needs():>34}{value:>12}{spread:>22}  {mark}")
    return "\n".join(lines)


def write_json(path: Path, facts: dict, options, rows, samples: Samples, verdicts) -> None:
    medians = {}
    for row in rows:
        for peer in row.peers:
            for key in row.metrics:
                median = samples.median(row.name, peer, key)
                if median is not None:
                    medians.setdefault(row.name, {}).setdefault(peer, {})[key] = median
    document = {
        "machine": facts,
        "options": {"repeat": options.repeat, "seconds": options.seconds, "quick": options.quick},
        "rows": {row.name: {"title": row.title, "work": row.work, "connections": row.connections} for row in rows},
        "samples": [vars(sample) for sample in samples.all],
        "failures": [{"row": row, "peer": peer, "reason": reason} for row, peer, reason in samples.failures],
        "medians": medians,
        "requirements": [
            {
                "name": verdict.requirement.name,
                "needs": verdict.requirement.needs(),
                "value": verdict.value,
                "min": verdict.low,
                "max": verdict.high,
                "reached": verdict.reached,
            }
            for verdict in verdicts
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
