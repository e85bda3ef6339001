"""transportd as the first process of a PID namespace, as it is in a container: what others leave behind is its to reap."""

import os
import signal
import subprocess
import threading
import unittest
from pathlib import Path

import harness
from harness import Service, eventually
from transportctl_case import TransportctlTestCase

# A namespace with a /proc of its own. Who is not root needs a user namespace; user_namespaces(7).
UNSHARE = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
ORPHANS = 8
# Processes that lose their parent at once, and end when they are sent a line. Each says when it is out of the group that
# ends with the program.
LEAVE_ORPHANS = f"""
exec 3<>"$0.ready"
for i in $(seq {ORPHANS}); do (setsid sh -c "echo >&3; read end; exit 1" <"$0" >/dev/null 2>&1 &); done
for i in $(seq {ORPHANS}); do read ready <&3; done
"""


def wrapper() -> tuple[str, ...]:
    reason = ""
    for command in (UNSHARE, [*UNSHARE, "--user", "--map-root-user"]):
        trial = subprocess.run([*command, "true"], check=False, capture_output=True, text=True)
        if trial.returncode == 0:
            return tuple(command)
        reason = reason or trial.stderr.strip()
    raise unittest.SkipTest(f"no PID namespace: {reason}")


class FirstProcess(Service):
    """What is signalled, and whose children are looked at, is transportd, and not unshare."""

    def __init__(self, *flags: str):
        super().__init__(*flags, wrapper=wrapper())
        (self.pid,) = children(self.process.pid)

    def stop(self) -> None:
        # unshare itself would not pass SIGTERM on: it ends with the status of its child.
        os.kill(self.pid, signal.SIGTERM)
        self.expect_ended()
        super().stop()


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def state(pid: int) -> str:
    """A letter, Z for a zombie; proc(5), stat."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


class FirstProcessTest(TransportctlTestCase):
    def start_service(self) -> Service:
        return FirstProcess()

    def leave_orphans(self) -> int:
        """They have become the service's children, and end when what is returned is closed."""
        fifo = self.folder() / "fifo"
        for name in (fifo, f"{fifo}.ready"):
            os.mkfifo(name)
        end = os.open(fifo, os.O_RDWR)
        before = len(children(self.service.pid))
        # They are in sessions of their own: what ends with their starter's process group, they survive.
        self.assertEqual(self.run_to_end("exec", "sh", "-c", LEAVE_ORPHANS, str(fifo)), (0, b"", ""))
        eventually(lambda: len(children(self.service.pid)) == before + ORPHANS, "the orphans are the service's")
        return end

    def test_orphans_that_end_leave_no_zombie(self):
        end = self.leave_orphans()
        self.assertNotIn("Z", [state(pid) for pid in children(self.service.pid)])
        os.write(end, b"\n" * ORPHANS)
        eventually(lambda: not children(self.service.pid), "all that were left behind are reaped", 10)
        os.close(end)

    def test_the_service_s_own_children_keep_their_exit_status(self):
        """Orphans end all the time meanwhile."""
        leave = 'for i in $(seq 200); do (sh -c "exit 1" &); done'
        statuses = []

        def exits(number: int) -> None:
            for _ in range(10):
                statuses.append((number, self.run_to_end("exec", "sh", "-c", f"{leave}; exit {number}")[0]))

        threads = [threading.Thread(target=exits, args=(number,)) for number in range(3, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 40)
        for expected, status in statuses:
            self.assertEqual(status, expected)
        self.assertNotIn("reaped by somebody else", self.service.stderr())
        eventually(lambda: not children(self.service.pid), "no child is left", 10)


if __name__ == "__main__":
    harness.main()
