"""What the lint scripts share: the project's files, findings, C++ text without comments, and the main function."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

ROOT = Path(__file__).resolve().parents[2]
CPP_SUFFIXES = (".h", ".cc")


@dataclass(frozen=True)
class Finding:
    """One offence. `line` counts from 1; 0 means the whole file."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def project_files() -> list[str]:
    """Every file git tracks, relative to the root; without a git checkout, every file outside build/."""
    if (ROOT / ".git").exists():
        # safe.directory: the checkout may belong to another user than the one who runs the tests.
        command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
        names = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
        return sorted(name for name in names if name and (ROOT / name).is_file())
    skipped = {"build", "node_modules", "__pycache__"}
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped]
        found += [str((Path(folder) / name).relative_to(ROOT)) for name in files]
    return sorted(found)


def files_with(suffixes: Iterable[str], below: Iterable[str] = ("",)) -> list[str]:
    """The project's files with one of these suffixes whose path starts with one of these prefixes."""
    return [name for name in project_files() if name.endswith(tuple(suffixes)) and name.startswith(tuple(below))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


_CPP_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<raw>R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)")"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*")"""
    r"""|(?P<char>(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+')""",
    re.DOTALL,
)


def without_comments(text: str, keep_strings: bool = False) -> str:
    """C++ text with its comments, and the insides of its literals, blanked. Lines keep their numbers."""

    def blank(match: re.Match) -> str:
        if match["comment"] is None and keep_strings:
            return match[0]
        quote = "" if match["comment"] is not None else '"'
        return quote + "\n" * match[0].count("\n") + quote

    return _CPP_TOKEN.sub(blank, text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def run(check: Callable[[], list[Finding]], self_test: Callable[[], None]) -> None:
    """The main function of a lint script: exit status 0 when nothing was found. `--self-test` runs that instead."""
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        print("self-test passed")
        return
    if sys.argv[1:]:
        sys.exit(f"usage: {sys.argv[0]} [--self-test]")
    findings = check()
    for finding in findings:
        print(finding)
    if findings:
        sys.exit(f"{len(findings)} offence(s)")
