"""The rows that a run is asked for. As a program: checks the options and the rows; status 2 when they are wrong."""

import argparse
import sys
import tempfile
from pathlib import Path

import ending
import options as command_line
import ratios
import works


class BadUsage(Exception):
    """What is wrong with the words of the command, in a sentence."""


def selected_rows(options: argparse.Namespace) -> list[works.Row]:
    """With --quick: the rows that have ratios, and the peers that these need."""
    rows = [row for row in _named_rows(options) if options.soak or not row.soak]
    if not options.quick:
        return rows
    needed = ratios.cells()
    rows = [row.with_peers(tuple(peer for peer in row.peers if (row.name, peer) in needed)) for row in rows]
    return [row for row in rows if row.peers]


def check(options: argparse.Namespace) -> None:
    """Raises BadUsage. Makes the folder for the results."""
    if options.list:
        return
    if not options.micro:
        _check_rows(options)
    _check_output(options.output)


def _named_rows(options: argparse.Namespace) -> list[works.Row]:
    return [row for row in works.matrix(options.python) if options.only is None or options.only.search(row.name)]


def _check_rows(options: argparse.Namespace) -> None:
    rows = selected_rows(options)
    if not rows:
        named = _named_rows(options)
        if not named:
            raise BadUsage(f"no row has such a name; --list{' --python' if options.python else ''} names them")
        if not options.soak and all(row.soak for row in named):
            raise BadUsage(f"{', '.join(row.name for row in named)}: runs only with --soak")
        needed = _rows_with_requirements(options)
        raise BadUsage(f"--quick measures only rows with requirements, and these have none. {needed}")
    if options.check and not ratios.asked({row.name for row in rows}):
        needed = _rows_with_requirements(options)
        raise BadUsage(f"--check: no requirement can be judged by the rows asked for. {needed}")


def _rows_with_requirements(options: argparse.Namespace) -> str:
    rows = works.matrix(options.python)
    soaks = {row.name for row in rows if row.soak}
    texts = []
    for requirement in ratios.asked({row.name for row in rows}):
        names = dict.fromkeys(row for row, _ in requirement.cells())
        texts.append(" with ".join(f"{name} (takes --soak)" if name in soaks else name for name in names))
    return f"Rows with requirements: {', '.join(dict.fromkeys(texts))}"


def _check_output(folder: Path) -> None:
    """By a file that has no name: root may write where the file system cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadUsage(f"--output {folder}: no results can be written there: {error.strerror}") from None


def checked_options() -> argparse.Namespace:
    """Those of the command. Ends with status 2 when they are wrong."""
    options = command_line.parse()
    try:
        check(options)
    except BadUsage as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    return options


def main() -> int:
    checked_options()
    return 0


if __name__ == "__main__":
    sys.exit(ending.guarded(main))
