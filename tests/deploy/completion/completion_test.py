#!/usr/bin/python3
"""Asks the shells what they complete, with the scripts that the programs print: completion_test.py FOLDER-OF-PROGRAMS"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAMS = Path(sys.argv.pop()).resolve() if len(sys.argv) > 1 else Path("build/release/bin").resolve()

# Bash's own: the words of a line, as readline makes them, then the function that `complete` names.
ASK_BASH = r"""
source "$1"
compopt() { :; }  # Works in a completion alone.
COMP_WORDS=("${@:3}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $(complete -p "$2") =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$2"
printf '%s\n' "${COMPREPLY[@]}"
"""


def script(program: str, shell: str) -> str:
    question = ["completion", shell] if program == "transportctl" else [f"--completion={shell}"]
    return subprocess.run([PROGRAMS / program, *question], capture_output=True, text=True, check=True).stdout


def ask_bash(words: list[str]) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".bash") as file:
        file.write(script(words[0], "bash"))
        file.flush()
        command = ["bash", "-uc", ASK_BASH, "bash", file.name, words[0], *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"bash: {done.returncode} {done.stderr}")
    return done.stdout.split()


def ask_fish(line: str) -> list[str]:
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "script.fish")
        file.write_text(script(line.split()[0], "fish"))
        command = ["fish", "--no-config", "-c", f"source {file}; complete -C '{line}'"]
        environment = os.environ | {"HOME": home}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [answer.split("\t")[0] for answer in done.stdout.splitlines()]


def options_of_help(text: str) -> set[str]:
    """The long options that the help text names where options are explained."""
    names = (line[2:].partition("  ")[0] for line in text.splitlines() if line.startswith("  -"))
    return {option for name in names for option in re.findall(r"--[a-z][a-z-]*", name)}


class Bash(unittest.TestCase):
    def test_commands(self) -> None:
        self.assertLessEqual({"connect", "exec", "policy", "completion"}, set(ask_bash(["transportctl", ""])))
        self.assertEqual(ask_bash(["transportctl", "--json", "tra"]), ["transports"])
        # A value is no command.
        self.assertEqual(ask_bash(["transportctl", "--target", "=", "here", "tra"]), ["transports"])
        self.assertEqual(ask_bash(["transportctl", "--target", "here", "tra"]), ["transports"])

    def test_words_behind_a_command(self) -> None:
        self.assertEqual(ask_bash(["transportctl", "policy", ""]), ["check", "test", "explain"])
        self.assertEqual(ask_bash(["transportctl", "completion", "f"]), ["fish"])
        self.assertEqual(ask_bash(["transportctl", "token", ""]), ["new"])
        self.assertIn("udp", ask_bash(["transportctl", "help", ""]))

    def test_options_are_those_of_the_command(self) -> None:
        listen = ask_bash(["transportctl", "listen", "-"])
        self.assertIn("--keep", listen)
        self.assertNotIn("--servername", listen)
        self.assertIn("--keep", ask_bash(["transportctl", "--k"]))

    def test_every_option_of_the_help_text(self) -> None:
        for program in ("transportd", "transportctl"):
            text = subprocess.run([PROGRAMS / program, "--help"], capture_output=True, text=True, check=True).stdout
            offered = {word for word in ask_bash([program, "--"]) if word.startswith("--")}
            self.assertLessEqual(options_of_help(text), offered | {"--"})
            self.assertGreater(len(offered), 20)

    def test_values(self) -> None:
        self.assertEqual(ask_bash(["transportd", "--policy-reload", "=", ""]), ["revoke", "keep"])
        self.assertEqual(ask_bash(["transportd", "--policy-reload", "="]), ["revoke", "keep"])
        self.assertEqual(ask_bash(["transportd", "--log-level", "w"]), ["warning"])
        self.assertEqual(ask_bash(["transportctl", "connect", "--family", ""]), ["4", "6"])
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "policy.txtpb").touch()
            file = f"{folder}/policy.txtpb"
            self.assertEqual(ask_bash(["transportd", "--policy", "=", f"{folder}/p"]), [file])
            self.assertEqual(ask_bash(["transportctl", "policy", "check", f"{folder}/p"]), [file])
            self.assertEqual(ask_bash(["transportctl", "listen", "--cert", f"{folder}/p"]), [file])
            self.assertEqual(ask_bash(["transportctl", "exec", "--cwd", f"{folder}/p"]), [])


class Fish(unittest.TestCase):
    def test_commands_options_and_values(self) -> None:
        self.assertLessEqual({"connect", "exec", "policy"}, set(ask_fish("transportctl ")))
        self.assertEqual(ask_fish("transportctl policy "), ["check", "explain", "test"])
        self.assertIn("--keep", ask_fish("transportctl listen --k"))
        self.assertNotIn("--keep", ask_fish("transportctl connect --k"))
        self.assertEqual(ask_fish("transportctl connect --family "), ["4", "6"])
        self.assertEqual(ask_fish("transportd --log-level="), [f"--log-level={w}" for w in ("debug", "error", "info", "warning")])


class Zsh(unittest.TestCase):
    def test_parses(self) -> None:
        for program in ("transportd", "transportctl"):
            subprocess.run(["zsh", "-n"], input=script(program, "zsh"), text=True, check=True)

    def test_loads_as_a_completion(self) -> None:
        """Found in fpath, and named for its program."""
        with tempfile.TemporaryDirectory() as folder:
            for program in ("transportd", "transportctl"):
                Path(folder, f"_{program}").write_text(script(program, "zsh"))
            ask = "fpath=($1 $fpath); autoload -Uz compinit; compinit -D -u; print $_comps[transportd] $_comps[transportctl]"
            done = subprocess.run(["zsh", "-fc", ask, "zsh", folder], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split(), ["_transportd", "_transportctl"])


if __name__ == "__main__":
    unittest.main()
