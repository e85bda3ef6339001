"""transportctl top in a terminal, Python's pty module; status and end."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import harness
from client import StreamSession
from transportctl_case import FAILED, NO_SERVICE, USAGE, TransportctlTestCase

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
INTERVAL = "--interval=200ms"


class ScreenTest(TransportctlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, self.theirs)
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.theirs)
        self.said = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def top(self, *arguments, target=None, environment=None) -> subprocess.Popen:
        """In a process group of its own, so that it can be stopped as a shell's job."""
        process = self.program(
            os.environ["TRANSPORTCTL_BIN"], "--target", target or self.service.target, "top", INTERVAL, *arguments,
            env=dict(os.environ, TERM="xterm", **(environment or {})),
            stdin=self.theirs, stdout=self.theirs, stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        self.read_until(ENTER)
        return process

    def read_some(self) -> None:
        ready, _, _ = select.select([self.ours], [], [], harness.TIMEOUT)
        self.assertTrue(ready, self.said)
        self.said += os.read(self.ours, 65536)

    def read_until(self, expected: bytes) -> None:
        """From what was not yet looked at; all up to it is done with."""
        deadline = time.monotonic() + harness.TIMEOUT
        while expected not in self.said:
            self.assertLess(time.monotonic(), deadline, (expected, self.said))
            self.read_some()
        self.said = self.said[self.said.index(expected) + len(expected) :]

    def drain(self) -> bytes:
        """All that the terminal has been given; nobody writes any more."""
        while select.select([self.ours], [], [], 0)[0]:
            self.said += os.read(self.ours, 65536)
        return self.said

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def expect_restored(self) -> None:
        self.assertEqual(termios.tcgetattr(self.theirs), self.before, "the terminal is as it was")
        said = self.drain()
        self.assertTrue(said.endswith(LEAVE), said[-100:])
        self.assertIn(b"\x1b[?25h", said)

    def expect_end(self, process: subprocess.Popen, status: int) -> str:
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, status, err)
        self.expect_restored()
        return err.decode()

    def test_a_transport_is_shown_and_ended(self):
        listener = self.listener()
        with StreamSession(self.service.target, client_name="\x1b[31mthe one\x07") as session:
            session.connect(listener.getsockname())
            peer = self.accept(listener)
            process = self.top()
            prefix = session.opened.session_id[:8].encode()
            self.read_until(prefix)
            self.read_until("→ 127.0.0.1:{}".format(listener.getsockname()[1]).encode())
            self.press(b"s")
            self.read_until(b"CLIENT")
            self.read_until(b"\\x1b[31m")
            self.press(b"te")
            self.read_until(b"? y/n")
            self.press(b"n")
            self.read_until(b"Nothing was ended.")
            self.press(b"e")
            self.read_until(b"? y/n")
            self.press(b"y")
            self.read_until(b"Ended: stream " + prefix)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(peer.recv(1), b"")
            self.read_until(b"no transports")
            self.press(b"q")
            self.expect_end(process, 0)

    def test_a_session_is_ended(self):
        with StreamSession(self.service.target, client_name="going") as session:
            process = self.top()
            self.press(b"s")
            self.read_until(b"going")
            self.press(b"e")
            self.read_until(b"End session " + session.opened.session_id[:8].encode())
            self.press(b"y")
            self.read_until(b"no sessions")
            self.press(b"q")
            self.expect_end(process, 0)

    def test_it_is_drawn_anew_when_the_terminal_is_resized(self):
        process = self.top()
        self.read_until(b"help")
        self.assertNotIn(b"\x1b[40;1H", self.said)
        self.resize(40, 200)
        process.send_signal(signal.SIGWINCH)
        self.read_until(b"\x1b[2J")
        self.read_until(b"PROGRAM")
        self.read_until(b"\x1b[40;1H")
        self.press(b"?")
        self.read_until(b"Any key goes back.")
        self.press(b"x")
        self.read_until(b"PROGRAM")
        self.press(b"q")
        self.expect_end(process, 0)

    def test_only_what_changes_is_drawn(self):
        process = self.top()
        self.read_until(b"help")
        self.read_until(b"\x1b[1;1H")  # The next look: the time of day.
        self.read_until(b"\x1b[1;1H")
        self.assertNotIn(b"\x1b[2J", self.said)
        self.press(b"q")
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertNotIn(b"PRINCIPAL", self.drain(), err)

    def test_the_terminal_is_restored_whatever_ends_it(self):
        for end in (b"q", b"\x03", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT):
            with self.subTest(end):
                self.said = b""
                process = self.top()
                self.read_until(b"help")
                if isinstance(end, bytes):
                    self.press(end)
                    self.expect_end(process, 0 if end == b"q" else 128 + 2)
                else:
                    process.send_signal(end)
                    self.expect_end(process, -end if end == signal.SIGABRT else 128 + end)

    def test_the_terminal_is_restored_while_it_is_stopped(self):
        process = self.top()
        self.read_until(b"help")
        for stop in (lambda: self.press(b"\x1a"), lambda: process.send_signal(signal.SIGTSTP)):
            stop()
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            self.assertTrue(os.WIFSTOPPED(status), status)
            self.expect_restored()
            self.said = b""
            process.send_signal(signal.SIGCONT)
            self.read_until(ENTER)
            self.read_until(b"help")
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        termios.tcsetattr(self.theirs, termios.TCSANOW, self.before)  # As a shell does.
        process.send_signal(signal.SIGCONT)
        self.read_until(ENTER)
        self.read_until(b"help")
        self.press(b"q")
        self.expect_end(process, 0)

    def test_a_service_that_goes_away_is_waited_for(self):
        path = self.folder() / "socket"
        service = harness.Service(listen=f"unix:{path}")
        self.addCleanup(service.remove_folder)
        process = self.top(target=service.target)
        self.read_until(b"help")
        service.process.kill()
        service.process.wait()
        self.read_until(b"No answer for ")
        another = harness.Service(listen=f"unix:{path}")
        self.addCleanup(another.stop)
        with StreamSession(another.target) as session:
            self.press(b"s")
            self.read_until(session.opened.session_id[:8].encode())
            self.press(b"q")
            self.expect_end(process, 0)

    def test_colours_only_where_they_are_wanted(self):
        for environment, expected in (({}, True), ({"NO_COLOR": "1"}, False)):
            self.said = b""
            process = self.top(environment={"NO_COLOR": "", **environment})
            while b"help" not in self.said:
                self.read_some()
            self.assertEqual(bool(re.search(rb"\x1b\[(?:1;)?3\dm", self.said)), expected)
            self.press(b"q")
            self.expect_end(process, 0)


class StatusTest(TransportctlTestCase):
    """What is for scripts: top --once, status, end."""

    def test_top_without_a_terminal_names_what_to_use(self):
        status, out, err = self.run_to_end("top", environment={"TERM": "xterm"})
        self.assertEqual((status, out), (USAGE, b""))
        self.assertIn("transportctl status", err)

    def test_top_once(self):
        listener = self.listener()
        with StreamSession(self.service.target, client_name="once") as session:
            session.connect(listener.getsockname())
            self.accept(listener)
            status, out, err = self.run_to_end("top", "--once", INTERVAL, environment={"COLUMNS": "200"})
            self.assertEqual((status, err), (0, ""))
            text = out.decode()
            self.assertNotIn("\x1b", text)
            for expected in ("transportd ", "\nsessions 1\n", "\ntransports 1\n", "\ndenials 0\n", " once "):
                self.assertIn(expected, text)
            self.assertIn(str(listener.getsockname()[1]), text)

    def test_status(self):
        with StreamSession(self.service.target) as session:
            status, out, err = self.run_to_end("status")
            self.assertEqual((status, err), (0, ""))
            self.assertRegex(out.decode(), r"(?m)^sessions +1 of \d+; 1 since the start$")
            for words in (("-o", "json"), ("--json",)):
                status, out, err = self.run_to_end("status", *words)
                self.assertEqual((status, err), (0, ""))
                said = json.loads(out)
                self.assertEqual(said["sessions"][0]["session_prefix"], session.opened.session_id[:8])
                self.assertEqual(said["usage"]["session_count"], 1)
        self.assertEqual(self.run_to_end("status", "-o", "xml")[0], USAGE)
        target = f"127.0.0.1:{harness.free_port()}"
        self.assertEqual(self.run_to_end("--timeout", "5s", "top", "--once", target=target)[0], NO_SERVICE)

    def test_end(self):
        listener = self.listener()
        with StreamSession(self.service.target) as session:
            session.connect(listener.getsockname())
            peer = self.accept(listener)
            prefix = session.opened.session_id[:8]
            transport = json.loads(self.run_to_end("transports", "--json")[1])["transports"][0]["transport_id"]
            status, _, err = self.run_to_end("end", prefix, str(transport + 1))
            self.assertEqual(status, FAILED)
            self.assertIn("UNKNOWN_TRANSPORT", err)
            self.assertEqual(self.run_to_end("end", prefix, str(transport)), (0, b"", ""))
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(peer.recv(1), b"")
            self.assertEqual(self.run_to_end("end", prefix), (0, b"", ""))
            status, _, err = self.run_to_end("end", "00000000")
            self.assertEqual(status, FAILED)
            self.assertIn("UNKNOWN_SESSION", err)
        for words in ((), ("short",), (prefix, "x"), (prefix, "0"), (prefix, "1", "2")):
            self.assertEqual(self.run_to_end("end", *words)[0], USAGE, words)


if __name__ == "__main__":
    harness.main()
