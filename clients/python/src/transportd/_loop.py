"""asyncio's event loop whose transports are in the service."""

from __future__ import annotations

import asyncio
import collections.abc
import logging
import os
import selectors
import socket
import ssl as ssl_module
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar

from transportd import _connect, _datagram, _pipe, _placeholder, _resolve, _sendfile, _serve, _spawn
from transportd._interruption import is_inside
from transportd._local_file import LocalFile
from transportd._server import ListeningSocket
from transportd._session import Session, Unclaimed
from transportd._socketpair import ServiceSocket
from transportd._start_tls import start_tls
from transportd._stream import StreamTransport
from transportd._target import default_target, parse_target
from transportd._target_tls import target_tls
from transportd._tls import ServiceTls, check_local
from transportd._token import token_to_send

logger = logging.getLogger("asyncio")

# Of create_connection, besides those that every version has.
_OTHER_ARGUMENTS = {"all_errors"} if sys.version_info >= (3, 12) else set()

# The service ends a connection whose pings come more often than every 5 seconds.
_LEAST_KEEPALIVE_SECONDS = 10.0

_T = TypeVar("_T")
ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Pair = tuple[Any, Any]


class EventLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio's, with its network, pipes and subprocesses where the service is.

    Timers, callbacks, tasks, executors, signals and add_reader are local. What exists only in this process is served
    locally: a socket given as `sock=`, a file or pipe given to connect_read_pipe. Everything else is in the service.

    Threading: as of every asyncio loop. A loop must be closed; its session, and all that is open in it, ends with it.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        ssl: ssl_module.SSLContext | Literal[False] | None = None,
        server_hostname: str | None = None,
        connect_timeout: float = 10.0,
        answer_timeout: float = 5.0,
        keepalive_time: float | None = 40.0,
        keepalive_timeout: float = 20.0,
        client_name: str | None = None,
        connect_sockets: bool = True,
        subprocess_context: str = "client",
        selector: selectors.BaseSelector | None = None,
    ):
        """Connects to the service, and waits for that.

        target: a gRPC target (HOST:PORT, dns:///HOST:PORT, unix:PATH, …). None: TRANSPORTD_TARGET, or 127.0.0.1:50051.
        token: who calls, for the service's policy: a bearer token of at most 7168 printable ASCII characters. It goes
            by TLS, to a Unix socket or a loopback address, and nowhere else. Empty: nobody says who calls.
        token_file: instead, a file with the token, which may end with a line break. None, and no `token`:
            TRANSPORTD_TOKEN_FILE, TRANSPORTD_TOKEN.
        ssl: TLS with the service itself, which is offered HTTP/2 by ALPN whatever the context says. It has this side's
            certificate, too, if the service shall know who calls by that. None: with TRANSPORTD_TARGET_CA, a file of
            the CAs to trust, or `system`, TLS by TRANSPORTD_TARGET_CERTIFICATE and TRANSPORTD_TARGET_KEY; without it,
            and to a Unix socket, plain. False: plain, whatever the environment says.
        server_hostname: whom the service's certificate must name. None: TRANSPORTD_TARGET_NAME, else the target's host.
        connect_timeout: the most seconds, up to 3600, until the session is open.
        answer_timeout: the most seconds, up to 3600, that a call waits in the loop's thread for an answer that asyncio
            gives at once: getsockopt and setsockopt, a subprocess's send_signal, a server's close. Nothing else of the
            loop goes on meanwhile. Then it raises RequestTimeoutError; a server's close logs a warning.
        keepalive_time: how many seconds nothing may come from the service before it is asked for a sign of life (a ping
            of HTTP/2's), at least 10, as the service takes no more. It gives one by itself every 30 seconds, unless
            there is something else between. None: it is never asked.
        keepalive_timeout: how many seconds the answer may take. Then the session is lost, as if the connection had
            broken: else nobody would notice that the service's machine is gone.
        client_name: for people, in `transportctl sessions`, at most 128 bytes. None: the program's name and number.
        connect_sockets: whether sock_connect() connects TCP sockets in the service, too, as libraries need that resolve
            and connect by themselves (aiohttp). False: as every `sock=`, they are local.
        subprocess_context: whose environment and folder a subprocess has that names none: `client`, as in asyncio, or
            `service`.

        ServiceUnavailableError: nobody is there, or it is no transportd, or not one that speaks this contract.
        AuthenticationError, PolicyDeniedError: it does not let the caller in. Before anything is sent: ValueError for
        a target, a token or terms of TLS that cannot be, or a token that would go to another machine in plaintext;
        OSError for a file that cannot be read.
        """
        self._placeholders = _placeholder.Placeholders()
        self._local_files: set[LocalFile] = set()  # That are open.
        self._closed = True  # Of asyncio's; until it is open, nobody need close it.
        if selector is not None and not isinstance(selector, selectors.BaseSelector):
            raise TypeError(f"selector must be a selectors.BaseSelector, not {type(selector).__name__!r}")
        super().__init__(selector)
        self._draining_handler: Callable[[float], object] | None = None
        self._connect_sockets = connect_sockets
        self._subprocess_context = subprocess_context
        try:
            if subprocess_context not in ("client", "service"):
                raise ValueError(f"subprocess_context {subprocess_context!r}: allowed are 'client' and 'service'")
            if target is not None and not isinstance(target, str):
                raise TypeError(f"target must be a str, not {type(target).__name__!r}")
            if ssl is not None and ssl is not False and not isinstance(ssl, ssl_module.SSLContext):
                raise TypeError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__!r}")
            for name, text in (("token", token), ("server_hostname", server_hostname), ("client_name", client_name)):
                if text is not None and not isinstance(text, str):
                    raise TypeError(f"{name} must be a str, not {type(text).__name__!r}")
            for name, number in (("connect_timeout", connect_timeout), ("answer_timeout", answer_timeout)):
                if not isinstance(number, (int, float)):
                    raise TypeError(f"{name} must be a number of seconds, not {type(number).__name__!r}")
            if not 0 < connect_timeout <= _connect.LONGEST_SECONDS:
                raise ValueError(f"connect_timeout {connect_timeout!r}: allowed are seconds above 0, at most 3600")
            if not 0 < answer_timeout <= _connect.LONGEST_SECONDS:
                raise ValueError(f"answer_timeout {answer_timeout!r}: allowed are seconds above 0, at most 3600")
            if keepalive_time is not None and not keepalive_time >= _LEAST_KEEPALIVE_SECONDS:
                raise ValueError(f"keepalive_time {keepalive_time!r}: allowed are seconds from 10 on, and None")
            if not keepalive_timeout > 0:
                raise ValueError(f"keepalive_timeout {keepalive_timeout!r}: allowed are seconds above 0")
            if token_file is not None and not isinstance(token_file, (str, os.PathLike)):
                raise TypeError(f"token_file must be a path, not {type(token_file).__name__!r}")
            place = parse_target(target if target is not None else default_target())
            tls = target_tls(place, ssl, server_hostname)
            self._session = Session(
                self,
                place,
                token=token_to_send(place, tls is not None, token, token_file),
                tls=tls,
                connect_timeout=connect_timeout,
                answer_timeout=answer_timeout,
                keepalive_time=keepalive_time,
                keepalive_timeout=keepalive_timeout,
                client_name=client_name if client_name is not None else _own_name(),
                on_draining=self._on_draining,
            )
        except BaseException:
            super().close()
            raise

    def __repr__(self) -> str:
        session = getattr(self, "_session", None)
        where = f" target={session.target}" if session is not None else ""
        return super().__repr__().replace(" running=", f"{where} running=", 1)

    def run_forever(self) -> None:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_forever"""
        try:
            super().run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            if is_inside(error):
                self._session.interrupt()
            raise

    def close(self) -> None:
        """Ends the session and what is open in it, and closes the loop. RuntimeError while it runs."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        session = getattr(self, "_session", None)
        if session is not None:
            session.close()
        self._placeholders.close()
        for file in list(self._local_files):
            file.close()
        super().close()

    def _check_open(self) -> None:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")

    def _local(self) -> Any:
        """asyncio's own loop, for what is of this process, and to say what is wrong."""
        return super()

    # TCP and Unix streams

    async def create_connection(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | str | None = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        **all_errors: bool,
    ) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_connection"""
        self._check_open()
        is_wrong = (
            (server_hostname is not None and not ssl)
            or (server_hostname is None and bool(ssl) and not host)
            or (not ssl and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None))
            or (sock is None) == (host is None and port is None)
            or not set(all_errors) <= _OTHER_ARGUMENTS
        )
        tls = _connect.Tls(ssl, server_hostname or None if ssl and server_hostname is None else server_hostname, host)
        tls = tls.with_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
        remote = None if is_wrong or sock is None else await self._claim(sock, tls)
        if is_wrong or (sock is not None and remote is None):
            # asyncio itself says what is wrong, or serves a socket of this process.
            pair: Pair = await self._local().create_connection(
                protocol_factory,
                host,
                port,
                ssl=ssl,
                family=family,
                proto=proto,
                flags=flags,
                sock=sock,
                local_addr=local_addr,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                happy_eyeballs_delay=happy_eyeballs_delay,
                interleave=interleave,
                **all_errors,
            )
            return pair
        if remote is None:
            where = _connect.Where(host, port, family, proto, flags, local_addr, happy_eyeballs_delay, interleave)
            remote = await _connect.connect(self, self._session, where, tls, all_errors.get("all_errors", False))
        return await _connect.make_transport(self, remote, protocol_factory, tls)

    async def _claim(self, sock: Any, tls: _connect.Tls) -> Unclaimed | None:
        """The connection that `sock` stands for. None: it is a socket of this process."""
        if isinstance(sock, ServiceSocket):
            return await sock.take(self, tls, client_side=True)
        unclaimed = self._placeholders.claim(sock)
        if unclaimed is None:
            check_local(tls.ssl)
        return unclaimed

    async def create_unix_connection(
        self,
        protocol_factory: ProtocolFactory,
        path: str | bytes | os.PathLike[str] | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_unix_connection"""
        self._check_open()
        is_wrong = (
            (bool(ssl) and server_hostname is None)
            or (not ssl and server_hostname is not None)
            or (not ssl and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None))
            or (path is None) == (sock is None)
        )
        tls = _connect.Tls(ssl, server_hostname, None).with_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
        remote = None if is_wrong or sock is None else await self._claim(sock, tls)
        if is_wrong or (sock is not None and remote is None):
            pair: Pair = await self._local().create_unix_connection(
                protocol_factory,
                path,
                ssl=ssl,
                sock=sock,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
            return pair
        if remote is None:
            remote = await _connect.connect_unix(self._session, path, tls)
        return await _connect.make_transport(self, remote, protocol_factory, tls)

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_server"""
        self._check_open()
        if isinstance(host, collections.abc.Iterable) and not isinstance(host, str):
            host = list(host)
        if (
            isinstance(ssl, bool)
            or (ssl is None and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None))
            or (host is None and port is None)
            or sock is not None
            or host == []
        ):
            # What is wrong, a socket of this process, or no socket at all.
            check_local(ssl)
            server: asyncio.Server = await self._local().create_server(
                protocol_factory,
                host,
                port,
                family=family,
                flags=flags,
                sock=sock,
                backlog=backlog,
                ssl=ssl,
                reuse_address=reuse_address,
                reuse_port=reuse_port,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                start_serving=start_serving,
            )
            return server
        hosts: list[str | None] = host if isinstance(host, list) else [None if host == "" else host]
        return await _serve.create_server(
            self,
            self._session,
            protocol_factory,
            hosts,
            port,
            family=family,
            flags=flags,
            backlog=backlog,
            reuse_address=reuse_address is not False,
            reuse_port=bool(reuse_port),
            keep_alive=bool(keep_alive),
            tls=_connect.Tls(ssl, None, None).with_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout),
            start_serving=start_serving,
        )

    async def create_unix_server(
        self,
        protocol_factory: ProtocolFactory,
        path: str | bytes | os.PathLike[str] | None = None,
        *,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = sys.version_info >= (3, 13),
    ) -> asyncio.Server:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_unix_server

        `cleanup_socket`: remove the socket's file when the server closes; by default as this version of Python does.
        """
        self._check_open()
        if (
            isinstance(ssl, bool)
            or (ssl is None and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None))
            or path is None
            or sock is not None
        ):
            check_local(ssl)
            server: asyncio.Server = await self._local().create_unix_server(
                protocol_factory,
                path,
                sock=sock,
                backlog=backlog,
                ssl=ssl,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                start_serving=start_serving,
            )
            return server
        return await _serve.create_unix_server(
            self,
            self._session,
            protocol_factory,
            path,
            backlog=backlog,
            cleanup_socket=cleanup_socket,
            tls=_connect.Tls(ssl, None, None).with_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout),
            start_serving=start_serving,
        )

    def _start_serving(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        if isinstance(sock, ListeningSocket):
            server._use_current_context()
        else:
            self._local()._start_serving(protocol_factory, sock, sslcontext, server, *args, **kwargs)

    def _stop_serving(self, sock: Any) -> None:
        if isinstance(sock, ListeningSocket):
            sock.close()
        else:
            self._local()._stop_serving(sock)

    async def connect_accepted_socket(
        self,
        protocol_factory: ProtocolFactory,
        sock: Any,
        *,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.connect_accepted_socket

        A ServiceSocket is where the service is; any other socket is of this process.
        """
        self._check_open()
        is_wrong = not ssl and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None)
        if is_wrong or not isinstance(sock, ServiceSocket):
            check_local(ssl)
            pair: Pair = await self._local().connect_accepted_socket(
                protocol_factory,
                sock,
                ssl=ssl,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
            return pair
        tls = _connect.Tls(ssl, None, None).with_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
        remote = await sock.take(self, tls, client_side=False)
        return await _connect.make_transport(self, remote, protocol_factory, tls, server_side=True)

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.start_tls

        `sslcontext`: an ssl.SSLContext, of any transport; or a ServiceTls, of a connection of the service.
        """
        if not isinstance(sslcontext, ServiceTls):
            return await self._local().start_tls(
                transport,
                protocol,
                sslcontext,
                server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        if not isinstance(transport, StreamTransport):
            raise TypeError(
                f"transport {transport!r} is not supported by start_tls(): ServiceTls needs the service's own"
            )
        return await start_tls(
            self,
            self._session,
            transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )

    async def sendfile(
        self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sendfile; `file` is a local one."""
        self._check_open()
        sent: int = await self._local().sendfile(transport, file, offset, count, fallback=fallback)
        return sent

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        if isinstance(transp, StreamTransport):
            return await _sendfile.sendfile(self, transp, file, offset, count)
        sent: int = await self._local()._sendfile_native(transp, file, offset, count)
        return sent

    async def _sendfile_fallback(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        if isinstance(transp, StreamTransport):
            return await _sendfile.sendfile(self, transp, file, offset, count, is_fallback=True)
        sent: int = await self._local()._sendfile_fallback(transp, file, offset, count)
        return sent

    # Subprocesses

    async def _make_subprocess_transport(
        self,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> asyncio.SubprocessTransport:
        """What asyncio's subprocess_exec and subprocess_shell call when they have checked their arguments."""
        self._check_open()
        is_of_client = self._subprocess_context == "client"
        streams = (stdin, stdout, stderr)
        return await _spawn.spawn(self, self._session, protocol, args, shell, streams, is_of_client, **kwargs)

    # Datagrams

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: ProtocolFactory,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
    ) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_datagram_endpoint"""
        self._check_open()
        if sock is not None or not _datagram.are_addresses(family, local_addr, remote_addr):
            # asyncio itself says what is wrong, or serves a socket of this process.
            endpoint: Pair = await self._local().create_datagram_endpoint(
                protocol_factory,
                local_addr,
                remote_addr,
                family=family,
                proto=proto,
                flags=flags,
                reuse_port=reuse_port,
                allow_broadcast=allow_broadcast,
                sock=sock,
            )
            return endpoint
        return await _datagram.create_datagram_endpoint(
            self,
            self._session,
            protocol_factory,
            local_addr,
            remote_addr,
            family=family,
            proto=proto,
            flags=flags,
            reuse_port=bool(reuse_port),
            allow_broadcast=bool(allow_broadcast),
        )

    # Pipes

    async def connect_read_pipe(self, protocol_factory: ProtocolFactory, pipe: Any) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.connect_read_pipe

        A ServicePipe is where the service is; any other object is of this process.
        """
        self._check_open()
        if isinstance(pipe, _pipe.ServicePipe):
            return await _pipe.connect_read_pipe(self, self._session, protocol_factory, pipe)
        pair: Pair = await self._local().connect_read_pipe(protocol_factory, pipe)
        return pair

    async def connect_write_pipe(self, protocol_factory: ProtocolFactory, pipe: Any) -> Pair:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.connect_write_pipe

        A ServicePipe is where the service is; any other object is of this process.
        """
        self._check_open()
        if isinstance(pipe, _pipe.ServicePipe):
            return await _pipe.connect_write_pipe(self, self._session, protocol_factory, pipe)
        pair: Pair = await self._local().connect_write_pipe(protocol_factory, pipe)
        return pair

    # Names

    def _is_resolver_replaced(self) -> bool:
        """Somebody has put a resolver of their own into the loop."""
        return getattr(self.getaddrinfo, "__func__", None) is not EventLoop.getaddrinfo

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.getaddrinfo: where the service is."""
        self._check_open()
        return await _resolve.getaddrinfo(self._session, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.getnameinfo: where the service is."""
        self._check_open()
        return await _resolve.getnameinfo(self._session, sockaddr, flags)

    # Sockets that libraries connect by themselves

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_connect

        A TCP socket is connected in the service (see connect_sockets). `sock` then stands for that connection: it can
        be given to create_connection, read, written and closed. Only its names and options are not the connection's.
        """
        if self._placeholders.connect_again(sock):
            return
        if self._connect_sockets and _placeholder.can_stand_in(sock):
            self._check_open()
            await self._placeholders.connect(self, self._session, sock, address)
            return
        if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
            # The name means what it means here.
            infos = await self._local()._ensure_resolved(
                address, family=sock.family, type=sock.type, proto=sock.proto, loop=self._local()
            )
            address = infos[0][4]
        await super().sock_connect(sock, address)

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_recv"""
        self._placeholders.start(sock)
        return await super().sock_recv(sock, n)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_recv_into"""
        self._placeholders.start(sock)
        return await super().sock_recv_into(sock, buf)

    def set_draining_handler(self, handler: Callable[[float], object] | None) -> None:
        """What to call, once, when the service is about to stop.

        handler: called by the loop with the seconds that are left, 0 or more. The service takes no new session, and
            ends this one then, or sooner if its operator is in a hurry: open the next loop on another instance. None,
            as in the beginning: a warning is logged.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"handler must be callable or None, not {type(handler).__name__!r}")
        self._draining_handler = handler

    def _on_draining(self, time_left: float) -> None:
        if self._draining_handler is not None:
            self.call_soon(self._draining_handler, time_left)
        else:
            logger.warning("the service stops: it ends this loop's session in %.0f s at the latest", time_left)

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:  # type: ignore[override]
        """https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.add_reader"""
        if not isinstance(fd, int):
            self._placeholders.start(fd)
        return super().add_reader(fd, callback, *args)


def _own_name() -> str:
    """The program's, for people."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return f"{program or 'python'} {os.getpid()}"


def new_event_loop(target: str | None = None, **options: Any) -> EventLoop:
    """A new EventLoop: for asyncio.Runner(loop_factory=transportd.new_event_loop)."""
    return EventLoop(target, **options)


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None, target: str | None = None, **options: Any) -> _T:
    """asyncio.run(main), on a new EventLoop(target, **options)."""
    try:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("asyncio.run() cannot be called from a running event loop")
        loop = EventLoop(target, **options)
    except BaseException:
        if asyncio.iscoroutine(main):
            main.close()  # It will not be awaited, and nobody forgot to.
        raise
    with asyncio.Runner(debug=debug, loop_factory=lambda: loop) as runner:
        return runner.run(main)
