"""What the tests of transportctl share: a service, and transportctl as its client."""

import os
import re
import subprocess
import threading

import harness

FAILED, USAGE, NO_SERVICE, TIMED_OUT = 1, 2, 3, 124


class TransportctlTestCase(harness.ServiceTestCase):
    def transportctl(self, *arguments, stdin=subprocess.PIPE, target=None, environment=None) -> subprocess.Popen:
        environment = dict(os.environ, TRANSPORTD_TARGET=target or self.service.target, **(environment or {}))
        return self.program(
            os.environ["TRANSPORTCTL_BIN"], *arguments,
            env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run_to_end(self, *arguments, data: bytes = b"", target=None, environment=None) -> tuple[int, bytes, str]:
        """(exit status, standard output, standard error)"""
        process = self.transportctl(*arguments, target=target, environment=environment)
        out, err = process.communicate(data, timeout=harness.TIMEOUT)
        return process.returncode, out, err.decode()

    def listening_on(self, process: subprocess.Popen) -> tuple[str, int]:
        """Where `transportctl listen` says it listens; the rest of what it says is drained."""
        said = []
        for line in process.stderr:
            said.append(line)
            found = re.search(rb"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):(\d+)", line)
            if found:
                self.drain_stderr(process)
                return found[1].decode().strip("[]"), int(found[2])
        raise AssertionError(f"no address: {said}")

    def drain_stderr(self, process: subprocess.Popen) -> None:
        threading.Thread(target=self.drain, args=(process.stderr,), daemon=True).start()

    @staticmethod
    def drain(stream) -> None:
        try:
            stream.read()
        except ValueError:
            pass  # The test is over.
