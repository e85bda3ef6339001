"""Notices that the service has fallen silent: its machine is gone, or the way to it, or it stands still.

Nothing else tells of that while nothing is sent, and TCP only after many minutes. When nothing has come for a while,
the service is asked for a sign of life, HTTP/2's PING (RFC 9113, 6.7). Whatever comes is one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transportd._http2 import GrpcCall


class Keepalive:
    """Of one call, from now until `stop`. Threading: the loop's thread.

    ping: sends one.
    quiet_seconds: how long nothing may come before a ping is sent.
    answer_seconds: how long nothing may come behind it before `on_silence` is called, once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        call: GrpcCall,
        quiet_seconds: float,
        answer_seconds: float,
        ping: Callable[[], None],
        on_silence: Callable[[], None],
    ):
        self._loop = loop
        self._call = call
        self._quiet_seconds = quiet_seconds
        self._answer_seconds = answer_seconds
        self._ping = ping
        self._on_silence = on_silence
        self._asked_at: float | None = None  # And nothing has come since.
        self._timer = loop.call_later(quiet_seconds, self._look)

    def stop(self) -> None:
        """Idempotent."""
        self._timer.cancel()

    def _look(self) -> None:
        # What has come while the loop itself stood still, it has read by now: before it looks at its timers.
        now, heard_at = time.monotonic(), self._call.heard_at
        if self._asked_at is not None and heard_at >= self._asked_at:
            self._asked_at = None
        if self._asked_at is not None:
            left = self._asked_at + self._answer_seconds - now
            if left <= 0:
                self._on_silence()
                return
        else:
            left = heard_at + self._quiet_seconds - now
            if left <= 0:
                self._asked_at = now
                left = min(self._answer_seconds, self._quiet_seconds)
                self._ping()
        self._timer = self._loop.call_later(left, self._look)
