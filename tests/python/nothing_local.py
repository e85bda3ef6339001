"""Forbids a process to use its own network and to start programs: what works then, works in the service.

As a plugin of pytest's, `-p nothing_local`: all tests of the run. As a program, `nothing_local.py SCRIPT ARGUMENT…`: a
script, whose service is the one that TRANSPORTD_TARGET names.
"""

import os
import runpy
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pytest_transportd

FORBIDDEN = frozenset(
    (
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.getnameinfo",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    )
)


class LocalError(AssertionError):
    """Something happened in this process that should have happened in the service."""


class Guard:
    """From its construction on, while `active`, only the way to the service is open."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("ipv4:").rsplit(":", 1)
        self._service = (host, int(port))
        self.active = True
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """https://docs.python.org/3/library/audit_events.html"""
        if not self.active or event not in FORBIDDEN:
            return
        if event == "socket.connect" and arguments[1] == self._service:
            return
        if event == "socket.sendmsg" and arguments[1] is None:
            return  # On a connection: only that to the service can be made.
        if event == "socket.getaddrinfo" and arguments[0] == self._service[0]:
            return
        raise LocalError(f"{event}{arguments[1:] if event.startswith('socket.') else arguments}")


@pytest.fixture(scope="session", autouse=True)
def nothing_local(transportd_service: "pytest_transportd.ServiceUnderTest") -> Iterator[None]:
    guard = Guard(transportd_service.target)
    yield
    guard.active = False


if __name__ == "__main__":
    Guard(os.environ["TRANSPORTD_TARGET"])
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
