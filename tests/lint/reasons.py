#!/usr/bin/python3
"""The table of reasons in proto/README.md names every reason of the code and of the .proto comments, and no other."""

import re

import lint

TABLE = "proto/README.md"
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| ", re.MULTILINE)

_NAME = r"\"([A-Z][A-Z0-9_]*)\""
IN_CODE = re.compile(
    rf"\b(?:InvalidArgument|OptionError)\(\s*{_NAME}|\bMakeError\([\w:\s]*\bk[A-Z]\w+,\s*{_NAME}|\breason\s*=\s*{_NAME}"
)
# `NOT_FOUND / UNKNOWN_SESSION`, also across a line's end, and `reason INVALID_PORT`.
_CODES = (
    "INTERNAL|INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|PERMISSION_DENIED|UNAUTHENTICATED|RESOURCE_EXHAUSTED"
    "|FAILED_PRECONDITION|UNIMPLEMENTED|UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED"
)
IN_PROTO = re.compile(
    rf"(?:\b(?:{_CODES}) /(?:\s+//)?\s+|\breason\s+)"
    rf"([A-Z][A-Z0-9_]*)((?:,\s+(?://\s+)?(?!(?:{_CODES})\b)[A-Z][A-Z0-9_]+\b)*)"
)


def table_reasons(text: str) -> set[str]:
    return set(ROW.findall(text))


def code_reasons(text: str) -> dict[str, int]:
    """Reason -> line of its first use."""
    text = lint.without_comments(text, keep_strings=True)
    found = {}
    for match in IN_CODE.finditer(text):
        found.setdefault(next(filter(None, match.groups())), lint.line_of(text, match.start()))
    return found


def proto_reasons(text: str) -> dict[str, int]:
    found = {}
    for match in IN_PROTO.finditer(text):
        for reason in re.findall(r"[A-Z][A-Z0-9_]+", match[1] + match[2]):
            found.setdefault(reason, lint.line_of(text, match.start(1)))
    return found


def check() -> list[lint.Finding]:
    listed = table_reasons(lint.read(TABLE))
    findings, used = [], {"UNKNOWN"}  # ToTransportError's, for a status that came without a reason.
    # What server/ops and server/listen say about the configuration is read by the operator, never by a client.
    product = [
        name
        for name in lint.files_with(lint.CPP_SUFFIXES, ("transports/", "server/", "clients/cpp/"))
        if not name.startswith(("server/ops/", "server/listen/"))
    ]
    for names, reasons_of in ((product, code_reasons), (lint.files_with((".proto",)), proto_reasons)):
        for name in names:
            found = reasons_of(lint.read(name))
            used |= found.keys()
            findings += [
                lint.Finding(name, line, f"reason {reason} is not in the table of {TABLE}")
                for reason, line in found.items()
                if reason not in listed
            ]
    return findings + [lint.Finding(TABLE, 0, f"reason {reason} is used nowhere") for reason in sorted(listed - used)]


def self_test() -> None:
    assert table_reasons("| `A_B` | NOT_FOUND | when |\n| asyncio | `NO` |\n") == {"A_B"}
    code = 'InvalidArgument("A",\n"f", "m"); MakeError(\n  absl::StatusCode::kAborted, "B_C", "m");'
    code += 'error.reason = "D"; // reason = "E"'
    assert code_reasons(code).keys() == {"A", "B_C", "D"}, code_reasons(code)
    proto = (
        "// NOT_FOUND / A_A, B_C, INVALID_ARGUMENT /\n  // D_D; DEADLINE_EXCEEDED / E_E.\n"
        "// INVALID_ARGUMENT, reason F_G.\n// INVALID_ARGUMENT with"
    )
    assert proto_reasons(proto).keys() == {"A_A", "B_C", "D_D", "E_E", "F_G"}, proto_reasons(proto)


if __name__ == "__main__":
    lint.run(check, self_test)
