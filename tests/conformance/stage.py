"""What a scenario's twin in Python is played on: CPython's asyncio, raw peers, and a trace of all they do.

stage.h is the same in C++; names and trace lines must be the same on both sides.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
import struct
import sys
import tempfile
import zlib

from tls_end import RaggedEof, TlsEnd, certificates, client_context, server_context, tls_reason

PATIENCE_S = 30
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def pattern(size):
    """Bytes that tell where they belong: a block of prime length, repeated."""
    block = bytes(range(251))
    return (block * (size // len(block) + 1))[:size]


def data_text(data):
    if len(data) <= 64:
        return '"' + data.decode("ascii").replace("\n", "\\n").replace("\t", "\\t") + '"'
    return f"<{len(data)} bytes, crc32 {zlib.crc32(data):08x}>"


class Trace:
    """The lines of one object; data that arrives in pieces is one line, for pieces are arbitrary."""

    def __init__(self):
        self.lines = []
        self._kind = None
        self._data = bytearray()

    def add(self, line):
        self.end_data()
        self.lines.append(line)

    def add_data(self, kind, data):
        if kind != self._kind:
            self.end_data()
            self._kind = kind
        self._data += data

    def end_data(self):
        if self._kind is not None:
            self.lines.append(f"{self._kind} {data_text(bytes(self._data))}")
            self._kind = None
            self._data.clear()


class Peer:
    """The other end: a blocking socket, with TLS over it or not. Its methods run in threads; see Stage.run."""

    def __init__(self, sock, trace):
        self._sock = sock
        self._stream = sock  # Or TLS over it.
        self._trace = trace
        self.received_bytes = 0
        sock.settimeout(PATIENCE_S)

    @property
    def tls(self):
        """The SSLObject."""
        return self._stream.object

    def start_tls(self, context, server_side=True, server_hostname=None):
        """Traces only what fails."""
        self._stream = TlsEnd(self._stream, context, server_side, server_hostname)
        try:
            self._stream.handshake()
        except (OSError, RaggedEof) as error:
            self._trace.add(f"handshake {errno_name(error)}")

    def take_leave(self):
        """Until the other side takes leave, or ends; then answers. Traces nothing."""
        self._receive(None)

    def send(self, data):
        try:
            self._stream.sendall(data)
            self._trace.add(f"send {data_text(data)}")
        except OSError as error:
            self._trace.add(f"send {errno_name(error)}")

    def _receive(self, size):
        data = bytearray()
        while size is None or len(data) < size:
            try:
                piece = self._stream.recv(65536 if size is None else min(65536, size - len(data)))
            except (OSError, RaggedEof) as error:
                return bytes(data), errno_name(error)
            if not piece:
                return bytes(data), "eof"
            data += piece
            self.received_bytes += len(piece)
        return bytes(data), ""

    def recv(self, size):
        """Exactly `size` bytes."""
        data, end = self._receive(size)
        self._trace.add(f"recv {data_text(data)}" + (f" then {end}" if end else ""))

    def skip(self, size):
        """As recv, of bytes that are never the same."""
        _, end = self._receive(size)
        self._trace.add("skip" + (f" then {end}" if end else ""))

    def recv_all(self):
        """Until the other side ends."""
        data, end = self._receive(None)
        self._trace.add(f"recv_all {data_text(data)} then {end}")

    def drain(self):
        """Until the other side ends, however it ends, whatever it sent."""
        self._receive(None)
        self._trace.add("drain")

    def shutdown(self):
        """Ends what this side sends: close_notify with TLS, else FIN."""
        if isinstance(self._stream, TlsEnd):
            self._stream.notify()
        else:
            self._sock.shutdown(socket.SHUT_WR)
        self._trace.add("shutdown")

    def cut(self):
        """FIN, without close_notify."""
        self._sock.shutdown(socket.SHUT_WR)
        self._trace.add("cut")

    def send_raw(self, data):
        """Past TLS."""
        self._sock.sendall(data)
        self._trace.add("send_raw")

    def close(self):
        if isinstance(self._stream, TlsEnd):
            self._stream.notify()
        self._sock.close()
        self._trace.add("close")

    def reset(self):
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        self._trace.add("reset")

    def release(self):
        self._sock.close()


class Tracing:
    """What both kinds of protocol share: a trace, and hooks that say what to do in a callback."""

    def __init__(self, stage, name, hooks):
        self.stage = stage
        self.name = name
        self.hooks = hooks
        self.transport = None
        self.made = self.got_eof = self.lost = False
        self.received_bytes = 0
        self.trace = stage.new_trace(name)
        stage.protocols.append(self)

    def note(self, what, value=None):
        self.trace.add(what if value is None else f"{what} {value}")

    def note_state(self):
        t = self.transport
        # With TLS CPython says of a closing transport, which reads no more, that it does.
        is_reading = t.is_reading() and not (t.is_closing() and self.stage.is_tls)
        self.note(f"state is_closing={t.is_closing()} is_reading={is_reading} can_write_eof={t.can_write_eof()}")

    def try_write(self, data):
        try:
            self.transport.write(data)
        except RuntimeError:
            self.note("write", "WRITE_AFTER_EOF")

    def try_writelines(self, lines):
        try:
            self.transport.writelines(lines)
        except RuntimeError:
            self.note("writelines", "WRITE_AFTER_EOF")

    def try_set_limits(self, high=None, low=None):
        try:
            self.transport.set_write_buffer_limits(high, low)
        except ValueError:
            self.note("set_write_buffer_limits", "INVALID_LIMITS")

    def note_limits(self):
        low, high = self.transport.get_write_buffer_limits()
        self.note(f"limits high={high} low={low}")

    def _hook(self, name, *args):
        hook = self.hooks.get(name)
        return hook(self, *args) if hook else None

    def connection_made(self, transport):
        self.transport = transport
        self.made = True
        sockname = transport.get_extra_info("sockname")
        if isinstance(sockname, tuple):
            self.stage.name_port(sockname[1], self.name)
        self.note(
            f"connection_made peername={self.stage.address(transport.get_extra_info('peername'))}"
            f" sockname={self.stage.address(sockname)}"
        )
        self._hook("made")
        self.stage.changed()

    def received(self, kind, data):
        self.received_bytes += len(data)
        self.trace.add_data(kind, data)
        self._hook("data", data)
        self.stage.changed()

    def eof_received(self):
        self.got_eof = True
        self.note("eof_received")
        keep_open = bool(self._hook("eof"))
        self.note("eof_received returns", keep_open)
        self.stage.changed()
        return keep_open

    def pause_writing(self):
        self.note("pause_writing")
        self._hook("pause")
        self.stage.changed()

    def resume_writing(self):
        self.note("resume_writing")
        self._hook("resume")
        self.stage.changed()

    def connection_lost(self, exc):
        self.lost = True
        self.note("connection_lost", errno_name(exc))
        self._hook("lost")
        self.stage.changed()


class TracingProtocol(Tracing, asyncio.Protocol):
    def data_received(self, data):
        self.received("data_received", data)


class TracingBufferedProtocol(Tracing, asyncio.BufferedProtocol):
    def __init__(self, stage, name, buffer_size, hooks):
        super().__init__(stage, name, hooks)
        self.buffer = bytearray(buffer_size)

    def get_buffer(self, sizehint):
        # CPython's TLS slices it, which would copy a bytearray.
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes):
        self.received("buffer_updated", bytes(self.buffer[:nbytes]))


def errno_name(exc):
    if exc is None:
        return "None"
    if isinstance(exc, (ssl.SSLError, RaggedEof)):
        return tls_reason(exc)
    if isinstance(exc, TimeoutError) and "SSL shutdown" in str(exc):
        return "SHUTDOWN_TIMEOUT"
    if isinstance(exc, ConnectionAbortedError) and "SSL handshake" in str(exc):
        return "HANDSHAKE_TIMEOUT"
    if isinstance(exc, ConnectionResetError) and exc.errno is None:
        return "HANDSHAKE_EOF"
    if isinstance(exc, TimeoutError) and exc.errno is None:
        return "TIMED_OUT"
    if isinstance(exc, BrokenPipeError) and exc.errno is None:
        return "EPIPE"
    if isinstance(exc, socket.gaierror):
        return next(n for n in dir(socket) if n.startswith("EAI_") and getattr(socket, n) == exc.errno)
    if isinstance(exc, OSError) and exc.errno is not None:
        return errno.errorcode[exc.errno]
    return type(exc).__name__


class Stage:
    def __init__(self, loop, family, is_tls=False):
        self.loop = loop
        self.family = family
        self.is_tls = is_tls
        self.is_v4 = family == socket.AF_INET
        self.host = "127.0.0.1" if self.is_v4 else "::1"
        self.traces = {}
        self.protocols = []
        self._ports = {}
        self._paths = {"": "unnamed"}
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._sockets = []
        self._peers = []
        self._waiters = []
        self._probe = None
        if is_tls:
            certificates()

    # Traces.

    def new_trace(self, name):
        assert name not in self.traces, name
        self.traces[name] = Trace()
        return self.traces[name]

    def name_port(self, port, name):
        self._ports.setdefault(port, name)

    def address(self, sockaddr):
        if sockaddr is None:
            return "None"
        if isinstance(sockaddr, str):
            return self._paths.get(sockaddr, "?")
        host = f"[{sockaddr[0]}]" if ":" in sockaddr[0] else sockaddr[0]
        return f"{host}:{self._ports.get(sockaddr[1], '?')}"

    def error(self, exc):
        """A failed create_* call: reason and address, or those of each attempt."""
        if isinstance(exc, asyncio.CancelledError):
            return "CANCELLED"
        if isinstance(exc, OverflowError):
            return "INVALID_PORT"
        text = str(exc)
        found = re.findall(r"\('([^']+)', (\d+)", text)
        where = [self.address((host, int(port))) for host, port in found]
        if text.startswith("Multiple exceptions: "):
            numbers = [errno.errorcode[int(n)] for n in re.findall(r"\[Errno (\d+)\]", text)]
            return "[" + ", ".join(f"{n} {w}" for n, w in zip(numbers, where)) + "]"
        return errno_name(exc) + (f" {where[0]}" if where else "")

    # Running.

    def changed(self):
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, condition):
        """Runs the loop until the condition, which callbacks make true, holds."""
        while not condition():
            waiter = self.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    async def until_lost(self, protocol):
        """With TLS the peer takes leave meanwhile, for which a transport that closes waits."""
        peers = [p for p in self._peers if isinstance(p._stream, TlsEnd) and p._sock.fileno() >= 0]
        peername = protocol.transport.get_extra_info("peername")
        leaving = [self.start(p.take_leave) for p in peers if p._sock.getsockname() == peername]
        await self.until(lambda: protocol.lost)
        for leave in leaving:
            await leave

    async def until_drained(self, protocol):
        while protocol.transport.get_write_buffer_size() > 0:
            await asyncio.sleep(0)

    def start(self, job):
        """Runs `job`, made of blocking calls of peers, in a thread."""
        return self.loop.run_in_executor(None, job)

    async def run(self, job):
        await self.start(job)

    # Peers.

    def _socket(self, host=None, port=0):
        host = host or self.host
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._sockets.append(sock)
        # Little room, so that what is "more than the kernel takes" does not depend on its tuning.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.bind((host, port))
        return sock

    def listener(self, name="peer", host=None, backlog=16):
        sock = self._socket(host)
        sock.listen(backlog)
        sock.settimeout(PATIENCE_S)
        self.name_port(sock.getsockname()[1], name)
        return sock

    def port_of(self, sock):
        return sock.getsockname()[1]

    def closed_port(self, name="closed"):
        """A port of both loopback addresses that is taken and does not listen."""
        while True:
            sock = self._socket("127.0.0.1")
            port = sock.getsockname()[1]
            try:
                self._socket("::1", port)
            except OSError:
                continue
            self.name_port(port, name)
            return port

    def port_listening_on_v4_only(self, name="peer"):
        port = self.closed_port(name)
        sock = self._sockets[-2]
        sock.listen(16)
        sock.settimeout(PATIENCE_S)
        return sock, port

    def path_of(self, name):
        """Where `name` is in the scenario's own folder, or would be."""
        path = os.path.join(self._folder.name, name)
        self._paths[path] = name
        return path

    def keep(self, peer):
        """Released at the end."""
        self._peers.append(peer)

    def peer(self, sock, name):
        peer = Peer(sock, self.new_trace(name))
        self._peers.append(peer)
        return peer

    def second_hand(self, peer, name):
        """The same socket as `peer`, with a trace of its own: to send and receive at once."""
        second = self.peer(peer._sock, name)
        second._stream = peer._stream
        return second

    def start_accept(self, listener, name, work):
        """Accepts in a thread, then runs `work` there with the new peer."""
        trace = self.new_trace(name)

        def accept_and_work():
            peer = Peer(listener.accept()[0], trace)
            self._peers.append(peer)
            work(peer)
            return peer

        return self.start(accept_and_work)

    async def accept(self, listener, name="peer"):
        sock, _ = await self.start(listener.accept)
        return self.peer(sock, name)

    async def dial(self, port, name="peer", host=None, plain=False):
        """Connects a peer to a server; None when it is refused. With TLS where this stage is about that, unless plain."""
        sock = self._socket(host)
        self._sockets.remove(sock)
        self.name_port(sock.getsockname()[1], name)
        peer = self.peer(sock, name)
        try:
            await self.start(lambda: sock.connect((host or self.host, port)))
            peer._trace.add("connect")
            if self.is_tls and not plain:
                await self.run(lambda: peer.start_tls(client_context(), False, "localhost"))
            return peer
        except OSError as error:
            peer._trace.add(f"connect {errno_name(error)}")
            return None

    # Transports.

    def protocol(self, name, **hooks):
        return TracingProtocol(self, name, hooks)

    def buffered(self, name, buffer_size, **hooks):
        return TracingBufferedProtocol(self, name, buffer_size, hooks)

    async def connect(self, protocol, port, **options):
        options.setdefault("host", self.host)
        try:
            await self.loop.create_connection(lambda: protocol, port=port, **options)
            # Which of return and loss comes first, when connection_made closes, is nobody's promise.
            if not protocol.transport.is_closing():
                protocol.note("create_connection returns")
        except (OSError, OverflowError, asyncio.CancelledError) as error:
            protocol.note("create_connection", self.error(error))

    def _unix_listener(self, name):
        path = os.path.join(self._folder.name, name)
        self._paths[path] = name
        sock = socket.socket(socket.AF_UNIX)
        self._sockets.append(sock)
        sock.bind(path)
        sock.listen(16)
        sock.settimeout(PATIENCE_S)
        return sock, path

    async def _link(self, protocol, name):
        """Connects the protocol to a new peer, over what this stage is about."""
        if self.is_tls:
            listener = self.listener(name)
            accepting = self.start_accept(listener, name, lambda peer: peer.start_tls(server_context()))
            tls = {"ssl": client_context(), "server_hostname": "localhost"}
            await self.connect(protocol, self.port_of(listener), **tls)
            return await accepting
        return await self._link_plain(protocol, name)

    async def _link_plain(self, protocol, name):
        if self.family == socket.AF_UNIX:
            listener, path = self._unix_listener(name)
            await self.loop.create_unix_connection(lambda: protocol, path)
        else:
            listener = self.listener(name)
            await self.loop.create_connection(lambda: protocol, self.host, self.port_of(listener))
        # Which of return and loss comes first, when connection_made closes, is nobody's promise.
        if not protocol.transport.is_closing():
            protocol.note("create_connection returns")
        return await self.accept(listener, name)

    async def pair(self, protocol=None, **hooks):
        """A connected protocol, `client`, and its peer."""
        protocol = protocol or self.protocol("client", **hooks)
        return protocol, await self._link(protocol, "peer")

    async def plain_pair(self, **hooks):
        """Without TLS, whatever this stage is about."""
        protocol = self.protocol("client", **hooks)
        return protocol, await self._link_plain(protocol, "peer")

    def factory(self, **hooks):
        """For servers: protocols server1, server2, … in the order of acceptance."""
        count = 0

        def make():
            nonlocal count
            count += 1
            return self.protocol(f"server{count}", **hooks)

        return make

    async def serve(self, factory=None, trace=None, **options):
        """A server; a failure goes to `trace`."""
        options.setdefault("host", self.host)
        options.setdefault("port", 0)
        if self.is_tls:
            options.setdefault("ssl", server_context())
        try:
            server = await self.loop.create_server(factory or self.factory(), **options)
        except (OSError, OverflowError) as error:
            trace.add(f"create_server {self.error(error)}")
            return None
        for sock in server.sockets:
            self.name_port(sock.getsockname()[1], "server")
        return server

    def port_of_server(self, server):
        return server.sockets[0].getsockname()[1]

    def protocol_named(self, name):
        return next((p for p in self.protocols if p.name == name), None)

    def is_made(self, name):
        protocol = self.protocol_named(name)
        return protocol is not None and protocol.made

    async def settle(self):
        """Several round trips on a connection of its own: what the loop could have noticed before, it has."""
        if self._probe is None:
            probe = TracingProtocol(self, "probe", {})
            self._probe = probe, await self._link_plain(probe, "probe_peer")
        probe, peer = self._probe
        for _ in range(3):
            probe.transport.write(b".")
            await self.run(lambda: peer.recv(1))
            seen = probe.received_bytes
            await self.run(lambda: peer.send(b"."))
            await self.until(lambda: probe.received_bytes > seen)

    async def finish(self):
        if self._probe is not None:
            self._probe[0].transport.close()
            await self.until(lambda: self._probe[0].lost)
        for protocol in self.protocols:
            if protocol.made and not protocol.lost:
                raise AssertionError(f"{protocol.name} was left open")
        for peer in self._peers:
            peer.release()
        for sock in self._sockets:
            sock.close()
        self._folder.cleanup()
        for trace in self.traces.values():
            trace.end_data()
        self.traces.pop("probe", None)
        self.traces.pop("probe_peer", None)


def _close(self):
    # CPython's forgets its protocol in the second call, and then fails in every other method.
    if not self._closed:
        self._closed = True
        self._ssl_protocol._start_shutdown()


asyncio.sslproto._SSLProtocolTransport.close = _close


# Where 3.11 differs from 3.13, the expectation follows 3.13: "Version differences" in README.md.
if sys.version_info < (3, 12):

    def _add_reader(self, fd, callback, *args):
        # 3.11.2 goes on reading when connection_made calls pause_reading(); 3.11.7 and later hold.
        if not self._closing and not getattr(self, "_paused", False):
            self._loop._add_reader(fd, callback, *args)

    async def _wait_closed(self):
        # Since 3.12.1 wait_closed() waits for the accepted connections too.
        if self._waiters is None or (self._sockets is None and self._active_count == 0):
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    asyncio.selector_events._SelectorTransport._add_reader = _add_reader
    asyncio.base_events.Server.wait_closed = _wait_closed
