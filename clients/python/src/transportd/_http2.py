"""One gRPC call over HTTP/2 (RFC 9113), on a socket of its own.

A session is one bidirectional stream on one connection, so this knows of no other. It has no thread and no event loop:
its user says when the socket can be read or written, and may also wait for it. HTTP/2 and gRPC frame the same bytes
twice; both are taken off in one pass here, and a large message is received into its final place.
"""

from __future__ import annotations

import base64
import binascii
import select
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import hpack

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 4, 5
_STREAM_ID = 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# What the service may have on its way. It keeps to windows of its own, of each transport: this one is no brake.
_WINDOW_BYTES = 16 << 20
# The largest HTTP/2 frame that is taken: one for each message, as far as the sender wants.
_MAX_FRAME_BYTES = 1 << 20
_MAX_HEADERS_BYTES = 64 << 10
# The most that a service can be told to send in one: --max-server-frame-bytes.
_MAX_MESSAGE_BYTES = 512 << 20
_READ_BYTES = 64 << 10
# A TLS server's answer to what is not TLS. The first frame of HTTP/2 begins with a byte 0, and that does not.
_SHORTEST_ALERT_BYTES = 7
# From here on a message is received into its own place, and copied no more than once.
_LARGE_BYTES = 32 << 10
_MAX_KEPT_BYTES = 1 << 20
# Shorter buffers are joined before they are sent.
_JOIN_BYTES = 16 << 10
_MAX_BUFFERS = 64

_frame_header = struct.Struct(">HBBBL").pack
_unpack_settings = struct.Struct(">HL").iter_unpack
_grpc_prefix = struct.Struct(">BL").pack

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Status:
    """How a call ended."""

    code: int  # gRPC's; 0: OK.
    message: str
    details: bytes = b""  # `grpc-status-details-bin`: a google.rpc.Status.


def _header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    return _frame_header(length >> 8, length & 0xFF, kind, flags, stream_id)


class GrpcCall:
    """A call whose both sides stream.

    Nothing blocks except `wait`. Not thread-safe: the thread of the event loop alone.
    """

    def __init__(self, sock: socket.socket, authority: str, path: str, metadata: Sequence[tuple[str, str]]):
        """`sock` is connected and becomes the call's."""
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        sock.setblocking(False)
        self.status: Status | None = None  # Set when the call has ended.
        self.heard_at = time.monotonic()  # When something came last.
        self._is_first_frame = True
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._decoder.max_header_list_size = _MAX_HEADERS_BYTES
        self._header_block: bytearray | None = None  # HEADERS without END_HEADERS: what came of it.
        self._header_block_ends_stream = False
        self._response_headers: dict[str, str] | None = None

        # Reading. `_rest`: the beginning of an HTTP/2 frame. `_data_left`: of the DATA frame under way.
        self._rest = b""
        self._data_left = 0
        self._padding_left = 0
        self._data_ends_stream = False
        self._prefix = bytearray()
        self._message: memoryview | None = None  # Under way.
        self._filled = 0
        # Large messages are received here, in turn: one may be complete, and not read yet, while the next begins.
        self._places = [bytearray(_LARGE_BYTES), bytearray(_LARGE_BYTES)]
        self._unacknowledged = 0

        # Writing. `_queue`: not framed yet, because a window is spent. `_framed`: not taken by the kernel yet.
        self._connection_window = 65535
        self._stream_window = 65535
        self._initial_window = 65535
        self._max_frame_bytes = 16384
        self._queue: deque[Buffer] = deque()
        self._end_is_due = False
        self._has_ended = False
        self._framed: deque[Buffer] = deque()

        settings = struct.pack(
            ">HLHLHL",
            *(_ENABLE_PUSH, 0),
            *(_INITIAL_WINDOW_SIZE, _WINDOW_BYTES),
            *(_MAX_FRAME_SIZE, _MAX_FRAME_BYTES),
        )
        block = self._encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "https" if self._is_tls else "http"),
                (":path", path),
                (":authority", authority),
                ("te", "trailers"),
                ("content-type", "application/grpc+proto"),
                *metadata,
            ]
        )
        if len(block) > self._max_frame_bytes:
            raise ValueError(
                f"the call's metadata is too long: {len(block)} bytes, allowed are {self._max_frame_bytes}"
            )
        self._framed.append(
            _PREFACE
            + _header(len(settings), _SETTINGS, 0, 0)
            + settings
            + _header(4, _WINDOW_UPDATE, 0, 0)
            + (_WINDOW_BYTES - 65535).to_bytes(4, "big")
            + _header(len(block), _HEADERS, _END_HEADERS, _STREAM_ID)
            + block
        )
        self.flush()

    def fileno(self) -> int:
        """The socket's descriptor; -1 when it is closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Closes the connection, and so ends the call wherever it is. Idempotent."""
        self._sock.close()
        self._end(Status(1, "the client closed the connection"))
        self._framed.clear()
        self._queue.clear()
        self._message = None

    # Writing

    @property
    def wants_write(self) -> bool:
        """The kernel has not taken everything: call `flush` when the socket can be written."""
        return bool(self._framed)

    def send(self, pieces: list[Buffer], size: int) -> None:
        """Sends one message of `size` bytes: all of `pieces`, which must not be changed any more."""
        queue = self._queue
        if not queue and size < _JOIN_BYTES:
            length = size + 5
            if length <= self._stream_window and length <= self._connection_window and length <= self._max_frame_bytes:
                # The usual case: one frame, one buffer, one system call.
                self._stream_window -= length
                self._connection_window -= length
                frame = b"".join((_header(length, _DATA, 0, _STREAM_ID), _grpc_prefix(0, size), *pieces))
                if not self._framed and not self._is_tls and self.status is None:
                    try:
                        sent = self._sock.send(frame)
                    except (BlockingIOError, InterruptedError):
                        sent = 0
                    except OSError as error:
                        self._break(error)
                        return
                    if sent == len(frame):
                        return
                    self._framed.append(memoryview(frame)[sent:])
                    return
                self._framed.append(frame)
                self.flush()
                return
        queue.append(_grpc_prefix(0, size))
        queue.extend(pieces)
        self._frame_queue()
        self.flush()

    def half_close(self) -> None:
        """No message follows. Idempotent."""
        if not self._end_is_due:
            self._end_is_due = True
            self._frame_queue()
            self.flush()

    def ping(self) -> None:
        """Asks for a sign of life: `heard_at` tells of one."""
        self._framed.append(_header(8, _PING, 0, 0) + bytes(8))
        self.flush()

    def give_up(self, what: str) -> None:
        """The call has ended, as if the connection had broken."""
        self._end(Status(14, what))

    def _frame_queue(self) -> None:
        """Frames as much as the windows allow."""
        queue, framed = self._queue, self._framed
        while queue:
            room = min(self._stream_window, self._connection_window, self._max_frame_bytes)
            if room <= 0:
                return
            pieces: list[Buffer] = []
            length = 0
            while queue and length < room:
                piece = queue.popleft()
                if len(piece) > room - length:
                    view = memoryview(piece)
                    queue.appendleft(view[room - length :])
                    piece = view[: room - length]
                pieces.append(piece)
                length += len(piece)
            self._stream_window -= length
            self._connection_window -= length
            header = _header(length, _DATA, 0, _STREAM_ID)
            if length < _JOIN_BYTES:
                framed.append(b"".join((header, *pieces)))
            else:
                framed.append(header)
                framed.extend(pieces)
        if self._end_is_due and not self._has_ended:
            self._has_ended = True
            framed.append(_header(0, _DATA, _END_STREAM, _STREAM_ID))

    def flush(self) -> None:
        """Hands the kernel what it takes."""
        framed = self._framed
        while framed and self.status is None:
            try:
                if self._is_tls or len(framed) == 1:
                    sent = self._sock.send(framed[0])
                else:
                    sent = self._sock.sendmsg([framed[i] for i in range(min(len(framed), _MAX_BUFFERS))])
            except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError as error:
                self._break(error)
                return
            while sent:
                first = len(framed[0])
                if sent < first:
                    framed[0] = memoryview(framed[0])[sent:]
                    break
                framed.popleft()
                sent -= first

    # Reading

    def receive(self) -> list[Buffer]:
        """Reads what has arrived, but not without end: the messages that are complete now.

        They are to be read before the next call. `status` tells when the call has ended.
        """
        messages: list[Buffer] = []
        if self.status is not None:
            return messages
        while True:
            message = self._message
            try:
                if message is not None and self._data_left >= _LARGE_BYTES and not self._rest:
                    filled = self._filled
                    wanted = min(self._data_left, len(message) - filled)
                    count = self._sock.recv_into(message[filled : filled + wanted])
                    if count == 0:
                        self._break(None)
                        return messages
                    self.heard_at = time.monotonic()
                    self._data_left -= count
                    self._filled = filled + count
                    if self._filled == len(message):
                        messages.append(message)
                        self._message = None
                    if self._data_left == 0:
                        self._end_data()
                else:
                    data = self._sock.recv(_READ_BYTES)
                    if not data:
                        self._break(None)
                        return messages
                    self.heard_at = time.monotonic()
                    self._parse(data, messages)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self._break(error)
                return messages
            if self.status is not None:
                break
            if self._message is not None and not messages:
                continue  # The rest of it may be there.
            # What TLS has taken from the kernel already, no selector tells of.
            if not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                break
        if self._unacknowledged >= _WINDOW_BYTES // 4 and self.status is None:
            update = self._unacknowledged.to_bytes(4, "big")
            self._unacknowledged = 0
            self._framed.append(
                _header(4, _WINDOW_UPDATE, 0, 0) + update + _header(4, _WINDOW_UPDATE, 0, _STREAM_ID) + update
            )
        if self._framed:
            self.flush()
        return messages

    def _parse(self, data: bytes, messages: list[Buffer]) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, end = 0, len(data)
        while position < end and self.status is None:
            if self._data_left:
                length = min(self._data_left, end - position)
                self._take_data(data, position, position + length, messages)
                position += length
                self._data_left -= length
                if not self._data_left:
                    self._end_data()
                continue
            if self._padding_left:
                length = min(self._padding_left, end - position)
                position += length
                self._padding_left -= length
                continue
            if end - position < 9:
                if self._is_first_frame and end - position >= _SHORTEST_ALERT_BYTES and data[position]:
                    self._refuse_peer(data[position:])
                    return
                break
            length = int.from_bytes(data[position : position + 3], "big")
            kind, flags = data[position + 3], data[position + 4]
            if self._is_first_frame:
                if kind != _SETTINGS or length % 6 or data[position + 5 : position + 9] != bytes(4):
                    self._refuse_peer(data[position:])
                    return
                self._is_first_frame = False
            if length > _MAX_FRAME_BYTES:
                self._fail(f"an HTTP/2 frame of {length} bytes; at most {_MAX_FRAME_BYTES} were agreed on")
                return
            if kind == _DATA and self._header_block is not None:
                self._fail("an HTTP/2 frame in the middle of headers")
                return
            if kind == _DATA and not flags & _PADDED:
                position += 9
                self._unacknowledged += length
                self._data_left = length
                self._data_ends_stream = bool(flags & _END_STREAM)
                if not length:
                    self._end_data()
                continue
            if kind == _DATA:
                if end - position < 10:
                    break
                padding = data[position + 9]
                position += 10
                self._unacknowledged += length
                self._data_left = length - 1 - padding
                self._padding_left = padding
                self._data_ends_stream = bool(flags & _END_STREAM)
                if self._data_left < 0:
                    self._fail("an HTTP/2 frame with more padding than bytes")
                elif not self._data_left:
                    self._end_data()
                continue
            if end - position < 9 + length:
                break
            stream_id = int.from_bytes(data[position + 5 : position + 9], "big") & 0x7FFFFFFF
            position += 9 + length
            self._on_frame(kind, flags, stream_id, data[position - length : position])
        if self.status is None:
            self._rest = data[position:]

    def _take_data(self, data: bytes, position: int, end: int, messages: list[Buffer]) -> None:
        while position < end:
            message = self._message
            if message is None:
                prefix = self._prefix
                if prefix or end - position < 5:
                    taken = min(5 - len(prefix), end - position)
                    prefix += data[position : position + taken]
                    position += taken
                    if len(prefix) < 5:
                        return
                    compressed, size = prefix[0], int.from_bytes(prefix[1:], "big")
                    prefix.clear()
                else:
                    compressed, size = data[position], int.from_bytes(data[position + 1 : position + 5], "big")
                    position += 5
                if compressed:
                    self._fail("a compressed message, which was not asked for")
                    return
                if size > _MAX_MESSAGE_BYTES:
                    self._fail(f"a message of {size} bytes; the largest is {_MAX_MESSAGE_BYTES}")
                    return
                if end - position >= size:
                    messages.append(data[position : position + size])
                    position += size
                    continue
                message = self._message = self._place(size)
                self._filled = 0
            filled = self._filled
            taken = min(len(message) - filled, end - position)
            message[filled : filled + taken] = memoryview(data)[position : position + taken]
            position += taken
            self._filled = filled + taken
            if self._filled == len(message):
                messages.append(message)
                self._message = None

    def _place(self, size: int) -> memoryview:
        """Room for a message. Those of the two messages before it stay as they are."""
        # A shorter one could begin and be complete in what is read at once, and another behind it.
        if not _READ_BYTES <= size <= _MAX_KEPT_BYTES:
            return memoryview(bytearray(size))
        places = self._places
        places.reverse()
        if len(places[0]) < size:
            places[0] = bytearray(size)
        return memoryview(places[0])[:size]

    def _end_data(self) -> None:
        if self._data_ends_stream:
            self._end(Status(2, "the service ended the stream without a status"))

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._header_block is not None and kind != _CONTINUATION:
            self._fail("an HTTP/2 frame in the middle of headers")
        elif kind == _WINDOW_UPDATE:
            if len(payload) != 4:
                self._fail("a WINDOW_UPDATE that is not 4 bytes long")
                return
            increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
            if stream_id == 0:
                self._connection_window += increment
            elif stream_id == _STREAM_ID:
                self._stream_window += increment
            if self._queue:
                self._frame_queue()
        elif kind == _SETTINGS:
            if not flags & _ACK:
                self._on_settings(payload)
        elif kind == _PING:
            if not flags & _ACK:
                self._framed.append(_header(len(payload), _PING, _ACK, 0) + payload)
        elif kind == _HEADERS:
            start, stop = 0, len(payload)
            if flags & _PADDED and payload:
                start, stop = 1, stop - payload[0]
            if flags & _PRIORITY:
                start += 5
            self._header_block = bytearray(payload[start : max(stop, start)])
            self._header_block_ends_stream = bool(flags & _END_STREAM)
            if flags & _END_HEADERS:
                self._on_headers()
        elif kind == _CONTINUATION:
            if self._header_block is None:
                self._fail("a CONTINUATION without HEADERS")
                return
            self._header_block += payload
            if len(self._header_block) > _MAX_HEADERS_BYTES:
                self._fail(f"headers of more than {_MAX_HEADERS_BYTES} bytes")
            elif flags & _END_HEADERS:
                self._on_headers()
        elif kind == _RST_STREAM:
            code = int.from_bytes(payload, "big")
            self._end(
                Status(14 if code in (0, 7, 8, 11) else 13, f"the service reset the stream (HTTP/2 error {code})")
            )
        elif kind == _GOAWAY:
            last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            if last_stream_id < _STREAM_ID:
                text = payload[8:].decode("utf-8", "replace")
                self._end(Status(14, f"the service refused the connection{': ' + text if text else ''}"))
        elif kind == _PUSH_PROMISE:
            self._fail("a PUSH_PROMISE, which was ruled out")

    def _on_settings(self, payload: bytes) -> None:
        if len(payload) % 6:
            self._fail("SETTINGS of an odd length")
            return
        for name, value in _unpack_settings(payload):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._initial_window
                self._initial_window = value
            elif name == _MAX_FRAME_SIZE:
                self._max_frame_bytes = value
            elif name == _HEADER_TABLE_SIZE:
                self._encoder.header_table_size = value
        self._framed.append(_header(0, _SETTINGS, _ACK, 0))
        if self._queue:
            self._frame_queue()

    def _on_headers(self) -> None:
        block, self._header_block = self._header_block, None
        try:
            headers = {
                (name if isinstance(name, str) else name.decode("ascii", "replace")): (
                    value if isinstance(value, str) else value.decode("utf-8", "replace")
                )
                for name, value in self._decoder.decode(bytes(block or b""))
            }
        except hpack.HPACKError as error:
            self._fail(f"headers that cannot be read: {error}")
            return
        is_first, self._response_headers = self._response_headers is None, headers
        if is_first and headers.get("grpc-status") is None:
            if headers.get(":status", "").startswith("1"):  # Informational: RFC 9110, 15.2.
                self._response_headers = None
                return
            kind = headers.get("content-type", "")
            if headers.get(":status") != "200" or not kind.startswith("application/grpc"):
                self._end(
                    Status(
                        12,
                        f"an HTTP server answered, but no gRPC service: status {headers.get(':status')},"
                        f" content-type {kind or 'none'}",
                    )
                )
                return
        if self._header_block_ends_stream:
            self._end(_status_of(headers))

    def _refuse_peer(self, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            what = "an HTTP/1 server, not a gRPC service"
        elif data[:2] in (b"\x15\x03", b"\x16\x03"):
            what = "a server that wants TLS"
            self.met_tls = True
        else:
            what = f"something that is not a gRPC service: its first bytes are {data[:16]!r}"
        self._end(Status(14, f"what answers there is {what}"), is_grpc=False)

    def _fail(self, what: str) -> None:
        self._end(Status(13, f"the service broke HTTP/2: {what}"))

    def _break(self, error: OSError | None) -> None:
        if self._is_first_frame and self._rest:
            self._refuse_peer(self._rest)
        elif self._is_first_frame:
            what = "closed" if error is None else f"broken ({error})"
            self.was_mute = True
            self._end(Status(14, f"the connection was {what} before a gRPC service answered"), is_grpc=False)
        elif error is not None:
            self._end(Status(14, f"the connection with the service broke: {error}"))
        else:
            self._end(Status(14, "the service closed the connection"))

    def _end(self, status: Status, is_grpc: bool = True) -> None:
        if self.status is None:
            self.status = status
            self.is_grpc = is_grpc

    is_grpc = True  # False: what ended the call is no gRPC server.
    met_tls = False  # What came was TLS, and the socket's is plain.
    was_mute = False  # The connection ended, and nothing had come.

    # Waiting

    def wait(self, deadline: float) -> bool:
        """Waits until the socket can be read, and writes meanwhile; False at `deadline` (monotonic clock)."""
        sock = self._sock
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poller = select.poll()
        while True:
            if self.status is not None:
                return True
            self.flush()
            poller.register(sock, select.POLLIN | (select.POLLOUT if self._framed else 0))
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for _, events in poller.poll(left * 1000):
                if events & ~select.POLLOUT:
                    return True


def _status_of(headers: dict[str, str]) -> Status:
    """https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""
    try:
        code = int(headers.get("grpc-status", "2"))
    except ValueError:
        code = 2
    message = _percent_decode(headers.get("grpc-message", ""))
    details = headers.get("grpc-status-details-bin", "")
    return Status(code, message, _base64_decode(details))


def _percent_decode(text: str) -> str:
    return unquote(text, errors="replace")


def _base64_decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
