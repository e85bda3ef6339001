#!/usr/bin/python3
"""The tree as a whole: white space, header guards, executable scripts, a README in each top folder."""

import os
import re

import lint

TEXT = (".h", ".cc", ".py", ".sh", ".proto", ".md", ".txt", ".json", ".yaml", ".cmake", "CMakeLists.txt")


def is_text(name: str, content: bytes) -> bool:
    return name.endswith(TEXT) or content.startswith(b"#!") or os.path.basename(name).startswith(".")


def check_white_space(name: str, content: bytes) -> list[lint.Finding]:
    """As `git diff --check`, for the whole file."""
    if not content or not is_text(name, content):
        return []
    findings = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line != line.rstrip():
            findings.append(lint.Finding(name, number, "white space at the end of the line"))
        if re.match(rb"[ ]*\t", line):
            findings.append(lint.Finding(name, number, "a tab in the indentation"))
        if re.match(rb"(<{7}|>{7}|={7})( |$)", line):
            findings.append(lint.Finding(name, number, "a conflict marker"))
    if not content.endswith(b"\n"):
        findings.append(lint.Finding(name, 0, "no newline at the end"))
    if content.endswith(b"\n\n"):
        findings.append(lint.Finding(name, 0, "an empty line at the end"))
    return findings


def check_header_guard(name: str, text: str) -> list[lint.Finding]:
    guard = "TRANSPORTD_" + re.sub(r"\W", "_", name).upper() + "_"
    text = lint.without_comments(text).strip()
    if text.startswith(f"#ifndef {guard}\n#define {guard}\n") and text.endswith("#endif"):
        return []
    return [lint.Finding(name, 0, f"the header guard is not {guard}")]


def check_script(name: str, content: bytes, executable: bool) -> list[lint.Finding]:
    if content.startswith(b"#!") != executable:
        return [
            lint.Finding(
                name, 1, "executable without a #! line" if executable else "a #! line without the executable bit"
            )
        ]
    return []


def check_readmes(names: list[str]) -> list[lint.Finding]:
    top_folders = {name.split("/")[0] for name in names if "/" in name and not name.startswith(".")}
    return [
        lint.Finding(
            f"{folder}/README.md", 0, "is missing: what the folder holds, its entry points, how to add one more"
        )
        for folder in sorted(top_folders)
        if f"{folder}/README.md" not in names
    ]


def check() -> list[lint.Finding]:
    names = lint.project_files()
    findings = check_readmes(names)
    for name in names:
        path = lint.ROOT / name
        content = path.read_bytes()
        # A fuzz corpus is whatever bytes it is.
        if "/corpus/" in name:
            continue
        findings += check_white_space(name, content)
        findings += check_script(name, content, os.access(path, os.X_OK))
        if name.endswith(".h"):
            findings += check_header_guard(name, content.decode())
    return findings


def self_test() -> None:
    for bad in (b"a \n", b"a\r\n", b"\ta\n", b"a", b"a\n\n", b"<<<<<<< x\n"):
        assert check_white_space("sample.cc", bad), f"not reported: {bad!r}"
    assert not check_white_space("sample.cc", b"a\n\n  b\n")
    assert not check_white_space("sample.bin", b"a \n")
    assert check_header_guard("transports/api/a.h", "#ifndef A_H\n#define A_H\n#endif\n")
    assert check_header_guard("transports/api/a.h", "#pragma once\n")
    guard = "TRANSPORTD_TRANSPORTS_API_A_H_"
    assert not check_header_guard(
        "transports/api/a.h", f"// A.\n#ifndef {guard}\n#define {guard}\nint a;\n#endif  // {guard}\n"
    )
    assert check_script("run", b"#!/bin/sh\n", executable=False)
    assert check_script("a.cc", b"int a;\n", executable=True)
    assert not check_script("run", b"#!/bin/sh\n", executable=True)
    assert [finding.path for finding in check_readmes(["a/b.cc", "c/README.md", ".ci/run", "d"])] == ["a/README.md"]


if __name__ == "__main__":
    lint.run(check, self_test)
