#!/usr/bin/python3
"""Makes a man page of what a program prints with --help.

    help_to_man.py --section=8 [--see-also=NAME(SECTION)] PROGRAM OUTPUT.gz

The help text is in paragraphs: a heading stands at the beginning of a line and what belongs to it is indented by two;
an entry is a tag, then, two blanks or a line further on, what is said of it. `Usage` is the synopsis, and what comes
before the first heading the description. The date is SOURCE_DATE_EPOCH's, else today's.
"""

import argparse
import datetime
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

# Of usage and description.
WORDING = re.compile(r"^usage: *", re.IGNORECASE)


def escaped(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in text)
    return r"\&" + text if text.startswith(".") else text


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def is_heading(lines: list[str], index: int) -> bool:
    """At the beginning of a line, short, and what comes next is indented."""
    line = lines[index]
    following = lines[index + 1] if index + 1 < len(lines) else ""
    return line[:1] not in ("", " ") and following.startswith("  ") and not line.rstrip(":").endswith((".", ","))


def entries(lines: list[str]) -> list[str]:
    """The lines of a section: entries with tags, and paragraphs."""
    out: list[str] = []
    in_paragraph = False
    tag: str | None = None
    text: list[str] = []

    def flush() -> None:
        nonlocal tag
        if tag is not None:
            out.extend([".TP", rf"\fB{escaped(tag)}\fR", *(escaped(line) for line in text or [""] if line)])
        tag = None
        text.clear()

    depths = [indentation(line) for line in lines if indentation(line) > 2]
    depth = min(depths, default=0)
    for line in lines:
        if not line.strip():
            in_paragraph = False
        elif indentation(line) == 2:
            flush()
            in_paragraph = False
            tag, _, rest = line.strip().partition("  ")
            if rest.strip():
                text.append(rest.strip())
        elif indentation(line) > 2 and tag is not None and not text and indentation(line) > depth:
            tag += " " + line.strip()
        elif indentation(line) > 2 and tag is not None:
            text.append(line.strip())
        else:
            flush()
            if not in_paragraph:
                out.append(".PP")
            in_paragraph = True
            out.append(escaped(line.strip()))
    flush()
    return out


def is_table(lines: list[str]) -> bool:
    """Whether there is an entry at all; else it is text that was indented."""
    return any(re.match(r"  \S+.*?  +\S", line) or indentation(line) > 2 for line in lines)


def section(title: str, lines: list[str]) -> list[str]:
    while lines and not lines[0].strip():
        lines = lines[1:]
    out = [f'.SH "{escaped(title.upper())}"']
    body = entries(lines) if is_table(lines) else entries([line.strip() for line in lines])
    return out + (body[1:] if body[:1] == [".PP"] else body)


def page(name: str, number: str, version: str, date: str, text: str, see_also: str) -> str:
    lines = text.rstrip("\n").split("\n")
    summary = name
    if lines[0].startswith(name + ": "):
        summary = lines.pop(0)[len(name) + 2 :]
    synopsis: list[str] = []
    description: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if WORDING.match(line):
            synopsis.append(WORDING.sub("", line))
            while index + 1 < len(lines) and lines[index + 1].startswith("   "):
                index += 1
                synopsis.append(lines[index].strip())
        elif is_heading(lines, index):
            sections.append((line.rstrip(":"), []))
        else:
            (sections[-1][1] if sections else description).append(line)
        index += 1
    if summary == name:
        first = next(line for line in description if line.strip())
        description.remove(first)
        summary = first[0].lower() + first[1:].split(":")[0].rstrip(".")
    out = [
        rf".\" Made from {name} --help.",
        f'.TH {name.upper()} {number} "{date}" "{escaped(version)}" "transportd"',
        ".SH NAME",
        rf"{name} \- {escaped(summary)}",
        ".SH SYNOPSIS",
    ]
    for i, line in enumerate(synopsis):
        out += [".br"] if i else []
        out.append(rf"\fB{escaped(line)}\fR")
    if any(line.strip() for line in description):
        out += section("description", description)
    for title, body in sections:
        out += section(title, body)
    if see_also:
        out += [".SH \"SEE ALSO\"", ", ".join(rf"\fB{escaped(one[:-3])}\fR{one[-3:]}" for one in see_also.split(", "))]
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", required=True)
    parser.add_argument("--version-of", default="", help="what stands at the foot: transportd 1.2.3")
    parser.add_argument("--see-also", default="", help="NAME(SECTION), NAME(SECTION)")
    parser.add_argument("program", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    done = subprocess.run([arguments.program, "--help"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        sys.exit(f"{arguments.program} --help: exit status {done.returncode}, no text: {done.stderr}")
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    text = page(
        arguments.program.name, arguments.section, arguments.version_of, f"{now:%Y-%m-%d}", done.stdout, arguments.see_also
    )
    # No time and no name in it: the same text makes the same file.
    arguments.output.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
