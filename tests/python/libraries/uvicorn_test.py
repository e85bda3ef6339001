"""uvicorn with an ASGI application against curl: www.uvicorn.org; asgi.readthedocs.io, HTTP and lifespan."""

import asyncio
import contextlib
import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import harness
import pytest
import servers
import uvicorn
import websockets.sync.client

from libraries.conftest import Run, WebFolder
from libraries.peers import curl
from libraries.sockets import Home
from libraries.tls import Tls


class Application:
    """An ASGI application; what it has seen."""

    def __init__(self, big: bytes = b""):
        self.big = big
        self.lifespan: list[str] = []
        self.scopes: list[Any] = []
        self.slow_begun = asyncio.Event()
        self.slow_may_end = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                word = (await receive())["type"]
                self.lifespan.append(word)
                await send({"type": f"{word}.complete"})
            return
        self.scopes.append(scope)
        await getattr(self, scope["path"].strip("/"))(receive, send)

    async def answer(self, send: Any, *pieces: bytes) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def hello(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"hello")

    async def download(self, receive: Any, send: Any) -> None:
        await self.answer(send, *(self.big[start : start + 100_000] for start in range(0, len(self.big), 100_000)))

    async def upload(self, receive: Any, send: Any) -> None:
        """Its sha256."""
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            digest.update(message["body"])
            more = message["more_body"]
        await self.answer(send, digest.hexdigest().encode())

    async def slow(self, receive: Any, send: Any) -> None:
        self.slow_begun.set()
        await self.slow_may_end.wait()
        await self.answer(send, b"done")

    async def endless(self, receive: Any, send: Any) -> None:
        """Sends until the client has gone."""

        async def flood() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
                # What is sent to nobody does not wait.
                await asyncio.sleep(0)

        await receive()
        sending = asyncio.create_task(flood())
        assert (await receive())["type"] == "http.disconnect"
        sending.cancel()
        self.gone.set()

    async def echo(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


@contextlib.asynccontextmanager
async def serving(app: Application, **options: Any) -> AsyncIterator[uvicorn.Server]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", **options))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
        assert not task.done()
    try:
        yield server
    finally:
        server.should_exit = True
        await task


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def test_lifespan_and_what_a_request_says(run: Run, home: Home) -> None:
    async def main() -> None:
        app = Application()
        async with serving(app) as server:
            assert app.lifespan == ["lifespan.startup"]
            port = port_of(server)
            home.check_listener(port)
            out = await curl("-w", " %{local_port}", f"http://127.0.0.1:{port}/hello?x=1")
            word, client_port = out.split()
            assert word == b"hello"
            (scope,) = app.scopes
            assert scope["client"] == ("127.0.0.1", int(client_port))
            assert scope["server"] == ("127.0.0.1", port)
            assert (scope["scheme"], scope["query_string"]) == ("http", b"x=1")
        assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_download(run: Run, web_folder: WebFolder, tls: Tls, scheme: str) -> None:
    options = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key} if scheme == "https" else {}

    async def main() -> None:
        app = Application(web_folder.big)
        async with serving(app, **options) as server:
            url = f"{scheme}://localhost:{port_of(server)}/download"
            out = await curl("--cacert", tls.ca_certificate, "-4", url)
            assert hashlib.sha256(out).hexdigest() == hashlib.sha256(web_folder.big).hexdigest()
            assert app.scopes[0]["scheme"] == scheme

    run(main())


def test_a_chunked_upload(run: Run, web_folder: WebFolder) -> None:
    async def main() -> None:
        async with serving(Application()) as server:
            url = f"http://127.0.0.1:{port_of(server)}/upload"
            chunked = "Transfer-Encoding: chunked"
            out = await curl("-H", chunked, "--data-binary", "@-", url, data=web_folder.big)
            assert out.decode() == hashlib.sha256(web_folder.big).hexdigest()

    run(main())


def test_a_unix_socket(run: Run, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        async with serving(Application(), uds=str(path)):
            home.check_unix_listener(path)
            assert await curl("--unix-socket", path, "http://localhost/hello") == b"hello"

    run(main())


def test_websockets(run: Run) -> None:
    def talk(port: int) -> None:
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/echo") as client:
            for number in range(100):
                client.send(str(number))
                assert client.recv(harness.TIMEOUT) == str(number)

    async def main() -> None:
        async with serving(Application(), ws="websockets-sansio") as server:
            await asyncio.to_thread(talk, port_of(server))

    run(main())


def test_it_stops_in_good_order(run: Run) -> None:
    """A request that has begun is answered."""

    async def main() -> None:
        app = Application()
        async with serving(app) as server:
            port = port_of(server)
            answer = asyncio.create_task(curl(f"http://127.0.0.1:{port}/slow"))
            await app.slow_begun.wait()
            server.should_exit = True
            await asyncio.to_thread(harness.eventually, lambda: not servers.accepts(port), "nobody listens")
            assert not answer.done()
            app.slow_may_end.set()
        assert await answer == b"done"
        assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]

    run(main())


def test_a_client_that_goes_away(run: Run) -> None:
    async def main() -> None:
        app = Application()
        async with serving(app) as server:
            url = f"http://127.0.0.1:{port_of(server)}/endless"
            with harness.running("curl", "-s", url, stdout=subprocess.PIPE) as program:
                assert program.stdout is not None
                await asyncio.to_thread(program.stdout.read, 1 << 20)
            await app.gone.wait()

    run(main())
