"""_http2.GrpcCall against a scripted peer."""

from __future__ import annotations

import base64
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from transportd._http2 import GrpcCall, Status

import http2_peer as http2
from http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RESPONSE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2Peer,
    frame,
    message,
    settings,
    window_update,
)  # fmt: skip

LIMIT_SECONDS = 20


class Pair:
    """A call and its peer."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        far.settimeout(LIMIT_SECONDS)
        self.call = GrpcCall(near, "authority:1", "/service/Method", [("user-agent", "test"), ("authorization", "me")])
        self.peer = Http2Peer(far)

    def begin(self, *more: bytes) -> None:
        """Both sides have begun."""
        self.peer.read_request()
        self.peer.send(settings(), self.peer.response(), *more)

    def receive(self, count: int) -> list[bytes]:
        """At least so many messages; fewer when the call ends."""
        messages: list[bytes] = []
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(messages) < count and self.call.status is None:
            assert self.call.wait(deadline), f"only {len(messages)} messages"
            messages += [bytes(one) for one in self.call.receive()]
        return messages

    def ended(self) -> Status:
        """How the call ends."""
        assert self.receive(1 << 30) is not None
        assert self.call.status is not None
        return self.call.status


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.call.close()
    pair.peer.close()


def test_the_request(pair: Pair) -> None:
    headers = pair.peer.read_request()
    assert headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/service/Method",
        ":authority": "authority:1",
        "te": "trailers",
        "content-type": "application/grpc+proto",
        "user-agent": "test",
        "authorization": "me",
    }


def test_metadata_that_is_too_long() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(ValueError, match=r"metadata is too long: \d+ bytes, allowed are 16384"):
        GrpcCall(near, "authority", "/path", [("authorization", "x" * 20_000)])


# Reading


def conversation(peer: Http2Peer) -> tuple[bytes, list[bytes]]:
    """Of everything something, and the messages in it."""
    rng = random.Random(3)
    messages = [b"", b"x", rng.randbytes(10), rng.randbytes(300), rng.randbytes(40_000), b"last"]
    whole = b"".join(message(one) for one in messages)
    pieces = [settings((INITIAL_WINDOW_SIZE, 100_000)), peer.response(), frame(PING, b"12345678", stream_id=0)]
    position = 0
    while position < len(whole):
        size = rng.choice([1, 3, 200, 16_384])
        data = whole[position : position + size]
        position += size
        if rng.randrange(2):
            padding = rng.randrange(20)
            pieces.append(frame(DATA, bytes((padding,)) + data + bytes(padding), PADDED))
        else:
            pieces.append(frame(DATA, data))
        if rng.randrange(3) == 0:
            pieces.append(rng.choice([frame(DATA), window_update(10), frame(99, b"unknown"), settings()]))
    pieces.append(peer.trailers(0))
    return b"".join(pieces), messages


def test_fragmented_at_every_byte() -> None:
    """One conversation, cut in two at each of its places, of which those in long data are alike."""
    pair = Pair()
    encoded, messages = conversation(pair.peer)
    pair.call.close()
    pair.peer.close()
    cuts = [*range(1500), *range(1500, len(encoded), 97), *range(len(encoded) - 50, len(encoded))]
    for cut in cuts:
        pair = Pair()
        pair.peer.sock.setblocking(False)
        received: list[bytes] = []
        for piece in (encoded[:cut], encoded[cut:]):
            left = memoryview(piece)
            while left and pair.call.status is None:
                left = left[pair.peer.sock.send(left[:60_000]) :]
                received += [bytes(one) for one in pair.call.receive()]
        while pair.call.status is None:
            received += [bytes(one) for one in pair.call.receive()]
        assert received == messages, f"cut at {cut}"
        assert pair.call.status == Status(0, "")
        pair.call.close()
        pair.peer.close()


def test_byte_by_byte() -> None:
    pair = Pair()
    encoded, messages = conversation(pair.peer)
    received: list[bytes] = []
    for position in range(len(encoded)):
        pair.peer.send(encoded[position : position + 1])
        received += [bytes(one) for one in pair.call.receive()]
    assert received == messages
    assert pair.call.status == Status(0, "")
    pair.call.close()
    pair.peer.close()


@pytest.mark.parametrize("size", [32_767, 32_768, 65_536, 1_000_000, 10_000_000])
@pytest.mark.parametrize("frame_size", [1000, 16_384, 1 << 20])
def test_large_messages(pair: Pair, size: int, frame_size: int) -> None:
    """In many DATA frames; beside them the windows are opened again."""
    data = random.Random(size).randbytes(size)
    whole = message(data) + message(b"small") + message(data)
    increments = {0: 0, 1: 0}

    def serve() -> None:
        for start in range(0, len(whole), frame_size):
            pair.peer.send(frame(DATA, whole[start : start + frame_size]))

    def read_updates() -> None:
        while True:
            try:
                received = pair.peer.read_frame()
            except EOFError:
                return
            if received.kind == WINDOW_UPDATE:
                increments[received.stream_id] += int.from_bytes(received.payload, "big")

    pair.begin()
    threads = [threading.Thread(target=serve), threading.Thread(target=read_updates)]
    for thread in threads:
        thread.start()
    received = pair.receive(3)
    threads[0].join(LIMIT_SECONDS)
    pair.call.close()
    threads[1].join(LIMIT_SECONDS)
    assert received == [data, b"small", data]
    # What was taken, but for less than a quarter of the window, was given back, for both windows alike.
    assert increments[0] == increments[1]
    assert 0 <= len(whole) - increments[0] < 4 << 20


@pytest.mark.parametrize("sizes", [[100] * 20, [40_000] * 20, [40_000, 10, 40_000, 10] * 5, [33_000, 20_000] * 10])
@pytest.mark.parametrize("frame_size", [50, 10_001, 39_000])
def test_messages_that_cross_frames_do_not_disturb_one_another(pair: Pair, sizes: list[int], frame_size: int) -> None:
    rng = random.Random(6)
    messages = [rng.randbytes(size) for size in sizes]
    whole = b"".join(message(one) for one in messages)
    frames = [frame(DATA, whole[start : start + frame_size]) for start in range(0, len(whole), frame_size)]
    pair.begin()
    sending = threading.Thread(target=pair.peer.send, args=frames)
    sending.start()
    assert pair.receive(len(messages)) == messages
    sending.join()


def test_the_window_that_is_offered(pair: Pair) -> None:
    pair.peer.read_preface()
    received = pair.peer.read_frame()
    assert received.kind == SETTINGS
    offered = dict(struct.iter_unpack(">HL", received.payload))
    assert offered[INITIAL_WINDOW_SIZE] == 16 << 20
    assert offered[MAX_FRAME_SIZE] == 1 << 20
    assert offered[http2.ENABLE_PUSH] == 0
    update = pair.peer.read_frame()
    assert (update.kind, update.stream_id) == (WINDOW_UPDATE, 0)
    assert 65535 + int.from_bytes(update.payload, "big") == 16 << 20


def test_padding_counts_in_the_window(pair: Pair) -> None:
    """Otherwise a peer that pads would stop for ever."""
    padded = frame(DATA, bytes((255,)) + message(b"x") + bytes(255), PADDED)
    pair.begin()
    count = (4 << 20) // (len(padded) - 9) + 10
    sending = threading.Thread(target=pair.peer.send, args=[padded] * count)
    sending.start()
    assert len(pair.receive(count)) >= count
    sending.join(LIMIT_SECONDS)
    assert int.from_bytes(pair.peer.read_until(WINDOW_UPDATE).payload, "big") >= 4 << 20


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_of_every_length(pair: Pair, padding: int) -> None:
    padded = frame(DATA, bytes((padding,)) + message(b"hello") + bytes(padding), PADDED)
    pair.begin(padded, padded, frame(DATA, bytes((padding,)) + bytes(padding), PADDED), padded)
    assert pair.receive(3) == [b"hello"] * 3


def test_headers_in_continuations(pair: Pair) -> None:
    pair.peer.read_request()
    block = pair.peer.encoder.encode([*RESPONSE, *((f"name-{number}", "x" * 100) for number in range(50))])
    pieces = [block[start : start + 100] for start in range(0, len(block), 100)]
    pair.peer.send(settings(), frame(HEADERS, pieces[0]), *(frame(CONTINUATION, piece) for piece in pieces[1:-1]))
    pair.peer.send(frame(CONTINUATION, pieces[-1], END_HEADERS), frame(DATA, message(b"hello")))
    assert pair.receive(1) == [b"hello"]
    trailers = pair.peer.encoder.encode([("grpc-status", "5"), ("grpc-message", "none")])
    pair.peer.send(frame(HEADERS, trailers[:3], END_STREAM), frame(CONTINUATION, trailers[3:], END_HEADERS))
    assert pair.ended() == Status(5, "none")


def test_headers_with_padding_and_priority(pair: Pair) -> None:
    pair.peer.read_request()
    block = pair.peer.encoder.encode(RESPONSE)
    payload = bytes((7,)) + bytes(5) + block + bytes(7)
    pair.peer.send(settings(), frame(HEADERS, payload, END_HEADERS | PADDED | PRIORITY), frame(DATA, message(b"hello")))
    assert pair.receive(1) == [b"hello"]


def test_informational_headers_are_passed_over(pair: Pair) -> None:
    pair.peer.read_request()
    pair.peer.send(settings(), pair.peer.headers([(":status", "103")]), pair.peer.response())
    pair.peer.send(frame(DATA, message(b"hello")))
    assert pair.receive(1) == [b"hello"]


def test_pings_are_answered(pair: Pair) -> None:
    pair.begin(frame(PING, b"12345678", stream_id=0), frame(PING, b"answered", ACK, stream_id=0))
    pair.peer.send(frame(DATA, message(b"x")))
    pair.receive(1)
    answer = pair.peer.read_until(PING)
    assert (answer.flags, answer.payload) == (ACK, b"12345678")
    pair.peer.send(frame(PING, b"87654321", stream_id=0), frame(DATA, message(b"x")))
    pair.receive(1)
    assert pair.peer.read_until(PING).payload == b"87654321"


def test_settings_are_acknowledged(pair: Pair) -> None:
    pair.begin(settings(), frame(DATA, message(b"x")))
    pair.receive(1)
    for _ in range(2):
        assert pair.peer.read_until(SETTINGS).flags == ACK


# How it ends


def test_trailers(pair: Pair) -> None:
    details = b"\x08\x05\x12\x04none\xff"
    pair.begin(frame(DATA, message(b"hello")))
    text = "none%20at%20all%3A%20%E2%82%AC%0A%"
    pair.peer.send(pair.peer.trailers(5, text, base64.b64encode(details).decode().rstrip("=")))
    assert pair.receive(2) == [b"hello"]
    assert pair.call.status == Status(5, "none at all: €\n%", details)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("grpc-status", "16"), ("grpc-message", "who?")], Status(16, "who?")),
        ([("grpc-status", "0")], Status(0, "")),
        ([("grpc-status", "many")], Status(2, "")),
        ([("grpc-status", "7"), ("grpc-status-details-bin", "!!!")], Status(7, "", b"")),
        ([("grpc-status", "7"), ("grpc-message", "%ff%zz")], Status(7, "\ufffd%zz")),
    ],
)
def test_trailers_alone(pair: Pair, headers: list[tuple[str, str]], status: Status) -> None:
    pair.peer.read_request()
    pair.peer.send(settings(), pair.peer.headers([*RESPONSE, *headers], END_HEADERS | END_STREAM))
    assert pair.ended() == status


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ([(":status", "404"), ("content-type", "text/html")], "status 404, content-type text/html"),
        ([(":status", "200"), ("content-type", "text/html")], "status 200, content-type text/html"),
        ([(":status", "502")], "status 502, content-type none"),
        ([(":status", "401"), ("content-type", "application/grpc")], "status 401"),
    ],
)
@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM])
def test_an_http_server_that_is_no_grpc_service(
    pair: Pair, headers: list[tuple[str, str]], what: str, flags: int
) -> None:
    pair.peer.read_request()
    pair.peer.send(settings(), pair.peer.headers(headers, flags))
    status = pair.ended()
    assert status.code == 12
    assert what in status.message


@pytest.mark.parametrize(
    ("ending", "code", "what"),
    [
        (frame(RST_STREAM, (8).to_bytes(4, "big")), 14, "reset the stream (HTTP/2 error 8)"),
        (frame(RST_STREAM, (2).to_bytes(4, "big")), 13, "reset the stream (HTTP/2 error 2)"),
        (frame(GOAWAY, bytes(8) + b"too many", stream_id=0), 14, "refused the connection: too many"),
        (frame(GOAWAY, bytes(8), stream_id=0), 14, "refused the connection"),
        (frame(DATA, b"", END_STREAM), 2, "without a status"),
        (frame(DATA, message(b"last"), END_STREAM), 2, "without a status"),
        (frame(DATA, b"\x01" + message(b"x")[1:]), 13, "compressed"),
        (frame(DATA, b"\x05ab", PADDED), 13, "more padding than bytes"),
        (frame(DATA, b"\x09" + bytes(9), PADDED), None, ""),
        (frame(PUSH_PROMISE, bytes(8)), 13, "PUSH_PROMISE"),
        (frame(WINDOW_UPDATE, b"abc", stream_id=0), 13, "WINDOW_UPDATE"),
        (frame(SETTINGS, b"abc", stream_id=0), 13, "SETTINGS"),
        (frame(CONTINUATION, b"abc"), 13, "CONTINUATION without HEADERS"),
        (frame(HEADERS, b"abc") + frame(DATA, b"abc"), 13, "in the middle of headers"),
        (frame(HEADERS, b"\xff\xff\xff\xff\xff\xff", END_HEADERS), 13, "headers that cannot be read"),
        (frame(HEADERS, b"x") + frame(CONTINUATION, bytes(60_000)) * 2, 13, "headers of more than"),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", 13, "an HTTP/2 frame of 16777215 bytes"),
    ],
)
def test_ends_of_all_kinds(pair: Pair, ending: bytes, code: int | None, what: str) -> None:
    pair.begin(frame(DATA, message(b"first")), ending)
    if code is None:
        pair.peer.send(frame(DATA, message(b"goes on")))
        assert pair.receive(2) == [b"first", b"goes on"]
        return
    messages = pair.receive(1000)
    assert messages[0] == b"first"
    assert pair.call.status is not None
    assert pair.call.status.code == code
    assert what in pair.call.status.message
    # Nothing more comes of it, and what is sent is dropped.
    pair.call.send([b"x"], 1)
    pair.call.half_close()
    assert pair.call.receive() == []


def test_goaway_that_lets_the_stream_go_on(pair: Pair) -> None:
    pair.begin(frame(GOAWAY, (1).to_bytes(4, "big") + bytes(4), stream_id=0), frame(DATA, message(b"hello")))
    assert pair.receive(1) == [b"hello"]
    pair.peer.send(pair.peer.trailers(14, "stopping"))
    assert pair.ended() == Status(14, "stopping")


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP/1 server"),
        (b"\x15\x03\x03\x00\x02\x02\x16", "a server that wants TLS"),
        (b"-ERR unknown command\r\n", "its first bytes are b'-ERR unknown com'"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "its first bytes are b'SSH-2.0-OpenSSH_'"),
        (frame(DATA, b"hello"), "its first bytes are"),
    ],
)
def test_what_speaks_no_http2(pair: Pair, first: bytes, what: str) -> None:
    pair.peer.send(first)
    status = pair.ended()
    assert not pair.call.is_grpc
    assert status.code == 14
    assert what in status.message


@pytest.mark.parametrize("begun", [False, True])
def test_the_peer_closes(pair: Pair, begun: bool) -> None:
    if begun:
        pair.begin(frame(DATA, message(b"hello")), frame(DATA, message(b"cut off")[:7]))
    pair.peer.sock.shutdown(socket.SHUT_WR)
    assert pair.receive(5) == ([b"hello"] if begun else [])
    assert pair.call.status is not None
    assert pair.call.status.code == 14
    assert pair.call.is_grpc == begun


def test_a_peer_that_says_little_and_closes(pair: Pair) -> None:
    pair.peer.send(b"no\n")
    pair.peer.close()
    assert "its first bytes are b'no\\n'" in pair.ended().message


def test_the_peer_is_gone_when_something_is_sent(pair: Pair) -> None:
    pair.peer.close()
    pair.call.send([bytes(1_000_000)], 1_000_000)
    assert pair.call.status is not None
    assert pair.call.status.code == 14
    pair.call.flush()
    assert pair.call.receive() == []


# Writing


def is_backed_up(pair: Pair) -> bool:
    """What is sent now would wait behind what was sent before."""
    return bool(pair.call._framed or pair.call._queue)


def flush(pair: Pair, size: int) -> list[bytes]:
    """Reads messages at the peer's side, while the call is flushed, until it has `size` bytes of them."""
    messages: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while sum(map(len, messages)) < size:
            messages.append(pair.peer.read_message())
        done.set()

    reading = threading.Thread(target=read)
    reading.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done.is_set():
        assert time.monotonic() < deadline
        pair.call.wait(time.monotonic() + 0.01)
        pair.call.receive()
    reading.join()
    return messages


def test_messages_of_all_sizes(pair: Pair) -> None:
    pair.begin(settings((INITIAL_WINDOW_SIZE, (1 << 31) - 1)), window_update((1 << 31) - 1 - 65535))
    assert pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    rng = random.Random(1)
    sent = [rng.randbytes(size) for size in (1, 100, 16_379, 16_380, 16_384, 65_530, 1_000_000, 5)]
    for data in sent:
        pieces: list[bytes | bytearray | memoryview] = [data[:3], bytearray(data[3:10]), memoryview(data)[10:]]
        pair.call.send([piece for piece in pieces if piece], len(data))
    assert flush(pair, sum(map(len, sent))) == sent
    assert not is_backed_up(pair)


def test_the_windows_are_kept(pair: Pair) -> None:
    """65,535 bytes, of the connection and of the stream: nothing more until both are opened."""
    pair.peer.read_request()
    data = random.Random(2).randbytes(200_000)
    pair.call.send([data], len(data))
    pair.call.send([b"behind"], 6)
    received = bytearray()

    def read_what_is_there() -> None:
        pair.peer.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                payload = pair.peer.read_until(DATA).payload
                assert len(payload) <= 16_384
                received.extend(payload)
        pair.peer.sock.settimeout(LIMIT_SECONDS)

    read_what_is_there()
    assert len(received) == 65_535
    assert is_backed_up(pair)
    assert not pair.call.wants_write
    pair.peer.send(settings(), pair.peer.response())
    whole = message(data) + message(b"behind")
    # The stream's window, the connection's, and how much of the message may have come by then.
    for stream, connection, size in (
        (1000, 0, 65_535),
        (0, 500, 66_035),
        (0, 500, 66_535),
        (1, 1, 66_536),
        (0, 200_000, 66_536),
        (50_000, 0, 116_536),
        (100_000, 0, len(whole)),
    ):
        if stream:
            pair.peer.send(window_update(stream, 1))
        if connection:
            pair.peer.send(window_update(connection))
        pair.call.wait(time.monotonic() + LIMIT_SECONDS)
        pair.call.receive()
        read_what_is_there()
        assert len(received) == size
    assert bytes(received) == whole
    assert not is_backed_up(pair)


def test_a_smaller_initial_window_makes_it_negative(pair: Pair) -> None:
    pair.begin(window_update(1 << 20))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    data = bytes(60_000)
    pair.call.send([data], len(data))
    assert pair.peer.read_message() == data
    # 5,530 were left of the stream's; now it owes 60,005 - 1,000.
    pair.peer.send(settings((INITIAL_WINDOW_SIZE, 1000)))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    pair.call.send([b"waits"], 5)
    assert is_backed_up(pair)
    for increment, is_sent in ((59_000, False), (5, False), (1, True), (9, True)):
        pair.peer.send(window_update(increment, 1))
        pair.call.wait(time.monotonic() + LIMIT_SECONDS)
        pair.call.receive()
        if not is_sent:
            assert is_backed_up(pair)
    assert pair.peer.read_message() == b"waits"
    assert not is_backed_up(pair)
    # And larger again.
    pair.peer.send(settings((INITIAL_WINDOW_SIZE, 101_000)))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    pair.call.send([bytes(90_000)], 90_000)
    assert not is_backed_up(pair) or flush(pair, 90_000)


@pytest.mark.parametrize("maximum", [16_384, 20_000, (1 << 24) - 1])
def test_the_largest_frame_that_the_peer_takes(pair: Pair, maximum: int) -> None:
    pair.begin(settings((MAX_FRAME_SIZE, maximum), (INITIAL_WINDOW_SIZE, 1 << 24)), window_update(1 << 24))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    pair.call.send([bytes(100_000)], 100_000)
    received = [pair.peer.read_until(DATA).payload]
    while sum(map(len, received)) < 100_005:
        received.append(pair.peer.read_until(DATA).payload)
    assert max(map(len, received)) == min(maximum, 100_005)


def test_half_close_comes_behind_everything(pair: Pair) -> None:
    pair.begin()
    data = bytes(100_000)
    pair.call.send([data], len(data))
    pair.call.half_close()
    pair.call.half_close()
    flags: list[int] = []
    size = 0
    pair.peer.send(window_update(1 << 20), window_update(1 << 20, 1))
    deadline = time.monotonic() + LIMIT_SECONDS
    while size < 100_005 or not flags[-1] & END_STREAM:
        pair.call.wait(min(deadline, time.monotonic() + 0.01))
        pair.call.receive()
        received = pair.peer.read_until(DATA)
        size += len(received.payload)
        flags.append(received.flags)
    assert flags[:-1] == [0] * (len(flags) - 1)
    assert flags[-1] == END_STREAM


def test_a_kernel_that_takes_no_more(pair: Pair) -> None:
    """What is sent waits, in order, and goes out when the peer reads."""
    pair.begin(settings((INITIAL_WINDOW_SIZE, (1 << 31) - 1)), window_update((1 << 31) - 1 - 65535))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    rng = random.Random(4)
    sent = []
    while not pair.call.wants_write:
        sent.append(rng.randbytes(rng.choice([10, 1000, 20_000])))
        pair.call.send([sent[-1]], len(sent[-1]))
    assert is_backed_up(pair)
    for size in (10, 50_000, 10):
        sent.append(rng.randbytes(size))
        pair.call.send([sent[-1]], size)
    assert flush(pair, sum(map(len, sent))) == sent
    assert not is_backed_up(pair)
    assert not pair.call.wants_write


def test_wait_ends_at_its_deadline(pair: Pair) -> None:
    begun = time.monotonic()
    assert not pair.call.wait(begun + 0.05)
    assert 0.04 < time.monotonic() - begun < 5
    assert not pair.call.wait(begun)


def test_wait_writes_meanwhile(pair: Pair) -> None:
    pair.begin(settings((INITIAL_WINDOW_SIZE, (1 << 31) - 1)), window_update((1 << 31) - 1 - 65535))
    pair.call.wait(time.monotonic() + LIMIT_SECONDS)
    pair.call.receive()
    data = bytes(5_000_000)
    pair.call.send([data], len(data))
    assert pair.call.wants_write

    def serve() -> None:
        assert pair.peer.read_message() == data
        pair.peer.send(frame(DATA, message(b"thanks")))

    serving = threading.Thread(target=serve)
    serving.start()
    assert pair.receive(1) == [b"thanks"]
    serving.join()


def test_close_is_idempotent(pair: Pair) -> None:
    pair.begin()
    pair.call.close()
    pair.call.close()
    assert pair.call.fileno() == -1
    assert pair.call.status == Status(1, "the client closed the connection")
    pair.call.send([b"x"], 1)
    pair.call.half_close()
    pair.call.flush()
    assert pair.call.receive() == []
    with pytest.raises((EOFError, ConnectionResetError)):
        _read_to_the_end(pair.peer)


def _read_to_the_end(peer: Http2Peer) -> Any:
    while True:
        peer.read_frame()
