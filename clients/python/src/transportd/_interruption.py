"""Exceptions from outside, such as the KeyboardInterrupt of a signal: did one strike this package, or somebody else?

A signal's handler runs between any two instructions of the main thread. What it raises in a protocol's callback or in a
task is theirs; in this package's own code it may leave something half done, of which nobody can tell what.
"""

from __future__ import annotations

import functools
import os
import signal
from types import CodeType
from typing import Any

from transportd._http2 import GrpcCall

_FOLDER = os.path.dirname(__file__) + os.sep
# What this package calls to do its work. What asyncio's own protocols lose is lost as silently.
_HELPERS = frozenset(("asyncio", "encodings", "google", "hpack", "logging", "select", "socket", "ssl", "weakref"))
# Nothing is half done in these: they wait.
_HARMLESS = frozenset((GrpcCall.wait.__code__,))


def is_inside(error: BaseException) -> bool:
    """Whether `error` struck this package's code, called by the function that has caught it, or what that calls."""
    frames = []
    entry = error.__traceback__.tb_next if error.__traceback__ is not None else None
    while entry is not None:
        frames.append(entry.tb_frame)
        entry = entry.tb_next
    handlers = _handlers()
    is_foreign = False
    for frame in reversed(frames):
        if frame.f_code in handlers:
            is_foreign = False  # It and what it called: on top of what it has struck.
        elif frame.f_code.co_filename.startswith(_FOLDER):
            return not is_foreign and frame.f_code not in _HARMLESS
        elif frame.f_globals.get("__name__", "").partition(".")[0] not in _HELPERS:
            is_foreign = True
    return False


def _handlers() -> set[CodeType]:
    codes = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            codes.add(code)
    return codes
