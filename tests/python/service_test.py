"""transportd.service: a transportd process of one's own."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
import transportd
from transportd.service import Service, find_binary


def address(target: str) -> tuple[str, int]:
    host, port = target.removeprefix("ipv4:").rsplit(":", 1)
    return host, int(port)


def exists(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_runs_within_the_context_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Service() as service:
        pid, target = service.pid, service.target
        assert repr(service) == f"<Service {target} pid={pid}>"
        socket.create_connection(address(target)).close()
        assert list(tmp_path.iterdir())
    assert not exists(pid)
    assert not list(tmp_path.iterdir())
    assert f"listens on {target}" in service.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(target))
    assert repr(service) == "<Service not running>"
    for attribute in ("pid", "target"):
        with pytest.raises(RuntimeError, match="does not run"):
            getattr(service, attribute)


def test_what_the_environment_says_of_another_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Service's example has it."""
    for name in ("TARGET", "TARGET_CA", "TOKEN_FILE"):
        monkeypatch.setenv(f"TRANSPORTD_{name}", "/nowhere")

    async def main() -> None:
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)

    with Service() as service:
        transportd.run(main(), target=service.target, ssl=False, token="")


def test_stop_gives_the_exit_status_and_may_be_repeated() -> None:
    service = Service()
    service.start()
    with pytest.raises(RuntimeError, match="runs already"):
        service.start()
    assert service.stop() == 0
    assert service.stop() == 0


def test_may_be_started_again() -> None:
    service = Service()
    for _ in range(2):
        with service:
            socket.create_connection(address(service.target)).close()


def test_a_process_that_was_killed_is_told_by_its_status() -> None:
    service = Service()
    service.start()
    os.kill(service.pid, signal.SIGKILL)
    assert service.stop() == -signal.SIGKILL


def test_flags_reach_the_program(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Service(flags=[f"--listen=unix:{path}"]) as service, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        socket.create_connection(address(service.target)).close()


def test_bad_flag_is_told_with_what_the_program_says() -> None:
    service = Service(flags=["--loops=none"])
    with pytest.raises(RuntimeError, match=r"ended with 78 when it was started:\n.*--loops"):
        service.start()
    assert "--loops" in service.log
    assert service.stop() == 0


def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    waiting = program(tmp_path / "waiting", f'echo $$ >"{pid_file}"; exec sleep 1000')
    with pytest.raises(TimeoutError, match=r"not ready within 0\.2 s"):
        Service(waiting, start_timeout=0.2).start()
    assert not pid_file.exists() or not exists(int(pid_file.read_text()))


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    text = """
    trap '' TERM
    for flag; do case $flag in --address-file=*) echo 127.0.0.1:0 >"${flag#*=}" ;; esac; done
    while :; do read -r line </dev/zero; done
    """
    service = Service(program(tmp_path / "stubborn", text), stop_timeout=0.2)
    service.start()
    assert service.stop() == -signal.SIGKILL


def test_binary_is_the_argument_then_the_variable_then_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [str(program(tmp_path / name, "exit 0")) for name in ("argument", "variable", "transportd")]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRANSPORTD_BIN", ours[1])
    assert find_binary(ours[0]) == ours[0]
    assert find_binary(Path(ours[0])) == ours[0]
    assert find_binary() == ours[1]
    monkeypatch.delenv("TRANSPORTD_BIN")
    assert find_binary() == ours[2]


def test_a_missing_binary_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TRANSPORTD_BIN", raising=False)
    advice = r"deploy/quickstart --build-only .* TRANSPORTD_BIN, .* --transportd-bin, or put it on PATH"
    with pytest.raises(FileNotFoundError, match=f"^there is no transportd program here; .*{advice}"):
        Service().start()
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}/none, which is not a program .*{advice}"):
        Service(tmp_path / "none").start()
    monkeypatch.setenv("TRANSPORTD_BIN", f"{tmp_path}/none")
    with pytest.raises(FileNotFoundError, match=f"^TRANSPORTD_BIN names {tmp_path}/none, which is not a program"):
        Service().start()
