"""What belongs to one principal does not exist for another: ids fuzzed at every command, and credentials shown again.

By the descriptors: a command that is added is tried.
"""

import base64
import hashlib
import hmac
import importlib
import json
import pkgutil
import random
import socket
import time
from collections.abc import Iterator

import grpc
import harness
import transportd.v1
from client import ServiceError, StreamSession
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import MessageFactory
from harness import TIMEOUT, eventually
from policy_test import GRANTS, NOT_FOUND, TOKEN, UNAUTHENTICATED, Caller, PolicyTestCase, role
from transportd.v1 import (
    datagram_pb2, event_loop_pb2, server_pb2, socket_pb2, subprocess_pb2, transport_pb2, types_pb2,
)  # fmt: skip

NEVER = "f" * 32  # Of 128 random bits: no session's.
NEVER_ID = 4_000_000_000
NEW_TOKEN = "transportd_that_replaces_it"

MORE_GRANTS = """
  connect { name: "u" protocols: UDP to { classes: LOOPBACK any_port: true } }
  run { name: "cat" program: "/usr/bin/cat" confinement: BEST_EFFORT }
  option { name: "all" options: "*" }
  quota { transports: 1000 connects { per_second: 1000 burst: 1000 } }
"""


def methods() -> list[MethodDescriptor]:
    """All of the contract that take a session."""
    found = []
    for module in pkgutil.iter_modules(transportd.v1.__path__):
        if not module.name.endswith("_pb2"):
            continue
        file = importlib.import_module(f"transportd.v1.{module.name}").DESCRIPTOR
        for service in file.services_by_name.values():
            found += [each for each in service.methods if "session_id" in each.input_type.fields_by_name]
    return found


def id_fields(message) -> list[FieldDescriptor]:
    """What names something of a session."""
    return [
        each
        for each in message.fields
        if each.name.endswith("_id") and each.name != "session_id" and each.type == FieldDescriptor.TYPE_UINT32
    ]


def request_of(message, session_id: str, number: int):
    """Its numbers and choices are such that it would do something."""
    request = MessageFactory().GetPrototype(message)()
    request.session_id = session_id
    for each in message.fields:
        if each.type == FieldDescriptor.TYPE_ENUM and each.label != FieldDescriptor.LABEL_REPEATED:
            setattr(request, each.name, each.enum_type.values[1].number)
        elif each.type == FieldDescriptor.TYPE_INT32 and each.label != FieldDescriptor.LABEL_REPEATED:
            setattr(request, each.name, 1)
    for each in id_fields(message):
        setattr(request, each.name, number)
    return request


def answer_of(caller: Caller, method: MethodDescriptor, request) -> tuple:
    """All that the client can tell of the answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = caller.channel.unary_stream if method.server_streaming else caller.channel.unary_unary
    call = kind(path, request_serializer=type(request).SerializeToString)
    try:
        answer = call(request, metadata=caller.metadata, timeout=TIMEOUT)
        return "OK", list(answer) if method.server_streaming else answer
    except grpc.RpcError as error:
        return error.code(), error.details(), tuple(error.trailing_metadata())


def mutations(session_id: str, chance: random.Random) -> Iterator[str]:
    """What is close to it, and what is not."""
    number = int(session_id, 16)
    for step in (1, -1, 1 << 64):
        yield f"{(number + step) % (1 << 128):032x}"
    for bit in chance.sample(range(128), 4):
        yield f"{number ^ 1 << bit:032x}"
    yield from (session_id.upper() + "0", session_id[:-1], session_id[:8], session_id + " ", session_id + "\0", "")
    yield from (f"{chance.getrandbits(128):032x}", "%s", "a" * 10_000)


class Tenant:
    """A principal with something of each kind, that says whether it is still as it was."""

    def __init__(self, test: PolicyTestCase, caller: Caller):
        self.test, self.caller = test, caller
        self.session = test.enterContext(StreamSession("", channel=caller.channel, metadata=caller.metadata))
        self.session_id = self.session.opened.session_id
        test.addCleanup(caller.open().close)
        self.unary_transport_id = caller.connect("127.0.0.1", test.port)
        self.unary_peer = self._accept()

        self.transport_id = self.session.connect(("127.0.0.1", test.port))
        self.peer = self._accept()
        self.server_id, self.address = self.session.listen()
        self.datagram_peer = test.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.datagram_peer.bind(("127.0.0.1", 0))
        self.datagram_peer.settimeout(TIMEOUT)
        remote = types_pb2.HostPort(host="127.0.0.1", port=self.datagram_peer.getsockname()[1])
        self.endpoint_id = self.session.call(datagram_pb2.CreateDatagramEndpointRequest(remote=remote)).transport_id
        self.sockets = self.session.call(socket_pb2.SocketpairRequest())
        pipe = subprocess_pb2.STDIO_PIPE
        options = subprocess_pb2.SubprocessOptions(stdin=pipe, stdout=pipe)
        self.process = self.session.call(subprocess_pb2.SubprocessExecRequest(program=b"/usr/bin/cat", options=options))
        self.ids = sorted(
            {
                self.transport_id, self.server_id, self.endpoint_id, self.process.transport_id,
                self.sockets.first_socket_id, self.sockets.second_socket_id, self.unary_transport_id,
                *(each.transport_id for each in self.process.pipes),
            }
        )  # fmt: skip
        self.written = 0

    def _accept(self) -> socket.socket:
        peer = self.test.enterContext(self.test.listener.accept()[0])
        peer.settimeout(TIMEOUT)
        return peer

    def state(self) -> dict[int, str]:
        """What GetState says of each id, or why it says nothing."""
        states = {}
        for number in self.ids:
            try:
                states[number] = str(self.session.call(transport_pb2.GetStateRequest(transport_id=number)))
            except ServiceError as error:
                states[number] = error.reason
        return states

    def check(self) -> None:
        """All of it works."""
        self.written += 1
        data = b"%08d" % self.written
        self.session.write(self.transport_id, data)
        self.test.assertEqual(harness.read_exactly(self.peer, 8), data)
        self.caller.call(
            self.caller.transport.Write,
            transport_pb2.WriteRequest(
                session_id=self.caller.session_id, transport_id=self.unary_transport_id, data=data
            ),
        )
        self.test.assertEqual(harness.read_exactly(self.unary_peer, 8), data)
        self.session.call(
            datagram_pb2.SendToRequest(transport_id=self.endpoint_id, datagram=datagram_pb2.Datagram(data=data))
        )
        self.test.assertEqual(self.datagram_peer.recv(100), data)
        with socket.create_connection(self.address, TIMEOUT):
            self.session.wait_accepted(self.server_id, self.written)
        stdin, stdout = (each.transport_id for each in sorted(self.process.pipes, key=lambda each: each.fd)[:2])
        self.session.write(stdin, data)
        seen = self.session.seen(stdout)
        self.session.wait(lambda: seen.data.endswith(data), "what cat says")
        self.test.assertEqual(len(seen.data), 8 * self.written)


class IsolationTest(PolicyTestCase):
    def tenants(self) -> tuple[Tenant, Tenant]:
        self.start(role(GRANTS + MORE_GRANTS))
        callers = self.callers()
        return Tenant(self, callers["token"]), Tenant(self, callers["certificate"])

    def test_ids_are_of_known_kinds(self) -> None:
        """Else the tests below try too little."""
        kinds = {each.name for method in methods() for each in id_fields(method.input_type)}
        self.assertEqual(kinds, {"transport_id", "server_id", "socket_id"})
        self.assertGreater(len(methods()), 35)

    def test_the_sessions_of_another(self) -> None:
        """At the unary door: every method, with the other's very ids and with what is near them."""
        tenants = self.tenants()
        chance = random.Random(6)
        for victim, attacker in (tenants, tenants[::-1]):
            victim.check()
            before = victim.state()
            for method in methods():
                nothing = answer_of(attacker.caller, method, request_of(method.input_type, NEVER, 1))
                self.assertEqual(nothing[0], NOT_FOUND, (method.full_name, nothing))
                for session_id in (victim.session_id, victim.caller.session_id):
                    for number in victim.ids if id_fields(method.input_type) else [0]:
                        with self.subTest(f"{method.name} {number}"):
                            request = request_of(method.input_type, session_id, number)
                            self.assertEqual(answer_of(attacker.caller, method, request), nothing)
                    for other in mutations(session_id, chance):
                        with self.subTest(f"{method.name} {other[:40]!r}"):
                            request = request_of(method.input_type, other, victim.transport_id)
                            self.assertEqual(answer_of(attacker.caller, method, request), nothing)
            self.assertEqual(victim.state(), before)
            victim.check()

    def test_the_ids_of_another_in_ones_own_session(self) -> None:
        """Numbers count within a session: what the other has is not there."""
        victim, owner = self.tenants()
        attacker = self.enterContext(StreamSession("", channel=owner.caller.channel, metadata=owner.caller.metadata))
        victim.check()
        before = victim.state()
        chance = random.Random(7)
        numbers = [
            *victim.ids, 0, *(each ^ 1 << chance.randrange(31) for each in victim.ids), chance.getrandbits(31) | 1 << 20,
            (1 << 32) - 1,
        ]  # fmt: skip

        def reply(name: str, number: int, session_id: str = "") -> tuple:
            command = event_loop_pb2.Command(request_id=chance.randrange(1, 1 << 31))
            variant = command.DESCRIPTOR.fields_by_name[name]
            if variant.message_type is None or "session_id" not in variant.message_type.fields_by_name:
                command.transport_id = number
                setattr(command, name, b"x") if variant.message_type is None else getattr(command, name).SetInParent()
            else:
                request = request_of(variant.message_type, session_id, number)
                getattr(command, name).CopyFrom(request)
            future = attacker.expect_reply(command.request_id)
            attacker.send(commands=[command])
            try:
                return "OK", future.result(TIMEOUT)
            except ServiceError as error:
                return error.error.code, error.reason, error.error.message.replace(str(number), "N")

        variants = event_loop_pb2.Command.DESCRIPTOR.oneofs_by_name["command"].fields
        tried = 0
        for variant in variants:
            message = variant.message_type
            if variant.name == "cancel":
                continue  # test_cancel
            if message is None or "session_id" not in message.fields_by_name or id_fields(message):
                tried += 1
                nothing = reply(variant.name, NEVER_ID)
                self.assertEqual(nothing[:2], (NOT_FOUND.value[0], "UNKNOWN_TRANSPORT"), variant.name)
                for number in numbers:
                    with self.subTest(f"{variant.name} {number}"):
                        self.assertEqual(reply(variant.name, number), nothing)
            if message is not None and "session_id" in message.fields_by_name:
                nothing = reply(variant.name, 1, NEVER)
                self.assertEqual(nothing[0], grpc.StatusCode.INVALID_ARGUMENT.value[0], variant.name)
                for session_id in (victim.session_id, victim.caller.session_id, owner.session_id):
                    with self.subTest(f"{variant.name} in another session"):
                        self.assertEqual(reply(variant.name, 1, session_id), nothing)
        self.assertGreater(tried, 20)
        self.assertEqual(victim.state(), before)
        victim.check()

        before = victim.state()
        caller = Caller(owner.caller.channel).open()
        for method in methods():
            if not id_fields(method.input_type):
                continue
            nothing = answer_of(caller, method, request_of(method.input_type, caller.session_id, NEVER_ID))
            self.assertEqual(nothing[0], NOT_FOUND, method.full_name)
            for number in numbers:
                with self.subTest(f"{method.name} {number} unary"):
                    request = request_of(method.input_type, caller.session_id, number)
                    answer = answer_of(caller, method, request)
                    self.assertEqual(answer[:1], nothing[:1])
                    self.assertEqual(answer[1].replace(str(number), "N"), nothing[1].replace(str(NEVER_ID), "N"))
        caller.close()
        self.assertEqual(victim.state(), before)
        victim.check()

    def test_cancel(self) -> None:
        """Request ids are a stream's own."""
        victim, attacker = self.tenants()
        request_id = 4711
        waiting = victim.session.start(server_pb2.WaitClosedRequest(server_id=victim.server_id), request_id)
        for number in (request_id, *range(1, 200)):
            attacker.session.call(event_loop_pb2.CancelRequest(request_id=number))
        victim.check()
        self.assertFalse(waiting.done())
        victim.session.call(server_pb2.ServerCloseRequest(server_id=victim.server_id))
        victim.session.call(server_pb2.AbortClientsRequest(server_id=victim.server_id))
        waiting.result(TIMEOUT)

    def test_the_end_of_one_is_not_the_others(self) -> None:
        victim, attacker = self.tenants()
        before = victim.state()
        attacker.session.cancel()
        attacker.caller.close()
        attacker.caller.open()
        self.assertEqual(victim.state(), before)
        victim.check()


class ReplayTest(PolicyTestCase):
    """Credentials and session ids, shown again by others or too late."""

    def use(self, caller: Caller, session_id: str, transport_id: int) -> None:
        caller.session_id = session_id
        caller.set_option(transport_id)

    def write_tokens(self, *tokens: str, rest: str = "") -> None:
        lines = [
            f'token {{ principal: "token" sha256: "{hashlib.sha256(token.encode()).hexdigest()}" }}' for token in tokens
        ]
        new = self.folder / "new identities"
        new.write_text("\n".join(['version: "v1"', *lines, rest]))
        new.rename(self.folder / "identities")

    def until(self, code: grpc.StatusCode, function) -> None:
        """It answers so, at last; before, it succeeds."""

        def answers() -> bool:
            try:
                function()
            except grpc.RpcError as error:
                self.assertEqual(error.code(), code, error)
                return True
            return False

        eventually(answers, f"{code}")

    def test_a_session_under_every_other_identity(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        callers = self.callers()
        for name, owner in callers.items():
            transport_id = owner.open().connect("127.0.0.1", self.port)
            session_id = owner.session_id
            for other_name, other in callers.items():
                if other is owner:
                    continue
                with self.subTest(f"{name}'s under {other_name}"):
                    self.assert_code(NOT_FOUND, self.use, other, session_id, transport_id)
                    self.assert_code(NOT_FOUND, other.close)
                    request = event_loop_pb2.CallbacksRequest(session_id=session_id)
                    callbacks = other.loop.Callbacks(request, metadata=other.metadata, timeout=TIMEOUT)
                    self.assert_code(NOT_FOUND, list, callbacks)
            with self.subTest(f"{name}'s again"):
                again = self.callers()[name]  # Another connection.
                self.use(again, session_id, transport_id)
                again.close()
                self.assert_code(NOT_FOUND, owner.close)

    def test_nothing_can_be_resumed_yet(self) -> None:
        """When it can, its token needs the tests that session ids have here."""
        self.start(role(GRANTS), "--refuse-after-failures=false")
        for caller in self.callers().values():
            opened = caller.call(caller.loop.OpenSession, event_loop_pb2.OpenSessionRequest(open={"revision": 1}))
            self.assertEqual(opened.opened.resume_token, b"")
            caller.session_id = opened.opened.session_id
            caller.close()

    def forged(self, header: dict, key: bytes | None = None) -> str:
        """With the claims of a good one."""
        claims = self.jwt().split(".")[1]
        signed = f"{base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.{claims}"
        signature = hmac.digest(key, signed.encode(), "sha256") if key else b""
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def test_json_web_tokens(self) -> None:
        """What is refused does not reach a session that the same subject has open."""
        self.start(role(GRANTS), "--refuse-after-failures=false")
        owner = Caller(self.channel(), self.jwt()).open()
        transport_id = owner.connect("127.0.0.1", self.port)
        now = int(time.time())
        public_key = self.openssl("ec", "-in", "jwt.key", "-pubout")
        good = self.jwt()
        head, claims, signature = good.split(".")
        refused = {
            "for another audience": self.jwt(aud="others"),
            "for other audiences": self.jwt(aud=["others", "transportd2"]),
            "for no audience": self.jwt(aud=[]),
            "of another issuer": self.jwt(iss="https://others.test"),
            "of an issuer with more path": self.jwt(iss="https://issuer.test/"),
            "after its end": self.jwt(exp=now - 61),
            "without an end": self.jwt(exp=None),
            "before its beginning": self.jwt(nbf=now + 3600),
            "issued in the future": self.jwt(iat=now + 3600, nbf=now + 3600),
            "without a signature": self.forged({"alg": "none"}),
            "without a signature, with the key's name": self.forged({"alg": "none", "kid": "k"}),
            "signed with the public key": self.forged({"alg": "HS256", "kid": "k"}, public_key),
            "by an unknown key": self.forged({"alg": "ES256", "kid": "other"}, public_key),
            "with another's signature": f"{head}.{claims}.{self.jwt(sub='other').split('.')[2]}",
            "with other claims": f"{head}.{self.jwt(sub='other').split('.')[1]}.{signature}",
            "with one more part": good + ".x",
        }
        for what, token in refused.items():
            caller = Caller(self.channel(), token)
            with self.subTest(what):
                error = self.assert_code(UNAUTHENTICATED, self.use, caller, owner.session_id, transport_id)
                self.assertNotIn(token, error.details())
                self.assert_code(UNAUTHENTICATED, caller.open)
        with self.subTest("of another subject"):
            caller = Caller(self.channel(), self.jwt(sub="other"))
            self.assertIn(
                self.assert_code_any(self.use, caller, owner.session_id, transport_id),
                (NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED),
            )
        accepted = {
            "the same": good,
            "a newer one": self.jwt(iat=now),
            "one of several audiences": self.jwt(aud=["x", "transportd"]),
        }
        for what, token in accepted.items():
            with self.subTest(what):
                self.use(Caller(self.channel(), token), owner.session_id, transport_id)
        owner.close()

    def assert_code_any(self, function, *arguments) -> grpc.StatusCode:
        with self.assertRaises(grpc.RpcError) as raised:
            function(*arguments)
        return raised.exception.code()

    def test_a_json_web_token_that_runs_out(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        owner = Caller(self.channel(), self.jwt()).open()
        session_id, transport_id = owner.session_id, owner.connect("127.0.0.1", self.port)
        clocks_may_differ = 60
        for seconds in (2, 8, 20):  # The longer ones for a machine that was too slow.
            caller = Caller(self.channel(), self.jwt(exp=int(time.time()) - clocks_may_differ + seconds))
            if self.is_accepted(caller, session_id, transport_id):
                break
        else:
            self.fail("it was never accepted")
        self.until(UNAUTHENTICATED, lambda: self.use(caller, session_id, transport_id))
        owner.close()

    def test_a_token_that_is_replaced_and_removed(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        old, new = Caller(self.channel(), TOKEN), Caller(self.channel(), NEW_TOKEN)
        self.assert_code(UNAUTHENTICATED, new.open)
        transport_id = old.open().connect("127.0.0.1", self.port)
        session_id = old.session_id

        self.write_tokens(TOKEN, NEW_TOKEN)
        eventually(lambda: self.is_accepted(new, session_id, transport_id), "the second one counts")
        self.use(old, session_id, transport_id)

        self.write_tokens(NEW_TOKEN)
        self.until(UNAUTHENTICATED, lambda: self.use(old, session_id, transport_id))
        self.assert_code(UNAUTHENTICATED, old.open)
        self.assert_code(UNAUTHENTICATED, Caller(self.channel(), TOKEN).open)
        self.assert_code(UNAUTHENTICATED, old.close)
        self.use(new, session_id, transport_id)
        new.close()

    def is_accepted(self, caller: Caller, session_id: str, transport_id: int) -> bool:
        try:
            self.use(caller, session_id, transport_id)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), UNAUTHENTICATED, error)
            return False
        return True

    def test_an_issuer_that_is_removed(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        caller = Caller(self.channel(), self.jwt()).open()
        transport_id = caller.connect("127.0.0.1", self.port)
        session_id = caller.session_id
        self.write_tokens(TOKEN)
        self.until(UNAUTHENTICATED, lambda: self.use(caller, session_id, transport_id))
        self.assert_code(UNAUTHENTICATED, caller.close)
        self.write_identities()
        eventually(lambda: self.is_accepted(caller, session_id, transport_id), "it is there again")
        caller.close()


if __name__ == "__main__":
    harness.main()
