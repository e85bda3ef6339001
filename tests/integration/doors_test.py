"""Every command and callback of the contract, through both doors, with generated stubs."""

import socket
import struct
import threading
import time

import grpc
from google.protobuf import duration_pb2
from transportd.v1 import admin_pb2, event_loop_pb2, server_pb2, transport_pb2, types_pb2

import harness
from client import Admin, ServiceError, StreamSession, UnarySession, error_of, open_channel
from harness import eventually, pattern, read_all, read_exactly

READ_ONLY = ("SO_ERROR", "SO_TYPE", "SO_ACCEPTCONN", "IPV6_V6ONLY")


class DoorTests:
    """The same for every kind of session; `open_session` makes one."""

    def setUp(self) -> None:
        super().setUp()
        self.session = self.enter(self.open_session())

    def open_session(self, **fields):
        raise NotImplementedError

    def connected(self, **options):
        """(transport id, the peer's socket)"""
        listener = self.listener()
        transport_id = self.session.connect(listener.getsockname(), **options)
        return transport_id, self.accept(listener)

    def refused(self, reason: str, request, code: int = 0):
        with self.assertRaises(ServiceError) as caught:
            self.session.call(request)
        self.assertEqual(caught.exception.reason, reason)
        if code:
            self.assertEqual(caught.exception.error.code, code)
        return caught.exception.error

    def test_connect_data_both_ways_close(self):
        for family in (4, 6):
            with self.subTest(family=family):
                listener = self.listener(family)
                address = listener.getsockname()
                transport_id = self.session.connect(address)
                peer = self.accept(listener)
                made = self.session.wait_callback(transport_id, "connection_made").made
                self.assertEqual(made.server_id, 0)
                self.assertEqual(made.extra_info.peername.port, address[1])
                self.assertEqual(made.extra_info.sockname.port, peer.getpeername()[1])
                there, back = pattern(100_000, 1), pattern(50_000, 2)
                self.session.write(transport_id, there)
                self.assertEqual(read_exactly(peer, len(there)), there)
                peer.sendall(back)
                self.session.wait_data(transport_id, back)
                self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
                self.assertEqual(read_all(peer), b"")
                lost = self.session.wait_lost(transport_id)
                self.assertEqual(lost.cause, types_pb2.END_CAUSE_LOCAL_CLOSE)
                self.assertFalse(lost.HasField("error"))
                self.assertEqual((lost.received_bytes, lost.sent_bytes), (len(back), len(there)))
                self.assertEqual(lost.dropped_bytes, 0)
                self.assertEqual(
                    self.session.seen(transport_id).names, ["connection_made", "data_received", "connection_lost"]
                )

    def test_peer_half_closes_first(self):
        transport_id, peer = self.connected()
        peer.sendall(b"question")
        peer.shutdown(socket.SHUT_WR)
        seen = self.session.wait_callback(transport_id, "eof_received")
        self.assertEqual(bytes(seen.data), b"question")
        self.session.write(transport_id, b"answer after EOF")
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        self.assertEqual(read_all(peer), b"answer after EOF")
        self.assertEqual(self.session.wait_lost(transport_id).cause, types_pb2.END_CAUSE_EOF)
        self.assertEqual(seen.names, ["connection_made", "data_received", "eof_received", "connection_lost"])

    def test_client_half_closes_first(self):
        transport_id, peer = self.connected()
        self.session.write(transport_id, b"question")
        self.session.call(transport_pb2.WriteEofRequest(transport_id=transport_id))
        self.assertEqual(read_all(peer), b"question")
        self.refused(
            "WRITE_AFTER_EOF", transport_pb2.WriteRequest(transport_id=transport_id, data=b"more"), 9
        )
        peer.sendall(b"answer")
        self.session.wait_data(transport_id, b"answer")
        peer.close()
        seen = self.session.wait_callback(transport_id, "eof_received")
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        self.session.wait_lost(transport_id)
        self.assertEqual(seen.names, ["connection_made", "data_received", "eof_received", "connection_lost"])

    def test_close_on_eof(self):
        transport_id, peer = self.connected(close_on_eof=True)
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.session.wait_lost(transport_id).cause, types_pb2.END_CAUSE_EOF)
        self.assertEqual(read_all(peer), b"")

    def test_server_accepts_closes_and_waits(self):
        server_id, address = self.session.listen()
        peers = [self.dial(address) for _ in range(3)]
        accepted = self.session.wait_accepted(server_id, 3)
        by_port = {self.session.seen(tid).made.extra_info.peername.port: tid for tid in accepted}
        for peer in peers:
            transport_id = by_port[peer.getsockname()[1]]
            peer.sendall(b"hello")
            self.session.wait_data(transport_id, b"hello")
            self.session.write(transport_id, b"welcome")
            self.assertEqual(read_exactly(peer, 7), b"welcome")

        self.session.call(server_pb2.ServerCloseRequest(server_id=server_id))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, harness.TIMEOUT)
        waiting = self.session.start(server_pb2.WaitClosedRequest(server_id=server_id))
        gone = by_port[peers[0].getsockname()[1]]
        peers[0].close()
        self.session.wait_callback(gone, "eof_received")
        self.session.call(transport_pb2.CloseRequest(transport_id=gone))
        self.session.wait_lost(gone)
        self.assertFalse(waiting.done())
        closed = self.session.call(server_pb2.CloseClientsRequest(server_id=server_id))
        self.assertEqual(closed.closed_count, 2)
        waiting.result(harness.TIMEOUT)
        for transport_id in accepted:
            self.session.wait_lost(transport_id)

    def test_server_aborts_clients(self):
        server_id, address = self.session.listen()
        peers = [self.dial(address) for _ in range(4)]
        accepted = self.session.wait_accepted(server_id, 4)
        count = self.session.call(server_pb2.AbortClientsRequest(server_id=server_id)).aborted_count
        self.assertEqual(count, 4)
        for peer in peers:
            self.assertEqual(read_all(peer), b"")
        for transport_id in accepted:
            self.assertEqual(self.session.wait_lost(transport_id).cause, types_pb2.END_CAUSE_LOCAL_ABORT)
        self.session.call(server_pb2.ServerCloseRequest(server_id=server_id))
        self.session.call(server_pb2.WaitClosedRequest(server_id=server_id))

    def test_server_starts_serving_when_told(self):
        server_id, address = self.session.listen(start_serving=False)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, harness.TIMEOUT)
        self.session.call(server_pb2.StartServingRequest(server_id=server_id))
        self.dial(address)
        self.session.wait_accepted(server_id)
        self.session.call(server_pb2.ServerCloseRequest(server_id=server_id))
        self.refused("SERVER_CLOSED", server_pb2.StartServingRequest(server_id=server_id), 9)

    def test_abort_sends_fin_and_drops_what_is_buffered(self):
        transport_id, peer = self.connected()
        self.session.write(transport_id, b"x" * 10)
        read_exactly(peer, 10)
        self.session.call(transport_pb2.AbortRequest(transport_id=transport_id))
        self.assertEqual(read_all(peer), b"")
        lost = self.session.wait_lost(transport_id)
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_LOCAL_ABORT)
        self.assertFalse(lost.HasField("error"))

    def test_abort_with_reset_resets(self):
        transport_id, peer = self.connected()
        self.session.call(transport_pb2.AbortRequest(transport_id=transport_id, reset=True))
        with self.assertRaises(ConnectionResetError):
            read_all(peer)
        self.assertEqual(self.session.wait_lost(transport_id).cause, types_pb2.END_CAUSE_LOCAL_ABORT)

    def test_peer_resets(self):
        transport_id, peer = self.connected()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        lost = self.session.wait_lost(transport_id)
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_RESET)
        self.assertEqual((lost.error.reason, lost.error.errno_name), ("ECONNRESET", "ECONNRESET"))
        self.assertEqual(lost.error.errno_number, 104)

    def test_calls_on_a_lost_transport_do_nothing(self):
        transport_id, _ = self.connected()
        self.session.call(transport_pb2.AbortRequest(transport_id=transport_id))
        self.session.wait_lost(transport_id)
        for request in (
            transport_pb2.WriteRequest(transport_id=transport_id, data=b"late"),
            transport_pb2.WritelinesRequest(transport_id=transport_id, lines=[b"late"]),
            transport_pb2.WriteEofRequest(transport_id=transport_id),
            transport_pb2.CloseRequest(transport_id=transport_id),
            transport_pb2.AbortRequest(transport_id=transport_id),
            transport_pb2.PauseReadingRequest(transport_id=transport_id),
            transport_pb2.ResumeReadingRequest(transport_id=transport_id),
        ):
            self.session.call(request)
        self.assertTrue(self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id)).is_closing)
        option = types_pb2.SOCKET_OPTION_TCP_NODELAY
        self.refused("TRANSPORT_LOST", transport_pb2.GetsockoptRequest(transport_id=transport_id, option=option), 9)

    def test_watermarks_pause_and_resume_writing(self):
        transport_id, peer = self.connected()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        limits = self.session.call(
            transport_pb2.SetWriteBufferLimitsRequest(
                transport_id=transport_id, limits=types_pb2.WriteBufferLimits(high_bytes=8192)
            )
        ).limits
        self.assertEqual((limits.high_bytes, limits.low_bytes), (8192, 2048))
        self.session.call(
            transport_pb2.SetsockoptRequest(
                transport_id=transport_id, option=types_pb2.SOCKET_OPTION_SO_SNDBUF, value=16384
            )
        )
        seen = self.session.seen(transport_id)
        sent, waiting = bytearray(), None
        for index in range(2000):
            piece = pattern(16384, index)
            sent += piece
            waiting = self.session.start(transport_pb2.WriteRequest(transport_id=transport_id, data=piece))
            try:
                waiting.result(0.5)
            except (TimeoutError, grpc.FutureTimeoutError):
                break  # The kernel takes no more.
        self.session.wait_callback(transport_id, "pause_writing")
        self.assertFalse(waiting.done())
        self.assertNotIn("resume_writing", seen.names)
        state = self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id))
        self.assertGreater(state.write_buffer_size_bytes, 8192)
        self.assertEqual(read_exactly(peer, len(sent)), bytes(sent))
        waiting.result(harness.TIMEOUT)
        self.session.wait_callback(transport_id, "resume_writing")
        self.assertEqual(seen.names, ["connection_made", "pause_writing", "resume_writing"])

    def test_pause_reading_holds_back_data_and_eof(self):
        transport_id, peer = self.connected()
        seen = self.session.wait_callback(transport_id, "connection_made")
        self.session.call(transport_pb2.PauseReadingRequest(transport_id=transport_id))
        self.assertFalse(self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id)).is_reading)
        peer.sendall(b"held back")
        peer.shutdown(socket.SHUT_WR)
        # What another transport does meanwhile proves that the service had its chance.
        other, other_peer = self.connected()
        other_peer.sendall(b"ping")
        self.session.wait_data(other, b"ping")
        self.assertEqual(seen.names, ["connection_made"])
        self.session.call(transport_pb2.ResumeReadingRequest(transport_id=transport_id))
        self.session.wait_callback(transport_id, "eof_received")
        self.assertEqual(bytes(seen.data), b"held back")

    def test_get_state(self):
        transport_id, peer = self.connected()
        peer.sendall(b"12345")
        self.session.wait_data(transport_id, b"12345")
        self.session.write(transport_id, b"123")
        read_exactly(peer, 3)
        state = self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id))
        self.assertTrue(state.is_reading and state.can_write_eof and not state.is_closing)
        self.assertEqual((state.received_bytes, state.sent_bytes, state.write_buffer_size_bytes), (5, 3, 0))
        self.assertEqual((state.write_buffer_limits.high_bytes, state.write_buffer_limits.low_bytes), (65536, 16384))
        self.assertEqual(state.extra_info.peername.port, peer.getsockname()[1])

    def test_writelines(self):
        transport_id, peer = self.connected()
        lines = [b"one ", b"", b"two ", b"three"]
        self.session.call(transport_pb2.WritelinesRequest(transport_id=transport_id, lines=lines))
        self.assertEqual(read_exactly(peer, 13), b"one two three")

    def test_socket_options(self):
        transport_id, _ = self.connected()

        def get(name):
            option = types_pb2.SocketOption.Value(f"SOCKET_OPTION_{name}")
            return self.session.call(transport_pb2.GetsockoptRequest(transport_id=transport_id, option=option)).value

        def set_request(name, value):
            option = types_pb2.SocketOption.Value(f"SOCKET_OPTION_{name}")
            return transport_pb2.SetsockoptRequest(transport_id=transport_id, option=option, value=value)

        self.assertEqual(get("TCP_NODELAY"), 1)
        for name, value in (("TCP_NODELAY", 0), ("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 77), ("IP_TTL", 33)):
            self.session.call(set_request(name, value))
            self.assertEqual(get(name), value)
        self.assertEqual(get("SO_TYPE"), socket.SOCK_STREAM)
        for name in READ_ONLY:
            self.refused("INVALID_OPTION_VALUE", set_request(name, 1), 3)
        for name, value in (("TCP_KEEPIDLE", 0), ("IP_TTL", 256), ("SO_RCVBUF", 1 << 30), ("TCP_NODELAY", 2)):
            self.refused("INVALID_OPTION_VALUE", set_request(name, value), 3)
        for option in (0, 32, 1_000_000):
            self.refused("UNKNOWN_OPTION", transport_pb2.GetsockoptRequest(transport_id=transport_id, option=option), 3)
            self.refused(
                "UNKNOWN_OPTION", transport_pb2.SetsockoptRequest(transport_id=transport_id, option=option), 3
            )
        server_id, _ = self.session.listen()
        listening = transport_pb2.GetsockoptRequest(
            transport_id=server_id, option=types_pb2.SOCKET_OPTION_SO_ACCEPTCONN
        )
        self.assertEqual(self.session.call(listening).value, 1)

    def test_wrong_kind_and_unknown_ids(self):
        transport_id, _ = self.connected()
        server_id, _ = self.session.listen()
        self.refused("WRONG_KIND", transport_pb2.WriteRequest(transport_id=server_id, data=b"x"), 12)
        self.refused("WRONG_KIND", server_pb2.ServerCloseRequest(server_id=transport_id), 12)
        for unknown in (0, 4711, 2**32 - 1):
            self.refused("UNKNOWN_TRANSPORT", transport_pb2.CloseRequest(transport_id=unknown), 5)
            self.refused("UNKNOWN_TRANSPORT", server_pb2.WaitClosedRequest(server_id=unknown), 5)

    def test_another_sessions_transport_is_unknown(self):
        transport_id, peer = self.connected()
        with self.open_session() as other:
            with self.assertRaises(ServiceError) as caught:
                other.call(transport_pb2.WriteRequest(transport_id=transport_id, data=b"not yours"))
            self.assertEqual(caught.exception.reason, "UNKNOWN_TRANSPORT")
        peer.setblocking(False)
        with self.assertRaises(BlockingIOError):
            peer.recv(1)

    def test_several_failed_addresses_give_each_their_error(self):
        port = harness.free_port()
        request = event_loop_pb2.CreateConnectionRequest(remote=types_pb2.HostPort(host="localhost", port=port))
        with self.assertRaises(ServiceError) as caught:
            self.session.call(request)
        error = caught.exception.error
        attempts = error.causes or [error]
        for attempt in attempts:
            self.assertIn(attempt.reason, ("ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH"))
            self.assertIn(str(port), attempt.address)
            self.assertEqual(attempt.operation, "connect")

    def cancelled_create(self):
        """Cancels a create_connection that hangs, and sees that nothing stays behind."""
        full = self.full_listener()
        before = len(self.service.fds())
        pending = self.session.start(
            event_loop_pb2.CreateConnectionRequest(
                remote=types_pb2.HostPort(host="127.0.0.1", port=full.getsockname()[1])
            )
        )
        eventually(lambda: len(self.service.fds()) > before, "a socket that connects")
        pending.cancel_command()
        eventually(lambda: len(self.service.fds()) == before, "the socket is gone")
        with Admin(self.service.target) as admin:
            self.assertEqual(list(admin.call(admin_pb2.ListTransportsRequest()).transports), [])
        return pending

    def test_cancelled_create_leaves_nothing_behind(self):
        pending = self.cancelled_create()
        with self.assertRaises((grpc.FutureCancelledError, ServiceError)) as caught:
            pending.result(harness.TIMEOUT)
        if isinstance(caught.exception, ServiceError):
            self.assertEqual((caught.exception.reason, caught.exception.error.code), ("CANCELLED", 1))

    def test_admin_sees_sessions_and_transports(self):
        transport_id, peer = self.connected()
        server_id, _ = self.session.listen()
        peer.sendall(b"123")
        self.session.wait_data(transport_id, b"123")
        with Admin(self.service.target) as admin:
            sessions = admin.call(admin_pb2.ListSessionsRequest()).sessions
            self.assertEqual(len(sessions), 1)
            self.assertEqual(sessions[0].client_name, "integration")
            self.assertEqual(sessions[0].transport_count, 2)
            self.assertEqual(sessions[0].streaming, isinstance(self.session, StreamSession))
            prefix = sessions[0].session_prefix
            self.assertEqual(prefix, self.session.opened.session_id[:8])
            listed = admin.call(admin_pb2.ListTransportsRequest(session_prefix=prefix)).transports
            self.assertEqual([info.transport_id for info in listed], sorted([transport_id, server_id]))
            kinds = {info.transport_id: info.kind for info in listed}
            self.assertEqual(kinds[transport_id], admin_pb2.TRANSPORT_KIND_STREAM)
            self.assertEqual(kinds[server_id], admin_pb2.TRANSPORT_KIND_SERVER)
            self.assertEqual(listed[0].received_bytes, 3)
            page = admin.call(admin_pb2.ListTransportsRequest(page_size=1))
            self.assertEqual(len(page.transports), 1)
            rest = admin.call(admin_pb2.ListTransportsRequest(page_size=1, page_token=page.next_page_token))
            self.assertEqual(rest.transports[0].transport_id, server_id)

    def test_end_of_the_session_frees_everything(self):
        transport_id, peer = self.connected()
        server_id, address = self.session.listen()
        self.session.close()
        self.assertEqual(read_all(peer), b"")
        self.assertEqual(self.session.status, "OK")
        lost = self.session.seen(transport_id).lost
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_LOCAL_ABORT)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, harness.TIMEOUT)
        with Admin(self.service.target) as admin:
            self.assertEqual(list(admin.call(admin_pb2.ListSessionsRequest()).sessions), [])
        self.session = self.enter(self.open_session())


class AcknowledgedStreamTest(DoorTests, harness.ServiceTestCase):
    def open_session(self, **fields):
        return StreamSession(self.service.target, acknowledged=True, **fields)

    def test_a_spent_window_stops_one_transport_only(self):
        slow, slow_peer = self.connected()
        self.session.consume(slow, False)
        limits = self.session.opened.limits
        sender = threading.Thread(target=_send_quietly, args=(slow_peer, b"x" * (1 << 22)), daemon=True)
        sender.start()
        seen = self.session.seen(slow)
        self.session.wait(lambda: seen.received >= limits.receive_window_bytes * 0.9, "the window is spent")
        quick, quick_peer = self.connected()
        for index in range(100):
            quick_peer.sendall(b"%04d" % index)
            self.session.wait(lambda: self.session.seen(quick).received == 4 * (index + 1), "the quick one goes on")
        # At most one read beyond the window.
        self.assertLessEqual(seen.received, limits.receive_window_bytes + 262144)
        self.session.consume(slow, True)
        self.session.wait(lambda: seen.received == 1 << 22, "the rest")
        sender.join(harness.TIMEOUT)

    def test_acknowledging_what_was_not_sent_ends_the_stream(self):
        transport_id, _ = self.connected()
        self.session.send(
            acknowledgements=[event_loop_pb2.Acknowledgement(transport_id=transport_id, data_bytes=1, data_count=1)]
        )
        self.assertEqual(error_of(self.session.wait_ended()).reason, "BAD_FRAME")

    def test_acknowledgements_that_go_back_or_name_nobody_are_ignored(self):
        transport_id, peer = self.connected()
        peer.sendall(b"12345")
        self.session.wait_data(transport_id, b"12345")
        self.session.send(
            acknowledgements=[
                event_loop_pb2.Acknowledgement(transport_id=transport_id, data_bytes=1, data_count=0),
                event_loop_pb2.Acknowledgement(transport_id=999, data_bytes=1, data_count=1),
            ]
        )
        self.assertTrue(self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id)).is_reading)


class PlainStreamTest(DoorTests, harness.ServiceTestCase):
    def open_session(self, **fields):
        return StreamSession(self.service.target, acknowledged=False, **fields)

    def test_frames_are_numbered_and_acknowledged(self):
        transport_id, peer = self.connected()
        for index in range(20):
            self.session.call(transport_pb2.GetStateRequest(transport_id=transport_id))
        self.assertEqual(self.session.sequences, list(range(1, len(self.session.sequences) + 1)))
        # The answer to the last command comes with the acknowledgement of its frame.
        self.assertEqual(self.session.acknowledged_sequence, self.session.next_sequence - 1)

    def test_many_commands_in_one_frame(self):
        transport_id, peer = self.connected()
        pieces = [pattern(100, index) for index in range(500)]
        commands = [event_loop_pb2.Command(transport_id=transport_id, write=piece) for piece in pieces]
        self.session.send(commands=commands)
        self.assertEqual(read_exactly(peer, 50_000), b"".join(pieces))

    def test_unknown_fields_are_ignored_and_an_unknown_command_is_answered(self):
        transport_id, peer = self.connected()
        frame = event_loop_pb2.SessionRequest(
            sequence=self.session.next_sequence,
            commands=[event_loop_pb2.Command(transport_id=transport_id, write=b"before")],
        ).SerializeToString()
        later_field = b"\xa2\x06\x05later"  # Field 100 of the frame, bytes.
        self.session.send_raw(frame + later_field)
        self.assertEqual(read_exactly(peer, 6), b"before")
        # Command{request_id: 4242, field 47: bytes "new"}: a variant of a later revision.
        command = b"\x08\x92\x21" + b"\xfa\x02\x03new"
        frame = event_loop_pb2.SessionRequest(sequence=self.session.next_sequence).SerializeToString()
        future = self.session.expect_reply(4242)
        self.session.send_raw(frame + b"\x22" + bytes([len(command)]) + command)
        with self.assertRaises(ServiceError) as caught:
            future.result(harness.TIMEOUT)
        self.assertEqual((caught.exception.reason, caught.exception.error.code), ("UNKNOWN_COMMAND", 12))
        self.session.write(transport_id, b"after")
        self.assertEqual(read_exactly(peer, 5), b"after")

    def test_request_id_in_use(self):
        full = self.full_listener()
        request = event_loop_pb2.CreateConnectionRequest(
            remote=types_pb2.HostPort(host="127.0.0.1", port=full.getsockname()[1])
        )
        first = self.session.start(request, request_id=77)
        second = self.session.start(transport_pb2.GetStateRequest(transport_id=1), request_id=77)
        with self.assertRaises(ServiceError) as caught:
            second.result(harness.TIMEOUT)
        self.assertEqual(caught.exception.reason, "REQUEST_ID_IN_USE")
        # The first one's answer comes under the same number.
        future = self.session.expect_reply(77)
        first.cancel_command()
        with self.assertRaises(ServiceError) as caught:
            future.result(harness.TIMEOUT)
        self.assertEqual(caught.exception.reason, "CANCELLED")

    def test_a_lease_on_a_stream_is_refused(self):
        with self.assertRaises(ServiceError) as caught:
            self.open_session(lease=duration_pb2.Duration(seconds=5))
        self.assertEqual(caught.exception.reason, "INVALID_LEASE")

    def test_the_session_id_of_another_is_refused(self):
        transport_id, _ = self.connected()
        self.refused(
            "WRONG_SESSION", transport_pb2.CloseRequest(session_id="somebody-else", transport_id=transport_id), 3
        )

    def test_a_broken_stream_aborts_everything(self):
        transport_id, peer = self.connected()
        self.session.cancel()
        self.assertEqual(read_all(peer), b"")


class UnaryTest(DoorTests, harness.ServiceTestCase):
    def open_session(self, **fields):
        return UnarySession(self.service.target, **fields)

    def test_a_creates_deadline_leaves_nothing_behind(self):
        full = self.full_listener()
        before = len(self.service.fds())
        request = event_loop_pb2.CreateConnectionRequest(
            session_id=self.session.session_id,
            remote=types_pb2.HostPort(host="127.0.0.1", port=full.getsockname()[1]),
        )
        with self.assertRaises(grpc.RpcError) as caught:
            self.session.stubs.event_loop.CreateConnection(request, timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        eventually(lambda: len(self.service.fds()) == before, "the socket is gone")
        with Admin(self.service.target) as admin:
            self.assertEqual(list(admin.call(admin_pb2.ListTransportsRequest()).transports), [])

    def test_a_plain_loop_of_writes_is_flow_controlled(self):
        transport_id, peer = self.connected()
        self.session.write(transport_id, b"x")
        read_exactly(peer, 1)
        data = pattern(1 << 25)
        rss = self.service.rss_bytes()
        highest, received = [rss], []
        reader = threading.Thread(target=lambda: received.append(read_all(peer)), daemon=True)
        for start in range(0, len(data), 65536):
            future = self.session.start(
                transport_pb2.WriteRequest(transport_id=transport_id, data=data[start : start + 65536])
            )
            if reader.ident is None:
                try:
                    future.result(0.5)
                except grpc.FutureTimeoutError:
                    reader.start()  # The kernel's buffers are full: only now somebody reads.
            self.assertLessEqual(future.result().write_buffer_size_bytes, 65536)
            highest.append(self.service.rss_bytes())
        self.assertIsNotNone(reader.ident, "no Write ever waited")
        self.session.call(transport_pb2.CloseRequest(transport_id=transport_id))
        reader.join(harness.TIMEOUT)
        self.assertEqual(received, [data])
        if not harness.SANITIZER:
            self.assertLess(max(highest) - rss, 8 << 20)

    def test_the_lease_runs_out(self):
        listener = self.listener()
        session = self.open_session(lease=duration_pb2.Duration(seconds=1))
        session.connect(listener.getsockname())
        peer = self.accept(listener)
        begin = time.monotonic()
        session.leave()
        self.assertEqual(read_all(peer), b"")
        self.assertGreater(time.monotonic() - begin, 0.9)
        with Admin(self.service.target) as admin:
            eventually(lambda: len(admin.call(admin_pb2.ListSessionsRequest()).sessions) == 1, "the session is gone")

    def test_leases_out_of_range_are_refused(self):
        for seconds in (0, 3601, -1, 2**62):
            with self.assertRaises(ServiceError) as caught:
                self.open_session(lease=duration_pb2.Duration(seconds=seconds))
            self.assertEqual(caught.exception.reason, "INVALID_LEASE")

    def test_unknown_fields_are_ignored(self):
        request = transport_pb2.GetStateRequest(session_id=self.session.session_id, transport_id=self.connected()[0])
        raw = request.SerializeToString() + b"\xa2\x06\x05later"  # Field 100, bytes.
        with open_channel(self.service.target) as channel:
            answer = channel.unary_unary("/transportd.v1.Transport/GetState")(raw, timeout=harness.TIMEOUT)
        self.assertTrue(transport_pb2.GetStateResponse.FromString(answer).is_reading)

    def test_acknowledged_is_refused(self):
        with self.assertRaises(ServiceError) as caught:
            self.open_session(acknowledged=True)
        self.assertEqual(caught.exception.reason, "NOT_STREAMING")

    def test_callbacks_wait_for_their_reader(self):
        listener = self.listener()
        session = self.enter(self.open_session(callbacks=False))
        transport_id = session.connect(listener.getsockname())
        peer = self.accept(listener)
        peer.sendall(b"early")
        peer.close()
        session.read_callbacks()
        session.wait_callback(transport_id, "eof_received")
        self.assertEqual(bytes(session.seen(transport_id).data), b"early")

    def test_a_second_reader_is_refused(self):
        stream = self.session.stubs.event_loop.Callbacks(
            event_loop_pb2.CallbacksRequest(session_id=self.session.session_id), timeout=harness.TIMEOUT
        )
        with self.assertRaises(grpc.RpcError) as caught:
            list(stream)
        self.assertEqual(error_of(caught.exception).reason, "CALLBACKS_ATTACHED")

    def test_a_reader_may_come_back(self):
        transport_id, peer = self.connected()
        peer.sendall(b"one")
        self.session.wait_data(transport_id, b"one")
        self.session.stop_callbacks()
        sent = bytearray(b"one")

        def more_arrives() -> bool:
            # The service may not have seen the old reader go: then the new one is refused, and tries again.
            if self.session.status is not None:
                self.assertEqual(error_of(self.session.status).reason, "CALLBACKS_ATTACHED")
                self.session.stop_callbacks()
                self.session.read_callbacks()
            peer.sendall(b".")
            sent.append(ord("."))
            return self.session.seen(transport_id).received > 3

        self.session.read_callbacks()
        eventually(more_arrives, "data for the new reader")
        # Nothing is lost, unless a gap in the numbers says so.
        if self.session.sequences == list(range(1, len(self.session.sequences) + 1)):
            self.session.wait_data(transport_id, bytes(sent))


def _send_quietly(peer: socket.socket, data: bytes) -> None:
    try:
        peer.sendall(data)
    except OSError:
        pass  # The test is over.


class VersionTest(harness.ServiceTestCase):
    def test_version(self):
        with Admin(self.service.target) as admin:
            version = admin.call(admin_pb2.GetVersionRequest())
        self.assertEqual(version.revision, 1)
        self.assertRegex(version.version, r"^\d+\.\d+\.\d+$")
        self.assertTrue(version.grpc_version.startswith("1."))


if __name__ == "__main__":
    harness.main()
