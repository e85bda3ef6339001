"""`transportctl exec`: real programs, whose exit statuses, bytes and terminal must be as if they ran here."""

import fcntl
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import harness
from harness import eventually, free_port, pattern
from transportctl_case import TIMED_OUT, USAGE, TransportctlTestCase

SERVICE_FAILED, NOT_EXECUTABLE, NOT_FOUND, SIGNALLED = 125, 126, 127, 128


class ExecTest(TransportctlTestCase):
    """Without a terminal."""

    def test_exit_statuses(self):
        for words, expected in (
            (("true",), 0),
            (("--", "sh", "-c", "exit 3"), 3),
            (("sh", "-c", "exit 255"), 255),
            (("sh", "-c", "kill -TERM $$"), SIGNALLED + 15),
            (("sh", "-c", "kill -KILL $$"), SIGNALLED + 9),
            (("/etc/passwd",), NOT_EXECUTABLE),
            (("/no/such/program",), NOT_FOUND),
            (("no-such-program",), NOT_FOUND),
            (("--cwd", "/no/such/folder", "true"), SERVICE_FAILED),
            (("--user", "no-such-user:0", "true"), SERVICE_FAILED),
        ):
            with self.subTest(words):
                status, out, err = self.run_to_end("exec", *words)
                self.assertEqual((status, out), (expected, b""), err)
                if NOT_FOUND >= expected >= SERVICE_FAILED:
                    self.assertTrue(err.startswith("transportctl: "), err)
                else:
                    self.assertEqual(err, "")

    def test_a_bad_command_line(self):
        for words, what in (
            ((), "exec needs a command"),
            (("--shell", "--", "echo", "a"), "exec --shell takes one word"),
            (("--env", "NAME", "true"), "--env must be NAME=VALUE"),
            (("--json", "true"), "--json has no meaning for exec"),
        ):
            status, out, err = self.run_to_end("exec", *words)
            self.assertEqual((status, out), (USAGE, b""), words)
            self.assertIn(what, err)

    def test_what_others_chose_does_not_drive_the_terminal(self):
        status, _, err = self.run_to_end("exec", "no\033[31m\nprogram")
        self.assertEqual(status, NOT_FOUND)
        self.assertIn("no\\x1b[31m\\nprogram", err)
        status, _, err = self.run_to_end("exec", "--cwd", "/no\n\x9b", "true")
        self.assertEqual(status, SERVICE_FAILED)
        self.assertIn("/no\\n\\xc2\\x9b", err)
        for target in ("no\033[31m.invalid\n:1", "ipv4:\033", "unix:/\033\n"):
            with self.subTest(target=target):
                status, _, err = self.run_to_end("health", target=target)
                self.assertNotEqual(status, 0)
                self.assertIn("\\", err)
                self.assertNotIn("\033", err)
                self.assertFalse([line for line in err.splitlines() if line.startswith((":", " --"))], err)
        # The program's own words are data.
        self.assertEqual(self.run_to_end("exec", "printf", "\033\n")[1], b"\033\n")
        self.assertEqual(self.run_to_end("exec", "--shell", "printf '\033\n' >&2")[2], "\033\n")
        self.assertIn("`a\\x1b`", self.run_to_end("a\033")[2])

    def test_a_service_that_is_not_there(self):
        status, _, err = self.run_to_end("exec", "true", target=f"127.0.0.1:{free_port()}")
        self.assertEqual(status, SERVICE_FAILED)
        self.assertIn("no service answers", err)

    def test_a_service_that_is_lost(self):
        service = harness.Service()
        self.addCleanup(service.process.wait)
        process = self.transportctl("exec", "--", "sh", "-c", "echo ready; exec sleep 1000", target=service.target)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        service.process.kill()
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, SERVICE_FAILED, err)
        self.assertIn(b"SESSION_LOST", err)
        service.process.wait()
        service.remove_folder()

    def test_output_and_error_are_apart(self):
        status, out, err = self.run_to_end("exec", "--", "sh", "-c", "printf 'a\\000b'; echo c >&2; printf d")
        self.assertEqual((status, out, err), (0, b"a\0bd", "c\n"))

    def test_arguments_are_the_programs_own(self):
        status, out, _ = self.run_to_end("exec", "printf", "%s|", "-v", "--help", "--", "", "a b")
        self.assertEqual((status, out), (0, b"-v|--help|--||a b|"))

    def test_shell_environment_folder_and_user(self):
        status, out, _ = self.run_to_end("exec", "--shell", "--env", "A=5", "-e", "B=x=y", "--", "echo $A$B | tr 5 6")
        self.assertEqual((status, out), (0, b"6x=y\n"))
        status, out, _ = self.run_to_end("exec", "--env", "A=5", "/usr/bin/env")
        self.assertEqual((status, out), (0, b"A=5\n"))
        self.assertEqual(self.run_to_end("exec", "--cwd", "/usr/bin", "pwd")[1], b"/usr/bin\n")

    def test_a_user_leaves_the_services_groups(self):
        status, out, err = self.run_to_end("exec", "--user", "65534", "id")
        self.assertEqual((status, out), (USAGE, b""))
        self.assertIn("must be USER:GROUP", err)
        self.assertIn("nobody:nogroup", err)
        status, out, err = self.run_to_end("exec", "-u", "65534:65533", "--shell", "id -u; id -g; id -G")
        if os.getuid() == 0:
            self.assertEqual((status, out), (0, b"65534\n65533\n65533\n"), err)
        else:
            self.assertEqual(status, SERVICE_FAILED)
            self.assertIn("EPERM", err)

    def test_input_is_read_only_with_i(self):
        self.assertEqual(self.run_to_end("exec", "cat", data=b"x")[:2], (0, b""))
        self.assertEqual(self.run_to_end("exec", "-i", "cat", data=b"x")[:2], (0, b"x"))
        # Its end is the program's.
        self.assertEqual(self.run_to_end("exec", "-i", "wc", "-c", data=b"")[:2], (0, b"0\n"))

    def test_64_mib_through_cat(self):
        data = pattern(1 << 20) * 64
        status, out, err = self.run_to_end("exec", "-i", "--", "cat", data=data)
        self.assertEqual(status, 0, err)
        self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(data).digest())

    def test_a_program_that_does_not_read_its_input(self):
        data = pattern(8 << 20)
        self.assertEqual(self.run_to_end("exec", "-i", "head", "-c", "5", data=data)[:2], (0, data[:5]))
        status, out, _ = self.run_to_end("exec", "-i", "--", "sh", "-c", "exec <&-; echo closed", data=data)
        self.assertEqual((status, out), (0, b"closed\n"))

    def test_input_that_cannot_be_read(self):
        folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        process = self.transportctl("exec", "-i", "cat", stdin=folder)
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, SERVICE_FAILED)
        self.assertIn(b"standard input", err)

    def test_nobody_reads_the_output(self):
        process = self.transportctl("exec", "yes")
        self.assertEqual(process.stdout.read(4), b"y\ny\n")
        process.stdout.close()
        # As yes itself: SIGPIPE.
        self.assertEqual(process.wait(harness.TIMEOUT), SIGNALLED + signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            process = self.program(
                os.environ["TRANSPORTCTL_BIN"], "--target", self.service.target, "exec", "echo", "x",
                stdout=full, stderr=subprocess.PIPE,
            )  # fmt: skip
            _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, SERVICE_FAILED)
        self.assertIn(b"ENOSPC", err)

    def test_a_slow_reader_makes_the_program_wait(self):
        process = self.transportctl("exec", "--", "sh", "-c", "echo $$ >&2; exec yes")
        pid = int(process.stderr.readline())
        written = []

        def stands_still() -> bool:
            written.append(self.written_bytes(pid))
            return len(written) > 30 and written[-1] == written[-30] > 0

        eventually(stands_still, "yes waits")
        self.assertLess(written[-1], 16 << 20)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak_kib = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
        if not harness.SANITIZER:
            self.assertLess(peak_kib, 64 << 10)
        # And then it goes on.
        more = written[-1] + (1 << 20)
        while more > 0:
            piece = process.stdout.read(1 << 16)
            self.assertEqual(piece, b"y\n" * (len(piece) // 2))
            more -= len(piece)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        self.assertEqual(process.wait(harness.TIMEOUT), SIGNALLED + 15)

    @staticmethod
    def written_bytes(pid: int) -> int:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(re.search(r"wchar: (\d+)", file.read())[1])

    def test_signals_are_passed_on(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                script = f"trap 'echo got; exit 7' {number}; echo ready; while :; do sleep 0.01; done"
                process = self.transportctl("exec", "--", "sh", "-c", script)
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(number)
                self.assertEqual(process.communicate(timeout=harness.TIMEOUT)[0], b"got\n")
                self.assertEqual(process.returncode, 7)

    def test_the_second_signal_ends_it_and_the_program(self):
        script = "trap '' INT TERM; echo $$; while :; do sleep 0.01; done"
        process = self.transportctl("exec", "--", "sh", "-c", script)
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        # Both may be there before it has seen either.
        self.assertIn(process.wait(harness.TIMEOUT), (SIGNALLED + 2, SIGNALLED + 15))
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the program is gone")

    def test_a_program_that_takes_too_long(self):
        status, _, err = self.run_to_end("exec", "--timeout", "200ms", "sleep", "1000")
        self.assertEqual(status, TIMED_OUT)
        self.assertIn("timed out after 200ms", err)
        # In time.
        self.assertEqual(self.run_to_end("exec", "--timeout", "20s", "--", "sh", "-c", "exit 4")[0], 4)

    def test_a_program_that_takes_too_long_and_ignores_sigterm(self):
        script = "trap '' TERM; echo $$; while :; do sleep 0.01; done"
        status, out, err = self.run_to_end(
            "exec", "--timeout", "500ms", "--kill-after", "100ms", "--", "sh", "-c", script
        )
        self.assertEqual(status, TIMED_OUT, err)
        self.assertFalse(os.path.exists(f"/proc/{int(out)}"))

    def test_what_runs_on_in_the_background_ends_with_the_session(self):
        """Also when it holds no pipe, or was left behind by --drain-timeout."""
        for words in (
            ("--", "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; exit 4"),
            ("--drain-timeout", "100ms", "--", "sh", "-c", "sleep 1000 & echo $!; exit 4"),
        ):
            with self.subTest(words):
                status, out, err = self.run_to_end("exec", *words)
                self.assertEqual(status, 4, err)
                eventually(lambda pid=int(out): self.is_gone(pid), "the background process ends")

    @staticmethod
    def is_gone(pid: int) -> bool:
        """Or a zombie, which who should reap it has not reaped yet."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def test_a_grandchild_that_holds_the_output(self):
        # As a pipe from a program here: its end is the end of the last that holds it.
        status, out, _ = self.run_to_end("exec", "--", "sh", "-c", "(sleep 0.3; echo later) & echo now")
        self.assertEqual((status, out), (0, b"now\nlater\n"))
        script = "sleep 1000 & echo now; exit 6"
        status, out, err = self.run_to_end("exec", "--drain-timeout", "100ms", "--", "sh", "-c", script)
        self.assertEqual((status, out), (6, b"now\n"), err)
        status, out, err = self.run_to_end("exec", "--timeout", "500ms", "--", "sh", "-c", script)
        self.assertEqual((status, out), (TIMED_OUT, b"now\n"), err)


class TerminalTest(TransportctlTestCase):
    """With -t: Python's pty module is the local terminal."""

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, self.theirs)
        self.resize(33, 101)
        self.before = termios.tcgetattr(self.theirs)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def in_terminal(self, *arguments, flags=("-i", "-t")) -> subprocess.Popen:
        self.said = b""
        return self.program(
            os.environ["TRANSPORTCTL_BIN"], "--target", self.service.target, "exec", *flags, "--", *arguments,
            stdin=self.theirs, stdout=self.theirs, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def read_until(self, expected: bytes) -> None:
        while expected not in self.said:
            self.said += os.read(self.ours, 4096)

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def expect_end(self, process: subprocess.Popen, *statuses: int) -> None:
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertIn(process.returncode, statuses, err)
        self.assertEqual(termios.tcgetattr(self.theirs), self.before, "the terminal is as it was")

    def test_the_program_has_a_terminal_of_this_size(self):
        process = self.in_terminal("sh", "-c", "tty; stty size; echo to error >&2; exit 5")
        self.read_until(b"to error\r\n")
        self.assertRegex(self.said, rb"^/dev/pts/\d+\r\n33 101\r\nto error\r\n$")
        self.expect_end(process, 5)

    def test_keys_reach_the_program_and_resizing_too(self):
        process = self.in_terminal("sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do read x && echo [$x]; done")
        self.read_until(b"ready\r\n")
        self.assertTrue(self.is_raw())
        os.write(self.ours, b"a b\r")
        self.read_until(b"a b\r\n[a b]\r\n")
        self.resize(50, 132)
        # It has no controlling terminal here, so the kernel tells nobody.
        process.send_signal(signal.SIGWINCH)
        self.read_until(b"50 132\r\n")
        os.write(self.ours, b"\x03")
        self.expect_end(process, SIGNALLED + 2)

    def test_the_terminal_is_restored_when_a_signal_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT):
            with self.subTest(number):
                process = self.in_terminal("sh", "-c", "trap '' HUP INT QUIT TERM; echo ready; while :; do sleep 0.01; done")
                self.read_until(b"ready\r\n")
                self.assertTrue(self.is_raw())
                process.send_signal(number)
                if number == signal.SIGABRT:
                    self.expect_end(process, -signal.SIGABRT)
                    continue
                process.send_signal(signal.SIGINT)
                # Both may be there before it has seen either.
                self.expect_end(process, SIGNALLED + number, SIGNALLED + 2)

    def test_the_terminal_is_restored_when_the_service_is_lost(self):
        service = harness.Service()
        self.addCleanup(service.process.wait)
        kept, self.service = self.service, service
        process = self.in_terminal("sh", "-c", "echo ready; cat")
        self.service = kept
        self.read_until(b"ready\r\n")
        service.process.kill()
        self.expect_end(process, SERVICE_FAILED)
        service.process.wait()
        service.remove_folder()

    def test_without_i_the_local_terminal_stays_as_it_is(self):
        process = self.in_terminal("sh", "-c", "echo ready; exec sleep 1000", flags=("-t",))
        self.read_until(b"ready\r")
        self.assertEqual(termios.tcgetattr(self.theirs), self.before)
        process.send_signal(signal.SIGINT)
        self.expect_end(process, SIGNALLED + 2)

    def test_input_that_is_no_terminal(self):
        for data, expected in ((b"abc", rb"abc"), (b"abc\n", rb"abc\r\n"), (b"", rb"")):
            # What is fed is echoed, and comes again from cat; then its end.
            status, out, err = self.run_to_end("exec", "-it", "--", "cat", data=data)
            self.assertEqual(status, 0, err)
            self.assertRegex(out, rb"^(?:" + expected + rb"){2}$")
            self.assertIn("standard input is not a terminal", err)
        status, out, err = self.run_to_end("exec", "-t", "--", "sh", "-c", "test -t 0 && test -t 1 && test -t 2")
        self.assertEqual((status, out), (0, b""), err)


if __name__ == "__main__":
    harness.main()
