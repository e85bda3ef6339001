"""The six examples of asyncio's page on transports and protocols, as they stand there, on this loop.

The page is Debian's (python3.11-doc), or the one that TRANSPORTD_ASYNCIO_PAGE names: the reStructuredText of
https://docs.python.org/3/library/asyncio-protocol.html. Nothing of an example is changed; the policy makes the loop.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
import pytest

DEBIAN_PAGE = "/usr/share/doc/python3.11/html/_sources/library/asyncio-protocol.rst.txt"
PAGE = Path(os.environ.get("TRANSPORTD_ASYNCIO_PAGE", DEBIAN_PAGE))

# As asyncio.run() makes its loop, in every version; and the proof that it was this one.
RUN = """\
import asyncio, runpy, sys, transportd
made = []
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        made.append(transportd.new_event_loop())
        return made[-1]
asyncio.set_event_loop_policy(Policy())
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
finally:
    assert len(made) == 1, made
"""


def examples() -> dict[str, str]:
    """Each example by its title: the indented code that begins with `import asyncio` below it."""
    found: dict[str, str] = {}
    title = ""
    code: list[str] = []
    lines = [*PAGE.read_text().splitlines(), "."]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if code and line and not line.startswith("    "):
            found[title] = textwrap.dedent("\n".join(code)).rstrip() + "\n"
            code = []
        if re.fullmatch(r"[-=~^\"]{4,}", following) and line:
            title = re.sub(r":\w+:`([^`]*)`|`", r"\1", line)
        elif code or line == "    import asyncio":
            code.append(line)
    return found


EXAMPLES = examples()


def example(*words: str) -> str:
    (code,) = (code for title, code in EXAMPLES.items() if all(word in title for word in words))
    return code


@contextmanager
def running(code: str, folder: Path, name: str, service: harness.Service) -> Iterator["subprocess.Popen[str]"]:
    path = folder / name
    path.write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-u", "-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", RUN, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TRANSPORTD_TARGET": service.target},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def output(code: str, folder: Path, service: harness.Service) -> str:
    """Of an example that ends by itself, with nothing on standard error."""
    with running(code, folder, "example.py", service) as process:
        out, err = process.communicate(timeout=harness.TIMEOUT)
        assert (process.returncode, err) == (0, "")
        return out


def wait_until_bound(service: harness.Service, port: int, kind: str) -> None:
    """Until a socket of the service has the port."""
    hexadecimal = f":{port:04X}"

    def is_bound() -> bool:
        inodes = {link[8:-1] for link in service.fds().values() if link.startswith("socket:[")}
        lines = Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
        return any(line.split()[1].endswith(hexadecimal) and line.split()[9] in inodes for line in lines)

    harness.eventually(is_bound, f"{kind} port {port} is bound by the service")


def test_the_page_has_six() -> None:
    assert len(EXAMPLES) == 6


@pytest.fixture(name="elsewhere")
def own_network(service: harness.Service) -> harness.Service:
    """The examples' ports are fixed: the example before has them until its session has ended."""

    def is_free(port: int, kind: str, state: str) -> bool:
        entries = [line.split() for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
        return not any(entry[1].endswith(f":{port:04X}") and entry[3] == state for entry in entries)

    for port, kind, state in ((8888, "tcp", "0A"), (9999, "udp", "07")):  # Listening; bound. proc(5), tcp_states.h
        harness.eventually(lambda at=(port, kind, state): is_free(*at), f"{kind} port {port} is free")
    return service


def test_tcp_echo(elsewhere: harness.Service, tmp_path: Path) -> None:
    with running(example("TCP", "Server"), tmp_path, "server.py", elsewhere) as server:
        wait_until_bound(elsewhere, 8888, "tcp")
        assert output(example("TCP", "Client"), tmp_path, elsewhere).splitlines() == [
            "Data sent: 'Hello World!'",
            "Data received: 'Hello World!'",
            "The server closed the connection",
        ]
        assert server.stdout is not None
        lines = [server.stdout.readline().rstrip() for _ in range(4)]
    assert re.fullmatch(r"Connection from \('127\.0\.0\.1', \d+\)", lines[0])
    assert lines[1:] == ["Data received: 'Hello World!'", "Send: 'Hello World!'", "Close the client socket"]


def test_udp_echo(elsewhere: harness.Service, tmp_path: Path) -> None:
    with running(example("UDP", "Server"), tmp_path, "server.py", elsewhere) as server:
        wait_until_bound(elsewhere, 9999, "udp")
        assert output(example("UDP", "Client"), tmp_path, elsewhere).splitlines() == [
            "Send: Hello World!",
            "Received: Hello World!",
            "Close the socket",
            "Connection closed",
        ]
        assert server.stdout is not None
        lines = [server.stdout.readline().rstrip() for _ in range(3)]
    assert lines[0] == "Starting UDP server"
    assert re.fullmatch(r"Received 'Hello World!' from \('127\.0\.0\.1', \d+\)", lines[1])
    assert re.fullmatch(r"Send 'Hello World!' to \('127\.0\.0\.1', \d+\)", lines[2])


def test_connecting_existing_sockets(service: harness.Service, tmp_path: Path) -> None:
    assert output(example("Existing Sockets"), tmp_path, service) == "Received: abc\n"


def test_subprocess(service: harness.Service, tmp_path: Path) -> None:
    date = output(example("SubprocessProtocol"), tmp_path, service)
    assert re.fullmatch(r"Current date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\n", date)
