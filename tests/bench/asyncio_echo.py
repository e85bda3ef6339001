#!/usr/bin/python3
"""Echo round trips of Python's asyncio, or of uvloop, in process: as bench_load's echo, for comparison.

usage: asyncio_echo.py --loop=asyncio|uvloop --seconds=S --warmup=S PORT CONNECTIONS SIZE
"""

import argparse
import asyncio
import json
import sys
import time


class Pinger(asyncio.Protocol):
    """Sends a message, waits until all of it is back, and again."""

    def __init__(self, message: bytes, times: list[float], stopped: asyncio.Future):
        self._message = message
        self._times = times
        self._stopped = stopped
        self._awaited = 0
        self._start = 0.0
        self._transport = None
        self.is_stopping = False

    def connection_made(self, transport) -> None:
        self._transport = transport

    def send(self) -> None:
        self._awaited = len(self._message)
        self._start = time.perf_counter()
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._awaited -= len(data)
        if self._awaited > 0:
            return
        self._times.append(time.perf_counter() - self._start)
        if self.is_stopping:
            self._transport.close()
        else:
            self.send()

    def connection_lost(self, error) -> None:
        if not self.is_stopping and not self._stopped.done():
            self._stopped.set_exception(error or ConnectionResetError("the echo server closed"))


async def measure(options) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    stopped = loop.create_future()
    message = b"x" * options.size
    pingers = []
    for _ in range(options.connections):
        _, pinger = await loop.create_connection(lambda: Pinger(message, times, stopped), "127.0.0.1", options.port)
        pingers.append(pinger)
    # Not before all are connected: the load would slow that down.
    for pinger in pingers:
        pinger.send()
    await asyncio.wait([stopped], timeout=options.warmup)
    times.clear()
    start = time.perf_counter()
    await asyncio.wait([stopped], timeout=options.seconds)
    elapsed = time.perf_counter() - start
    for pinger in pingers:
        pinger.is_stopping = True
    if stopped.done():
        stopped.result()
    ordered = sorted(times)
    if not ordered:
        raise TimeoutError("no round trip was finished")

    def quantile_us(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e6, 1)

    return {
        "round_trips_per_s": round(len(ordered) / elapsed, 1),
        "p50_us": quantile_us(0.5),
        "p90_us": quantile_us(0.9),
        "p99_us": quantile_us(0.99),
        "max_us": quantile_us(1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("size", type=int)
    options = parser.parse_args()
    if options.loop == "uvloop":
        import uvloop

        uvloop.install()
    try:
        print(json.dumps(asyncio.run(measure(options))))
    except OSError as error:
        sys.exit(f"asyncio_echo: {error}")


if __name__ == "__main__":
    main()
