#!/usr/bin/python3
"""clang-tidy over our sources, in parallel. A file that passed is not looked at again until something it sees changes.

BUILD has compile_commands.json (the `tidy` preset) and the generated headers;
what passed is noted in BUILD/tidy-passed.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import lint

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


@lru_cache(maxsize=None)
def seen_by(name: str) -> frozenset[str]:
    """The project's files that a file includes, itself and transitively those of its headers included."""
    seen, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for include in INCLUDE.findall(lint.read(current)):
            if include.endswith(".pb.h"):
                proto = "proto/" + re.sub(r"(\.grpc)?\.pb\.h$", ".proto", include)
                if (lint.ROOT / proto).is_file():
                    seen.add(proto)
            elif (lint.ROOT / include).is_file():
                waiting.append(include)
    return frozenset(seen)


def fingerprint(name: str, command: str, tool: str) -> str:
    digest = hashlib.sha256(f"{tool}\n{command}\n".encode())
    for seen in sorted(seen_by(name)) + lint.files_with((".clang-tidy",)):
        digest.update(f"{seen}\n".encode() + (lint.ROOT / seen).read_bytes())
    return digest.hexdigest()


def compile_commands(build: Path) -> dict[str, str]:
    """File of ours -> its compile command. Generated files and files of other projects are left out."""
    ours = set(lint.files_with((".cc",)))
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), lint.ROOT)
        if name in ours:
            commands[name] = entry.get("command") or " ".join(entry["arguments"])
    return commands


def tidy(program: str, build: Path, name: str, *options: str) -> tuple[bool, str, float]:
    """Whether the file is clean, what clang-tidy says, and the seconds it took."""
    begin = time.monotonic()
    command = [program, "-p", str(build), "--quiet", *options, name]
    done = subprocess.run(
        command, cwd=lint.ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = re.sub(r"^\d+ warnings?.*\n", "", done.stdout, flags=re.MULTILINE)
    return done.returncode == 0, text.replace(f"{lint.ROOT}/", ""), time.monotonic() - begin


BAD = """#include <cstring>
#include <fcntl.h>
struct __attribute__((capability("mutex"))) Mutex {
  void Lock() __attribute__((acquire_capability()));
};
class badName {
 public:
  explicit badName(int* number) : number_(number) {}
  int Read() { return counter_ + open("/x", O_RDONLY) + (std::strerror(0) == 0); }

 private:
  Mutex mutex_;
  int counter_ __attribute__((guarded_by(mutex_))) = 0;
  int* number_;
};
"""
BAD_CHECKS = (
    "clang-diagnostic-thread-safety-analysis",
    "readability-identifier-naming",
    "android-cloexec-open",
    "concurrency-mt-unsafe",
    "modernize-use-nullptr",
)


def self_test(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample.cc")
        sample.write_text(BAD)
        command = f"clang++-14 -std=c++20 -Wthread-safety -c {sample}"
        Path(folder, "compile_commands.json").write_text(
            json.dumps([{"directory": folder, "file": str(sample), "command": command}])
        )
        good, text, _ = tidy(program, Path(folder), str(sample), f"--config-file={lint.ROOT}/.clang-tidy")
    assert not good, "accepted a bad sample"
    for check in BAD_CHECKS:
        assert check in text, f"{check} did not fire: {text}"
    print("self-test passed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--clang-tidy", default="clang-tidy-14")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("files", nargs="*", help="only these")
    options = parser.parse_args()
    if options.self_test:
        self_test(options.clang_tidy)
        return
    commands = compile_commands(options.build)
    if options.files:
        commands = {name: commands[name] for name in options.files}
    if not commands:
        sys.exit(f"{options.build}/compile_commands.json names no file of ours")

    tool = subprocess.run([options.clang_tidy, "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    passed = options.build / "tidy-passed"
    passed.mkdir(exist_ok=True)
    marks = {name: passed / fingerprint(name, command, tool) for name, command in commands.items()}
    waiting = sorted(name for name, mark in marks.items() if not mark.exists())
    print(f"{len(commands)} files, {len(waiting)} to look at", flush=True)

    failed, told = [], set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(tidy, options.clang_tidy, options.build.resolve(), name): name for name in waiting}
        for count, run in enumerate(concurrent.futures.as_completed(runs), 1):
            name, (good, text, seconds) = runs[run], run.result()
            print(f"[{count}/{len(waiting)}] {seconds:5.1f} s  {name}{'' if good else '  FAILED'}", flush=True)
            if good:
                marks[name].touch()
            else:
                failed.append(name)
                # A header's offence is told once, not once a file that includes it.
                for block in re.split(r"^(?=\S+:\d+:\d+: (?:error|warning): )", text, flags=re.MULTILINE):
                    if block not in told:
                        told.add(block)
                        print(block, end="", flush=True)
    for old in set(passed.iterdir()) - set(marks.values()):
        if not options.files:
            old.unlink()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time", flush=True)
    if failed:
        sys.exit(f"clang-tidy objects to {len(failed)} file(s): {' '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
