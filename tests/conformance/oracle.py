#!/usr/bin/python3
"""Plays the scenarios on CPython's asyncio and writes their traces: what conformance_test compares with.

usage: oracle.py OUTPUT [SCENARIO…]      (OUTPUT - is standard output)

A line of the output is FAMILY, SCENARIO, OBJECT and one line of the object's trace, separated by tabs.
"""

import asyncio
import faulthandler
import importlib
import logging
import os
import pathlib
import re
import socket
import sys

import stage

HERE = pathlib.Path(__file__).resolve().parent
FAMILIES = {
    "v4": socket.AF_INET,
    "v6": socket.AF_INET6,
    "unix": socket.AF_UNIX,
    "tls": socket.AF_INET,
    "local": socket.AF_INET,
}
# Of any stream transport; those and these also over TLS; of TLS only; of no network; all others are of TCP.
STREAM_FILES = ("buffered", "close", "data", "eof", "flow", "pause")
CONNECTION_FILES = ("errors", "server")
TLS_FILES = ("tls",)
LOCAL_FILES = ("pipe", "process", "unix")
# But not these: the table says why.
NOT_OVER_TLS = re.findall(
    r'^    \{"(\w+)", OverTls::(?!kAsAsyncio)', (HERE / "scenarios/not_over_tls.cc").read_text(encoding="utf-8"), re.MULTILINE
)


def is_played(name, family_name):
    module = stage.SCENARIOS[name].__module__
    if module in TLS_FILES:
        return family_name == "tls"
    if family_name == "tls":
        return module in STREAM_FILES + CONNECTION_FILES and name not in NOT_OVER_TLS
    if family_name == "local" or module in LOCAL_FILES:
        return family_name == "local" and module in LOCAL_FILES
    return family_name != "unix" or module in STREAM_FILES


def has_family(family):
    if family == socket.AF_UNIX:
        return True
    with socket.socket(family) as sock:
        try:
            sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        except OSError:
            return False
    return True


def play(function, family, is_tls):
    loop = asyncio.SelectorEventLoop()
    unexpected = []

    def handle(_, context):
        # A slip of asyncio's own: closing inside resume_writing with the buffer just emptied schedules the loss twice,
        # and the second one fails, unheard by the protocol.
        if "_call_connection_lost(None)" not in context["message"]:
            unexpected.append(context)

    loop.set_exception_handler(handle)
    set_up = stage.Stage(loop, family, is_tls)

    async def main():
        await function(set_up)
        await set_up.finish()

    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    if unexpected:
        raise AssertionError(f"{function.__name__}: {unexpected}")
    return set_up.traces


def main():
    output, names = sys.argv[1], sys.argv[2:]
    sys.path.insert(0, str(HERE / "scenarios"))
    sys.dont_write_bytecode = True
    # "returning true from eof_received() has no effect when using ssl"
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    for path in sorted((HERE / "scenarios").glob("*.py")):
        importlib.import_module(path.stem)
    lines = []
    for family_name, family in FAMILIES.items():
        if not has_family(family):
            continue
        for name in names or sorted(stage.SCENARIOS):
            if not is_played(name, family_name):
                continue
            faulthandler.dump_traceback_later(stage.PATIENCE_S, exit=True)
            try:
                traces = play(stage.SCENARIOS[name], family, family_name == "tls")
            except BaseException:
                print(f"{family_name} {name} failed", file=sys.stderr)
                raise
            for who in sorted(traces):
                lines += [f"{family_name}\t{name}\t{who}\t{line}\n" for line in traces[who].lines]
    text = "".join(lines)
    if output == "-":
        sys.stdout.write(text)
        return
    # Whole or not at all: tests may read it at any time.
    temporary = f"{output}.{os.getpid()}"
    pathlib.Path(temporary).write_text(text, encoding="ascii")
    os.replace(temporary, output)


if __name__ == "__main__":
    main()
