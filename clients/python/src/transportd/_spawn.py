"""subprocess_exec and subprocess_shell: from Popen's arguments to a process of the service."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transportd._errors import UnsupportedError, transport_error_of
from transportd._stdio import StandardStreams
from transportd._subprocess import SubprocessTransport
from transportd.v1 import event_loop_pb2, subprocess_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Reply, Session, Unclaimed

_SHELL = "/bin/sh"
_C_UNSIGNED_MAX = _LARGEST_ID = 0xFFFFFFFF
# Of the frame around a command.
_FRAME_BYTES = 128
# The longest time that a cancelled start waits for its process's end.
_END_SECONDS = 1.0


@dataclass(frozen=True)
class Program:
    """What is run, with the objects that an error names."""

    command: event_loop_pb2.Command
    executable: Any
    cwd: Any
    is_own_cwd: bool  # Nobody named a folder: it is this process's.


def make_program(
    args: Any,
    shell: bool,
    streams: StandardStreams,
    is_of_client: bool,
    /,
    *,
    executable: Any = None,
    preexec_fn: Callable[[], Any] | None = None,
    close_fds: bool = True,  # The process never gets another descriptor.
    cwd: Any = None,
    env: Mapping[Any, Any] | None = None,
    startupinfo: Any = None,
    creationflags: int = 0,
    restore_signals: bool = True,
    start_new_session: bool = False,
    pass_fds: Iterable[int] = (),
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Iterable[str | int] | None = None,
    umask: int = -1,
    pipesize: int | None = -1,
    process_group: int | None = None,
    **unknown: Any,
) -> Program:
    """From the arguments of subprocess.Popen; raises what it raises. `args`: those of asyncio's private method.

    is_of_client: the environment and folder are this process's, unless they are named; else the service's.
    """
    if unknown:
        raise TypeError(f"Popen.__init__() got an unexpected keyword argument {next(iter(unknown))!r}")
    if preexec_fn is not None:
        raise UnsupportedError(
            "preexec_fn: the process is started by the service, where no function of this one can run"
        )
    if tuple(pass_fds):
        raise UnsupportedError(
            "pass_fds: the process is started by the service, which has none of this one's descriptors; only stdin,"
            " stdout and stderr can be files"
        )
    if startupinfo is not None:
        raise ValueError("startupinfo is only supported on Windows platforms")
    if creationflags != 0:
        raise ValueError("creationflags is only supported on Windows platforms")
    options = subprocess_pb2.SubprocessOptions(
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        start_new_session=bool(start_new_session),
        restore_signals=bool(restore_signals),
    )
    is_own_cwd = cwd is None and is_of_client
    if is_own_cwd:
        cwd = os.getcwd()
    if cwd is not None:
        options.cwd = _folder(cwd, is_of_client)
    if env is not None or is_of_client:
        options.env.CopyFrom(_environment(env))
    _fill_accounts(options, user, group, extra_groups)
    _fill_numbers(options, umask, process_group)
    options.pipesize_bytes = _pipe_bytes(pipesize, streams)
    command = event_loop_pb2.Command()
    if not shell:
        words = list(args)
    elif executable is None:
        words = [_SHELL, "-c", args]
    else:
        words = [executable, "-c", args]
    if executable is not None:
        options.executable = _text(executable)
    if shell and executable is None:
        command.subprocess_shell.cmd = _text(args)
        command.subprocess_shell.options.CopyFrom(options)
    else:
        command.subprocess_exec.program = _text(words[0])
        command.subprocess_exec.args.extend(_text(word) for word in words[1:])
        command.subprocess_exec.options.CopyFrom(options)
    return Program(command, words[0] if executable is None else executable, cwd, is_own_cwd)


def _text(value: Any) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


def _folder(cwd: Any, is_of_client: bool) -> bytes:
    path = _text(cwd)
    return os.path.join(os.getcwdb(), path) if path and is_of_client else path


def _environment(env: Mapping[Any, Any] | None) -> subprocess_pb2.Environment:
    environment = subprocess_pb2.Environment()
    for name, value in os.environb.items() if env is None else env.items():
        encoded = _text(name)
        if env is None and not encoded:
            continue  # The kernel lets an environment have it, the contract does not.
        if not encoded or b"=" in encoded:
            raise ValueError("illegal environment variable name")
        environment.variables.add(name=encoded, value=_text(value))
    return environment


def _fill_accounts(
    options: subprocess_pb2.SubprocessOptions,
    user: str | int | None,
    group: str | int | None,
    extra_groups: Iterable[str | int] | None,
) -> None:
    if group is not None:
        options.group.CopyFrom(_account(group, "Group", f"Group must be a string or an integer, not {type(group)}"))
    if extra_groups is not None:
        if isinstance(extra_groups, str):
            raise ValueError("Groups must be a list, not a string")
        options.extra_groups.SetInParent()
        for one in extra_groups:
            text = f"Items in extra_groups must be a string or integer, not {type(one)}"
            options.extra_groups.accounts.append(_account(one, "Group", text))
    if user is not None:
        options.user.CopyFrom(_account(user, "User", "User must be a string or an integer"))


def _account(value: str | int, what: str, type_text: str) -> subprocess_pb2.Account:
    if isinstance(value, str):
        return subprocess_pb2.Account(name=value)
    if not isinstance(value, int):
        raise TypeError(type_text)
    if value < 0:
        raise ValueError(f"{what} ID cannot be negative, got {value}")
    if value > _LARGEST_ID:
        raise OverflowError(f"{what[0].lower()}id is greater than maximum")
    return subprocess_pb2.Account(id=value)


def _pipe_bytes(pipesize: int | None, streams: StandardStreams) -> int:
    """0: the kernel's own size. PermissionError for more than there can be, as of fcntl(2)."""
    if pipesize is None:
        return 0
    if not isinstance(pipesize, int):
        raise TypeError("pipesize must be an integer")
    if pipesize <= 0 or not streams.pipe_fds:
        return 0
    # As the fcntl module: the low bits alone. Of none at all the kernel makes a page.
    size = pipesize & _C_UNSIGNED_MAX or 1
    if size > _C_UNSIGNED_MAX // 2:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    return size


def _fill_numbers(options: subprocess_pb2.SubprocessOptions, umask: int, process_group: int | None) -> None:
    if operator.index(umask) >= 0:
        options.umask = umask & 0o777  # As umask(2).
    if process_group is not None and operator.index(process_group) >= 0:
        if options.start_new_session:
            # setpgid(2): the leader of a session stays in its group.
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        options.process_group = process_group


async def spawn(
    loop: EventLoop,
    session: Session,
    protocol: asyncio.BaseProtocol,
    args: Any,
    shell: bool,
    stdio: tuple[Any, Any, Any],
    is_of_client: bool,
    /,
    **options: Any,
) -> SubprocessTransport:
    """Starts it, and returns behind connection_made; raises what asyncio raises.

    When it is cancelled the process is killed, and its protocol hears of all that, before this ends; if it is cancelled
    again, or the service does not answer within a second, behind it.
    """
    streams = StandardStreams(loop, *stdio)
    try:
        program = make_program(args, shell, streams, is_of_client, **options)
        if program.command.ByteSize() + _FRAME_BYTES > session.limits.max_client_frame_bytes:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), program.executable)
        made: asyncio.Future[SubprocessTransport] = loop.create_future()
        context = contextvars.copy_context()

        def make(unclaimed: Unclaimed) -> None:
            SubprocessTransport(loop, unclaimed, protocol, args, streams, made)

        def done(reply: Reply | None, error: Exception | None) -> None:
            # Here, not when the caller wakes: what follows in the same frame is the process's already.
            if reply is not None:
                result = getattr(reply, reply.WhichOneof("result") or "")
                context.run(make, session.unclaimed(result.transport_id))
                return
            session.forget_process(None)
            streams.close()
            if not made.done():
                assert error is not None
                made.set_exception(error)

        session.request(program.command, done)
        session.watch_process()
    except BaseException:
        streams.close()
        raise
    try:
        transport = await asyncio.shield(made)
    except asyncio.CancelledError:
        # With asyncio the process has been started by now, at whatever time the caller is cancelled.
        await _end(loop, made)
        raise
    except Exception as error:
        raise _as_asyncio(error, program) from None
    transport._release()
    return transport


async def _end(loop: EventLoop, made: asyncio.Future[SubprocessTransport]) -> None:
    """Closes the transport that is being made, and waits for the process's end, as long as that is soon."""
    deadline = loop.time() + _END_SECONDS
    try:
        await asyncio.wait((made,), timeout=_END_SECONDS)
    finally:
        # What is made later is closed by whoever makes it: nobody waits any more.
        made.cancel()
        transport = None if made.cancelled() or made.exception() is not None else made.result()
        if transport is not None:
            transport._release()
            transport.close()
    if transport is not None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(transport._wait(), deadline - loop.time())


def _as_asyncio(error: Exception, program: Program) -> Exception:
    failure = transport_error_of(error)
    if failure is None:
        return error
    if failure.reason in ("UNKNOWN_USER", "UNKNOWN_GROUP"):
        return KeyError(failure.message)
    if not failure.errno_number:
        return error
    return _os_error(failure, program)


def _os_error(failure: types_pb2.TransportError, program: Program) -> OSError:
    number, text = failure.errno_number, os.strerror(failure.errno_number)
    if failure.operation == "exec":
        return OSError(number, text, program.executable)
    if failure.operation != "chdir":
        return OSError(number, text)
    error = OSError(number, text, program.cwd)
    if program.is_own_cwd:
        error.add_note(
            "This is the folder of this process, and the service cannot use it: name another by cwd=…, or let"
            " EventLoop(subprocess_context='service') use the service's own."
        )
    return error
