"""aiohttp's server against curl: docs.aiohttp.org/en/stable/web.html."""

import asyncio
import contextlib
import errno
import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import harness
import pytest
import servers
from aiohttp import web

from libraries.conftest import Run, WebFolder
from libraries.peers import curl
from libraries.sockets import Home
from libraries.tls import Tls


@contextlib.asynccontextmanager
async def serving(*routes: web.RouteDef, tls: Tls | None = None, **options: Any) -> AsyncIterator[int]:
    """Its port."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context() if tls else None).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def digest_of_body(request: web.Request) -> web.Response:
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload(run: Run, chunked: bool) -> None:
    body = harness.pattern(8 << 20)

    async def main() -> None:
        async with serving(web.post("/", digest_of_body)) as port:
            options = ["-H", "Transfer-Encoding: chunked"] if chunked else []
            out = await curl(*options, "--data-binary", "@-", f"http://127.0.0.1:{port}/", data=body)
            assert out.decode() == hashlib.sha256(body).hexdigest()

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_download_piece_by_piece(run: Run, home: Home, tls: Tls, web_folder: WebFolder, scheme: str) -> None:
    async def big(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        assert request.remote == request.transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert request.secure == (scheme == "https")
        home.check_connection(
            request.transport.get_extra_info("sockname")[1], request.transport.get_extra_info("peername")[1]
        )
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(web_folder.big), 100_000):
            await response.write(web_folder.big[start : start + 100_000])
        return response

    async def main() -> None:
        async with serving(web.get("/", big), tls=tls if scheme == "https" else None) as port:
            home.check_listener(port)
            assert await curl("--cacert", tls.ca_certificate, f"{scheme}://localhost:{port}/") == web_folder.big

    run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file(run: Run, tls: Tls, web_folder: WebFolder, scheme: str) -> None:
    """aiohttp sends it with the loop's sendfile()."""

    async def file(_: web.Request) -> web.FileResponse:
        return web.FileResponse(web_folder.path / "big")

    async def main() -> None:
        async with serving(web.get("/", file), tls=tls if scheme == "https" else None) as port:
            url = f"{scheme}://localhost:{port}/"
            assert await curl("--cacert", tls.ca_certificate, url) == web_folder.big
            # The same connection goes on afterwards.
            out = await curl("--cacert", tls.ca_certificate, "-r", "1000000-1999999", url, url)
            assert out == web_folder.big[1_000_000:2_000_000] * 2

    run(main())


def test_a_unix_socket(run: Run, home: Home, tmp_path: Path) -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", hello)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "socket")).start()
        home.check_unix_listener(tmp_path / "socket")
        assert await curl("--unix-socket", tmp_path / "socket", "http://localhost/") == b"hello"
        await runner.cleanup()

    run(main())


def test_a_hundred_connections(run: Run) -> None:
    ports = set()
    everybody = asyncio.Event()

    async def together(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        if len(ports) == 100:
            everybody.set()
        await everybody.wait()
        return web.Response(text=request.match_info["name"] + "\n")

    async def main() -> None:
        async with serving(web.get("/{name}", together)) as port:
            out = await curl("-Z", "--parallel-immediate", "--parallel-max", "100", f"http://127.0.0.1:{port}/[1-100]")
            assert sorted(map(int, out.split())) == list(range(1, 101))

    run(main())


def test_it_stops_in_good_order(run: Run) -> None:
    """No new connections; a request that has begun is answered."""

    async def main() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            begun.set()
            await may_end.wait()
            return web.Response(text="done")

        app = web.Application()
        app.add_routes([web.get("/", slow)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        answer = asyncio.create_task(curl(f"http://127.0.0.1:{port}/"))
        await begun.wait()
        cleanup = asyncio.create_task(runner.cleanup())
        await asyncio.to_thread(harness.eventually, lambda: not servers.accepts(port), "nobody listens")
        assert not answer.done()
        may_end.set()
        await cleanup
        assert await answer == b"done"

    run(main())


def test_a_client_that_goes_away(run: Run) -> None:
    async def main() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def endless(_: web.Request) -> web.Response:
            begun.set()
            try:
                return await asyncio.Future()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with serving(web.get("/", endless), handler_cancellation=True) as port:
            with harness.running("curl", "-s", f"http://127.0.0.1:{port}/", stdout=subprocess.DEVNULL):
                await begun.wait()
            await cancelled.wait()

    run(main())


def test_a_port_that_is_taken(run: Run) -> None:
    async def main() -> None:
        async with serving() as port:
            runner = web.AppRunner(web.Application())
            await runner.setup()
            with pytest.raises(OSError, match="error while attempting to bind") as caught:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            assert caught.value.errno == errno.EADDRINUSE
            await runner.cleanup()

    run(main())
