#!/usr/bin/python3
"""Builds the Debian packages, installs them into a Debian of their own, boots it and takes them away again.

    package_test.py BUILD-FOLDER

Needs root: mmdebstrap makes the Debian, systemd-nspawn boots it. Exit status: 77 without root.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

BUILD = Path(sys.argv.pop()).resolve() if len(sys.argv) > 1 else Path("build/release").resolve()

# systemd's measure of what a service could reach, 0 to 10, in tenths; deploy/README.md says what makes up the rest.
EXPOSURE_LIMIT = 20

# For `local`, besides what is installed: programs confined and not, and the network of the machine itself.
ROLE = """
role {
  name: "test"
  run { name: "cat" program: "/usr/bin/cat" args_regex: ".*" read: "/etc/debian_version" }
  run { name: "id" program: "/usr/bin/id" args_regex: ".*" }
  connect { name: "own" protocols: TCP to { classes: LOOPBACK any_port: true } }
}
binding { role: "test" principals: "local" }
"""


def run(*command: str | Path, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def apt_options() -> list[str]:
    """How this machine's apt gets out, for the one in there."""
    names = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Date", "Acquire::Retries")
    return [f"--aptopt={line}" for line in run("apt-config", "dump").stdout.splitlines() if line.startswith(names)]


@contextlib.contextmanager
def booted(root: Path) -> Iterator[list[str]]:
    """Boots the system of `root`, and yields the command that runs another one in it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(120)
        with open(f"{folder}/console", "w+") as console:
            machine = subprocess.Popen(
                ["systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit", "--notify-ready=yes",
                 # systemd 252's own list for machines is older than Landlock.
                 "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
                 "--console=pipe", "--machine=transportd-package-test", f"--directory={root}"],
                env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notify"}, stdin=subprocess.DEVNULL, stdout=console,
                stderr=console,
            )
            try:
                leader = ""
                # READY=1 comes when all that is to be started has been.
                while True:
                    try:
                        words = manager.recv(4096).decode().split("\n")
                    except TimeoutError:
                        console.seek(0)
                        raise AssertionError(f"the machine did not boot:\n{console.read()}") from None
                    leader = next((w.removeprefix("X_NSPAWN_LEADER_PID=") for w in words if w.startswith("X_N")), leader)
                    if "READY=1" in words:
                        break
                yield ["nsenter", f"--target={leader}", "--all", "--"]
            finally:
                # Halts the machine.
                machine.send_signal(signal.SIGTERM)
                try:
                    machine.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    machine.kill()
                    machine.wait()


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="transportd-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run("cpack", "-G", "DEB", "-B", cls.folder / "debs", cwd=BUILD)
        debs = sorted((cls.folder / "debs").glob("*.deb"))
        cls.client, cls.service = debs
        cls.root = cls.folder / "root"
        inside = " ".join(f"/srv/{deb.name}" for deb in debs)
        run(
            "mmdebstrap", "--variant=minbase", "--dpkgopt=force-unsafe-io", *apt_options(),
            *(f"--customize-hook=upload {deb} /srv/{deb.name}" for deb in debs),
            f'--customize-hook=chroot "$1" apt-get install -y --no-install-recommends {inside} systemd-sysv dbus',
            "bookworm", cls.root,
        )  # fmt: skip

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("chroot", self.root, *command, check=check)

    def test_1_lintian_has_nothing_to_say(self) -> None:
        run("lintian", "--allow-root", "--fail-on=error,warning", self.client, self.service)

    def test_2_fields(self) -> None:
        depends = run("dpkg-deb", "--field", self.service, "Depends").stdout
        self.assertRegex(depends, r"libc6 \(>= .*libssl3 ")
        self.assertIn("systemd-sysusers", depends)
        self.assertNotIn("systemd", run("dpkg-deb", "--field", self.client, "Depends").stdout)

    def test_3_programs_run(self) -> None:
        self.assertRegex(self.inside("transportd", "--version").stdout, r"^transportd \d+\.")
        self.assertRegex(self.inside("transportctl", "--version").stdout, r"^transportctl \d+\.")
        printed = self.inside("transportd", "--print-config", "--config=/etc/transportd/transportd.conf").stdout
        self.assertIn('policy: "/etc/transportd/policy.txtpb"  # file', printed)
        self.inside("transportctl", "policy", "check", "/etc/transportd/policy.txtpb")
        self.assertIn("seccomp: ", self.inside("/usr/libexec/transportd/transportd-spawn", "--probe").stdout)

    def test_3_by_hand_without_a_service_manager(self) -> None:
        read_fd, write_fd = os.pipe()
        service = subprocess.Popen(
            # What finds transportd-spawn asks /proc where transportd is.
            ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$1/proc" && exec chroot "$@"', "sh", self.root,
             "transportd", "--dev", "--listen=127.0.0.1:0", "--address-file=/tmp/address"],
            stderr=write_fd, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write_fd)
        with open(read_fd) as log:
            address = next(line.split(" listens on ")[1].strip() for line in log if " listens on " in line)
            self.assertIn("transportd ", self.inside("transportctl", "--target", address, "version").stdout)
            output = self.inside("transportctl", "--target", address, "exec", "--", "uname").stdout
            self.assertEqual(output, "Linux\n")
            service.terminate()
            self.assertEqual(service.wait(timeout=30), 0, log.read())

    def test_3_man_pages(self) -> None:
        for page in ("man1/transportctl.1", "man8/transportd.8", "man8/transportd-spawn.8"):
            path = self.root / "usr/share/man" / f"{page}.gz"
            run("mandoc", "-T", "lint", "-W", "warning", path)
            html = run("mandoc", "-T", "html", path).stdout
            for heading in ("NAME", "SYNOPSIS", "SEE_ALSO"):
                self.assertIn(f'id="{heading}"', html)

    def test_4_unit(self) -> None:
        self.assertEqual(self.inside("systemd-analyze", "verify", "--man=no", "transportd.service").stderr, "")
        limit = f"--threshold={EXPOSURE_LIMIT}"
        self.inside("systemd-analyze", "security", "--offline=true", limit, "--no-pager", "transportd.service")
        self.assertTrue((self.root / "etc/systemd/system/multi-user.target.wants/transportd.service").is_symlink())

    def test_5_booted(self) -> None:
        policy = self.root / "etc/transportd/policy.txtpb"
        policy.write_text(policy.read_text() + ROLE)
        self.inside("transportctl", "policy", "check", "/etc/transportd/policy.txtpb")
        with booted(self.root) as enter:

            def machine(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
                return run(*enter, *command, check=check)

            def ctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
                return machine("transportctl", "--target=unix:/run/transportd/transportd.sock", *arguments, check=check)

            def state() -> dict[str, str]:
                names = "--property=ActiveState,StatusText,Result,MainPID,ExecMainStatus"
                lines = machine("systemctl", "show", names, "transportd").stdout.splitlines()
                return dict(line.split("=", 1) for line in lines)

            started = state()
            self.assertEqual(started["ActiveState"], "active", machine("journalctl", "-u", "transportd").stdout)
            self.assertEqual(started["StatusText"], "listens on unix:/run/transportd/transportd.sock")
            self.assertIn("SESSION", ctl("sessions").stdout)

            # Under the unit's restrictions: a user of its own, confinement, a terminal, a socket.
            self.assertEqual(ctl("exec", "--", "/usr/bin/id", "-u").stdout, machine("id", "-u", "transportd").stdout)
            granted = ctl("exec", "--", "/usr/bin/cat", "/etc/debian_version").stdout
            self.assertEqual(granted, (self.root / "etc/debian_version").read_text())
            confined = ctl("exec", "--", "/usr/bin/cat", "/etc/passwd", check=False)
            self.assertEqual((confined.returncode, confined.stdout), (1, ""), confined.stderr)
            self.assertIn("Permission denied", confined.stderr)
            self.assertIn("uid=", ctl("exec", "-t", "--", "/usr/bin/id").stdout)
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))  # Nobody listens, and nobody else takes it.
                refused = ctl("connect", f"127.0.0.1:{unused.getsockname()[1]}", check=False)
            self.assertIn("refused", refused.stderr.lower())

            machine("systemctl", "reload", "transportd")
            self.assertEqual(state()["MainPID"], started["MainPID"])
            machine("systemctl", "stop", "transportd")
            stopped = state()
            self.assertEqual((stopped["Result"], stopped["ExecMainStatus"]), ("success", "0"))
            journal = machine("journalctl", "--unit=transportd", "--output=cat", "--no-pager").stdout
            events = [json.loads(line)["event"] for line in journal.splitlines() if line.startswith("{")]
            self.assertIn("process.spawn.decision", events)
            self.assertEqual(events[-1], "service.stop")

            # An upgrade, here to the same version, starts it again; what the administrator wrote stays.
            machine("dpkg", "--force-confold", "--install", f"/srv/{self.service.name}")
            self.assertEqual(state()["ActiveState"], "active")
            self.assertIn('name: "test"', policy.read_text())

            files = [line for name in ("transportd", "transportctl") for line in machine("dpkg", "-L", name).stdout.split("\n")]
            machine("dpkg", "--purge", "transportd", "transportctl")
            self.assertNotEqual(machine("systemctl", "is-active", "transportd", check=False).stdout, "active\n")
        ours = [file for file in files if "transport" in file]
        self.assertGreater(len(ours), 20)
        left = [file for file in ours if (self.root / file.lstrip("/")).exists()]
        self.assertEqual(left, [])
        for place in ("etc/transportd", "var/lib/transportd", "etc/systemd/system/multi-user.target.wants/transportd.service"):
            self.assertFalse(os.path.lexists(self.root / place), place)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root: mmdebstrap and systemd-nspawn make and boot a Debian")
        sys.exit(77)
    unittest.main()
