"""An echo server whose port is where the service is, until control-C: echo_server.py [HOST] [PORT]."""

import argparse
import asyncio
import contextlib

import transportd


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: what comes goes back, and the end of it, too."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(host: str, port: int) -> None:
    server = await asyncio.start_server(echo, host, port)
    for listener in server.sockets:
        print("listening on", *listener.getsockname()[:2], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server whose port is where the service is.")
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=0, help="default: one that is free")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        transportd.run(main(arguments.host, arguments.port))
