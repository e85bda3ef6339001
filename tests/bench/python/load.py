"""The load generator in Python: one work on asyncio's loop, uvloop's or transportd's. See --help.

The loops differ in how they are made, here, and in nothing else.
"""

import argparse
import asyncio
import importlib.metadata
import json
import platform
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import bulk
import datagrams
import echo
import http_client
import subprocesses
from course import Course, Settings, WorkError


@dataclass(frozen=True)
class Work:
    run: Callable[..., Awaitable[None]]  # Called with the course and the arguments.
    arguments: str  # Numbers all. In brackets stands what may be left out.
    rate: str = ""  # The key of what is done in a second; empty: bytes.

    def takes(self, count: int) -> bool:
        """Whether it takes so many arguments."""
        names = self.arguments.split()
        return len([name for name in names if not name.startswith("[")]) <= count <= len(names)


WORKS = {
    "echo": Work(echo.echo, "PORT CONNECTIONS SIZE", "round_trips_per_s"),
    "streams": Work(echo.streams, "PORT CONNECTIONS SIZE", "round_trips_per_s"),
    "bulk-up": Work(bulk.bulk_up, "DISCARD_PORT CONNECTIONS [HIGH_WATER_MARK]"),
    "bulk-down": Work(bulk.bulk_down, "CHARGEN_PORT CONNECTIONS"),
    "udp": Work(datagrams.udp, "PORT ENDPOINTS SIZE", "round_trips_per_s"),
    "spawn": Work(subprocesses.spawn, "CONCURRENCY", "processes_per_s"),
    "http": Work(http_client.http, "PORT CONNECTIONS SIZE", "requests_per_s"),
}


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    if name == "transportd":
        import transportd

        return transportd.new_event_loop  # At $TRANSPORTD_TARGET.
    return asyncio.SelectorEventLoop


def version(loop: str) -> str:
    """Of the loop; with asyncio's stands aiohttp's, where that is installed."""
    loop_factory(loop)
    if loop != "asyncio":
        return importlib.metadata.version(loop)
    text = f"Python {platform.python_version()}"
    try:
        return f"{text}, aiohttp {importlib.metadata.version('aiohttp')}"
    except importlib.metadata.PackageNotFoundError:
        return text


async def measure(options: argparse.Namespace) -> dict[str, float]:
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
    course = Course(Settings(options.seconds, options.warmup, tls))
    work = WORKS[options.work]
    await work.run(course, *options.arguments)
    if options.loop == "transportd" and course.is_local:
        raise WorkError("connections or subprocesses are not the service's but this process's own")
    return course.result(work.rate)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Runs one work and prints what it measured, as a line of JSON.",
        epilog="works:\n  " + "\n  ".join(f"{name} {work.arguments}" for name, work in WORKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop", "transportd"), default="asyncio")
    parser.add_argument("--seconds", type=float, default=2, help="how long it measures. Default: 2")
    parser.add_argument("--warmup", type=float, default=0.5, help="how long it runs before that. Default: 0.5")
    parser.add_argument("--ca", metavar="PEM", help="speak TLS with servers that this certificate vouches for")
    parser.add_argument("--version", action="store_true", help="print the version of the loop, and end")
    parser.add_argument("work", nargs="?", choices=WORKS, metavar="WORK")
    parser.add_argument("arguments", nargs="*", type=int, metavar="NUMBER")
    options = parser.parse_args()
    if options.version:
        return options
    if options.work is None:
        parser.error("which work?")
    if not WORKS[options.work].takes(len(options.arguments)):
        parser.error(f"{options.work} takes {WORKS[options.work].arguments}")
    return options


# What can go wrong beyond this program.
EXPECTED = (OSError, EOFError, ImportError, WorkError)


def first_of(error: BaseException) -> BaseException:
    """What went wrong first in a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    options = parse()
    try:
        if options.version:
            print(version(options.loop))
            return
        with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
            print(json.dumps(runner.run(measure(options))))
    except (*EXPECTED, ExceptionGroup) as error:
        first = first_of(error)
        if not isinstance(first, EXPECTED):
            raise
        sys.exit(f"load.py: {type(first).__name__}: {first}")


if __name__ == "__main__":
    main()
