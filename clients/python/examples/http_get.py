"""Fetches a page as the service sees it: http_get.py URL.

TLS is done here, so that the service sees nothing of what is said.
"""

import argparse
import asyncio
import ssl
import sys
from urllib.parse import urlsplit

import transportd


async def main(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise ValueError(f"not a URL of http or https: {url}")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    print(status, *filter(None, headers), sep="\n", file=sys.stderr)
    while data := await reader.read(65536):
        sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetches a page as the service sees it.")
    parser.add_argument("url")
    try:
        transportd.run(main(parser.parse_args().url))
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"http_get: {error}")
