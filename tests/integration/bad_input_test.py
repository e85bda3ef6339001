"""Bad input of every kind: the right error, and another session's ping-pong goes on undisturbed meanwhile."""

import errno
import functools
import ipaddress
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import grpc
from google.protobuf import duration_pb2
from transportd.v1 import admin_pb2, event_loop_pb2, server_pb2, transport_pb2, types_pb2

import harness
from client import Admin, ServiceError, StreamSession, UnarySession, UnaryStubs, error_of, open_channel
from harness import eventually, free_port, pattern, read_all, read_exactly

INVALID_ARGUMENT, UNAVAILABLE = 3, 14
# Beyond the windows: allocator slack, gRPC's own buffers for a connection and a stream.
SLACK_BYTES = 24 << 20
# What gRPC takes ahead of a session: the most that it tunes HTTP/2's window to.
HTTP2_WINDOW_BYTES = 4 << 20
# What malloc keeps for the next time: proto/grpc/process_tuning.h.
KEPT_BYTES = 8 << 20


class Bystander:
    """Another session that plays ping-pong all the time. Its end says whether it was disturbed."""

    def __init__(self, target: str):
        self._session = StreamSession(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(harness.TIMEOUT)
        self._transport_id = self._session.connect(self._listener.getsockname())
        self._peer, _ = self._listener.accept()
        self._peer.settimeout(harness.TIMEOUT)
        self._stopping = threading.Event()
        self._failure = None
        self.round_count = 0
        self.slowest_seconds = 0.0
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.played_on()
        self._stopping.set()
        self._thread.join(harness.TIMEOUT)
        self._session.close()
        self._peer.close()
        self._listener.close()
        if self._failure is not None:
            raise AssertionError("the bystander was disturbed") from self._failure

    def played_on(self) -> None:
        """Rounds are played now, too."""
        before = self.round_count
        eventually(lambda: self.round_count >= before + 3 or self._failure, "the bystander plays on")

    def _play(self) -> None:
        seen = self._session.seen(self._transport_id)
        try:
            while not self._stopping.wait(0.002):
                begin = time.monotonic()
                self._session.write(self._transport_id, b"ping")
                if read_exactly(self._peer, 4) != b"ping":
                    raise AssertionError("wrong bytes")
                self._peer.sendall(b"pong")
                expected = 4 * (self.round_count + 1)
                self._session.wait(lambda: seen.received == expected, "pong")
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begin)
                self.round_count += 1
        except Exception as error:
            self._failure = error


def both_doors(test):
    """Runs `test(self, session)` with a session of each door."""

    @functools.wraps(test)
    def run(self):
        for make in (StreamSession, UnarySession):
            with self.subTest(door=make.__name__), make(self.service.target) as session:
                test(self, session)

    return run


class BadInputTestCase(harness.ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bystander = self.enter(Bystander(self.service.target))
        self.rss = self.service.rss_bytes()

    def refused(self, session, reason: str, request, code: int = 0) -> types_pb2.TransportError:
        with self.assertRaises(ServiceError) as caught:
            session.call(request)
        error = caught.exception.error
        self.assertEqual(error.reason, reason, error)
        self.assertTrue(error.message)
        if code:
            self.assertEqual(error.code, code)
        self.bystander.played_on()
        return error

    def check_memory(self, bytes_of_windows: int) -> None:
        if not harness.SANITIZER:
            grown = self.service.rss_bytes() - self.rss
            self.assertLess(grown, bytes_of_windows + HTTP2_WINDOW_BYTES + KEPT_BYTES + SLACK_BYTES)

    def only_the_bystander_is_left(self) -> None:
        with Admin(self.service.target) as admin:
            eventually(lambda: len(admin.call(admin_pb2.ListSessionsRequest()).sessions) == 1, "the session is gone")
            self.assertEqual(len(admin.call(admin_pb2.ListTransportsRequest()).transports), 1)


def connect_request(host, port, **options):
    return event_loop_pb2.CreateConnectionRequest(remote=types_pb2.HostPort(host=host, port=port), **options)


class RequestTest(BadInputTestCase):
    def test_unknown_session(self):
        with open_channel(self.service.target) as channel:
            stubs = UnaryStubs(channel)
            for session_id in ("", "no-such-session", "x" * 10_000):
                for request in (
                    event_loop_pb2.CreateConnectionRequest(session_id=session_id),
                    event_loop_pb2.CloseSessionRequest(session_id=session_id),
                    transport_pb2.WriteRequest(session_id=session_id, transport_id=1, data=b"x"),
                    server_pb2.WaitClosedRequest(session_id=session_id),
                ):
                    with self.assertRaises(ServiceError) as caught:
                        stubs.call(request)
                    self.assertEqual((caught.exception.reason, caught.exception.error.code), ("UNKNOWN_SESSION", 5))
            with self.assertRaises(grpc.RpcError) as caught:
                list(stubs.event_loop.Callbacks(event_loop_pb2.CallbacksRequest(session_id="none")))
            self.assertEqual(error_of(caught.exception).reason, "UNKNOWN_SESSION")

    @both_doors
    def test_unknown_transport(self, session):
        for transport_id in (0, 7, 2**32 - 1):
            self.refused(session, "UNKNOWN_TRANSPORT", transport_pb2.AbortRequest(transport_id=transport_id), 5)

    @both_doors
    def test_bad_hosts_and_ports(self, session):
        self.refused(session, "INVALID_HOST", connect_request("", 80), INVALID_ARGUMENT)
        self.refused(session, "INVALID_HOST", connect_request("h" * 300, 80), INVALID_ARGUMENT)
        self.refused(session, "INVALID_HOST", connect_request("a\0b", 80), INVALID_ARGUMENT)
        for port in (65536, 70000, 2**32 - 1):
            error = self.refused(session, "INVALID_PORT", connect_request("127.0.0.1", port), INVALID_ARGUMENT)
            self.assertIn("port", error.field)
            self.refused(session, "INVALID_PORT", event_loop_pb2.CreateServerRequest(port=port), INVALID_ARGUMENT)
        hosts = event_loop_pb2.CreateServerRequest(hosts=["127.0.0.1"] * 65)
        with self.assertRaises(ServiceError) as caught:
            session.call(hosts)
        self.assertEqual(caught.exception.error.code, INVALID_ARGUMENT)

    @both_doors
    def test_negative_and_absurd_limits(self, session):
        listener = self.listener()
        host, port = listener.getsockname()
        for limits in (
            types_pb2.WriteBufferLimits(high_bytes=1, low_bytes=2),
            types_pb2.WriteBufferLimits(high_bytes=2**64 - 1),
            types_pb2.WriteBufferLimits(low_bytes=2**64 - 1),
            types_pb2.WriteBufferLimits(high_bytes=(1 << 30) + 1),
        ):
            self.refused(
                session, "INVALID_LIMITS", connect_request(host, port, write_buffer_limits=limits), INVALID_ARGUMENT
            )
        transport_id = session.connect((host, port))
        self.accept(listener)
        self.refused(
            session,
            "INVALID_LIMITS",
            transport_pb2.SetWriteBufferLimitsRequest(
                transport_id=transport_id, limits=types_pb2.WriteBufferLimits(low_bytes=2, high_bytes=1)
            ),
            INVALID_ARGUMENT,
        )
        for timeout in (
            duration_pb2.Duration(),
            duration_pb2.Duration(seconds=-1),
            duration_pb2.Duration(seconds=2**62),
            duration_pb2.Duration(nanos=-5),
        ):
            self.refused(session, "INVALID_TIMEOUT", connect_request(host, port, timeout=timeout), INVALID_ARGUMENT)
        for backlog in (0, 65536, 2**32 - 1):
            self.refused(
                session, "INVALID_BACKLOG", event_loop_pb2.CreateServerRequest(backlog=backlog), INVALID_ARGUMENT
            )
        self.refused(session, "INVALID_FLAGS", connect_request(host, port, flags=1 << 30), INVALID_ARGUMENT)
        self.refused(session, "INVALID_PROTO", connect_request(host, port, proto=17), INVALID_ARGUMENT)
        self.refused(session, "INVALID_FAMILY", connect_request(host, port, family=3), INVALID_ARGUMENT)
        self.refused(session, "INVALID_FAMILY", connect_request(host, port, family=99), INVALID_ARGUMENT)

    def test_receive_windows_out_of_range(self):
        for window in (0, 4095):
            with self.assertRaises(ServiceError) as caught:
                StreamSession(self.service.target, receive_window_bytes=window)
            self.assertEqual(caught.exception.reason, "INVALID_WINDOW")
        with StreamSession(self.service.target, receive_window_bytes=2**64 - 1) as session:
            self.assertLessEqual(session.opened.limits.receive_window_bytes, 1 << 20)

    def test_a_unary_request_that_is_no_message(self):
        with open_channel(self.service.target) as channel:
            for name in ("EventLoop/OpenSession", "EventLoop/CreateConnection", "Transport/Write", "Admin/GetVersion"):
                method = channel.unary_unary(f"/transportd.v1.{name}")
                with self.assertRaises(grpc.RpcError) as caught:
                    method(b"\xff\xff\xff\xff", timeout=harness.TIMEOUT)
                self.assertEqual(error_of(caught.exception).reason, "BAD_REQUEST")
            with self.assertRaises(grpc.RpcError) as caught:
                channel.unary_unary("/transportd.v1.EventLoop/NoSuchMethod")(b"", timeout=harness.TIMEOUT)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


class FrameTest(BadInputTestCase):
    """What ends a stream, and only that stream."""

    def ends_with(self, session: StreamSession, reason: str) -> None:
        self.assertEqual(error_of(session.wait_ended()).reason, reason)
        self.bystander.played_on()

    def first_frames(self, *frames: bytes) -> ServiceError:
        with open_channel(self.service.target) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                list(channel.stream_stream("/transportd.v1.EventLoop/Session")(iter(frames), timeout=harness.TIMEOUT))
            return error_of(caught.exception)

    def test_malformed_frames(self):
        for frame in (b"\xff\xff\xff\xff", b"\x22\x7f", b"\x22\x02\x1a\xff\x01", os.urandom(1000) + b"\xff"):
            with self.subTest(frame=frame[:8]), StreamSession(self.service.target) as session:
                session.send_raw(frame)
                self.ends_with(session, "BAD_FRAME")

    def test_a_gap_and_a_repetition_in_the_numbers(self):
        for number in (0, 1, 5, 2**64 - 1):
            with self.subTest(number=number), StreamSession(self.service.target) as session:
                session.send(sequence=number)
                self.ends_with(session, "BAD_FRAME")

    def test_acknowledging_frames_that_were_not_sent(self):
        with StreamSession(self.service.target) as session:
            session.send(acknowledged_sequence=1000)
            self.ends_with(session, "BAD_FRAME")

    def test_an_oversize_frame(self):
        with StreamSession(self.service.target) as session:
            size = session.opened.limits.max_client_frame_bytes
            session.write(1, b"x" * size)
            self.ends_with(session, "FRAME_TOO_LARGE")
        self.check_memory(size * 2)

    def test_a_command_before_open(self):
        command = event_loop_pb2.Command(request_id=1, get_state=transport_pb2.GetStateRequest(transport_id=1))
        frame = event_loop_pb2.SessionRequest(sequence=1, commands=[command])
        self.assertEqual(self.first_frames(frame.SerializeToString()).reason, "OPEN_EXPECTED")
        self.assertEqual(self.first_frames(b"").reason, "BAD_FRAME")  # Its number is 0.

    def test_open_twice(self):
        with StreamSession(self.service.target) as session:
            session.send(open=event_loop_pb2.Open(revision=1))
            self.ends_with(session, "OPEN_REPEATED")

    def test_a_revision_that_is_not_spoken(self):
        for revision in (0, 2, 2**32 - 1):
            with self.assertRaises(ServiceError) as caught:
                StreamSession(self.service.target, revision=revision)
            self.assertEqual(caught.exception.reason, "UNSUPPORTED_REVISION")

    def test_a_long_client_name(self):
        with self.assertRaises(ServiceError) as caught:
            StreamSession(self.service.target, client_name="n" * 129)
        self.assertEqual(caught.exception.reason, "INVALID_CLIENT_NAME")


class ConnectTest(BadInputTestCase):
    """Connects and listens that fail."""

    @both_doors
    def test_a_name_that_does_not_resolve(self, session):
        with self.assertRaises(ServiceError) as caught:
            session.call(connect_request("nonexistent.invalid", 80))
        error = caught.exception.error
        self.assertIn(error.reason, ("EAI_NONAME", "EAI_AGAIN"))
        self.assertEqual(error.operation, "getaddrinfo")
        self.assertIn(error.gai_code, (socket.EAI_NONAME, socket.EAI_AGAIN))

    @both_doors
    def test_refused(self, session):
        for host in ("127.0.0.1", "::1"):
            port = free_port(6 if host == "::1" else 4)
            error = self.refused(session, "ECONNREFUSED", connect_request(host, port), UNAVAILABLE)
            self.assertEqual((error.errno_number, error.errno_name), (111, "ECONNREFUSED"))
            self.assertEqual(error.operation, "connect")
            self.assertTrue(ipaddress.ip_address(host).compressed in error.address and str(port) in error.address)

    @both_doors
    def test_timed_out(self, session):
        full = self.full_listener()
        timeout = duration_pb2.Duration(nanos=200_000_000)
        before = len(self.service.fds())
        self.refused(session, "CONNECT_TIMEOUT", connect_request(*full.getsockname(), timeout=timeout), 4)
        eventually(lambda: len(self.service.fds()) <= before, "the socket is gone")

    @both_doors
    def test_a_port_in_use(self, session):
        listener = self.listener()
        host, port = listener.getsockname()
        error = self.refused(session, "EADDRINUSE", event_loop_pb2.CreateServerRequest(hosts=[host], port=port))
        self.assertIn(error.operation, ("bind", "listen"))
        self.assertEqual(error.errno_number, 98)
        # Nothing stays behind of the host that could be bound.
        with self.assertRaises(ServiceError):
            session.call(event_loop_pb2.CreateServerRequest(hosts=["::1", host], port=port))
        with socket.socket(socket.AF_INET6) as probe:
            self.assertNotEqual(probe.connect_ex(("::1", port)), 0)

    @both_doors
    def test_an_address_that_is_not_ours(self, session):
        self.refused(session, "EADDRNOTAVAIL", event_loop_pb2.CreateServerRequest(hosts=["192.0.2.1"], port=0))


class UnreachableTest(harness.ServiceTestCase):
    """A service in a network namespace of its own, which has no route to anywhere; it is reached by a Unix socket."""

    def start_service(self) -> harness.Service:
        isolated = ("unshare", "--map-root-user", "--net")
        if subprocess.run([*isolated, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no network namespace can be made here")
        return harness.Service(listen=f"unix:{self.folder()}/socket", wrapper=isolated)

    def test_unreachable(self):
        for make in (StreamSession, UnarySession):
            for host in ("192.0.2.1", "203.0.113.7"):
                with self.subTest(door=make.__name__, host=host), make(self.service.target) as session:
                    with self.assertRaises(ServiceError) as caught:
                        session.connect((host, 9))
                    error = caught.exception.error
                    self.assertEqual((error.reason, error.errno_name), ("ENETUNREACH", "ENETUNREACH"))
                    self.assertEqual((error.code, error.operation), (UNAVAILABLE, "connect"))
                    self.assertIn(host, error.address)


class GreedyTest(BadInputTestCase):
    def test_a_client_that_never_reads(self):
        # A plain session: gRPC's own flow control is the brake. doors_test.py has the receive window's.
        listener = self.listener()
        with open_channel(self.service.target) as channel:
            release = threading.Event()
            self.addCleanup(release.set)

            def frames():
                yield event_loop_pb2.SessionRequest(open=event_loop_pb2.Open(revision=1), sequence=1)
                commands = [event_loop_pb2.Command(create_connection=connect_request(*listener.getsockname()))] * 20
                yield event_loop_pb2.SessionRequest(commands=commands, sequence=2)
                release.wait(harness.TIMEOUT)

            stream = UnaryStubs(channel).event_loop.Session(frames())
            peers = [self.accept(listener) for _ in range(20)]
            sent = [0] * len(peers)
            piece = b"x" * (1 << 16)
            for peer in peers:
                peer.setblocking(False)
            # Until nobody takes any more.
            idle_rounds = 0
            while idle_rounds < 20:
                idle_rounds += 1
                for index, peer in enumerate(peers):
                    try:
                        sent[index] += peer.send(piece)
                        idle_rounds = 0
                    except BlockingIOError:
                        pass
                self.bystander.played_on()
            windows = 20 * (256 << 10)
            self.check_memory(windows)
            stream.cancel()
            release.set()
        grown = self.service.rss_bytes() - self.rss
        print(f"\nnever reads: {sum(sent) >> 20} MiB offered, {grown >> 10} KiB more RSS")
        self.only_the_bystander_is_left()

    def test_a_client_that_writes_without_end(self):
        listener = self.listener()
        session = self.enter(StreamSession(self.service.target))
        transport_id = session.connect(listener.getsockname())
        self.accept(listener)  # It never reads.
        seen = session.seen(transport_id)
        piece = b"x" * (1 << 20)
        for _ in range(64):
            session.write(transport_id, piece)
        # It is held up: of 64 MiB, neither does the kernel take all, nor does the service.
        session.wait_callback(transport_id, "pause_writing")
        self.bystander.played_on()
        limits = session.opened.limits
        self.check_memory(limits.send_window_bytes + 2 * limits.max_client_frame_bytes)
        self.assertLess(seen.progress, 64 << 20)
        grown = self.service.rss_bytes() - self.rss
        print(f"\nwrites without end: {seen.progress >> 10} KiB taken, {grown >> 10} KiB more RSS")
        session.cancel()
        self.only_the_bystander_is_left()

    def test_unary_writes_side_by_side(self):
        listener = self.listener()
        session = self.enter(UnarySession(self.service.target))
        transport_id = session.connect(listener.getsockname())
        peer = self.accept(listener)
        request = transport_pb2.WriteRequest(transport_id=transport_id, data=bytes(65536))
        calls = [session.start(request) for _ in range(400)]
        # Nobody reads: some were written, some wait, and the rest is refused.
        eventually(lambda: sum(call.done() for call in calls) >= 300, "most are answered")
        self.bystander.played_on()
        self.check_memory(session.opened.limits.send_window_bytes)
        received = []
        reader = threading.Thread(target=lambda: received.append(len(read_all(peer))), daemon=True)
        reader.start()
        accepted_count = 0
        for call in calls:
            try:
                call.result()
                accepted_count += 1
            except ServiceError as error:
                self.assertEqual(error.reason, "WRITE_BUFFER_FULL")
        session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        reader.join(harness.TIMEOUT)
        self.assertLess(accepted_count, len(calls))
        self.assertEqual(received, [accepted_count * 65536])

    def test_more_requests_than_a_session_may_have(self):
        session = self.enter(StreamSession(self.service.target))
        server_id, _ = session.listen()
        limit = session.opened.limits.max_request_count
        wait = server_pb2.WaitClosedRequest(server_id=server_id)
        commands = [event_loop_pb2.Command(request_id=100 + index, wait_closed=wait) for index in range(limit + 50)]
        futures = [session.expect_reply(command.request_id) for command in commands]
        for start in range(0, len(commands), 4096):
            session.send(commands=commands[start : start + 4096])
        for future in futures[limit:]:
            with self.assertRaises(ServiceError) as caught:
                future.result(harness.TIMEOUT)
            self.assertEqual(caught.exception.reason, "TOO_MANY_REQUESTS")
        # What is answered at once is still taken.
        session.call(server_pb2.ServerCloseRequest(server_id=server_id))
        for future in futures[:limit]:
            future.result(harness.TIMEOUT)
        self.bystander.played_on()


class DescriptorsTest(BadInputTestCase):
    """A service that has no file descriptor left."""

    def setUp(self) -> None:
        if "undefined" in harness.SANITIZER:
            self.skipTest("the sanitizer's own check of an object's type needs a pipe, and fails without")
        super().setUp()

    def test_accepting_pauses_and_goes_on(self):
        session = self.enter(StreamSession(self.service.target))
        server_id, address = session.listen()
        pid, room = self.service.process.pid, 10
        unlimited = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limit = max(int(fd) for fd in self.service.fds()) + 1 + room
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, unlimited[1]))
        peers = [self.dial(address) for _ in range(4 * room)]
        session.wait(lambda: session.exceptions, "call_exception_handler")
        self.assertEqual(session.exceptions[0].error.errno_name, "EMFILE")
        self.assertIn("accept", session.exceptions[0].message)
        self.bystander.played_on()

        # It waits, instead of trying without end.
        cpu, rounds, begin = self.service.cpu_seconds(), self.bystander.round_count, time.monotonic()
        eventually(lambda: self.bystander.round_count > rounds + 100, "the bystander plays on")
        if not harness.SANITIZER:
            self.assertLess(self.service.cpu_seconds() - cpu, 0.7 * (time.monotonic() - begin))
        self.assertLess(len(session.exceptions), 5)

        # A connect has no descriptor either, and says so.
        self.refused(session, "EMFILE", connect_request(*address))

        # Descriptors come back: everybody is accepted in the end.
        done = set()
        while len(done) < len(peers):
            session.wait_accepted(server_id, len(done) + 1)
            for transport_id in set(session.wait_accepted(server_id)) - done:
                session.call(transport_pb2.CloseRequest(transport_id=transport_id))
                done.add(transport_id)
        for peer in peers:
            self.assertEqual(read_all(peer), b"")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, unlimited)


class VanishTest(BadInputTestCase):
    """A client that is killed in the middle of something: nothing of it stays behind."""

    def client(self, *arguments) -> subprocess.Popen:
        environment = dict(os.environ, TRANSPORTD_TARGET=self.service.target)
        return self.program(
            os.environ["TRANSPORTD_LOAD_BIN"], *arguments, env=environment, stdout=subprocess.PIPE
        )

    def kill(self, client: subprocess.Popen) -> None:
        client.send_signal(signal.SIGKILL)
        client.wait()
        self.only_the_bystander_is_left()
        self.bystander.played_on()

    def test_while_connecting(self):
        full = self.full_listener()
        before = len(self.service.fds())
        client = self.client("flood", full.getsockname()[1])
        eventually(lambda: len(self.service.fds()) >= before + 2, "a stream, and a socket that connects")
        self.kill(client)
        eventually(lambda: len(self.service.fds()) == before, "both are gone")

    def test_while_transferring(self):
        listener = self.listener()
        client = self.client("flood", listener.getsockname()[1])
        peer = self.accept(listener)
        read_exactly(peer, 8 << 20)
        peer.sendall(b"y" * 100_000)
        self.kill(client)
        # FIN, or RST when what the peer sent was still unread in the kernel: nothing but right bytes comes before it.
        rest = bytearray()
        try:
            while piece := peer.recv(1 << 16):
                rest += piece
        except ConnectionResetError:
            pass
        self.assertEqual(set(rest) - {ord("x")}, set())

    def test_while_its_peer_does_not_read(self):
        listener = self.listener()
        client = self.client("flood", listener.getsockname()[1])
        peer = self.accept(listener)
        read_exactly(peer, 1)
        self.bystander.played_on()
        self.kill(client)

    def test_while_accepting(self):
        client = self.client("serve")
        address = ("127.0.0.1", int(client.stdout.readline()))
        peers = [self.dial(address) for _ in range(50)]
        for peer in peers[:25]:
            peer.sendall(b"echo")
        for peer in peers[:10]:
            self.assertEqual(read_exactly(peer, 4), b"echo")
        self.kill(client)
        for peer in peers[:25]:
            try:
                self.assertIn(len(read_all(peer)), (0, 4))
            except ConnectionResetError:
                pass  # Bytes of it were not read yet.
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, harness.TIMEOUT)

    def test_a_reset_connection_to_the_service(self):
        # The client's machine is gone, as far as TCP can tell: RST instead of FIN, in the middle of an HTTP/2 preface.
        for data in (b"", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with socket.create_connection(self.service.address, harness.TIMEOUT) as peer:
                peer.sendall(data)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.bystander.played_on()


class GarbageTest(BadInputTestCase):
    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # An empty frame.

    def test_what_is_no_http2(self):
        for data in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
            bytes(100_000),
            pattern(100_000),
            self.PREFACE + b"\xff" * 1000,
            self.PREFACE + self.SETTINGS + pattern(50_000),
            # A HEADERS frame on stream 1 whose block is no HPACK.
            self.PREFACE + self.SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
        ):
            with self.subTest(data=data[:40]):
                with socket.create_connection(self.service.address, harness.TIMEOUT) as peer:
                    try:
                        peer.sendall(data)
                        peer.shutdown(socket.SHUT_WR)
                        read_all(peer)
                    except OSError as error:  # It had read enough.
                        self.assertIn(error.errno, (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN))
                self.bystander.played_on()
        self.check_memory(0)
        self.only_the_bystander_is_left()

    def test_a_grpc_message_that_claims_to_be_huge(self):
        with open_channel(self.service.target) as channel:
            method = channel.unary_unary("/transportd.v1.Transport/Write")
            with self.assertRaises(grpc.RpcError) as caught:
                method(b"\x1a\xff\xff\xff\xff\x0f", timeout=harness.TIMEOUT)
            self.assertEqual(error_of(caught.exception).reason, "BAD_REQUEST")
            with self.assertRaises(grpc.RpcError) as caught:
                method(bytes(64 << 20), timeout=harness.TIMEOUT)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.check_memory(64 << 20)


if __name__ == "__main__":
    harness.main()
