"""Clients that are not ours: Python's generated stubs, through either door.

`StreamSession` and `UnarySession` offer the same: `call` takes a request message of the contract and returns its
response, or raises ServiceError; what the service calls back is recorded for each transport.
"""

import concurrent.futures
import threading
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from transportd.v1 import (
    admin_pb2_grpc,
    event_loop_pb2,
    event_loop_pb2_grpc,
    server_pb2_grpc,
    transport_pb2,
    transport_pb2_grpc,
    types_pb2,
)

from harness import TIMEOUT


def _rpc_status_class():
    """google.rpc.Status: its .proto is not packaged, so it is said here again."""
    file = descriptor_pb2.FileDescriptorProto(
        name="google/rpc/status.proto", package="google.rpc", syntax="proto3", dependency=["google/protobuf/any.proto"]
    )
    message = file.message_type.add(name="Status")
    kinds = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="code", number=1, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="message", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    message.field.add(
        name="details",
        number=3,
        type=kinds.TYPE_MESSAGE,
        type_name=".google.protobuf.Any",
        label=kinds.LABEL_REPEATED,
    )
    assert any_pb2.DESCRIPTOR  # It is in the pool.
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("google.rpc.Status"))


RpcStatus = _rpc_status_class()


class ServiceError(Exception):
    """A TransportError of the service. `reason` is what programs look at; `error` has all of it."""

    def __init__(self, error: types_pb2.TransportError):
        super().__init__(f"{error.reason}: {error.message}")
        self.error = error

    @property
    def reason(self) -> str:
        return self.error.reason


def error_of(failure: grpc.RpcError) -> ServiceError:
    """What the trailer `grpc-status-details-bin` says; it and the call's own status must agree."""
    for key, value in failure.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = RpcStatus.FromString(value)
        error = types_pb2.TransportError()
        if len(status.details) != 1 or not status.details[0].Unpack(error):
            raise AssertionError(f"not one TransportError: {status}")
        if not status.code == error.code == failure.code().value[0]:
            raise AssertionError(f"codes differ: {status.code}, {error.code}, {failure.code()}")
        return ServiceError(error)
    raise AssertionError(f"no grpc-status-details-bin: {failure}")


def open_channel(target: str) -> grpc.Channel:
    # A connection of its own, as every client process has one.
    options = {
        "grpc.use_local_subchannel_pool": 1,
        "grpc.max_receive_message_length": -1,
        "grpc.max_send_message_length": -1,
        "grpc.enable_http_proxy": 0,
    }
    return grpc.insecure_channel(target, options=list(options.items()))


@dataclass
class Seen:
    """What was called back for one transport."""

    made: object = None
    data: bytearray = field(default_factory=bytearray)
    data_count: int = 0
    lost: object = None
    names: list = field(default_factory=list)  # The callbacks in order; data_received once for a run of them.
    datagrams: list = field(default_factory=list)
    errors: list = field(default_factory=list)  # Of error_received.
    progress: int = 0
    consumes: bool = True  # False: nothing is acknowledged any more.
    keeps: bool = True  # False: data is counted and thrown away.
    received: int = 0


class Session:
    """What both doors have in common."""

    def __init__(self):
        self._changed = threading.Condition()
        self._seen: dict[int, Seen] = {}
        self.exceptions = []
        self.draining = None
        self.opened = None
        self.status = None  # How the stream ended: the grpc.RpcError, or "OK".
        self.sequences: list[int] = []  # Of the frames that came.
        self.acknowledged_sequence = 0  # Of the frames that were sent; 0 at the unary door.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait(self, condition, what: str, timeout: float = TIMEOUT):
        """Until `condition()` is true; asked whenever something was called back."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(f"not within {timeout} s: {what}; seen: {self._seen}; status: {self.status}")

    def seen(self, transport_id: int) -> Seen:
        with self._changed:
            return self._seen.setdefault(transport_id, Seen())

    def wait_data(self, transport_id: int, data: bytes) -> None:
        """Exactly `data` has arrived, all told."""
        seen = self.seen(transport_id)
        self.wait(lambda: len(seen.data) >= len(data) or seen.lost, f"{len(data)} bytes")
        if bytes(seen.data) != data:
            raise AssertionError(f"{len(seen.data)} bytes that differ from the {len(data)} expected")

    def wait_callback(self, transport_id: int, name: str) -> Seen:
        seen = self.seen(transport_id)
        self.wait(lambda: name in seen.names, name)
        return seen

    def wait_lost(self, transport_id: int):
        return self.wait_callback(transport_id, "connection_lost").lost

    def wait_accepted(self, server_id: int, count: int = 1) -> list[int]:
        """The ids of the transports that a server has accepted so far; at least `count`."""

        def accepted():
            return [tid for tid, seen in self._seen.items() if seen.made and seen.made.server_id == server_id]

        self.wait(lambda: len(accepted()) >= count, f"{count} accepted")
        with self._changed:
            return accepted()

    def wait_ended(self):
        self.wait(lambda: self.status is not None, "the end of the stream")
        return self.status

    def call(self, request, timeout: float = TIMEOUT):
        return self.start(request).result(timeout)

    def connect(self, address, **options) -> int:
        request = event_loop_pb2.CreateConnectionRequest(
            remote=types_pb2.HostPort(host=address[0], port=address[1]), **options
        )
        return self.call(request).transport_id

    def listen(self, host: str = "127.0.0.1", **options):
        """(server id, its first address)"""
        response = self.call(event_loop_pb2.CreateServerRequest(hosts=[host], **options))
        return response.server_id, (response.sockets[0].host, response.sockets[0].port)

    def _on_frame(self, frame) -> None:
        with self._changed:
            self.sequences.append(frame.sequence)
            self.acknowledged_sequence = frame.acknowledged_sequence
            if frame.HasField("opened"):
                self.opened = frame.opened
            for callback in frame.callbacks:
                self._on_callback(callback)
            self._changed.notify_all()

    def _on_callback(self, callback) -> None:
        name = callback.WhichOneof("callback")
        if name == "reply":
            self._on_reply(callback.reply)
            return
        if name == "call_exception_handler":
            self.exceptions.append(callback.call_exception_handler)
            return
        if name == "draining":
            if self.draining is not None:
                raise AssertionError("draining, twice")
            self.draining = callback.draining
            return
        seen = self._seen.setdefault(callback.transport_id, Seen())
        if seen.lost is not None or (seen.made is None) != (name == "connection_made"):
            raise AssertionError(f"{name} after {seen.names}")
        if name == "data_received":
            seen.received += len(callback.data_received)
            seen.data_count += 1
            if seen.keeps:
                seen.data += callback.data_received
        elif name == "write_progress":
            seen.progress = callback.write_progress
            return
        elif name == "connection_made":
            seen.made = callback.connection_made
        elif name == "connection_lost":
            seen.lost = callback.connection_lost
        elif name == "datagram_received":
            seen.received += len(callback.datagram_received.data)
            seen.data_count += 1
            seen.datagrams.append(callback.datagram_received)
        elif name == "error_received":
            seen.errors.append(callback.error_received.error)
        if name != "data_received" or seen.names[-1] != name:
            seen.names.append(name)

    def _on_reply(self, reply) -> None:
        raise AssertionError("a reply outside the Session stream")

    def _on_ended(self, status) -> None:
        with self._changed:
            self.status = status
            self._changed.notify_all()


class StreamSession(Session):
    """A session on the `Session` stream."""

    def __init__(self, target: str, acknowledged: bool = True, channel=None, metadata=(), **open_fields):
        super().__init__()
        self._acknowledged = acknowledged
        self._owns_channel = channel is None
        self._channel = channel or open_channel(target)
        self._pending: dict[int, concurrent.futures.Future] = {}
        self._variants = {
            field.message_type.full_name: field.name
            for field in event_loop_pb2.Command.DESCRIPTOR.fields
            if field.message_type is not None
        }
        self._last_request_id = 0
        self._sequence = 0
        self._received_sequence = 0
        self._outgoing: list = []
        self._half_closed = False
        self._can_send = threading.Condition()
        self._acknowledged_bytes: dict[int, int] = {}
        open_fields.setdefault("client_name", "integration")
        self.send(
            open=event_loop_pb2.Open(revision=open_fields.pop("revision", 1), acknowledged=acknowledged, **open_fields)
        )
        method = self._channel.stream_stream(
            "/transportd.v1.EventLoop/Session",
            request_serializer=lambda frame: frame if isinstance(frame, bytes) else frame.SerializeToString(),
            response_deserializer=event_loop_pb2.SessionResponse.FromString,
        )
        self._stream = method(self._requests(), metadata=metadata)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait(lambda: self.opened or self.status, "opened")
        if self.status is not None:
            status = self.status
            self.close()
            raise error_of(status)

    def close(self) -> None:
        """Ends the session in order, if it has not ended."""
        self.half_close()
        try:
            self.wait_ended()
        finally:
            self._stream.cancel()
            self._reader.join(TIMEOUT)
            if self._owns_channel:
                self._channel.close()

    def cancel(self) -> None:
        """Breaks the stream off."""
        self._stream.cancel()
        self.wait_ended()

    def half_close(self) -> None:
        with self._can_send:
            self._half_closed = True
            self._can_send.notify_all()

    def send(self, **fields) -> None:
        """A frame, with the next number unless `sequence` says otherwise."""
        with self._can_send:
            self._sequence += 1
            fields.setdefault("sequence", self._sequence)
            fields.setdefault("acknowledged_sequence", self._received_sequence)
            self._outgoing.append(event_loop_pb2.SessionRequest(**fields))
            self._can_send.notify_all()

    def send_raw(self, frame: bytes) -> None:
        """Bytes that need not be a frame."""
        with self._can_send:
            self._sequence += 1
            self._outgoing.append(frame)
            self._can_send.notify_all()

    @property
    def next_sequence(self) -> int:
        with self._can_send:
            return self._sequence + 1

    def write(self, transport_id: int, data: bytes) -> None:
        """The hot variant: no reply."""
        self.send(commands=[event_loop_pb2.Command(transport_id=transport_id, write=data)])

    def start(self, request, request_id: int = 0) -> concurrent.futures.Future:
        """`future.cancel_command()` sends `cancel`."""
        if not request_id:
            self._last_request_id += 1
            request_id = self._last_request_id
        future = self.expect_reply(request_id)
        command = event_loop_pb2.Command(request_id=request_id)
        getattr(command, self._variants[request.DESCRIPTOR.full_name]).CopyFrom(request)
        self.send(commands=[command])
        future.cancel_command = lambda: self.send(
            commands=[event_loop_pb2.Command(cancel=event_loop_pb2.CancelRequest(request_id=request_id))]
        )
        return future

    def expect_reply(self, request_id: int) -> concurrent.futures.Future:
        """Of the next Reply with this number."""
        future = concurrent.futures.Future()
        with self._changed:
            self._pending[request_id] = future
        return future

    def _requests(self):
        while True:
            with self._can_send:
                self._can_send.wait_for(lambda: self._outgoing or self._half_closed)
                if not self._outgoing:
                    return
                frame = self._outgoing.pop(0)
            yield frame

    def _read(self) -> None:
        try:
            for frame in self._stream:
                self._on_frame(frame)
                with self._can_send:
                    self._received_sequence = frame.sequence
                if self._acknowledged:
                    self._acknowledge()
            self._on_ended("OK")
        except grpc.RpcError as error:
            self._on_ended(error)
        except Exception as error:  # A callback that must not come: whoever waits is told.
            self._stream.cancel()
            self._on_ended(error)
        self.half_close()
        with self._changed:
            for future in self._pending.values():
                future.set_exception(AssertionError(f"the stream ended: {self.status}"))
            self._pending.clear()

    def _acknowledge(self) -> None:
        acknowledgements = []
        with self._changed:
            for transport_id, seen in self._seen.items():
                if seen.consumes and seen.received > self._acknowledged_bytes.get(transport_id, 0):
                    self._acknowledged_bytes[transport_id] = seen.received
                    acknowledgements.append(
                        event_loop_pb2.Acknowledgement(
                            transport_id=transport_id, data_bytes=seen.received, data_count=seen.data_count
                        )
                    )
        if acknowledgements:
            self.send(acknowledgements=acknowledgements)

    def consume(self, transport_id: int, consumes: bool) -> None:
        """False: what comes is not acknowledged any more. True: all of it is, now and from now on."""
        with self._changed:
            self._seen.setdefault(transport_id, Seen()).consumes = consumes
        self._acknowledge()

    def _on_reply(self, reply) -> None:
        future = self._pending.pop(reply.request_id)
        result = reply.WhichOneof("result")
        if result == "error":
            future.set_exception(ServiceError(reply.error))
        else:
            future.set_result(getattr(reply, result) if result else None)


class UnaryPending:
    """A unary call under way."""

    def __init__(self, future: grpc.Future):
        self._future = future

    def result(self, timeout: float = TIMEOUT):
        try:
            return self._future.result(timeout)
        except grpc.RpcError as error:
            raise error_of(error) from None

    def done(self) -> bool:
        return self._future.done()

    def cancel_command(self) -> None:
        self._future.cancel()


class UnaryStubs:
    """Every unary call of the contract, by its request message."""

    def __init__(self, channel: grpc.Channel):
        self.event_loop = event_loop_pb2_grpc.EventLoopStub(channel)
        self._stubs = (
            self.event_loop,
            transport_pb2_grpc.TransportStub(channel),
            server_pb2_grpc.ServerStub(channel),
            admin_pb2_grpc.AdminStub(channel),
        )

    def method(self, request):
        name = request.DESCRIPTOR.name.removesuffix("Request")
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    def call(self, request, timeout: float = TIMEOUT):
        try:
            return self.method(request)(request, timeout=timeout)
        except grpc.RpcError as error:
            raise error_of(error) from None


class UnarySession(Session):
    """A session of the unary door, and its `Callbacks` stream."""

    def __init__(self, target: str, callbacks: bool = True, **open_fields):
        super().__init__()
        self._channel = open_channel(target)
        self.stubs = UnaryStubs(self._channel)
        open_fields.setdefault("client_name", "integration")
        open_message = event_loop_pb2.Open(revision=open_fields.pop("revision", 1), **open_fields)
        try:
            response = self.stubs.call(event_loop_pb2.OpenSessionRequest(open=open_message))
        except ServiceError:
            self._channel.close()
            raise
        self.opened = response.opened
        self.session_id = response.opened.session_id
        self._stream = None
        self._closed = False
        if callbacks:
            self.read_callbacks()

    def read_callbacks(self) -> None:
        self._stream = self.stubs.event_loop.Callbacks(event_loop_pb2.CallbacksRequest(session_id=self.session_id))
        self._reader = threading.Thread(target=self._read, args=(self._stream,), daemon=True)
        self._reader.start()

    def stop_callbacks(self) -> None:
        """Breaks the `Callbacks` stream off; the session lives on."""
        self._stream.cancel()
        self._reader.join(TIMEOUT)
        self.status = None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self.stubs.call(event_loop_pb2.CloseSessionRequest(session_id=self.session_id))
            if self._stream is not None:
                self.wait_ended()
                self._reader.join(TIMEOUT)
        except ServiceError as error:
            if error.reason != "UNKNOWN_SESSION":
                raise
        finally:
            self._channel.close()

    def leave(self) -> None:
        """Goes without a word; the service finds out by the lease."""
        self._closed = True
        self._channel.close()
        if self._stream is not None:
            self._reader.join(TIMEOUT)

    def start(self, request, timeout: float = TIMEOUT) -> UnaryPending:
        request.session_id = self.session_id
        return UnaryPending(self.stubs.method(request).future(request, timeout=timeout))

    def write(self, transport_id: int, data: bytes) -> None:
        self.call(transport_pb2.WriteRequest(transport_id=transport_id, data=data))

    def _read(self, stream) -> None:
        try:
            for frame in stream:
                self._on_frame(frame)
            self._on_ended("OK")
        except grpc.RpcError as error:
            self._on_ended(error)
        except Exception as error:
            stream.cancel()
            self._on_ended(error)


class Admin:
    """What an operator sees."""

    def __init__(self, target: str):
        self._channel = open_channel(target)
        self._stubs = UnaryStubs(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()

    def call(self, request):
        return self._stubs.call(request)
