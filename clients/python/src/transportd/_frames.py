"""Frames: many commands or callbacks in one message, as proto/transportd/v1/event_loop.proto has them.

Protocol Buffers' own code reads and writes all of it, save where it would copy or cost most: what is written, and large
frames that are read, are put together and taken apart here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from transportd.v1 import event_loop_pb2, types_pb2

if TYPE_CHECKING:
    from transportd._http2 import Buffer

# Of SessionRequest: field 4, field 5, and field 6 with its value.
_COMMANDS = b"\x22"
_ACKNOWLEDGEMENTS = b"\x2a"
_PROMPT = b"\x30\x01"
# Of SessionResponse: field 4.
_CALLBACKS = 0x22
# Of Callback: fields 1 and 2.
_TRANSPORT_ID = 0x08
_DATA_RECEIVED = 0x12

# From here on the bytes of a frame are not copied into a message of Protocol Buffers first.
_LARGE_BYTES = 16 << 10


def varint(value: int) -> bytes:
    """Base 128, https://protobuf.dev/programming-guides/encoding/#varints"""
    if value < 128:
        return _SMALL[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [bytes((value,)) for value in range(128)]


def write_header(transport_id: int, size: int) -> bytes:
    """What stands before `size` bytes of data in a frame: Command{transport_id, write}."""
    inner = b"\x10" + varint(transport_id) + b"\x1a" + varint(size)
    return _COMMANDS + varint(len(inner) + size) + inner


def sendto_header(transport_id: int, address: bytes, size: int) -> bytes:
    """What stands before `size` bytes of a datagram: Command{transport_id, sendto}. `address`: datagram_address's."""
    data = b"\x0a" + varint(size)
    datagram_bytes = len(address) + len(data) + size
    inner = b"\x10" + varint(transport_id) + b"\x22" + varint(datagram_bytes) + address + data
    return _COMMANDS + varint(len(inner) + size) + inner


def datagram_address(address: types_pb2.SocketAddress) -> bytes:
    """The field of a Datagram."""
    body = address.SerializeToString()
    return b"\x12" + varint(len(body)) + body


def command_entry(command: event_loop_pb2.Command) -> bytes:
    """A whole command of a frame."""
    body = command.SerializeToString()
    return _COMMANDS + varint(len(body)) + body


def acknowledgement_entry(transport_id: int, data_bytes: int, data_count: int) -> bytes:
    """What a client has consumed, all told."""
    body = b"\x08" + varint(transport_id) + b"\x10" + varint(data_bytes) + b"\x18" + varint(data_count)
    return _ACKNOWLEDGEMENTS + varint(len(body)) + body


def frame_end(sequence: int, acknowledged_sequence: int, prompt_write_progress: bool) -> bytes:
    """What a frame has besides its entries."""
    end = b"\x10" + varint(sequence) + b"\x18" + varint(acknowledged_sequence)
    return end + _PROMPT if prompt_write_progress else end


class LargeData:
    """A data_received of a large frame: as event_loop_pb2.Callback has it, without a copy."""

    __slots__ = ("data_received", "transport_id")

    def __init__(self, transport_id: int, data_received: bytes):
        self.transport_id = transport_id
        self.data_received = data_received


class Frame:
    """A frame of the service."""

    __slots__ = ("acknowledged_sequence", "all_written", "callbacks", "opened", "sequence")

    def __init__(self, message: Buffer):
        """ValueError when it is none."""
        self.opened: event_loop_pb2.Opened | None = None
        self.callbacks: Iterator[event_loop_pb2.Callback | LargeData]
        if len(message) >= _LARGE_BYTES:
            self._read_large(message)
            return
        try:
            frame = event_loop_pb2.SessionResponse.FromString(bytes(message))
        except Exception as error:  # Its class is of Protocol Buffers' back end.
            raise ValueError(f"not a frame: {error}") from None
        self.sequence = frame.sequence
        self.acknowledged_sequence = frame.acknowledged_sequence
        self.all_written = frame.all_written
        if frame.HasField("opened"):
            self.opened = frame.opened
        self.callbacks = iter(frame.callbacks)

    def _read_large(self, message: Buffer) -> None:
        view = memoryview(message)
        position, end = 0, len(view)
        callbacks: list[event_loop_pb2.Callback | LargeData] = []
        rest = bytearray()
        while position < end:
            start = position
            tag, position = _read_varint(view, position)
            if tag == _CALLBACKS:
                size, position = _read_varint(view, position)
                if position + size > end:
                    raise ValueError("a callback is cut off")
                callbacks.append(_read_callback(view, position, position + size))
                position += size
                continue
            kind = tag & 7
            if kind == 0:
                _, position = _read_varint(view, position)
            elif kind == 2:
                size, position = _read_varint(view, position)
                position += size
            else:
                position += 8 if kind == 1 else 4
            rest += view[start:position]
        small = Frame(bytes(rest))
        self.opened = small.opened
        self.sequence = small.sequence
        self.acknowledged_sequence = small.acknowledged_sequence
        self.all_written = small.all_written
        self.callbacks = iter(callbacks)


def _read_callback(view: memoryview, position: int, end: int) -> event_loop_pb2.Callback | LargeData:
    start = position
    if end - position > 64 and view[position] == _TRANSPORT_ID:
        transport_id, position = _read_varint(view, position + 1)
        if view[position] == _DATA_RECEIVED:
            size, position = _read_varint(view, position + 1)
            if position + size == end:
                return LargeData(transport_id, bytes(view[position:end]))
    try:
        return event_loop_pb2.Callback.FromString(bytes(view[start:end]))
    except Exception as error:
        raise ValueError(f"not a callback: {error}") from None


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while True:
            byte = view[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")
    except IndexError:
        raise ValueError("a number is cut off") from None


def length_delimited_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of those fields of any message that are strings, bytes or messages."""
    view = memoryview(message)
    position = 0
    while position < len(view):
        tag, position = _read_varint(view, position)
        kind = tag & 7
        if kind == 0:
            _, position = _read_varint(view, position)
        elif kind == 2:
            size, position = _read_varint(view, position)
            yield tag >> 3, bytes(view[position : position + size])
            position += size
        else:
            position += 8 if kind == 1 else 4
