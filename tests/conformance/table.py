#!/usr/bin/python3
"""Which scenario is played over which transport on which loop, in Markdown, from what the test programs list.

What is not played has a reason: REASONS. A hole without one, and a reason without a hole, are errors.
"""

import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = ("conformance_test", "conformance_grpc_test")
BEGIN, END = "<!-- table.py: begin -->", "<!-- table.py: end -->"

LOOPS = {"embedded": "e", "memory": "m", "grpc": "g"}  # Name in the tests -> letter in the table.
TRANSPORTS = ("v4", "v6", "unix", "tls", "local")


@dataclass(frozen=True)
class Reason:
    """Why scenarios of these groups (file names in scenarios/) are not played over these transports."""

    groups: str
    transports: str
    text: str
    scenarios: str = ""  # A regular expression that the scenario's name must match from its beginning.
    loops: str = ""  # Only these; empty: any.

    def fits(self, group: str, scenario: str, transport: str, loop: str) -> bool:
        return (
            group in self.groups.split()
            and transport in self.transports.split()
            and re.match(self.scenarios, scenario) is not None
            and (not self.loops or loop in self.loops.split())
        )


def not_over_tls() -> dict[str, str]:
    """Scenario -> why it is not played over TLS: the table in scenarios/not_over_tls.cc."""
    text = (HERE / "scenarios/not_over_tls.cc").read_text(encoding="utf-8")
    strings = r'((?:\s*"[^"]*")+)'
    named = {name: joined(words) for name, words in re.findall(rf"std::string_view (k\w+) ={strings};", text)}
    rows = re.findall(rf'^    \{{"(\w+)", OverTls::kNo,(?:\s*(k\w+)|{strings})\}},', text, re.MULTILINE)
    return {scenario: named[name] if name else joined(words) for scenario, name, words in rows}


def joined(strings: str) -> str:
    """Of C++'s adjacent literals."""
    return "".join(re.findall(r'"([^"]*)"', strings))


# The first that fits is the one that is told.
REASONS = (
    Reason(
        "buffered close data eof flow pause",
        "local",
        "A pipe goes one way: what it has in common with a stream is in the scenarios of the group `pipe`.",
    ),
    Reason("connect datagram errors own server sockets tls", "local", "`local` is pipes, subprocesses, and the calls for Unix sockets."),
    Reason("pipe process unix", "v4 v6 unix tls", "Of no network: played once."),
    Reason("tls", "v4 v6 unix", "Of TLS."),
    *(
        Reason("buffered close data eof errors flow pause server", "tls", text, scenarios=f"{scenario}$")
        for scenario, text in not_over_tls().items()
    ),
    Reason("connect datagram own sockets", "tls", "`tls` is what all stream transports do, servers, and the group `tls`."),
    Reason(
        "connect",
        "unix",
        "Of `create_connection`; `create_unix_connection` connects in every scenario of `unix`, and the rest of it is"
        " in the group `unix`.",
    ),
    Reason(
        "server own",
        "unix",
        "Of `create_server`; `create_unix_server` is in the group `unix`.",
        scenarios="servers?_|(close|abort)_clients_|start_serving_",
    ),
    Reason(
        "errors own",
        "unix",
        "About RST, which a Unix socket does not know.",
        scenarios="reset_|half_open_|(write|abort)_after_an_error|abort_with_reset|end_by_reset|end_of_a_half_open",
    ),
    Reason(
        "own",
        "unix",
        "About TCP: addresses, a backlog that does not answer, TCP's socket options.",
        scenarios="connect_|happy_eyeballs_|socket_options_",
    ),
    Reason(
        "datagram",
        "unix",
        "`unix` is a stream; Unix datagrams are in `datagram_unix_sockets_and_unnamed_senders`.",
    ),
    Reason("own sockets", "unix", "Nothing in it depends on the kind of socket."),
)


class TableError(Exception):
    """The table cannot be made."""


def scenario_groups() -> dict[str, str]:
    """Scenario -> the file of scenarios/ whose list has it."""
    groups = {}
    for path in sorted((HERE / "scenarios").glob("*.cc")):
        for name in re.findall(r'\{"([a-z0-9_]+)",\s*(?!OverTls::)[A-Z]', path.read_text(encoding="utf-8")):
            groups[name] = path.stem
    return groups


def list_of(program: str) -> str:
    """What the test program lists; a file that is no program is such a list itself."""
    path = pathlib.Path(program)
    if not path.exists():
        raise TableError(f"{program} is not there: build it first")
    if not os.access(path, os.X_OK):
        return path.read_text(encoding="utf-8")
    return subprocess.run([path.resolve(), "--gtest_list_tests"], check=True, stdout=subprocess.PIPE).stdout.decode()


def performances(text: str, groups: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """Scenario -> transport -> loops, scenarios in the order of the tests."""
    found: dict[str, dict[str, set[str]]] = {}
    for loop, rest in re.findall(r"^  DoesAsAsyncio/([a-z0-9]+)_(\w+)", text, re.MULTILINE):
        if loop not in LOOPS:
            raise TableError(f"loop {loop}, in {loop}_{rest}, is not in LOOPS")
        for transport in TRANSPORTS:
            scenario = rest[len(transport) + 1 :]
            if rest.startswith(transport + "_") and scenario in groups:
                found.setdefault(scenario, {}).setdefault(transport, set()).add(loop)
                break
        else:
            raise TableError(f"{loop}_{rest} is of no transport of TRANSPORTS, or in no file of scenarios/")
    for loop in LOOPS:
        if not any(loop in loops for transports in found.values() for loops in transports.values()):
            raise TableError(f"no test is of the loop {loop}: both test programs are needed")
    return found


def table(found: dict[str, dict[str, set[str]]], groups: dict[str, str], reasons: tuple[Reason, ...] = REASONS) -> str:
    numbers: dict[str, int] = {}
    unexplained = []

    def cell(scenario: str, transport: str) -> str:
        played = found[scenario].get(transport, set())
        words = [letter for loop, letter in LOOPS.items() if loop in played]
        for loop in LOOPS:
            if loop in played:
                continue
            reason = next((r for r in reasons if r.fits(groups[scenario], scenario, transport, loop)), None)
            if reason is None:
                unexplained.append(f"{loop}_{transport}_{scenario}")
                continue
            number = str(numbers.setdefault(reason.text, len(numbers) + 1))
            if number not in words:
                words.append(number)
        return " ".join(words)

    lines = [f"| Scenario | {' | '.join(TRANSPORTS)} |", "|---" * (len(TRANSPORTS) + 1) + "|"]
    for group in dict.fromkeys(groups[scenario] for scenario in found):
        lines.append(f"| **{group}** |" + " |" * len(TRANSPORTS))
        for scenario in (name for name in found if groups[name] == group):
            cells = [cell(scenario, transport) for transport in TRANSPORTS]
            lines.append(f"| `{scenario}` | {' | '.join(cells)} |")
    if unexplained:
        raise TableError("not played, and REASONS does not say why: " + ", ".join(unexplained))
    if idle := [reason.text for reason in reasons if reason.text not in numbers]:
        raise TableError("REASONS explains what is played everywhere: " + "; ".join(idle))
    count = sum(len(loops) for transports in found.values() for loops in transports.values())
    head = [f"{len(found)} scenarios, played {count} times.", ""]
    foot = [""] + [f"{number}. {text}" for text, number in numbers.items()] if numbers else []
    return "\n".join(head + lines + foot) + "\n"


def between_markers(text: str) -> tuple[str, str, str]:
    """What stands before, between and after the markers."""
    before, begin, rest = text.partition(BEGIN + "\n")
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise TableError(f"{BEGIN} and {END}, each on a line of its own, are not in the file")
    return before + begin, between, end + after


def difference(old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "stands there", "is right", n=0, lineterm="")
    return "\n".join(lines)


def self_test() -> None:
    groups = {"close_twice": "close", "pipe_talks": "pipe", "own_thing": "own"}
    played = "v4_close_twice v6_close_twice unix_close_twice tls_close_twice v4_own_thing v6_own_thing local_pipe_talks"
    names = [f"{loop}_{name}" for loop in LOOPS for name in played.split()]
    fewer = [name for name in names if name != "grpc_v6_close_twice"]
    reasons = (
        Reason("close own", "local", "One way."),
        Reason("pipe", "v4 v6 unix tls", "No network."),
        Reason("own", "unix tls", "No Unix.", scenarios="own_"),
    )

    def made(names: list[str], why: tuple[Reason, ...] = reasons) -> str:
        lines = [f"  DoesAsAsyncio/{name}  # GetParam() = {name}" for name in names]
        text = "\n".join(["Scenarios/Conformance.", *lines, "Oracle.", "  PlaysTheSameScenarios", ""])
        return table(performances(text, groups), groups, why)

    expected = """\
3 scenarios, played 21 times.

| Scenario | v4 | v6 | unix | tls | local |
|---|---|---|---|---|---|
| **close** | | | | | |
| `close_twice` | e m g | e m g | e m g | e m g | 1 |
| **own** | | | | | |
| `own_thing` | e m g | e m g | 2 | 2 | 1 |
| **pipe** | | | | | |
| `pipe_talks` | 3 | 3 | 3 | 3 | e m g |

1. One way.
2. No Unix.
3. No network.
"""
    assert made(names) == expected, difference(expected, made(names))
    some = (*reasons, Reason("close", "v6", "Not there.", loops="grpc"))
    assert "| e m g | e m 1 | e m g | e m g |" in made(fewer, some)

    def error(names: list[str], why: tuple[Reason, ...] = reasons) -> str:
        try:
            made(names, why)
        except TableError as caught:
            return str(caught)
        raise AssertionError("made a table of bad input")

    assert "REASONS does not say why: grpc_v6_close_twice" in error(fewer)
    assert "what is played everywhere: Idle." in error(names, (*reasons, Reason("close", "v4", "Idle.")))
    assert "loop other" in error([*names, "other_v4_close_twice"])
    assert "of no transport" in error([*names, "grpc_v5_close_twice"])
    assert "of no transport" in error([*names, "grpc_v4_close_thrice"])
    assert "the loop grpc" in error([name for name in names if not name.startswith("grpc")])

    text = f"a\n{BEGIN}\nold\n{END}\nb\n"
    assert between_markers(text) == (f"a\n{BEGIN}\n", "old\n", f"{END}\nb\n")
    for bad in (f"a\n{BEGIN}\n", f"a\n{END}\n"):
        try:
            between_markers(bad)
        except TableError:
            continue
        raise AssertionError("found a marker that is not there")
    assert difference("a\n", "a\n") == "" and "-b" in difference("b\n", "c\n")
    print("self-test passed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", metavar="FILE", help="compare with what stands in FILE between the two markers")
    what.add_argument("--write", metavar="FILE", help="put the table into FILE, between the two markers")
    what.add_argument("--self-test", action="store_true", help="prove that bad input is reported")
    parser.add_argument(
        "program",
        nargs="*",
        default=[str(ROOT / "build/release/tests" / program) for program in PROGRAMS],
        help=f"the test programs, or files with what they list; default: {' and '.join(PROGRAMS)} of build/release",
    )
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    groups = scenario_groups()
    new = table(performances("".join(list_of(program) for program in arguments.program), groups), groups)
    name = arguments.check or arguments.write
    if name is None:
        sys.stdout.write(new)
        return
    path = pathlib.Path(name)
    before, old, after = between_markers(path.read_text(encoding="utf-8"))
    if arguments.write:
        path.write_text(before + new + after, encoding="utf-8")
    elif old != new:
        print(difference(old, new))
        programs = " ".join(arguments.program)
        renew = f"{pathlib.Path(__file__).resolve()} --write {name} {programs}"
        raise TableError(f"{name} is not up to date; renew it:\n  {renew}")


if __name__ == "__main__":
    try:
        main()
    except TableError as error:
        sys.exit(f"table.py: {error}")
