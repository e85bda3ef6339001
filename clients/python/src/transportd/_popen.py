"""What a process of the service looks like here: get_extra_info('subprocess')."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._subprocess import SubprocessTransport

# poll(2) takes no endless deadline with a clock.
_LONG_SECONDS = 3600.0


class Popen:
    """The part of subprocess.Popen's interface that goes with asyncio: the pipes are the transport's.

    Threading: any thread. In the loop's own, wait() stops the loop, as it does for every Popen.
    """

    def __init__(self, loop: EventLoop, transport: SubprocessTransport, args: Any, pid: int):
        self._loop = loop
        self._transport: SubprocessTransport | None = transport
        self._ended = threading.Event()
        self._loss: BaseException | None = None
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = None
        self.stdout = None
        self.stderr = None

    def __repr__(self) -> str:
        text = f"<{self.__class__.__name__}: returncode: {self.returncode} args: {self.args!r}>"
        return text if len(text) <= 80 else text[:76] + "...>"

    def poll(self) -> int | None:
        """The returncode, if the service has told that the process has exited; else None.

        SessionLostError when it will not tell any more.
        """
        if self.returncode is None and self._transport is not None and self._is_in_loops_thread():
            self.returncode = self._transport._exit_told()
        if self.returncode is None and self._loss is not None:
            raise self._loss
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process has exited; the returncode. subprocess.TimeoutExpired after `timeout` seconds.

        SessionLostError when the service cannot tell any more.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (returncode := self.poll()) is None:
            left = _LONG_SECONDS if deadline is None else deadline - time.monotonic()
            if timeout is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout)
            if self._transport is not None and self._is_in_loops_thread():
                self._transport._session.read_now(left)
            else:
                self._ended.wait(left)
        return returncode

    def send_signal(self, sig: int) -> None:
        """Sends it, and does not wait: what the kernel says to it is not told. The transport's method tells."""
        transport = self._transport
        if self.poll() is not None or transport is None:
            return
        if self._is_in_loops_thread():
            transport._send_signal(sig)
        else:
            self._loop.call_soon_threadsafe(transport._send_signal, sig)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _is_in_loops_thread(self) -> bool:
        """Or in any, while the loop does not run."""
        return getattr(self._loop, "_thread_id", None) in (None, threading.get_ident())

    def _end(self, returncode: int | None, loss: BaseException | None) -> None:
        """Nothing more is known of the process than this."""
        if self.returncode is None:
            self.returncode = returncode
        self._loss = loss
        self._transport = None
        self._ended.set()
