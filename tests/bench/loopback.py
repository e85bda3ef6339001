"""Ports of this machine: free ones, and whether somebody answers there."""

import contextlib
import socket
from collections.abc import Callable
from typing import TypeVar

from processes import CannotRun

HOST = "127.0.0.1"


Started = TypeVar("Started")


def free_ports(count: int) -> list[int]:
    """For programs that cannot be told 0. Somebody may take one first, so the caller tries again."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def start_on_free_ports(count: int, start: Callable[[list[int]], Started]) -> Started:
    """What `start` returns; it is called again, with other ports, when somebody took one first."""
    for _ in range(4):
        try:
            return start(free_ports(count))
        except CannotRun as error:
            if "in use" not in str(error):
                raise
    return start(free_ports(count))


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5):
        return True
    return False


def echoes(port: int) -> bool:
    """Whether a byte comes back: the whole way to an echo server is there."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5) as connection:
        connection.sendall(b"?")
        return connection.recv(1) == b"?"
    return False


def echoes_datagram(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(0.2)
        endpoint.connect((HOST, port))
        endpoint.send(b"?")
        return endpoint.recv(1) == b"?"
    return False
