#!/usr/bin/python3
"""The table of audit events in deploy/README.md has every event of server/policy/audit_events.h, with its code, and no other."""

import re

import lint

SOURCE = "server/policy/audit_events.h"
TABLE = "deploy/README.md"
ENTRY = re.compile(r'\{AuditEvent::k\w+,\s*"([\w.]+)",\s*"(TD\d{4})",\s*AuditSeverity::k(Info|Warning|Error)\}')
ROW = re.compile(r"^\| `([a-z.]+)` \| `(TD\d{4})([IWE]+)` \| ", re.MULTILINE)


def source_events(text: str) -> dict[str, str]:
    """Name -> code with the letters that it can have: a decision that is information when it allows warns when it denies."""
    events = {}
    for name, code, severity in ENTRY.findall(lint.without_comments(text, keep_strings=True)):
        letters = severity[0]
        if letters == "I" and (name.endswith((".decision", ".summary")) or name == "session.open"):
            letters = "IW"
        events[name] = code + letters
    return events


def table_events(text: str) -> dict[str, str]:
    return {name: code + letters for name, code, letters in ROW.findall(text)}


def compare(source: dict[str, str], table: dict[str, str]) -> list[lint.Finding]:
    findings = []
    for name in sorted(source.keys() | table.keys()):
        if name not in source:
            findings.append(lint.Finding(TABLE, 0, f"the audit event `{name}` does not exist"))
        elif source[name] != table.get(name):
            findings.append(lint.Finding(TABLE, 0, f"the audit event `{name}` `{source[name]}` is not in the table"))
    return findings


def check() -> list[lint.Finding]:
    source = source_events(lint.read(SOURCE))
    if not source:
        return [lint.Finding(SOURCE, 0, "no events found")]
    return compare(source, table_events(lint.read(TABLE)))


def self_test() -> None:
    source = source_events(
        '{AuditEvent::kA, "a.decision", "TD0001", AuditSeverity::kInfo},\n'
        '    {AuditEvent::kB,\n "b.load", "TD0002", AuditSeverity::kError},'
    )
    assert source == {"a.decision": "TD0001IW", "b.load": "TD0002E"}, source
    table = table_events("| `a.decision` | `TD0001IW` | x |\n| `b.load` | `TD0002I` | x |\n| `c` | `TD0003I` | x |\n")
    assert [finding.message for finding in compare(source, table)] == [
        "the audit event `b.load` `TD0002E` is not in the table",
        "the audit event `c` does not exist",
    ]
    assert not compare(source, source)


if __name__ == "__main__":
    lint.run(check, self_test)
