"""The example scripts of clients/python, as whoever copies them runs them."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "clients/python/examples"


@pytest.fixture
def environment(service: harness.Service) -> dict[str, str]:
    return {**os.environ, "TRANSPORTD_TARGET": service.target}


def command(name: str, *arguments: object) -> list[str]:
    """Runs a script in which nothing may be local."""
    begin = [sys.executable, "-W", "error", str(Path(__file__).with_name("nothing_local.py"))]
    return [*begin, str(EXAMPLES / name), *map(str, arguments)]


@pytest.fixture
def echo_server(environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Host and port of a running echo_server.py, which control-C ends in good order."""
    with subprocess.Popen(
        command("echo_server.py"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline().split()
            assert first[:2] == ["listening", "on"], process.communicate()
            yield first[2], first[3]
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=harness.TIMEOUT) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


def test_echo_client_and_server(environment: dict[str, str], echo_server: tuple[str, str]) -> None:
    data = harness.pattern(1_000_000)
    done = subprocess.run(command("echo_client.py", *echo_server), env=environment, input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data


def test_echo_server_serves_others(echo_server: tuple[str, str]) -> None:
    host, port = echo_server
    with socket.create_connection((host, int(port)), harness.TIMEOUT) as peer:
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        assert harness.read_all(peer) == b"hello"


def test_echo_client_says_why_there_is_no_connection(environment: dict[str, str]) -> None:
    # Bound, but nobody listens.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        arguments = taken.getsockname()
        done = subprocess.run(
            command("echo_client.py", *arguments), env=environment, input="", capture_output=True, text=True
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("echo_client: ")
    assert len(done.stderr.splitlines()) == 1


def test_http_get(environment: dict[str, str]) -> None:
    requests = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                request = b""
                while b"\r\n\r\n" not in request and (piece := peer.recv(65536)):
                    request += piece
                requests.append(request)
                peer.sendall(b"HTTP/1.0 200 OK\r\nServer: here\r\n\r\n" + b"body" * 100_000)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        done = subprocess.run(
            command("http_get.py", f"http://127.0.0.1:{port}/page?query"), env=environment, capture_output=True
        )
        if not requests:
            # So that the thread ends when the script has not come.
            socket.create_connection(listener.getsockname()).close()
        thread.join()
    assert (done.returncode, done.stderr) == (0, b"HTTP/1.0 200 OK\nServer: here\n")
    assert done.stdout == b"body" * 100_000
    assert requests[0].startswith(b"GET /page?query HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n" % port)


def test_http_get_refuses_what_is_no_url(environment: dict[str, str]) -> None:
    done = subprocess.run(command("http_get.py", "ftp://there"), env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "http_get: not a URL of http or https: ftp://there\n")


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("[!t]*.py")))
def test_help_does_not_need_a_service(name: str) -> None:
    environment = {**os.environ, "TRANSPORTD_TARGET": "127.0.0.1:1"}
    done = subprocess.run(command(name, "--help"), env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
