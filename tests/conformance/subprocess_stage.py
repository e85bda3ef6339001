"""Subprocesses of a scenario: a protocol that traces every callback. subprocess_stage.h is the same in C++."""

import asyncio

from stage import errno_name


class Child(asyncio.SubprocessProtocol):
    """The order of the callbacks of different pipes, and of process_exited among them, is nobody's promise: each has a
    trace of its own, `child.0`, `child.1`, `child.2`, `child.exit` and, for pause_writing and resume_writing, `child.flow`."""

    def __init__(self, stage, name="child", **hooks):
        self.stage = stage
        self.name = name
        self.hooks = hooks
        self.trace = stage.new_trace(name)
        self.transport = None
        self.made = self.exited = self.lost = False
        self.got = {0: b"", 1: b"", 2: b""}
        self.lost_pipes = set()
        self._parts = {}

    def note(self, what, value=None):
        self.trace.add(what if value is None else f"{what} {value}")

    def note_returncode(self):
        self.note("returncode", str(self.transport.get_returncode()))

    def note_pipes(self):
        self.note("pipes " + " ".join(str(self.pipe(fd) is not None) for fd in range(3)))

    def pipe(self, fd):
        return self.transport.get_pipe_transport(fd)

    def signal(self, number):
        try:
            self.transport.send_signal(number)
        except ProcessLookupError:
            self.note("send_signal", "ESRCH")

    def part(self, part):
        if part not in self._parts:
            self._parts[part] = self.stage.new_trace(f"{self.name}.{part}")
        return self._parts[part]

    def _hook(self, name, *args):
        hook = self.hooks.get(name)
        if hook:
            hook(self, *args)
        self.stage.changed()

    def connection_made(self, transport):
        self.transport = transport
        self.made = True
        self.note(f"connection_made has_pid={transport.get_pid() > 0}")
        self._hook("made")

    def pipe_data_received(self, fd, data):
        self.got[fd] += data
        self.part(fd).add_data("pipe_data_received", data)
        self._hook("data", fd)

    def pipe_connection_lost(self, fd, exc):
        self.lost_pipes.add(fd)
        self.part(fd).add(f"pipe_connection_lost {errno_name(exc)}")
        self._hook("pipe_lost", fd)

    def process_exited(self):
        self.exited = True
        self.part("exit").add(f"process_exited returncode={self.transport.get_returncode()}")
        self._hook("exited")

    def pause_writing(self):
        self.part("flow").add("pause_writing")
        self.stage.changed()

    def resume_writing(self):
        self.part("flow").add("resume_writing")
        self.stage.changed()

    def connection_lost(self, exc):
        pipes = {fd for fd in range(3) if self.pipe(fd) is not None}
        self.lost = True
        self.note(f"connection_lost {errno_name(exc)} is_last={self.exited and pipes <= self.lost_pipes}")
        self._hook("lost")


async def _start(s, child, call, start):
    try:
        await start
        # Which of return and end comes first, when connection_made closes, is nobody's promise.
        if not child.transport.is_closing():
            child.note(f"{call} returns")
    except OSError as error:
        child.note(call, f"{errno_name(error)} {error.filename}")


async def execute(s, child, *argv, **options):
    """Starts it and notes what came of it."""
    await _start(s, child, "subprocess_exec", s.loop.subprocess_exec(lambda: child, *argv, **options))


async def shell(s, child, cmd, **options):
    await _start(s, child, "subprocess_shell", s.loop.subprocess_shell(lambda: child, cmd, **options))


async def run(s, cmd, hooks=None, **options):
    child = Child(s, **(hooks or {}))
    await execute(s, child, "/bin/sh", "-c", cmd, **options)
    return child


async def until_lost(s, child):
    await s.until(lambda: child.lost)


async def until_received(s, child, fd, data):
    await s.until(lambda: child.got[fd] == data)
