"""Peers that are not on the loop under test: programs, and servers in threads with sockets of their own."""

import asyncio
import contextlib
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import websockets.sync.server


async def curl(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """What curl prints. It must succeed."""
    harness.need("curl")
    command = ["curl", "-sS", "--fail", "--noproxy", "*", "--max-time", str(harness.TIMEOUT), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@contextlib.contextmanager
def in_a_thread(serve: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """`serve()` runs until `stop()` is called."""
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(harness.TIMEOUT)


@contextlib.contextmanager
def peer(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Its port. `talk(connection)` for each connection, one after the other, in a thread."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(harness.TIMEOUT)
            talk(self.request)

    with (
        socketserver.TCPServer(("127.0.0.1", 0), Handler) as server,
        in_a_thread(lambda: server.serve_forever(0.01), server.shutdown),
    ):
        yield server.server_address[1]


def read_head(connection: socket.socket) -> bytes:
    """Everything up to an empty line, as HTTP has it."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        assert piece, head
        head += piece
    return head


def reset(connection: socket.socket) -> None:
    """After a request it ends the connection with an RST: socket(7), SO_LINGER."""
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def end_in_the_middle(connection: socket.socket) -> None:
    """It answers a request with less than it promises."""
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def say_nothing(connection: socket.socket) -> None:
    """It takes a request, and waits until the client gives up."""
    read_head(connection)
    connection.recv(1)


class ConnectProxy(socketserver.ThreadingTCPServer):
    """An HTTP proxy that knows CONNECT: RFC 9110, 9.3.6."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        super().__init__(("127.0.0.1", 0), ConnectHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class ConnectHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, ConnectProxy)
        method, target, _ = read_head(self.request).split(maxsplit=2)
        assert method == b"CONNECT"
        self.server.targets.append(target.decode())
        host, port = target.rsplit(b":", 1)
        with socket.create_connection((host.decode(), int(port)), harness.TIMEOUT) as onward:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self.carry, args=(onward, self.request))
            back.start()
            self.carry(self.request, onward)
            back.join()

    @staticmethod
    def carry(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def connect_proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy() as proxy, in_a_thread(lambda: proxy.serve_forever(0.01), proxy.shutdown):
        yield proxy


@contextlib.contextmanager
def websocket_echo(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a WebSocket server that sends each message back."""

    def echo(connection: websockets.sync.server.ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with (
        websockets.sync.server.serve(echo, "127.0.0.1", 0, ssl=context, max_size=None) as server,
        in_a_thread(server.serve_forever, server.shutdown),
    ):
        yield server.socket.getsockname()[1]
