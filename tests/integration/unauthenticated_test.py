"""transportd with a policy, and clients of which it is not known who they are: how many, how long, and what is recorded."""

import socket
import ssl
import time

import grpc
import harness
from harness import TIMEOUT, eventually
from policy_test import (
    GRANTS,
    ID,
    NOT_FOUND,
    TOKEN,
    UNAUTHENTICATED,
    Caller,
    PolicyTestCase,
    role,
)
from raw_http2 import Connection, RawSession, connect
from transportd.v1 import event_loop_pb2, socket_pb2, unix_pb2

EXHAUSTED, UNAVAILABLE = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE


class UnauthenticatedTestCase(PolicyTestCase):
    def connect(self) -> socket.socket:
        """A connection to the TLS listener that says nothing."""
        host, port = self.service.targets[1].rsplit(":", 1)
        connection = self.enterContext(socket.create_connection((host, int(port)), timeout=TIMEOUT))
        return connection

    def open(self, caller: Caller) -> Caller:
        """Its session ends with the test, so that nothing is left open."""
        caller.open()
        self.addCleanup(caller.close)
        return caller

    def is_open(self, connection: socket.socket) -> bool:
        connection.setblocking(False)
        try:
            return connection.recv(1) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def records(self, event: str) -> list[dict]:
        return [record for record in self.audit() if record["event"] == event]


class FailureTest(UnauthenticatedTestCase):
    def fail_to_enter(self, number: int) -> grpc.StatusCode:
        with self.assertRaises(grpc.RpcError) as raised:
            Caller(self.channel(), f"{TOKEN}{number}").open()
        self.assertNotIn(TOKEN, raised.exception.details())
        return raised.exception.code()

    def fail_until_refused(self) -> int:
        """How often it took: three times, but more when they are slow, as what each of them counts passes with time."""
        failures = 0
        while (code := self.fail_to_enter(failures)) == UNAUTHENTICATED:
            failures += 1
            self.assertLess(failures, 20)
        self.assertEqual(code, UNAVAILABLE)
        self.assertGreaterEqual(failures, 3)
        return failures

    def test_after_three_an_address_is_refused_for_a_while(self) -> None:
        self.start(role(GRANTS))
        good = self.callers()
        for caller in good.values():
            self.open(caller)
        failures = self.fail_until_refused()
        self.assert_code(UNAVAILABLE, Caller(self.channel(), TOKEN).open)
        # Not by channels with TLS: they would take long, and it is for a while only.
        for _ in range(20):
            self.assertEqual(self.connect().recv(1), b"")
        # Who is in stays in, and Unix sockets are no address.
        for caller in good.values():
            caller.connect("127.0.0.1", self.port)
        self.open(Caller(self.unix_channel()))
        eventually(lambda: len(self.records("auth.refused")) == 1, "it is recorded, once")
        self.assertEqual(len(self.records("auth.fail")), failures)
        # One of each connection: those of Unix sockets are none that could be told apart.
        self.assertEqual(
            sorted(record["principal"] for record in self.records("auth.ok")), ["jwt:test", "spiffe://example.org/ns/lab/sa/test", "token"]
        )  # fmt: skip

    def test_many_calls_of_one_connection_make_few_records_and_end_it(self) -> None:
        self.start(role(GRANTS))
        caller = Caller(self.channel(), "wrong")

        def is_cut_off() -> bool:
            with self.assertRaises(grpc.RpcError) as raised:
                caller.open()
            return raised.exception.code() == UNAVAILABLE

        eventually(is_cut_off, "it is closed")
        self.assertEqual(self.connect().recv(1), b"")
        eventually(lambda: self.records("auth.refused"), "what came before is recorded")
        # Until the address is refused: three, unless they are slow. Ten would take half a minute.
        self.assertIn(len(self.records("auth.fail")), range(3, 10))

    def test_probes_of_its_health_need_no_credentials(self) -> None:
        self.start(role(GRANTS))
        for _ in range(10):
            check = self.channel().unary_unary("/grpc.health.v1.Health/Check")
            self.assertEqual(check(b"", timeout=TIMEOUT), b"\x08\x01")  # `status: SERVING`
        self.open(Caller(self.channel(), TOKEN))
        self.assertEqual(self.records("auth.fail"), [])

    def test_a_probe_may_show_a_certificate_that_is_nobodys(self) -> None:
        self.start(role(GRANTS))
        for _ in range(10):
            check = self.channel("nameless").unary_unary("/grpc.health.v1.Health/Check")
            self.assertEqual(check(b"", timeout=TIMEOUT), b"\x08\x01")  # `status: SERVING`
        self.open(Caller(self.channel(), TOKEN))
        self.assertEqual(self.records("auth.fail"), [])

    def test_no_token_can_be_tried_by_asking_for_health(self) -> None:
        self.start(role(GRANTS))
        check = self.channel().unary_unary("/grpc.health.v1.Health/Check")

        def is_cut_off() -> bool:
            try:
                check(b"", metadata=[("authorization", "Bearer wrong")], timeout=TIMEOUT)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), UNAVAILABLE, error)
                return True
            return False

        eventually(is_cut_off, "it is closed")
        self.assertGreaterEqual(len(self.records("auth.fail")), 3)

    def test_through_the_service_nobody_becomes_another(self) -> None:
        """Its own Unix sockets stand for principals: what it connects for a client does not come in there."""
        path = f"{self.folder}/other"
        name = f"transportd-{self.folder.name}"
        abstract = f'path {{ name: "abstract" uses: CONNECT paths: "@{name}" }}'
        doors = {f"unix:{path}": path.encode(), f"unix-abstract:{name}": b"\0" + name.encode()}
        self.start(
            role(GRANTS + abstract) + 'binding { role: "lab" principals: "other" }\n',
            *(f"--listen={target},principal=other" for target in doors),
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        for target, address in doors.items():
            with self.subTest(target):
                channel = self.enterContext(grpc.insecure_channel(target, options=options))
                self.open(Caller(channel))  # From outside it works.
                caller = self.open(self.callers()["token"])
                request = unix_pb2.CreateUnixConnectionRequest(session_id=caller.session_id, path=address)
                stream = caller.loop.Callbacks(
                    event_loop_pb2.CallbacksRequest(session_id=caller.session_id),
                    metadata=caller.metadata,
                    timeout=TIMEOUT,
                )
                caller.call(caller.loop.CreateUnixConnection, request)
                callbacks = (callback for frame in stream for callback in frame.callbacks)
                first = next(callback for callback in callbacks if not callback.HasField("connection_made"))
                self.assertIn(first.WhichOneof("callback"), ("eof_received", "connection_lost"))  # And no data.
                stream.cancel()

    def test_it_can_be_switched_off(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        for number in range(10):
            self.assertEqual(self.fail_to_enter(number), UNAUTHENTICATED)
        self.open(Caller(self.channel(), TOKEN))


class SilenceTest(UnauthenticatedTestCase):
    def test_an_address_has_so_many_and_the_oldest_ends_for_the_next(self) -> None:
        self.start(role(GRANTS), "--max-unauthenticated-count=4")
        # Those that are known do not count.
        for _ in range(8):
            Caller(self.channel("client")).open().close()
        silent = [self.connect() for _ in range(4)]
        late = self.connect()
        self.assertEqual(silent[0].recv(1), b"")
        self.assertTrue(all(self.is_open(connection) for connection in [*silent[1:], late]))
        # Whoever holds them all keeps nobody out.
        Caller(self.channel("client")).open().close()
        eventually(lambda: len(self.records("auth.refused")) == 1, "it is recorded, once")
        self.assertIn("the oldest", self.records("auth.refused")[0]["cause"])

    def test_an_ipv6_client_is_known_too(self) -> None:
        self.start(role(GRANTS), "--listen=[::1]:0,plaintext", "--authentication-timeout=1s")
        address = ("::1", int(self.service.targets[-1].rsplit(":", 1)[1]))

        def session() -> RawSession | None:
            connection = self.enterContext(Connection(connect(address)))
            try:
                opened = RawSession(connection, token=TOKEN).open()
            except OSError:
                return None
            return opened if opened.read() is not None else None

        known = eventually(session, "a session within its second")
        harness.read_all(self.enterContext(connect(address)))  # One that says nothing has its second, and ends.
        known.connection.send(known.commands(event_loop_pb2.Command(request_id=1, getaddrinfo={"host": b"::1"})))
        self.assertEqual([reply.request_id for reply in known.replies(1)], [1])
        known.close()
        peers = {record["peer"].rsplit(":", 1)[0] for record in self.audit() if "peer" in record}
        self.assertEqual(peers, {"ipv6:[::1]"})

    def shake_hands(self) -> Connection | None:
        """HTTP/2 within TLS, with a client's certificate and without a call. None: the service ended it before."""
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        context.load_cert_chain(self.certificates / "client.pem", self.certificates / "client.key")
        context.set_alpn_protocols(["h2"])
        host, port = self.service.targets[1].rsplit(":", 1)
        try:
            connection = self.enterContext(Connection(connect((host, int(port)), context)))
        except (ConnectionError, ssl.SSLError):
            return None
        return connection if connection.read() is not None else None

    def open_session(self) -> RawSession | None:
        """None: it was too late."""
        connection = self.shake_hands()
        if connection is None:
            return None
        try:
            session = RawSession(connection).open()
        except OSError:
            return None
        return session if session.read() is not None else None

    def test_who_says_nothing_for_long_is_closed(self) -> None:
        """Also after the handshake, for which gRPC has a time limit of its own."""
        self.start(role(GRANTS), "--authentication-timeout=1s")
        # On a slow machine they may need more than one attempt to be that far within this second.
        known = eventually(self.open_session, "a session")
        silent = eventually(self.shake_hands, "a connection")
        begin = time.monotonic()
        # It answers each PING, so gRPC's keep-alive does not end it either.
        while silent.read() is not None:
            self.assertLess(time.monotonic() - begin, TIMEOUT)
        remote = {"host": "127.0.0.1", "port": self.port}
        connects = event_loop_pb2.Command(request_id=1, create_connection={"remote": remote})
        known.connection.send(known.commands(connects))
        self.assertEqual([reply.WhichOneof("result") for reply in known.replies(1)], ["create_connection"])

    def test_who_watches_its_health_and_says_who_it_is_stays(self) -> None:
        self.start(role(GRANTS), "--authentication-timeout=1s")
        watches = {}
        for principal, name, token in (("token", "", TOKEN), (ID, "client", "")):

            def watch(name=name, token=token) -> grpc.Call | None:
                """None: on a slow machine it was too late."""
                caller = Caller(self.channel(name), token)
                call = caller.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", metadata=caller.metadata)
                try:
                    return call if next(call) == b"\x08\x01" else None
                except grpc.RpcError:
                    return None

            watches[principal] = eventually(watch, "it is watched")
        self.assertEqual(self.connect().recv(1), b"")  # The second of one that says nothing is over: so is theirs.
        for principal, call in watches.items():
            with self.subTest(principal):
                call.cancel()
                self.assertEqual(call.code(), grpc.StatusCode.CANCELLED, call.details())
                eventually(lambda: principal in {record["principal"] for record in self.records("auth.ok")}, "it is known")

    def test_descriptors_come_back(self) -> None:
        service = self.start(role(GRANTS))
        Caller(self.channel("client")).open().close()
        before = len(service.fds())
        for _ in range(30):
            self.connect().close()
        for _ in range(5):
            with grpc.insecure_channel(service.targets[1], options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                self.assert_code(UNAVAILABLE, Caller(channel).open)
        eventually(lambda: len(service.fds()) <= before, "all are closed")


class RecordTest(UnauthenticatedTestCase):
    def test_to_name_anothers_session_is_recorded(self) -> None:
        self.start(role(GRANTS))
        callers = self.callers()
        session_id = self.open(callers["token"]).session_id
        request = event_loop_pb2.CloseSessionRequest(session_id=session_id)
        self.assert_code(NOT_FOUND, callers["jwt"].call, callers["jwt"].loop.CloseSession, request)
        nobodys = event_loop_pb2.CloseSessionRequest(session_id="0" * 32)
        self.assert_code(NOT_FOUND, callers["jwt"].call, callers["jwt"].loop.CloseSession, nobodys)
        eventually(lambda: self.records("session.foreign"), "it is recorded")
        (record,) = self.records("session.foreign")
        self.assertEqual(record["principal"], "jwt:test")
        self.assertNotIn(session_id, str(record))

    def test_each_session_that_is_opened_is_closed(self) -> None:
        self.start(role(GRANTS), "--max-session-count=1")
        caller = self.callers()["token"]
        caller.open()
        for _ in range(3):
            self.assert_code(EXHAUSTED, Caller(self.channel(), TOKEN).open)
        caller.close()
        eventually(lambda: len(self.records("session.close")) == 1, "it is closed")
        self.assertEqual(len(self.records("session.open")), 1)


class ServiceQuotaTest(UnauthenticatedTestCase):
    def test_it_bounds_all_principals_and_is_read_again(self) -> None:
        self.start(role(GRANTS) + "service_quota { listeners: 1 }")
        token, jwt = (self.open(self.callers()[name]) for name in ("token", "jwt"))
        token.listen("127.0.0.1")
        error = self.assert_code(EXHAUSTED, jwt.listen, "127.0.0.1")
        self.assertIn("of the service: at most 1", error.details())
        self.write_policy(role(GRANTS) + "service_quota { listeners: 2 }")

        def may_listen() -> bool:
            try:
                jwt.listen("127.0.0.1")
            except grpc.RpcError:
                return False
            return True

        eventually(may_listen, "the new bound holds")

    def test_principals_without_a_quota_have_the_policys(self) -> None:
        self.start(role(GRANTS) + "principal_quota { sessions: 1 }")
        self.open(self.callers()["token"])
        error = self.assert_code(EXHAUSTED, Caller(self.channel(), TOKEN).open)
        self.assertIn("quota `sessions` of this principal: at most 1", error.details())

    def test_reverse_lookups_are_resolutions(self) -> None:
        self.start(role(GRANTS + "quota { resolutions { per_second: 0.001 burst: 2 } }"))
        caller = self.open(self.callers()["token"])

        def look_up(flags: int) -> None:
            request = socket_pb2.GetnameinfoRequest(session_id=caller.session_id, flags=flags)
            request.address.family, request.address.host, request.address.port = (
                1,
                "127.0.0.1",
                80,
            )
            caller.call(caller.loop.Getnameinfo, request)

        for _ in range(5):
            look_up(socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        look_up(0)
        look_up(0)
        self.assert_code(EXHAUSTED, look_up, 0)


if __name__ == "__main__":
    harness.main()
