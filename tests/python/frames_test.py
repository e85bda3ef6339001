"""Frames: what the client's own code writes and reads of them is what Protocol Buffers' does."""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from transportd import _frames
from transportd._frames import Frame, LargeData
from transportd.v1 import event_loop_pb2, transport_pb2, types_pb2

EDGES = [0, 1, 127, 128, 255, 16383, 16384, 65535, 65536, (1 << 21) - 1, 1 << 21, (1 << 32) - 1]
LONG_EDGES = [*EDGES, 1 << 32, (1 << 56) - 1, (1 << 64) - 1]


def as_request(encoded: bytes) -> event_loop_pb2.SessionRequest:
    return event_loop_pb2.SessionRequest.FromString(encoded)


# Written


@pytest.mark.parametrize("value", LONG_EDGES)
def test_varint(value: int) -> None:
    expected = event_loop_pb2.SessionRequest(sequence=value).SerializeToString()
    assert _frames.varint(value) == (expected[1:] or b"\0")


@pytest.mark.parametrize("transport_id", EDGES[1:])
@pytest.mark.parametrize("size", [1, 63, 64, 127, 128, 16383, 16384, 65536, 1 << 21])
def test_write(transport_id: int, size: int) -> None:
    data = bytes(size)
    command = event_loop_pb2.Command(transport_id=transport_id, write=data)
    expected = event_loop_pb2.SessionRequest(commands=[command]).SerializeToString()
    assert _frames.write_header(transport_id, size) + data == expected


@pytest.mark.parametrize(
    "command",
    [
        event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=7)),
        event_loop_pb2.Command(request_id=1 << 31, cancel=event_loop_pb2.CancelRequest(request_id=5)),
        event_loop_pb2.Command(create_connection=event_loop_pb2.CreateConnectionRequest(remote={"host": "x" * 200})),
        event_loop_pb2.Command(),
    ],
)
def test_commands(command: event_loop_pb2.Command) -> None:
    expected = event_loop_pb2.SessionRequest(commands=[command]).SerializeToString()
    assert _frames.command_entry(command) == expected


@pytest.mark.parametrize("transport_id", EDGES)
@pytest.mark.parametrize("count", LONG_EDGES)
def test_acknowledgements(transport_id: int, count: int) -> None:
    entry = _frames.acknowledgement_entry(transport_id, count, count // 2)
    expected = event_loop_pb2.Acknowledgement(transport_id=transport_id, data_bytes=count, data_count=count // 2)
    assert as_request(entry) == event_loop_pb2.SessionRequest(acknowledgements=[expected])


@pytest.mark.parametrize("is_prompt", [True, False])
@pytest.mark.parametrize("sequence", LONG_EDGES)
def test_the_end_of_a_frame(sequence: int, is_prompt: bool) -> None:
    expected = event_loop_pb2.SessionRequest(
        sequence=sequence, acknowledged_sequence=sequence // 3, prompt_write_progress=is_prompt
    )
    assert as_request(_frames.frame_end(sequence, sequence // 3, is_prompt)) == expected


def test_a_whole_frame() -> None:
    close = event_loop_pb2.Command(close=transport_pb2.CloseRequest(transport_id=7))
    encoded = b"".join(
        (
            _frames.write_header(7, 5),
            b"hello",
            _frames.command_entry(close),
            _frames.write_header(8, 1),
            b"x",
            _frames.acknowledgement_entry(7, 10, 2),
            _frames.frame_end(5, 4, True),
        )
    )
    assert as_request(encoded) == event_loop_pb2.SessionRequest(
        commands=[
            event_loop_pb2.Command(transport_id=7, write=b"hello"),
            close,
            event_loop_pb2.Command(transport_id=8, write=b"x"),
        ],
        acknowledgements=[event_loop_pb2.Acknowledgement(transport_id=7, data_bytes=10, data_count=2)],
        sequence=5,
        acknowledged_sequence=4,
        prompt_write_progress=True,
    )


# Read


def as_read(frame: Frame) -> Any:
    """What a frame says, whichever way it was read."""
    callbacks = []
    for callback in frame.callbacks:
        if isinstance(callback, LargeData):
            assert type(callback.data_received) is bytes
            whole = event_loop_pb2.Callback(transport_id=callback.transport_id, data_received=callback.data_received)
            callbacks.append(whole)
        else:
            callbacks.append(callback)
    return frame.opened, frame.sequence, frame.acknowledged_sequence, frame.all_written, callbacks


def expected_of(message: bytes) -> Any:
    response = event_loop_pb2.SessionResponse.FromString(message)
    opened = response.opened if response.HasField("opened") else None
    rest = (response.sequence, response.acknowledged_sequence, response.all_written)
    return (opened, *rest, list(response.callbacks))


@pytest.fixture(params=["small", "large"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame of a test is read as a small one, and as a large one."""
    _read_as(request.param, monkeypatch)


def _read_as(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "small":
        monkeypatch.setattr(_frames, "_LARGE_BYTES", 1 << 60)
        return

    def read(frame: Frame, message: Any) -> None:
        frame.opened = None
        frame._read_large(message)

    # What is not a callback is handed on as a small frame.
    read_small = Frame.__init__
    depth = 0

    def construct(frame: Frame, message: Any) -> None:
        nonlocal depth
        depth += 1
        try:
            (read if depth == 1 else read_small)(frame, message)
        finally:
            depth -= 1

    monkeypatch.setattr(Frame, "__init__", construct)


def callbacks_of_all_kinds() -> list[event_loop_pb2.Callback]:
    callback = event_loop_pb2.Callback
    return [
        callback(transport_id=1, data_received=b"x"),
        *(callback(transport_id=id_, data_received=bytes(size)) for id_ in (1, 200, 1 << 31) for size in (50, 70, 300)),
        callback(transport_id=2, write_progress=1 << 40),
        callback(reply=event_loop_pb2.Reply(request_id=9, error=types_pb2.TransportError(message="no" * 50))),
        callback(transport_id=3, connection_made=transport_pb2.ConnectionMade(server_id=1)),
        callback(transport_id=3, eof_received=transport_pb2.EofReceived()),
        callback(transport_id=3, connection_lost=transport_pb2.ConnectionLost(sent_bytes=5)),
        callback(transport_id=0, data_received=bytes(100)),
        callback(),
    ]


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_frames_of_all_kinds(container: Any) -> None:
    for response in (
        event_loop_pb2.SessionResponse(),
        event_loop_pb2.SessionResponse(sequence=1, opened=event_loop_pb2.Opened(revision=1, session_id="name")),
        event_loop_pb2.SessionResponse(sequence=1, opened=event_loop_pb2.Opened()),
        event_loop_pb2.SessionResponse(
            sequence=1 << 63, acknowledged_sequence=1 << 50, all_written=True, callbacks=callbacks_of_all_kinds()
        ),
    ):
        message = response.SerializeToString()
        assert as_read(Frame(container(message))) == expected_of(message)


def test_large_data_is_not_copied_into_a_message() -> None:
    response = event_loop_pb2.SessionResponse(sequence=1, callbacks=callbacks_of_all_kinds())
    response.callbacks.add(transport_id=5, data_received=bytes(20_000))
    message = response.SerializeToString()
    frame = Frame(message)
    kinds = [type(callback) for callback in frame.callbacks]
    assert kinds.count(LargeData) == 7  # Not those that are short or without an id.
    assert as_read(Frame(message)) == expected_of(message)


@pytest.mark.usefixtures("each_way")
def test_callbacks_among_other_fields() -> None:
    """Fields come in any order, and twice; unknown ones are passed over."""
    data = event_loop_pb2.Callback(transport_id=1, data_received=bytes(100))
    entry = event_loop_pb2.SessionResponse(callbacks=[data]).SerializeToString()
    # 100: a varint. 101: 8 bytes. 102: bytes. 103: 4 bytes.
    unknown = b"\xa0\x06\xff\x01" + b"\xa9\x06" + bytes(8) + b"\xb2\x06\x03abc" + b"\xbd\x06" + bytes(4)
    for message in (
        b"\x10\x05" + entry + b"\x10\x06" + entry + b"\x38\x01",
        entry + unknown + entry + b"\x18\x07" + unknown,
        unknown * 3,
    ):
        assert as_read(Frame(message)) == expected_of(message)


@pytest.mark.usefixtures("each_way")
def test_fields_of_a_callback_in_another_order() -> None:
    data = b"\x12\x64" + bytes(100)
    for body in (
        data + b"\x08\x05",
        b"\x08\x05" + data + b"\x08\x06",
        b"\x08\x05" + data + data,
        b"\x08\x05\xa0\x06\x01" + data,
        b"\x08\x85\x80\x80\x00" + data,
        b"\x08\x05\x12\xe4\x80\x80\x00" + bytes(100),
        b"\x88\x80\x00\x05" + data,
    ):
        message = b"\x22" + _frames.varint(len(body)) + body
        assert as_read(Frame(message)) == expected_of(message)


@pytest.mark.usefixtures("each_way")
def test_numbers_that_are_longer_than_they_need_be() -> None:
    entry = event_loop_pb2.Callback(transport_id=1, data_received=bytes(100)).SerializeToString()
    for message in (
        b"\x22" + bytes((len(entry) | 128, 0x80, 0x80, 0x00)) + entry,
        b"\x10\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00",
        b"\x90\x80\x80\x00\x05",
    ):
        assert as_read(Frame(message)) == expected_of(message)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize(
    "message",
    [
        b"\x10",
        b"\x22\x05\x08",
        b"\x22\xff\xff\xff\xff\x0f",
        b"\x22\x03\x08\x01\x12",
        b"\x22\x04\x08\x01\x12\x7f",
        b"\x10" + b"\xff" * 11,
        b"\x22" + b"\xff" * 10 + b"\x01",
        b"\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        b"\x0a\x7f",
        b"\x12\x03abc\x0f",
    ],
)
def test_what_is_no_frame(message: bytes) -> None:
    with pytest.raises(DecodeError):
        event_loop_pb2.SessionResponse.FromString(message)
    with pytest.raises(ValueError, match=r"."):
        list(Frame(message).callbacks)


@pytest.mark.usefixtures("each_way")
def test_cut_off_at_each_byte() -> None:
    message = event_loop_pb2.SessionResponse(
        sequence=300, acknowledged_sequence=200, all_written=True, callbacks=callbacks_of_all_kinds()
    ).SerializeToString()
    whole = 0
    for size in range(len(message)):
        whole += _check_alike(message[:size])
    # Between two fields is no cut.
    assert whole == len(callbacks_of_all_kinds()) + 3


@pytest.mark.usefixtures("each_way")
def test_changed_at_random() -> None:
    rng = random.Random(5)
    message = event_loop_pb2.SessionResponse(
        sequence=300, acknowledged_sequence=200, callbacks=callbacks_of_all_kinds()
    ).SerializeToString()
    for _ in range(3000):
        changed = bytearray(message)
        for _ in range(rng.randint(1, 3)):
            position = rng.randrange(len(changed))
            match rng.randrange(3):
                case 0:
                    changed[position] = rng.randrange(256)
                case 1:
                    del changed[position : position + rng.randint(1, 4)]
                case _:
                    changed[position:position] = rng.randbytes(rng.randint(1, 4))
        _check_alike(bytes(changed))


def _check_alike(message: bytes) -> bool:
    """It is read as Protocol Buffers read it, or refused with ValueError; no other exception. True: it is a frame."""
    try:
        found = as_read(Frame(message))
    except ValueError:
        found = None
    try:
        expected = expected_of(message)
    except DecodeError:
        assert found is None
        return False
    # Groups, which the contract does not have, may be refused here.
    assert found is None or found == expected
    return found is not None


def test_length_delimited_fields() -> None:
    message = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x19" + bytes(8) + b"\x22\x00" + b"\x2d" + bytes(4) + b"\x12\x01d"
    assert list(_frames.length_delimited_fields(message)) == [(2, b"abc"), (4, b""), (2, b"d")]
    assert list(_frames.length_delimited_fields(b"")) == []
    for cut in (b"\x12", b"\x08\x80"):
        with pytest.raises(ValueError, match="cut off"):
            list(_frames.length_delimited_fields(cut))
