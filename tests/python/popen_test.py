"""get_extra_info('subprocess'): a Popen of a process that is elsewhere.

Not compared with asyncio's, where Popen and the loop take the returncode from one another.
"""

import subprocess
import threading

import harness
import pytest
import transportd

from subprocess_case import (
    BLOCKED,
    DEVNULL,
    Recorder,
    Runner,
    kill,
    python,
    start,
)


def test_popen(remote: Runner) -> None:
    async def main() -> None:
        recorder = await start(*BLOCKED)
        transport = recorder.transport
        popen = transport.get_extra_info("subprocess")
        assert popen.pid == transport.get_pid()
        assert tuple(popen.args) == BLOCKED
        assert popen.returncode is None
        assert popen.poll() is None
        assert "returncode: None" in repr(popen)
        with pytest.raises(subprocess.TimeoutExpired) as info:
            popen.wait(0.05)
        assert info.value.timeout == 0.05
        popen.send_signal(0)
        popen.terminate()
        popen.kill()
        recorder.transport.close()
        await recorder.until_lost()
        assert popen.returncode == popen.poll() == popen.wait() == recorder.returncode
        assert popen.returncode in (-15, -9)
        popen.kill()

    remote.run(main())


def test_popen_waits(remote: Runner) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "echo out; exit 6", stdin=DEVNULL)
        popen = recorder.transport.get_extra_info("subprocess")
        assert popen.wait() == popen.poll() == popen.returncode == 6
        assert recorder.transport.get_returncode() is None
        assert recorder.heard == [("connection_made",)]
        recorder.transport.kill()
        await recorder.until_lost()
        assert recorder.data[1] == b"out\n"
        assert recorder.returncode == 6
        recorder.transport.close()

    remote.run(main())


def test_popen_waits_within_a_callback(remote: Runner) -> None:
    class Waiting(Recorder):
        def pipe_data_received(self, fd: int, data: bytes) -> None:
            super().pipe_data_received(fd, data)
            assert self.transport.get_extra_info("subprocess").wait() == 0

    async def main() -> None:
        # Data and the end arrive together, and in more than one frame.
        for size in (1, 1000, 60000):
            recorder = await start(*python(f"import os; os.write(1, bytes({size}))"), protocol=Waiting, stderr=DEVNULL)
            await recorder.until_lost()
            assert len(recorder.data[1]) == size
            recorder.transport.close()

    remote.run(main())


def test_popen_without_a_running_loop(remote: Runner) -> None:
    recorder = remote.run(start(*BLOCKED))
    popen = recorder.transport.get_extra_info("subprocess")
    popen.kill()
    assert popen.wait(harness.TIMEOUT) == -9
    remote.run(recorder.until_lost())
    recorder.transport.close()


def test_popen_in_another_thread(remote: Runner) -> None:
    async def main() -> None:
        recorder = await start(*BLOCKED)
        popen = recorder.transport.get_extra_info("subprocess")
        found = []

        def use() -> None:
            found.append(popen.poll())
            with pytest.raises(subprocess.TimeoutExpired):
                popen.wait(0.01)
            popen.terminate()
            found.append(popen.wait())

        thread = threading.Thread(target=use)
        thread.start()
        await recorder.until_lost()
        thread.join()
        assert found == [None, -15]
        recorder.transport.close()

    remote.run(main())


def test_service_that_is_lost_while_popen_waits(mortal: harness.Service) -> None:
    async def main() -> None:
        recorder = await start("sh", "-c", "echo out; sleep 3600")
        await recorder.when(lambda: bool(recorder.data[1]))
        transport = recorder.transport
        killer = threading.Timer(0.05, kill, (mortal,))
        killer.start()
        with pytest.raises(transportd.SessionLostError):
            transport.get_extra_info("subprocess").wait()
        killer.join()
        with pytest.raises(ProcessLookupError):
            transport.kill()
        transport.close()
        await recorder.until_lost()

    with Runner(loop_factory=lambda: transportd.EventLoop(mortal.target)) as runner:
        runner.run(main())
