"""The run: starts every peer, measures each row through each of them in turn, and reports. tests/bench/run calls it."""

import contextlib
import os
import sys

import curves
import ending
import machine
import metrics
import micro
import nginx
import peers
import ratios
import report
import selection
import works
from peer import Unavailable
from processes import CannotRun, Failed
from progress import Progress, clock
from samples import Sample, Samples
from setting import Setting

_BUSY_LOAD_PER_CORE = 0.5


def print_list(rows: list[works.Row], options) -> None:
    needed = ratios.cells()
    for row in rows:
        who = " ".join(f"{peer}*" if (row.name, peer) in needed else peer for peer in row.peers)
        print(f"{row.name:<24} {row.title}\n{'':<24}   {who}")
    print("* what the required ratios and limits are made of; --quick measures these")
    if not options.python:
        print("the rows of the Python client: --list --python")


class Run:
    """Entered: bench_peer and all peers that the rows need run. Left: nothing does."""

    def __init__(self, options, rows: list[works.Row]):
        self.options = options
        self.rows = rows
        self.samples = Samples()
        self.peers: dict[str, peers.Peer] = {}
        self.setting = Setting(options.build, options.output / "tools", options.seconds, options.quick)
        if options.python:
            self.setting.python = options.build / "python-venv/bin/python"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Run":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.setting)
            if any("{http}" in row.work for row in self.rows):
                self.setting.add_far_end(nginx.start(self.setting))
            for name in peers.PEERS:
                if any(name in row.peers for row in self.rows):
                    self._start(name, stack)
            if not self.peers:
                raise CannotRun("no peer is left to measure")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def _start(self, name: str, stack: contextlib.ExitStack) -> None:
        peer = peers.create(name, self.setting)
        print(f"starting {name}: {peer.title}", flush=True)
        try:
            peer.check_built()
            self.peers[name] = stack.enter_context(peer)
        except Unavailable as reason:
            if self.options.check and name in ratios.needed_peers({row.name for row in self.rows}):
                raise CannotRun(f"a requirement needs {name}: {reason}") from None
            print(f"without {name}: {reason}", flush=True)
            self.rows = [row.with_peers(tuple(one for one in row.peers if one != name)) for row in self.rows]
        except (CannotRun, Failed) as error:
            peer.stop()
            raise CannotRun(f"{name} did not start: {error}") from None

    def measure(self) -> None:
        """Each row: a sample through each peer, then the next repeat."""
        cells = self._cells()
        progress = Progress([row.expected_seconds(self.setting) for row, _, _ in cells])
        for row, name, repeat in cells:
            start = progress.seconds()
            progress.begin(f"{row.name} {name} {repeat + 1}/{self._repeats(row)}")
            try:
                result = row.measure(self.peers[name], row)
            except Failed as error:
                progress.end("FAILED")
                self._check_alive(name)
                self.samples.failures.append((row.name, name, str(error)))
                continue
            self.samples.all.append(Sample(row.name, name, repeat, round(progress.seconds() - start, 2), result))
            progress.end(", ".join(metrics.text(key, result[key]) for key in row.metrics if key in result))
        print(f"measured in {clock(progress.seconds())}")

    def _cells(self) -> list[tuple[works.Row, str, int]]:
        cells = []
        for row in self.rows:
            fitting = []
            for name in row.peers:
                if row.descriptors(name) <= self.setting.descriptor_limit:
                    fitting.append(name)
                    continue
                reason = f"needs {row.descriptors(name)} open files; the limit is {self.setting.descriptor_limit}"
                self.samples.failures.append((row.name, name, f"{reason}: raise it with ulimit -n, as root"))
            cells += [(row, name, repeat) for repeat in range(self._repeats(row)) for name in fitting]
        return cells

    def _repeats(self, row: works.Row) -> int:
        return min(self.options.repeat, row.most_repeats[self.options.quick])

    def _check_alive(self, name: str) -> None:
        """A dead peer ends the run: what is left could not be compared."""
        for program in self.setting.far_ends:
            program.check_alive()
        self.peers[name].check_alive()


def report_all(run: Run, facts: dict) -> int:
    """Prints and writes what was measured; the exit status."""
    options = run.options
    verdicts = ratios.judge(run.samples, {row.name for row in run.rows})
    print(f"\n{report.heading(facts)}")
    print(report.table(run.rows, run.peers, run.samples))
    print(report.requirements(verdicts))
    if options.quick:
        print(
            f"\n--quick: only the rows and peers with ratios, {options.repeat} samples of {options.seconds:g} s; "
            "for figures to believe run it without"
        )
    path = options.output / ("python.json" if options.python else "results.json")
    report.write_json(path, facts, options, run.rows, run.samples, verdicts)
    print(f"\nwritten: {path}")
    for path in curves.draw(options.output, run.rows, run.peers, run.samples):
        print(f"written: {path}")
    for row, peer, reason in run.samples.failures:
        print(f"not measured: {row} through {peer}: {reason}", file=sys.stderr)
    if options.check:
        for verdict in verdicts:
            if not verdict.reached:
                print(verdict.line() if verdict.value is None else f"missed: {verdict.line()}")
        print(ratios.summary(verdicts, {row.name for row in works.matrix(options.python)}), flush=True)
    return exit_status(verdicts if options.check else [], run.samples)


def exit_status(verdicts: list[ratios.Verdict], samples: Samples) -> int:
    """A requirement that is missed outweighs a failure: no other sample makes up for it."""
    if any(verdict.missed for verdict in verdicts):
        return 1
    return 3 if samples.failures or not all(verdict.reached for verdict in verdicts) else 0


def main() -> int:
    options = selection.checked_options()
    rows = selection.selected_rows(options)
    if options.list:
        print_list(rows, options)
        return 0
    ending.end_on_signals()
    if os.getloadavg()[0] > _BUSY_LOAD_PER_CORE * os.cpu_count():
        print(f"warning: other programs use this machine: load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if options.micro:
        return micro.run(options)
    run = Run(options, rows)
    facts = {}
    try:
        with run:
            facts = machine.facts(run.setting, run.peers.values())
            run.measure()
        return report_all(run, facts)
    except (CannotRun, Failed) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        status = 3
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        status = 130
    if run.samples.all and report_all(run, facts) == 1 and status == 3:
        return 1
    return status


if __name__ == "__main__":
    sys.exit(ending.guarded(main))
