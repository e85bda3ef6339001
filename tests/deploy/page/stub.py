#!/usr/bin/python3
"""A stand-in for the service's admin port: the status page with its headers, and answers from fixtures/.

By hand: tests/deploy/page/stub.py [--fixture busy|empty|hostile|huge] [--port PORT], and open what it prints.
"""

import argparse
import base64
import copy
import datetime
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[2] / "server/admin/page/index.html"
Json = dict[str, Any]


def fixture(name: str) -> Json:
    """`huge` is made from `busy`: a thousand transports of a hundred sessions, and 256 denials."""
    if name != "huge":
        return json.loads((HERE / "fixtures" / f"{name}.json").read_text())
    huge = fixture("busy")
    huge["sessions"] = [
        {
            **copy.deepcopy(huge["sessions"][i % 5]),
            "sessionPrefix": f"{i:08x}",
            "principal": f"spiffe://example.org/ns/load/sa/runner-{i}",
        }
        for i in range(100)
    ]
    streams = [t for t in huge["transports"] if t["kind"] == "TRANSPORT_KIND_STREAM"]
    huge["transports"] = [
        {
            **copy.deepcopy(streams[i % len(streams)]),
            "sessionPrefix": f"{i // 10:08x}",
            "transportId": i % 10 + 1,
            "receivedBytes": str(i * 4096),
        }
        for i in range(1000)
    ]
    huge["denials"] = [{**huge["denials"][i % 5], "uid": f"9f3ac2d1-{i}"} for i in range(256)]
    loop = huge["eventLoops"][0]
    huge["eventLoops"] = [{**loop, "busyTime": f"{100 + i}s"} for i in range(32)]
    huge["usage"] |= {"sessionCount": 100, "transportCount": 1000}
    return huge


def content_security_policy(page: bytes) -> str:
    """Allows the page's own style and script, by their sums, and nothing else."""

    def sums(tag: str) -> str:
        found = re.findall(rb"<%b>(.*?)</%b>" % (tag.encode(), tag.encode()), page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found)

    return (
        f"default-src 'none'; script-src {sums('script')}; style-src {sums('style')}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def moved(status: Json, seconds: float) -> Json:
    """The same service so many seconds later: clocks go on, counters grow."""
    status = copy.deepcopy(status)
    when = datetime.datetime.fromisoformat(status["time"]) + datetime.timedelta(seconds=seconds)
    status["time"] = when.isoformat().replace("+00:00", "Z")

    def later(duration: str, share: float) -> str:
        return f"{float(duration.removesuffix('s')) + seconds * share:.6f}s"

    wave = seconds + 0.6 * seconds * abs((seconds / 7) % 2 - 1)
    status["version"]["uptime"] = later(status["version"]["uptime"], 1)
    for field, bytes_per_second in (("receivedBytes", 3_400_000), ("sentBytes", 420_000)):
        status["usage"][field] = str(int(status["usage"][field]) + int(wave * bytes_per_second))
    for i, loop in enumerate(status["eventLoops"]):
        loop["busyTime"] = later(loop["busyTime"], 0.04 + 0.03 * (i % 3))
    status["process"]["cpuTime"] = later(status["process"]["cpuTime"], 0.21)
    for i, transport in enumerate(status["transports"]):
        if transport["kind"] == "TRANSPORT_KIND_STREAM" and not transport["readingPaused"]:
            transport["receivedBytes"] = str(int(transport["receivedBytes"]) + int(seconds * 1000 * (i % 7)))
    if "drainTimeLeft" in status:
        status["drainTimeLeft"] = later(status["drainTimeLeft"], -1)
    return status


class Stub:
    """Serves `status`, which a test may change; `moving`: as of a service that goes on."""

    def __init__(self, status: Json, moving: bool = False, token: str = "", port: int = 0):
        self.status = status
        self.moving = moving
        self.step: Callable[[Json], Json] | None = None  # What `status` becomes before each answer.
        self.token = token  # Not empty: only who shows it is answered.
        self.denied: Json | None = None  # What who shows it is told instead, with 403.
        self.end_error: Json | None = None  # What an end is answered, with 403.
        self.failure = 0  # The HTTP status of every answer but the page.
        self.requests: list[str] = []
        self.at_once_max = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._port = port
        self.start()

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """As a service that is gone; `start` brings it back at the same port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, method: str, path: str, headers: Any) -> tuple[int, Json]:
        if self.failure:
            return self.failure, {"code": "UNAVAILABLE", "reason": "OVERLOADED", "message": "Not now."}
        if headers.get("X-Transportd") != "1":
            return 400, {"code": "INVALID_ARGUMENT", "reason": "NO_HEADER", "message": "X-Transportd: 1 is missing."}
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            message = "No principal has this token." if "Authorization" in headers else "Show a token."
            return 401, {"code": "UNAUTHENTICATED", "reason": "NO_PRINCIPAL", "message": message}
        if self.denied:
            return 403, self.denied
        if method == "GET" and path == "/status.json":
            if self.step:
                self.status = self.step(self.status)
            return 200, moved(self.status, time.monotonic() - self._began) if self.moving else self.status
        end = re.fullmatch(r"/sessions/([^/]+)(?:/transports/(\d+))?/end", path)
        if method == "POST" and end:
            if self.end_error:
                return 403, self.end_error
            prefix, transport_id = end[1], end[2]
            kept = [
                t
                for t in self.status["transports"]
                if t["sessionPrefix"] != prefix or (transport_id and t["transportId"] != int(transport_id))
            ]
            if len(kept) == len(self.status["transports"]):
                return 404, {"code": "NOT_FOUND", "reason": "UNKNOWN_TRANSPORT", "message": "There is none."}
            self.status["transports"] = kept
            if not transport_id:
                self.status["sessions"] = [s for s in self.status["sessions"] if s["sessionPrefix"] != prefix]
            return 200, {}
        return 404, {"code": "NOT_FOUND", "reason": "UNKNOWN_PATH", "message": "There is nothing here."}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/":
                    page = PAGE.read_bytes()
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.send_header("Content-Security-Policy", content_security_policy(page))
                    self.send_header("X-Content-Type-Options", "nosniff")
                    self.end_with(page)
                else:
                    self.answer("GET")

            def do_POST(self) -> None:
                self.answer("POST")

            def answer(self, method: str) -> None:
                with stub._lock:
                    stub.requests.append(f"{method} {self.path}")
                    stub._at_once += 1
                    stub.at_once_max = max(stub.at_once_max, stub._at_once)
                    status, body = stub._answer(method, self.path, self.headers)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                with stub._lock:
                    stub._at_once -= 1
                self.end_with(json.dumps(body).encode())

            def end_with(self, body: bytes) -> None:
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves the status page with made-up answers, until Ctrl-C.")
    parser.add_argument("--fixture", default="busy", choices=["busy", "empty", "hostile", "huge"])
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--token", default="", help="answer only who shows this token")
    arguments = parser.parse_args()
    stub = Stub(fixture(arguments.fixture), moving=True, token=arguments.token, port=arguments.port)
    print(f"the status page is on {stub.url}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        stub.stop()


if __name__ == "__main__":
    main()
