"""The other end of a GrpcCall: HTTP/2 by hand, so that it can also do what no library would (RFC 9113)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import hpack

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RESPONSE = [(":status", "200"), ("content-type", "application/grpc+proto")]


@dataclass(frozen=True)
class Received:
    """A frame."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream_id: int = 1) -> bytes:
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(struct.pack(">HL", *pair) for pair in pairs), stream_id=0)


def window_update(increment: int, stream_id: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, increment.to_bytes(4, "big"), stream_id=stream_id)


def message(data: bytes) -> bytes:
    """In gRPC's framing."""
    return struct.pack(">BL", 0, len(data)) + data


class Http2Peer:
    """Threading: whoever calls it."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._received = bytearray()

    def send(self, *pieces: bytes) -> None:
        self.sock.sendall(b"".join(pieces))

    def headers(self, pairs: Iterable[tuple[str, str]], flags: int = END_HEADERS) -> bytes:
        return frame(HEADERS, self.encoder.encode(list(pairs)), flags)

    def response(self) -> bytes:
        """The headers with which a gRPC service begins."""
        return self.headers(RESPONSE)

    def trailers(self, code: int, text: str = "", details: str = "") -> bytes:
        pairs = [("grpc-status", str(code))]
        if text:
            pairs.append(("grpc-message", text))
        if details:
            pairs.append(("grpc-status-details-bin", details))
        return self.headers(pairs, END_HEADERS | END_STREAM)

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            piece = self.sock.recv(1 << 16)
            if not piece:
                raise EOFError
            self._received += piece
        out = bytes(self._received[:size])
        del self._received[:size]
        return out

    def read_preface(self) -> None:
        assert self._read(len(PREFACE)) == PREFACE

    def read_frame(self) -> Received:
        """EOFError at the end."""
        header = self._read(9)
        length = int.from_bytes(header[:3], "big")
        stream_id = int.from_bytes(header[5:], "big")
        return Received(header[3], header[4], stream_id, self._read(length))

    def read_until(self, kind: int) -> Received:
        """The next frame of that kind."""
        while True:
            received = self.read_frame()
            if received.kind == kind:
                return received

    def read_request(self) -> dict[str, str]:
        """The headers that the call begins with."""
        self.read_preface()
        block = self.read_until(HEADERS).payload
        return {str(name): str(value) for name, value in self._decoder.decode(block)}

    def read_message(self) -> bytes:
        """The next message, of as many DATA frames as it takes."""
        data = bytearray()
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[1:5], "big"):
            data += self.read_until(DATA).payload
        assert data[0] == 0
        assert len(data) == 5 + int.from_bytes(data[1:5], "big"), "a DATA frame holds parts of two messages"
        return bytes(data[5:])

    def close(self) -> None:
        self.sock.close()
