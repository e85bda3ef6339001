import os
import signal
from subprocess import DEVNULL, STDOUT

import pipe_end
from stage import pattern, scenario
from subprocess_stage import Child, execute, run, shell, until_lost, until_received


@scenario
async def subprocess_cat(s):
    child = Child(s)
    await execute(s, child, "cat")
    child.note_pipes()
    child.note_returncode()
    child.pipe(0).write(b"hello")
    await until_received(s, child, 1, b"hello")
    child.pipe(0).write_eof()
    await until_lost(s, child)
    child.note_returncode()
    child.note("is_closing", child.transport.is_closing())


@scenario
async def subprocess_large_data(s):
    child = Child(s)
    await execute(s, child, "cat")
    child.pipe(0).write(pattern(4_000_000))
    child.pipe(0).close()
    await until_lost(s, child)


@scenario
async def subprocess_shell_runs_a_command(s):
    child = Child(s)
    await shell(s, child, "echo $((6 * 7)); exit 3")
    await until_lost(s, child)


@scenario
async def subprocess_stdout_and_stderr_are_apart(s):
    child = await run(s, "echo to out; echo to err >&2")
    await until_lost(s, child)


@scenario
async def subprocess_stderr_goes_where_stdout_goes(s):
    child = await run(s, "echo 1; echo 2 >&2; echo 3", stdin=DEVNULL, stderr=STDOUT)
    child.note_pipes()
    await until_lost(s, child)


@scenario
async def subprocess_without_pipes(s):
    child = await run(s, "exit 7", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    child.note_pipes()
    await until_lost(s, child)


@scenario
async def subprocess_exit_statuses(s):
    for code in (0, 1, 255):
        child = Child(s, f"child{code}")
        await execute(s, child, "/bin/sh", "-c", f"exit {code}")
        await until_lost(s, child)
        child.note_returncode()


@scenario
async def subprocess_killed_by_signals(s):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        child = Child(s, f"child{int(number)}")
        await execute(s, child, "/bin/sh", "-c", f"kill -{int(number)} $$")
        await until_lost(s, child)
        child.note_returncode()


@scenario
async def subprocess_that_closes_its_stdin(s):
    child = await run(s, "exec <&-; exec sleep 1000")
    await s.until(lambda: 0 in child.lost_pipes)
    child.note("exited", child.exited)
    child.transport.kill()
    await until_lost(s, child)


@scenario
async def subprocess_killed_with_bytes_for_its_stdin(s):
    child = await run(s, "exec sleep 1000")
    child.pipe(0).write(pattern(16_000_000))
    child.transport.kill()
    await until_lost(s, child)


@scenario
async def subprocess_stdout_paused(s):
    child = await run(s, "yes | head -n 1000000; echo end >&2")
    child.pipe(1).pause_reading()
    await s.settle()
    child.note("exited", child.exited)
    child.pipe(1).resume_reading()
    await until_lost(s, child)


@scenario
async def subprocess_stdin_closed_by_its_pipe(s):
    child = await run(s, "cat; echo done")
    child.pipe(0).close()
    child.note("is_closing", child.pipe(0).is_closing())
    await until_lost(s, child)


@scenario
async def subprocess_stdout_closed_by_its_pipe(s):
    child = await run(s, "read x; echo to nobody; exit 5")
    child.pipe(1).close()
    await s.until(lambda: 1 in child.lost_pipes)
    child.note("exited", child.exited)
    child.transport.kill()
    await until_lost(s, child)


@scenario
async def subprocess_signals(s):
    child = await run(
        s, "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    )
    await until_received(s, child, 1, b"ready\n")
    child.signal(signal.SIGUSR1)
    await until_received(s, child, 1, b"ready\nusr1\n")
    child.transport.terminate()
    await until_lost(s, child)


@scenario
async def subprocess_that_ignores_sigterm(s):
    child = await run(s, "trap '' TERM; echo ready; exec sleep 1000")
    await until_received(s, child, 1, b"ready\n")
    child.transport.terminate()
    await s.settle()
    child.note("exited", child.exited)
    child.transport.kill()
    await until_lost(s, child)


@scenario
async def subprocess_signal_after_its_end(s):
    child = await run(s, "exit 0", hooks={"exited": lambda c: c.signal(signal.SIGTERM)})
    await until_lost(s, child)
    child.signal(signal.SIGTERM)


@scenario
async def subprocess_close_kills(s):
    child = await run(s, "trap '' TERM; echo ready; exec sleep 1000")
    await until_received(s, child, 1, b"ready\n")
    child.transport.close()
    child.note("is_closing", child.transport.is_closing())
    child.note_returncode()
    child.transport.close()
    await until_lost(s, child)
    child.note_returncode()
    try:
        os.kill(child.transport.get_pid(), 0)
        child.note("it exists")
    except ProcessLookupError:
        child.note("it is gone")


@scenario
async def subprocess_close_in_connection_made(s):
    child = await run(s, "sleep 1000", hooks={"made": lambda c: c.transport.close()})
    await until_lost(s, child)


@scenario
async def subprocess_close_in_data_received(s):
    child = await run(s, "read x; echo $x; exec sleep 1000", hooks={"data": lambda c, fd: c.transport.close()})
    child.pipe(0).write(b"now\n")
    await until_lost(s, child)


@scenario
async def subprocess_close_in_process_exited(s):
    child = await run(s, "read x; exit 4", hooks={"exited": lambda c: c.transport.close()})
    child.pipe(0).write(b"now\n")
    await until_lost(s, child)


@scenario
async def subprocess_close_after_its_end(s):
    child = await run(s, "exit 4")
    await until_lost(s, child)
    child.transport.close()
    child.note("is_closing", child.transport.is_closing())


@scenario
async def subprocess_grandchild_holds_stdout(s):
    path = pipe_end.make_fifo(s, "fifo")
    child = await run(s, f"(cat {path} >/dev/null; echo later) & echo now")
    await s.until(lambda: child.exited and child.got[1] == b"now\n")
    await s.settle()
    child.note("lost", child.lost)
    child.note_returncode()
    await s.run(lambda: os.close(os.open(path, os.O_WRONLY)))
    await until_lost(s, child)


@scenario
async def subprocess_environment(s):
    child = Child(s)
    await execute(s, child, "/usr/bin/env", env={"A": "1", "B": "x=y"})
    await until_lost(s, child)
    empty = Child(s, "empty")
    await execute(s, empty, "/usr/bin/env", env={})
    await until_lost(s, empty)


@scenario
async def subprocess_executable(s):
    child = Child(s)
    await execute(s, child, "a-name", "-c", "echo $0 $1", "zero", "one", executable="/bin/sh")
    await until_lost(s, child)
    other = Child(s, "shell")
    await shell(s, other, "what a shell would run", executable="/bin/echo")
    await until_lost(s, other)


@scenario
async def subprocess_user_and_groups(s):
    # Only root may set extra_groups.
    extra = {"extra_groups": [os.getegid(), 4242]} if os.geteuid() == 0 else {}
    child = await run(s, "id -u; id -g; id -G", user=os.geteuid(), group=os.getegid(), **extra)
    await until_lost(s, child)


@scenario
async def subprocess_restore_signals(s):
    for restore_signals in (True, False):
        child = Child(s, "restored" if restore_signals else "kept")
        script = "kill -PIPE $$; echo survived"
        await execute(s, child, "/bin/sh", "-c", script, restore_signals=restore_signals)
        await until_lost(s, child)
        child.note_returncode()


@scenario
async def subprocess_pipesize(s):
    child = Child(s)
    script = "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))"
    await execute(s, child, "python3", "-c", script, pipesize=131072)
    await until_lost(s, child)


@scenario
async def subprocess_cwd(s):
    child = Child(s)
    await execute(s, child, "pwd", cwd="/usr/bin")
    await until_lost(s, child)
    relative = Child(s, "relative")
    await execute(s, relative, "./echo", "x", cwd="/usr/bin")
    await until_lost(s, relative)


@scenario
async def subprocess_umask_and_session(s):
    child = await run(
        s,
        "umask; [ \"$(cut -d' ' -f5,6 /proc/$$/stat)\" = \"$$ $$\" ] && echo own",
        umask=0o27,
        start_new_session=True,
    )
    await until_lost(s, child)


@scenario
async def subprocess_has_three_descriptors(s):
    child = Child(s)
    await execute(s, child, "ls", "/proc/self/fd")
    await until_lost(s, child)


@scenario
async def subprocess_signals_are_at_their_defaults(s):
    child = Child(s)
    await execute(s, child, "sed", "-n", "/SigBlk/p", "/proc/self/status")
    await until_lost(s, child)


@scenario
async def subprocess_that_is_not_there(s):
    for number, program in enumerate(("no-such-program", "/no/such/program")):
        child = Child(s, f"child{number}")
        await execute(s, child, program)


@scenario
async def subprocess_that_cannot_be_executed(s):
    path = s.path_of("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("x")
    child = Child(s)
    try:
        await s.loop.subprocess_exec(lambda: child, path)
    except PermissionError as error:
        child.note("subprocess_exec EACCES", error.filename == path)


@scenario
async def subprocess_in_no_folder(s):
    child = Child(s)
    await execute(s, child, "true", cwd="/no/such/folder")


@scenario
async def subprocess_with_too_much_environment(s):
    child = Child(s)
    await execute(s, child, "/bin/true", env={"A": "x" * 1_000_000})


@scenario
async def subprocess_yes_into_head(s):
    child = Child(s)
    await execute(s, child, "bash", "-c", "yes | head -n 100000; echo ${PIPESTATUS[0]}")
    await until_lost(s, child)


@scenario
async def subprocess_many_at_once(s):
    children = [Child(s, f"child{number}") for number in range(20)]
    for number, child in enumerate(children):
        await execute(s, child, "/bin/sh", "-c", f"read x; echo $x; exit {number}")
    for number, child in enumerate(children):
        child.pipe(0).write(f"{number}\n".encode())
    for child in children:
        await until_lost(s, child)
