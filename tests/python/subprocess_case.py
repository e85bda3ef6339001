"""What the tests of subprocesses share: both loops, and a protocol that notes what it hears."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness

Factory = Callable[[], asyncio.AbstractEventLoop]
Runner = asyncio.Runner
PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
CAT = ("cat",)
BLOCKED = ("sleep", "3600")
# More than a pipe, its transport and the service's windows hold.
MUCH_BYTES = 24 << 20


class Recorder(asyncio.SubprocessProtocol):
    """Notes what it hears: (name, argument…), without the data."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.data = {1: b"", 2: b""}
        self.transport: Any = None
        self.returncode: int | None = None
        self.changed = asyncio.Event()

    def note(self, *what: Any) -> None:
        self.heard.append(what)
        self.changed.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("connection_made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        assert ("pipe_connection_lost", fd, None) not in self.heard
        assert data
        assert isinstance(data, bytes)
        self.data[fd] += data
        self.changed.set()

    def pipe_connection_lost(self, fd: int, exc: BaseException | None) -> None:
        self.note("pipe_connection_lost", fd, exc)

    def process_exited(self) -> None:
        self.returncode = self.transport.get_returncode()
        self.note("process_exited")

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note("connection_lost", exc)

    async def until(self, *what: Any) -> None:
        await self.when(lambda: what in self.heard)

    async def when(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def until_lost(self) -> None:
        await self.when(lambda: any(heard[0] == "connection_lost" for heard in self.heard))


async def start(*args: Any, protocol: Callable[[], Recorder] = Recorder, **options: Any) -> Recorder:
    transport, recorder = await asyncio.get_running_loop().subprocess_exec(protocol, *args, **options)
    assert recorder.transport is transport
    return recorder


async def output_of(*args: Any, **options: Any) -> bytes:
    process = await asyncio.create_subprocess_exec(*args, stdout=PIPE, **options)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


def python(code: str, *args: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code, *args)


def exists(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def is_in_state(recorder: Recorder, state: str) -> bool:
    """See proc(5). A process that is gone is in each."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return f") {state} " in Path(f"/proc/{recorder.transport.get_pid()}/stat").read_text()
    return True


def kill(service: harness.Service) -> None:
    service.process.kill()
    service.process.wait()
