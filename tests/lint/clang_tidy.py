#!/usr/bin/python3
"""clang-tidy over our sources, in parallel. What passed is not looked at again until something it sees changes.

BUILD has compile_commands.json and the generated headers (the `tidy` preset, a unity build: a compilation, and so
a run of clang-tidy, is of up to eight sources of one target); what passed is noted in BUILD/tidy-passed.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Compilation:
    """What one run looks at."""

    arguments: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        rest = len(self.sources) - 1
        return self.sources[0] + (f" and {rest} more" if rest else "")

    def fingerprint(self, tool: str) -> str:
        digest = hashlib.sha256(f"{tool}\n{self.arguments}\n".encode())
        seen = frozenset().union(*(seen_by(source) for source in self.sources))
        for name in sorted(seen) + lint.files_with((".clang-tidy",)):
            digest.update(f"{name}\n".encode() + (lint.ROOT / name).read_bytes())
        return digest.hexdigest()

    def cost(self) -> int:
        return sum((lint.ROOT / source).stat().st_size for source in self.sources)


def compilations(build: Path) -> list[Compilation]:
    """Those of our sources. Generated files and files of other projects are left out."""
    ours, found = set(lint.files_with((".cc",))), []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = Path(entry["directory"], entry["file"])
        is_unity = "Unity" in file.parts
        included = re.findall(r'^#include "(.+)"$', file.read_text(), re.MULTILINE) if is_unity else [file]
        sources = tuple(os.path.relpath(source, lint.ROOT) for source in included)
        if not ours.issuperset(sources):
            continue
        words = shlex.split(entry["command"])
        # Without the output and the source, which come last.
        found.append(Compilation(tuple(words[1 : words.index("-o")]), sources))
    return found


def only(wanted: list[str], all_of_them: list[Compilation]) -> list[Compilation]:
    """Each of these files by itself, with the arguments of the compilation that it is part of."""
    of = {source: compilation for compilation in all_of_them for source in compilation.sources}
    if unknown := [name for name in wanted if name not in of]:
        sys.exit(f"no source of ours, or not compiled in this build: {' '.join(unknown)}")
    return [Compilation(of[name].arguments, (name,)) for name in wanted]


def tidy(program: str, compilation: Compilation) -> tuple[bool, str, float]:
    """Whether the sources are clean, what clang-tidy says, and the seconds it took."""
    begin = time.monotonic()
    # The folder of the sources decides, not that of the file that includes them.
    folder = (lint.ROOT / compilation.sources[0]).parent
    config = next(path for up in (folder, *folder.parents, lint.ROOT) if (path := up / ".clang-tidy").is_file())
    with tempfile.TemporaryDirectory() as scratch:
        # The analyzer looks into included functions only where the name says that these are sources, too
        # (clang's AnalysisManager::isInCodeFile).
        unity = Path(scratch, "UnifiedSource.cc")
        unity.write_text("".join(f'#include "{lint.ROOT / source}"\n' for source in compilation.sources))
        done = subprocess.run(
            [program, "--quiet", f"--config-file={config}", str(unity), "--", *compilation.arguments],
            cwd=lint.ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
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
  int Dereference() { return number_ == nullptr ? *number_ : 0; }
  int Read() { return counter_ + open("/x", O_RDONLY) + (std::strerror(0) == 0); }

 private:
  Mutex mutex_;
  int counter_ __attribute__((guarded_by(mutex_))) = 0;
  int* number_;
};
"""
BAD_CHECKS = (
    "clang-analyzer-core.NullDereference",
    "clang-diagnostic-thread-safety-analysis",
    "readability-identifier-naming",
    "android-cloexec-open",
    "concurrency-mt-unsafe",
    "modernize-use-nullptr",
)


def self_test(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "tests", "sample.cc")
        sample.parent.mkdir()
        sample.write_text(BAD)
        arguments = ("-std=c++20", "-Wthread-safety")
        good, text, _ = tidy(program, Compilation(arguments, (str(sample),)))
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
    every = compilations(options.build)
    if options.files:
        every = only(options.files, every)
    if not every:
        sys.exit(f"{options.build}/compile_commands.json names no file of ours")

    tool = subprocess.run([options.clang_tidy, "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    passed = options.build / "tidy-passed"
    passed.mkdir(exist_ok=True)
    marks = {compilation: passed / compilation.fingerprint(tool) for compilation in every}
    # The dear ones first, so that none of them is alone at the end.
    waiting = sorted((one for one, mark in marks.items() if not mark.exists()), key=Compilation.cost, reverse=True)
    count = sum(len(one.sources) for one in every)
    print(f"{count} files in {len(every)} compilations, {len(waiting)} of them to look at", flush=True)

    failed, told = [], set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(tidy, options.clang_tidy, compilation): compilation for compilation in waiting}
        for done, run in enumerate(concurrent.futures.as_completed(runs), 1):
            compilation, (good, text, seconds) = runs[run], run.result()
            name = compilation.name
            print(f"[{done}/{len(waiting)}] {seconds:5.1f} s  {name}{'' if good else '  FAILED'}", flush=True)
            if good:
                marks[compilation].touch()
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
        sys.exit(f"clang-tidy objects to {len(failed)} of {len(waiting)}: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
