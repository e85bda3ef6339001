"""Standard input over a connection of the service, and what comes back to standard output: echo_client.py HOST PORT.

The input and the output are files of this process and stay here: only the connection is elsewhere.
"""

import argparse
import asyncio
import os
import sys

import transportd


async def send(writer: asyncio.StreamWriter) -> None:
    """All of standard input, which may be anything: a thread reads it."""
    while data := await asyncio.to_thread(os.read, sys.stdin.fileno(), 65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def main(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    sending = asyncio.create_task(send(writer))
    while data := await reader.read(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    await sending
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Standard input and output over a connection of the service.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    try:
        transportd.run(main(arguments.host, arguments.port))
    except OSError as error:
        sys.exit(f"echo_client: {error}")
