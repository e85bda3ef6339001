#!/usr/bin/python3
"""clang-tidy over our sources, in parallel. What passed is not looked at again until something it sees changes.

BUILD has compile_commands.json and the generated headers: the `tidy` preset. Most of a run's time goes into the headers of
others, so a run is of many sources that are compiled alike. Sources whose names meet are looked at apart. What passed is
noted in BUILD/tidy-passed.
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
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import lint

# Sources of one run.
LARGEST = 32
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
# What a program has once.
ENTRY = re.compile(r"^(?:int main|extern \"C\" int LLVMFuzzer\w+)\(", re.MULTILINE)


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
class Alike:
    """How sources are looked at."""

    arguments: tuple[str, ...]
    # .clang-tidy of the sources' folder, not that of the file that includes them.
    config: Path

    @classmethod
    def of(cls, arguments: tuple[str, ...], source: str) -> "Alike":
        folder = (lint.ROOT / source).parent
        return cls(arguments, next(path for up in (folder, *folder.parents) if (path := up / ".clang-tidy").is_file()))

    def fingerprint(self, source: str, tool: str) -> str:
        digest = hashlib.sha256(f"{tool}\n{self.arguments}\n".encode())
        # All of the configurations: one inherits from another.
        for name in sorted(seen_by(source)) + lint.files_with((".clang-tidy",)):
            digest.update(f"{name}\n".encode() + (lint.ROOT / name).read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Run:
    """What clang-tidy looks at in one go."""

    alike: Alike
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        rest = len(self.sources) - 1
        return self.sources[0] + (f" and {rest} more" if rest else "")

    def cost(self) -> int:
        return sum((lint.ROOT / source).stat().st_size for source in self.sources)

    def halves(self) -> list["Run"]:
        middle = len(self.sources) // 2
        return [Run(self.alike, half) for half in (self.sources[:middle], self.sources[middle:])]


def sources_of(build: Path) -> dict[str, Alike]:
    """Our sources. Generated files and files of other projects are left out."""
    ours, found = set(lint.files_with((".cc",))), {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = os.path.relpath(Path(entry["directory"], entry["file"]), lint.ROOT)
        if source in ours:
            words = shlex.split(entry["command"])
            # Without the output and the source, which come last.
            found[source] = Alike.of(tuple(words[1 : words.index("-o")]), source)
    return found


def runs_of(sources: dict[str, Alike]) -> list[Run]:
    """The dear ones first, so that none of them is alone at the end."""
    groups = defaultdict(list)
    for source, alike in sorted(sources.items()):
        groups[alike].append(source)
    runs = []
    for alike, members in groups.items():
        entries = [source for source in members if ENTRY.search(lint.read(source))]
        rest = [source for source in members if source not in entries]
        count = -(-len(rest) // LARGEST)
        parts = [rest[len(rest) * i // count : len(rest) * (i + 1) // count] for i in range(count)]
        parts += [[] for _ in range(len(entries) - count)]
        for entry, part in zip(entries, parts):
            part.append(entry)
        runs += [Run(alike, tuple(part)) for part in parts]
    return sorted(runs, key=Run.cost, reverse=True)


def tidy(program: str, run: Run) -> tuple[bool, str, float]:
    """Whether the sources are clean, what clang-tidy says, and the seconds it took."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        # The analyzer looks into included functions only where the name says that these are sources, too
        # (clang's AnalysisManager::isInCodeFile).
        unity = Path(scratch, "UnifiedSource.cc")
        unity.write_text("".join(f'#include "{lint.ROOT / source}"\n' for source in run.sources))
        done = subprocess.run(
            [program, "--quiet", f"--config-file={run.alike.config}", str(unity), "--", *run.alike.arguments],
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
        alike = Alike(("-std=c++20", "-Wthread-safety"), lint.ROOT / ".clang-tidy")
        good, text, _ = tidy(program, Run(alike, (str(sample),)))
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
    sources = sources_of(options.build)
    if not sources:
        sys.exit(f"{options.build}/compile_commands.json names no file of ours")
    if unknown := set(options.files) - set(sources):
        sys.exit(f"no source of ours, or not compiled in this build: {' '.join(sorted(unknown))}")

    tool = subprocess.run([options.clang_tidy, "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    passed = options.build / "tidy-passed"
    passed.mkdir(exist_ok=True)
    marks = {source: passed / alike.fingerprint(source, tool) for source, alike in sources.items()}
    for old in set(passed.iterdir()) - set(marks.values()):
        old.unlink()
    waiting = {source: alike for source, alike in sources.items() if not marks[source].exists()}
    if options.files:
        waiting = {source: sources[source] for source in options.files}
    print(f"{len(sources)} files, {len(waiting)} of them to look at", flush=True)

    failed, told, done = [], set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(tidy, options.clang_tidy, run): run for run in runs_of(waiting)}
        while running:
            future = next(concurrent.futures.as_completed(running))
            run, (good, text, seconds) = running.pop(future), future.result()
            line = f"{seconds:5.1f} s  {run.name}"
            if not good and len(run.sources) > 1 and "[clang-diagnostic-error]" in text:
                running.update({pool.submit(tidy, options.clang_tidy, half): half for half in run.halves()})
                print(f"[{done}/{len(waiting)}] {line}: names meet, or an error; each half by itself", flush=True)
                continue
            done += len(run.sources)
            print(f"[{done}/{len(waiting)}] {line}{'' if good else '  FAILED'}", flush=True)
            if good:
                for source in run.sources:
                    marks[source].touch()
            else:
                failed.append(run.name)
                # A header's offence is told once, not once a run that includes it.
                for block in re.split(r"^(?=\S+:\d+:\d+: (?:error|warning): )", text, flags=re.MULTILINE):
                    if block not in told:
                        told.add(block)
                        print(block, end="", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time", flush=True)
    if failed:
        sys.exit(f"clang-tidy objects to {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
