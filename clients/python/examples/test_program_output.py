"""Programs where the service is: their output, their exit status, and what becomes of one that goes on for too long."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE

import pytest

# Every test of this file runs on a loop whose programs are started by the service.
pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("transportd_loop")]


async def test_output_and_exit_status() -> None:
    program = await asyncio.create_subprocess_exec("uname", "-s", stdin=DEVNULL, stdout=PIPE)
    output, _ = await program.communicate()
    assert (output, program.returncode) == (b"Linux\n", 0)


async def test_input_is_sorted() -> None:
    program = await asyncio.create_subprocess_exec("sort", "-n", stdin=PIPE, stdout=PIPE)
    output, _ = await program.communicate(b"10\n9\n8\n")
    assert output.split() == [b"8", b"9", b"10"]


async def test_error_output_is_apart() -> None:
    program = await asyncio.create_subprocess_shell("echo good; echo bad >&2; exit 3", stdout=PIPE, stderr=PIPE)
    assert await program.communicate() == (b"good\n", b"bad\n")
    assert program.returncode == 3


async def test_lines_come_as_they_are_written() -> None:
    program = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert program.stdin is not None
    assert program.stdout is not None
    for line in (b"first\n", b"second\n"):
        program.stdin.write(line)
        assert await program.stdout.readline() == line
    program.stdin.close()
    assert await program.wait() == 0


async def test_environment_and_folder_are_the_programs_own() -> None:
    program = await asyncio.create_subprocess_shell(
        'echo "$NAME in $PWD"', stdout=PIPE, env={"NAME": "somebody"}, cwd="/"
    )
    output, _ = await program.communicate()
    assert output == b"somebody in /\n"


async def test_a_program_that_goes_on_for_too_long_is_terminated() -> None:
    program = await asyncio.create_subprocess_exec("sleep", "1000", stdin=DEVNULL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await program.wait()
    program.terminate()
    assert await program.wait() == -signal.SIGTERM


async def test_no_such_program() -> None:
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("/no/such/program")
