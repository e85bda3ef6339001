"""Connected sockets that are in the service: transportd.socketpair(), for `sock=` of the event loop's calls."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import warnings
from typing import TYPE_CHECKING, Any, Self

from transportd.v1 import event_loop_pb2, socket_pb2, transport_pb2

if TYPE_CHECKING:
    from transportd._loop import EventLoop
    from transportd._session import Reply, Session, Unclaimed


class ServiceSocket:
    """One end of a pair of Unix stream sockets in the service: see socketpair().

    For `sock` of create_connection (and so of asyncio.open_connection), create_unix_connection and
    connect_accepted_socket, of the event loop that it was made on; it is theirs from then on. One that is not used must
    be closed; ResourceWarning else. Threading: the event loop's thread.
    """

    family = socket.AF_UNIX
    type = socket.SOCK_STREAM
    proto = 0

    def __init__(self, loop: EventLoop, session: Session, socket_id: int):
        self._loop = loop
        self._session: Session | None = session
        self._id = socket_id

    def __repr__(self) -> str:
        return f"<ServiceSocket {'closed' if self._session is None else f'id={self._id}'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._session is not None and self._session.lost is None:
            _warn(f"unclosed {self!r}", ResourceWarning, source=self)
            session, socket_id = self._session, self._id
            with contextlib.suppress(RuntimeError):  # The loop is closed, and the socket with it.
                self._loop.call_soon_threadsafe(_close, session, socket_id)

    def fileno(self) -> int:
        """-1: the descriptor is in the service."""
        return -1

    def getsockname(self) -> str:
        """It has no name: an empty string."""
        return ""

    def getpeername(self) -> str:
        """Nor has the other end."""
        return ""

    def close(self) -> None:
        """The other end reads its end. Idempotent; nothing happens when the socket was used."""
        session, self._session = self._session, None
        if session is not None:
            _close(session, self._id)

    async def take(self, loop: EventLoop, tls: Any, client_side: bool) -> Unclaimed:
        """The connection, for a transport; the socket is used, whatever becomes of that.

        OSError EBADF: it is closed or used. ValueError: it is of another event loop. `tls`: _connect.Tls.
        """
        if self._loop is not loop:
            raise ValueError(f"{self!r} belongs to another event loop")
        session, self._session = self._session, None
        if session is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            request = socket_pb2.ConnectAcceptedSocketRequest(socket_id=self._id, client_side=client_side)
            tls.fill(request)
            return await session.create(event_loop_pb2.Command(connect_accepted_socket=request))
        except BaseException:
            _close(session, self._id)
            raise


def _close(session: Session, socket_id: int) -> None:
    session.send_end(event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=socket_id)))


async def socketpair() -> tuple[ServiceSocket, ServiceSocket]:
    """Two connected Unix stream sockets where the service is, of the running event loop: as socket.socketpair().

    RuntimeError: the running event loop is no transportd.EventLoop. OSError: the service has no room for more.
    """
    from transportd._loop import EventLoop

    loop = asyncio.get_running_loop()
    if not isinstance(loop, EventLoop):
        raise RuntimeError("transportd.socketpair() needs a transportd.EventLoop: transportd.run(main())")
    session = loop._session

    def accept(reply: Reply) -> tuple[ServiceSocket, ServiceSocket]:
        pair = reply.socketpair
        return ServiceSocket(loop, session, pair.first_socket_id), ServiceSocket(loop, session, pair.second_socket_id)

    def undo(ends: tuple[ServiceSocket, ServiceSocket]) -> None:
        for end in ends:
            end.close()

    return await session.ask(event_loop_pb2.Command(socketpair=socket_pb2.SocketpairRequest()), accept, undo)
