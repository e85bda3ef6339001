"""transportd with a policy: each identity source against each kind of grant, addresses in every spelling, reload, audit.

By gRPC's own Python library and the stubs that anybody would generate.
"""

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path

import grpc
import harness
from certificates_case import CertificatesTestCase
from harness import TIMEOUT, Service, eventually
from transportd.v1 import (
    admin_pb2, admin_pb2_grpc, datagram_pb2, datagram_pb2_grpc, event_loop_pb2, event_loop_pb2_grpc, socket_pb2,
    subprocess_pb2, tls_pb2, transport_pb2, transport_pb2_grpc, types_pb2, unix_pb2,
)  # fmt: skip

DENIED, UNAUTHENTICATED, NOT_FOUND = (
    grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND,
)  # fmt: skip
TOKEN = "transportd_of_the_test"
ID = "spiffe://example.org/ns/lab/sa/test"
GROUP, LOOPBACK_INDEX = "239.255.0.1", socket.if_nametoindex("lo")

# What the matching role grants; `{…}` is filled in.
GRANTS = """
  connect { name: "c" protocols: TCP to { classes: LOOPBACK any_port: true } }
  listen { name: "l" protocols: TCP on { classes: LOOPBACK ports { first: 20000 last: 29999 } } peers { classes: LOOPBACK } }
  run { name: "r" program: "/usr/bin/true" confinement: BEST_EFFORT }
  path { name: "p" uses: [CONNECT, LISTEN] paths: "{folder}/" }
  option { name: "o" options: "SO_KEEPALIVE" }
"""
OTHER_GRANTS = """
  connect { name: "c" protocols: TCP to { cidrs: "192.0.2.1" any_port: true } }
  listen { name: "l" protocols: TCP on { cidrs: "192.0.2.1" any_port: true } }
  run { name: "r" program: "/usr/bin/false" }
  path { name: "p" uses: [CONNECT, LISTEN] paths: "/nowhere/" }
  option { name: "o" options: "TCP_CORK" }
"""
DENIALS = """
deny { name: "d" connect { classes: LOOPBACK } listen { classes: LOOPBACK } run: "/usr/bin/true" path: "{folder}/" }
"""


def role(grants: str) -> str:
    return f'role {{ name: "lab" {grants} }}\n'


class Caller:
    """A channel, with the metadata of its calls, and a session."""

    def __init__(self, channel: grpc.Channel, token: str = ""):
        self.channel = channel
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        self.loop = event_loop_pb2_grpc.EventLoopStub(channel)
        self.transport = transport_pb2_grpc.TransportStub(channel)
        self.datagram = datagram_pb2_grpc.DatagramTransportStub(channel)
        self.admin = admin_pb2_grpc.AdminStub(channel)
        self.session_id = ""

    def call(self, method, request):
        return method(request, metadata=self.metadata, timeout=TIMEOUT)

    def open(self) -> "Caller":
        opened = self.call(self.loop.OpenSession, event_loop_pb2.OpenSessionRequest(open={"revision": 1}))
        self.session_id = opened.opened.session_id
        return self

    def close(self) -> None:
        self.call(self.loop.CloseSession, event_loop_pb2.CloseSessionRequest(session_id=self.session_id))

    def connect(self, host: str, port: int, **options) -> int:
        request = event_loop_pb2.CreateConnectionRequest(
            session_id=self.session_id, remote=types_pb2.HostPort(host=host, port=port), **options
        )
        return self.call(self.loop.CreateConnection, request).transport_id

    def listen(self, host: str, port: int = 0):
        return self.serve(host, port=port).sockets[0]

    def serve(self, host: str, **options) -> event_loop_pb2.CreateServerResponse:
        request = event_loop_pb2.CreateServerRequest(session_id=self.session_id, hosts=[host], **options)
        return self.call(self.loop.CreateServer, request)

    def endpoint(self, **options) -> int:
        request = datagram_pb2.CreateDatagramEndpointRequest(
            session_id=self.session_id, local=types_pb2.HostPort(host="127.0.0.1"), **options
        )
        return self.call(self.loop.CreateDatagramEndpoint, request).transport_id

    def start_tls(self, transport_id: int, **options) -> None:
        request = tls_pb2.StartTlsRequest(session_id=self.session_id, transport_id=transport_id, tls=options)
        self.call(self.loop.StartTls, request)

    def join(self, transport_id: int) -> None:
        request = datagram_pb2.JoinGroupRequest(
            session_id=self.session_id, transport_id=transport_id, address=GROUP, interface_index=LOOPBACK_INDEX
        )
        self.call(self.datagram.JoinGroup, request)

    def leave(self, transport_id: int) -> None:
        request = datagram_pb2.LeaveGroupRequest(
            session_id=self.session_id, transport_id=transport_id, address=GROUP, interface_index=LOOPBACK_INDEX
        )
        self.call(self.datagram.LeaveGroup, request)

    def sendfile(self, transport_id: int, path: str) -> None:
        request = socket_pb2.SendfileRequest(session_id=self.session_id, transport_id=transport_id, path=path.encode())
        self.call(self.loop.Sendfile, request)

    def transport_count(self) -> int:
        return len(self.call(self.admin.ListTransports, admin_pb2.ListTransportsRequest()).transports)

    def listen_unix(self, path: str) -> None:
        request = unix_pb2.CreateUnixServerRequest(session_id=self.session_id, path=path.encode())
        self.call(self.loop.CreateUnixServer, request)

    def run_shell(self, **options) -> None:
        request = subprocess_pb2.SubprocessShellRequest(session_id=self.session_id, cmd=b":", options=options)
        self.call(self.loop.SubprocessShell, request)

    def run(self, program: str, args: tuple[str, ...] = (), **options) -> int:
        request = subprocess_pb2.SubprocessExecRequest(
            session_id=self.session_id,
            program=program.encode(),
            args=[arg.encode() for arg in args],
            options=options,
        )
        return self.call(self.loop.SubprocessExec, request).transport_id

    def set_option(self, transport_id: int) -> None:
        request = transport_pb2.SetsockoptRequest(
            session_id=self.session_id,
            transport_id=transport_id,
            option=types_pb2.SOCKET_OPTION_SO_KEEPALIVE,
            value=1,
        )
        self.call(self.transport.Setsockopt, request)


class PolicyTestCase(CertificatesTestCase):
    """Certificates for the class; a folder and a service for the test."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.make_ca("ca")
        cls.make_ca("other")
        cls.make_certificate("server", "ca", "IP:127.0.0.1")
        cls.make_certificate("client", "ca", f"URI:{ID}")
        cls.make_certificate("two", "ca", f"URI:{ID},URI:spiffe://example.org/other")
        cls.make_certificate("nameless", "ca", "DNS:client.test")
        cls.make_certificate("stranger", "other", f"URI:{ID}")
        cls.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "jwt.key")

    @classmethod
    def jwt(cls, **claims) -> str:
        """Signed with ES256: DER's two numbers, as RFC 7518, section 3.4, wants them."""

        def part(value: bytes) -> str:
            return base64.urlsafe_b64encode(value).decode().rstrip("=")

        head = part(json.dumps({"alg": "ES256", "kid": "k"}).encode())
        claims = {"iss": "https://issuer.test", "aud": "transportd", "sub": "test", "exp": int(time.time()) + 300, **claims}
        signed = f"{head}.{part(json.dumps(claims).encode())}"
        der = cls.openssl("dgst", "-sha256", "-sign", "jwt.key", data=signed.encode())
        numbers, position = [], 2
        for _ in range(2):
            size = der[position + 1]
            numbers.append(der[position + 2 : position + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
            position += 2 + size
        return f"{signed}.{part(b''.join(numbers))}"

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="integration-")))
        self.listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.policy = self.folder / "policy.txtpb"

    def write_policy(self, text: str, principals: tuple[str, ...] = ("unix", "token", ID, "jwt:test")) -> None:
        names = " ".join(f'principals: "{name}"' for name in principals)
        bindings = f'binding {{ role: "lab" {names} }}\n' if 'name: "lab"' in text else ""
        new = self.folder / "new"
        new.write_text('version: "v1"\n' + text.replace("{folder}", str(self.folder)) + bindings)
        new.rename(self.policy)

    def write_identities(self) -> None:
        point = self.openssl("ec", "-in", "jwt.key", "-pubout", "-outform", "DER")[-64:]
        x, y = (base64.urlsafe_b64encode(half).decode().rstrip("=") for half in (point[:32], point[32:]))
        keys = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": x, "y": y}]}
        (self.folder / "keys").write_text(json.dumps(keys))
        (self.folder / "identities").write_text(
            f"""version: "v1"
            token {{ principal: "token" sha256: "{hashlib.sha256(TOKEN.encode()).hexdigest()}" }}
            jwt {{ issuer: "https://issuer.test" audiences: "transportd" jwks_file: "{self.folder}/keys"
                   principal_prefix: "jwt:" }}
            """
        )

    def start(self, text: str, *flags: str) -> Service:
        self.write_policy(text)
        self.write_identities()
        service = Service(
            f"--policy={self.policy}",
            f"--identities={self.folder}/identities",
            f"--listen=unix:{self.folder}/socket,principal=unix",
            "--listen=127.0.0.1:0",
            f"--tls-certificate={self.certificates}/server.pem",
            f"--tls-key={self.certificates}/server.key",
            f"--tls-client-ca={self.certificates}/ca.pem",
            f"--audit-log={self.folder}/audit",
            *flags,
            dev=False,
        )
        self.addCleanup(service.stop)
        self.service = service
        return service

    def channel(self, identity: str = "") -> grpc.Channel:
        """Over TLS; `identity`: the name of a certificate and its key."""
        files = [
            (self.certificates / name).read_bytes() if identity or name == "ca.pem" else None
            for name in ("ca.pem", f"{identity}.key", f"{identity}.pem")
        ]
        credentials = grpc.ssl_channel_credentials(*files)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return self.enterContext(grpc.secure_channel(self.service.targets[1], credentials, options))

    def unix_channel(self) -> grpc.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)]
        return self.enterContext(grpc.insecure_channel(self.service.targets[0], options))

    def callers(self) -> dict[str, Caller]:
        return {
            "unix": Caller(self.unix_channel()),
            "token": Caller(self.channel(), TOKEN),
            "certificate": Caller(self.channel("client")),
            "jwt": Caller(self.channel(), self.jwt()),
        }

    def assert_code(self, code: grpc.StatusCode, function, *arguments) -> grpc.RpcError:
        with self.assertRaises(grpc.RpcError) as raised:
            function(*arguments)
        self.assertEqual(raised.exception.code(), code, raised.exception)
        return raised.exception

    def audit(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "audit").read_text().splitlines()]

    def record_of(self, error: grpc.RpcError) -> dict:
        """Of the denial that names it."""
        uid = error.details().rsplit(" ", 1)[1]
        return eventually(lambda: [each for each in self.audit() if each["uid"] == uid], "its record")[0]


class MatrixTest(PolicyTestCase):
    """{connect, listen, run, path, option} x {no policy, other rule, matching rule, deny over match} x {each identity source}."""

    def actions(self, caller: Caller):
        yield "connect", lambda: caller.connect("127.0.0.1", self.port)
        yield "listen", lambda: caller.listen("127.0.0.1")
        yield "run", lambda: caller.run("/usr/bin/true")
        yield "path", lambda: caller.listen_unix(f"{self.folder}/listener")

    def test_matching(self) -> None:
        self.start(role(GRANTS))
        for name, caller in self.callers().items():
            caller.open()
            for action, perform in self.actions(caller):
                with self.subTest(f"{name} {action}"):
                    perform()
            with self.subTest(f"{name} listen"):
                self.assertIn(caller.listen("127.0.0.1").port, range(20000, 30000))
            with self.subTest(f"{name} option"):
                caller.set_option(caller.connect("127.0.0.1", self.port))
            caller.close()
        methods = {record["auth"]["method"] for record in self.audit() if "auth" in record}
        self.assertEqual(methods, {"unix", "token", "certificate", "jwt"})

    def refused(self, text: str) -> None:
        self.start(text)
        for name, caller in self.callers().items():
            caller.open()
            for action, perform in self.actions(caller):
                with self.subTest(f"{name} {action}"):
                    self.assert_code(DENIED, perform)
            caller.close()

    def test_other_rule(self) -> None:
        self.refused(role(OTHER_GRANTS))

    def test_deny_over_match(self) -> None:
        self.refused(role(GRANTS) + DENIALS)

    def test_option_of_another_rule(self) -> None:
        self.start(role(GRANTS.replace("SO_KEEPALIVE", "TCP_CORK")))
        for name, caller in self.callers().items():
            transport_id = caller.open().connect("127.0.0.1", self.port)
            with self.subTest(name):
                self.assert_code(DENIED, caller.set_option, transport_id)
            caller.close()

    def powerless(self, text: str) -> None:
        self.start(text)
        for name, caller in self.callers().items():
            with self.subTest(name):
                self.assert_code(DENIED, caller.open)
                self.assert_code(DENIED, caller.connect, "127.0.0.1", self.port)

    def test_no_policy(self) -> None:
        self.powerless("")

    def test_an_empty_role(self) -> None:
        self.powerless(role(""))


class ProgramNameTest(PolicyTestCase):
    def test_a_program_is_called_what_its_executable_is(self) -> None:
        self.start(role(GRANTS))
        caller = Caller(self.unix_channel()).open()
        for name in ("true", "/usr/bin/true"):
            with self.subTest(name):
                caller.run(name, executable=b"/usr/bin/true")
        for name in ("-true", "", "false", "/bin/true"):
            with self.subTest(name):
                error = self.assert_code(DENIED, lambda name=name: caller.run(name, executable=b"/usr/bin/true"))
                self.assertIn("executable", error.details())
                self.assertEqual(self.record_of(error)["rule"], "builtin/bad_name")

    def test_what_no_grant_allows_is_recorded(self) -> None:
        self.start(role(GRANTS + f'run {{ name: "sh" program: "{os.path.realpath("/bin/sh")}" }}'))
        caller = Caller(self.unix_channel()).open()
        for rule, program, run in (
            ("builtin/bad_name", "-true", lambda: caller.run("-true")),
            ("builtin/bad_name", "/usr/bin/true", lambda: caller.run_shell(executable=b"/usr/bin/true")),
            ("builtin/account", "/usr/bin/true", lambda: caller.run("/usr/bin/true", user={"id": 0})),
            ("builtin/account", "/bin/sh", lambda: caller.run_shell(group={"name": "root"})),
        ):
            with self.subTest(f"{rule} {program}"):
                record = self.record_of(self.assert_code(DENIED, run))
                self.assertEqual((record["event"], record["decision"], record["rule"]), ("process.spawn.decision", "deny", rule))
                self.assertEqual(record["resource"]["program"], program)

    def test_a_link_names_a_program_only_where_the_host_has_it(self) -> None:
        programs = [os.path.realpath(path) for path in ("/usr/bin/true", "/bin/sh", "/usr/bin/python3")]
        runs = "".join(
            f'run {{ name: "r{i}" program: "{path}" confinement: BEST_EFFORT }}' for i, path in enumerate(programs)
        )
        self.start(role(runs + "quota { processes: 100 spawns { per_second: 1000 } }"))
        caller = Caller(self.unix_channel()).open()
        for name in ("true", "sh", "false"):
            (self.folder / name).symlink_to("/usr/bin/true")
        for name in ("true", "/bin/sh", "sh", "/usr/bin/python3", "python3", *programs, f"{self.folder}/true"):
            with self.subTest(name):
                caller.run(name)
        for name in ("sh", "false"):
            with self.subTest(name):
                error = self.assert_code(DENIED, caller.run, f"{self.folder}/{name}")
                self.assertEqual(self.record_of(error)["rule"], "builtin/bad_name")
        caller.run_shell()
        caller.run_shell(executable=b"/bin/sh")
        for name in (*programs, f"{self.folder}/sh"):
            with self.subTest(f"shell {name}"):
                self.assert_code(DENIED, lambda name=name: caller.run_shell(executable=name.encode()))
        caller.close()


class IdentityTest(PolicyTestCase):
    def test_who_is_nobody_or_not_who_they_say(self) -> None:
        self.start(role(GRANTS), "--refuse-after-failures=false")
        wrong = {
            "nothing": Caller(self.channel()),
            "a wrong token": Caller(self.channel(), TOKEN + "x"),
            "two SPIFFE IDs": Caller(self.channel("two")),
            "no SPIFFE ID": Caller(self.channel("nameless")),
            "another's token beside a certificate": Caller(self.channel("client"), TOKEN),
            "a token beside a socket's principal": Caller(self.unix_channel(), TOKEN),
            "an expired JWT": Caller(self.channel(), self.jwt(exp=int(time.time()) - 3600)),
            "a JWT for others": Caller(self.channel(), self.jwt(aud="others")),
            "a JWT of another issuer": Caller(self.channel(), self.jwt(iss="https://others.test")),
            "a JWT that was changed": Caller(self.channel(), self.jwt()[:-8] + "AAAAAAAA"),
        }
        for what, caller in wrong.items():
            with self.subTest(what):
                error = self.assert_code(UNAUTHENTICATED, caller.open)
                self.assertNotIn(TOKEN, error.details())
        with self.subTest("a certificate of another authority"):
            self.assert_code(grpc.StatusCode.UNAVAILABLE, Caller(self.channel("stranger")).open)

    def test_every_method_needs_credentials_and_a_role(self) -> None:
        """By the descriptors: a method that is added is tested."""
        self.start(role(""), "--refuse-after-failures=false")
        nobody, powerless = Caller(self.channel()), Caller(self.channel(), TOKEN)
        methods = 0
        for file in (event_loop_pb2, transport_pb2, admin_pb2, subprocess_pb2, unix_pb2):
            for service in file.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    if method.client_streaming:
                        continue
                    methods += 1
                    path = f"/{service.full_name}/{method.name}"
                    for caller, code in ((nobody, UNAUTHENTICATED), (powerless, DENIED)):
                        kind = caller.channel.unary_stream if method.server_streaming else caller.channel.unary_unary
                        with self.subTest(f"{path} {code}"):
                            answer = kind(path)
                            self.assert_code(
                                code,
                                lambda answer=answer, caller=caller: list(
                                    answer(b"", metadata=caller.metadata, timeout=TIMEOUT)
                                ),
                            )
        self.assertGreater(methods, 30)
        for caller, code in ((nobody, UNAUTHENTICATED), (powerless, DENIED)):
            stream = caller.loop.Session(iter(()), metadata=caller.metadata, timeout=TIMEOUT)
            self.assert_code(code, list, stream)

    def test_another_principals_session_does_not_exist(self) -> None:
        self.start(role(GRANTS))
        callers = self.callers()
        owner, other = callers["token"].open(), callers["certificate"].open()
        transport_id = owner.connect("127.0.0.1", self.port)
        mine, other.session_id = other.session_id, owner.session_id
        theirs = self.assert_code(NOT_FOUND, other.set_option, transport_id)
        self.assert_code(NOT_FOUND, other.close)
        other.session_id = "0" * 32
        nobodys = self.assert_code(NOT_FOUND, other.set_option, transport_id)
        self.assertEqual(theirs.details(), nobodys.details())
        owner.set_option(transport_id)
        other.session_id = mine
        other.close()
        owner.close()


class AddressTest(PolicyTestCase):
    """What leads somewhere else than it seems is judged by where it leads."""

    def test_spellings_of_loopback(self) -> None:
        """Only a private network is granted, and loopback is not that, however it is written."""
        self.start(role('connect { name: "c" protocols: TCP to { classes: [PRIVATE, GLOBAL] any_port: true } }'))
        caller = self.callers()["token"].open()
        for host in (
            "127.0.0.1", "0", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0.0.0.0", "localhost", "::1", "::",
            "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1",
        ):  # fmt: skip
            with self.subTest(host):
                self.assert_code(DENIED, caller.connect, host, self.port)
        self.listener.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.listener.accept()
        caller.close()

    def test_spellings_of_the_metadata_service(self) -> None:
        """Everything is granted but what must be named. Nothing is sent: the refusal comes at once."""
        grants = 'connect { name: "c" protocols: TCP to { cidrs: ["0.0.0.0/0", "::/0"] any_port: true } }'
        self.start(role(grants))
        caller = self.callers()["token"].open()
        for host in (
            "169.254.169.254", "0xa9fea9fe", "2852039166", "169.254.43518", "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200",
        ):  # fmt: skip
            with self.subTest(host):
                self.assert_code(DENIED, caller.connect, host, 80)
        classes = {record["resource"].get("class") for record in self.audit() if record.get("decision") == "deny"}
        self.assertEqual(classes, {"METADATA"})
        caller.close()

    def test_the_service_itself(self) -> None:
        service = self.start(role(GRANTS))
        caller = self.callers()["token"].open()
        host, port = service.targets[1].rsplit(":", 1)
        for spelling in (host, "localhost", "0.0.0.0", "127.9.9.9", "::ffff:127.0.0.1"):
            with self.subTest(spelling):
                self.assert_code(DENIED, caller.connect, spelling, int(port))
        caller.close()

    def test_the_client_is_not_told_where_a_name_leads(self) -> None:
        self.start(role(OTHER_GRANTS))
        caller = self.callers()["token"].open()
        error = self.assert_code(DENIED, caller.connect, "localhost", self.port)
        self.assertNotIn("127.0.0.1", error.details())
        self.assertIn("audit log", error.details())
        caller.close()


class ReloadTest(PolicyTestCase):
    def revoked(self, count: int) -> list[dict]:
        """The records, in order, of what is revoked; waits for `count` of them."""

        def found() -> list[dict]:
            return [record for record in self.audit() if record["event"] == "transport.revoke"]

        eventually(lambda: len(found()) >= count, f"{count} end")
        return found()

    def accept_tls(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificates / "server.pem", self.certificates / "server.key")
        tcp = self.enterContext(self.listener.accept()[0])
        tcp.settimeout(TIMEOUT)
        return self.enterContext(context.wrap_socket(tcp, server_side=True))

    def with_a_tls_peer(self, start) -> object:
        """What `start()` returns, while a server waits for its handshake."""
        peer = threading.Thread(target=self.accept_tls)
        peer.start()
        try:
            return start()
        finally:
            peer.join()

    def test_what_is_no_longer_allowed_ends(self) -> None:
        self.start(role(GRANTS))
        caller = self.callers()["token"].open()
        caller.connect("127.0.0.1", self.port)
        peer = self.enterContext(self.listener.accept()[0])
        peer.settimeout(TIMEOUT)
        server = caller.listen("127.0.0.1")
        self.write_policy(role(GRANTS) + 'deny { name: "d" connect { classes: LOOPBACK } }')
        self.assertEqual(peer.recv(1), b"")
        socket.create_connection((server.host, server.port), TIMEOUT).close()  # Listening is still granted.
        self.assert_code(DENIED, caller.connect, "127.0.0.1", self.port)
        self.write_policy(role(""))
        eventually(lambda: any(record["event"] == "session.close" for record in self.audit()), "the session ends")
        self.assert_code(DENIED, caller.connect, "127.0.0.1", self.port)
        self.assertIn("transport.revoke", {record["event"] for record in self.audit()})

    def test_a_connection_whose_peer_has_another_name_ends_too(self) -> None:
        """Who connects to 0.0.0.0 is told that its peer is 127.0.0.1."""
        self.start(role(GRANTS.replace("classes: LOOPBACK any_port", "classes: WILDCARD any_port")))
        caller = self.callers()["token"].open()
        caller.connect("0.0.0.0", self.port)
        peer = self.enterContext(self.listener.accept()[0])
        peer.settimeout(TIMEOUT)
        self.write_policy(role(OTHER_GRANTS))
        self.assertEqual(peer.recv(1), b"")
        caller.close()

    def test_how_a_transport_is_set_up_is_asked_again(self) -> None:
        settings = {
            "unverified": "unverified_tls: true",
            "own_trust": "own_trust: true",
            "identity:server": 'tls_identities: "server"',
            **{
                name: f'options: "{name}"'
                for name in ("SO_KEEPALIVE", "SO_REUSEPORT", "SO_BROADCAST", "IP_ADD_MEMBERSHIP")
            },
        }
        grants = GRANTS[: GRANTS.index("  option")].replace("protocols: TCP on", "protocols: [TCP, UDP] on")

        def policy() -> str:
            options = "".join(f'option {{ name: "o{i}" {grant} }} ' for i, grant in enumerate(settings.values()))
            return role(grants + options)

        pem, key = (self.certificates / f"server{end}" for end in (".pem", ".key"))
        self.start(policy(), f"--tls-identity=server={pem},{key}")
        caller = self.callers()["token"].open()
        ca = (self.certificates / "ca.pem").read_text()
        unverified = {"verify_mode": tls_pb2.TLS_VERIFY_MODE_NONE}
        trusting = {"trust_roots_pem": ca, "server_hostname": "127.0.0.1"}

        plain = caller.connect("127.0.0.1", self.port)
        plain_peer = self.enterContext(self.listener.accept()[0])
        started = caller.connect("127.0.0.1", self.port)
        self.with_a_tls_peer(lambda: caller.start_tls(started, **trusting))
        server = caller.serve("127.0.0.1", tls={"identity": "server"})
        client = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        address = (server.sockets[0].host, server.sockets[0].port)
        accepted = self.enterContext(client.wrap_socket(socket.create_connection(address, TIMEOUT), server_hostname=address[0]))
        keepalive = caller.connect("127.0.0.1", self.port)
        self.enterContext(self.listener.accept()[0])
        caller.set_option(keepalive)
        caller.set_option(keepalive)
        member, former = caller.endpoint(), caller.endpoint()
        for endpoint in (member, former):
            caller.join(endpoint)
        caller.leave(former)
        expected = {
            "unverified": [self.with_a_tls_peer(lambda: caller.connect("127.0.0.1", self.port, tls=unverified))],
            "own_trust": [started, self.with_a_tls_peer(lambda: caller.connect("127.0.0.1", self.port, tls=trusting))],
            # The connection that it accepted has the next id.
            "identity:server": [server.server_id, server.server_id + 1],
            "SO_KEEPALIVE": [keepalive],
            "SO_REUSEPORT": [caller.endpoint(reuse_port=True), caller.serve("127.0.0.1", reuse_port=True).server_id],
            "SO_BROADCAST": [caller.endpoint(allow_broadcast=True)],
            "IP_ADD_MEMBERSHIP": [member],
        }
        self.assertEqual(set(expected), set(settings))
        count = 0
        for name, transports in expected.items():
            del settings[name]
            self.write_policy(policy())
            ended = self.revoked(count + len(transports))[count:]
            self.assertEqual(sorted(record["transport"] for record in ended), sorted(transports), name)
            count += len(transports)
        self.assertEqual(accepted.recv(1), b"")
        # What has none of them lives.
        plain_peer.settimeout(TIMEOUT)
        caller.call(
            caller.transport.Write,
            transport_pb2.WriteRequest(session_id=caller.session_id, transport_id=plain, data=b"x"),
        )
        self.assertEqual(plain_peer.recv(1), b"x")
        caller.close()

    def test_what_is_under_way_ends_too(self) -> None:
        """A handshake that is not done when the policy changes, and a file that is being sent."""
        read = 'path { name: "f" uses: READ paths: "{folder}/file" } option { name: "t" unverified_tls: true }'
        (self.folder / "file").write_bytes(b"x" * (64 << 20))
        self.start(role(GRANTS + read))
        caller = self.callers()["token"].open()
        sender = caller.connect("127.0.0.1", self.port)
        reader = self.enterContext(self.listener.accept()[0])
        reader.settimeout(TIMEOUT)
        results: dict[str, grpc.RpcError | int] = {}

        def run(name: str, function, *arguments, **options) -> threading.Thread:
            def call() -> None:
                try:
                    results[name] = function(*arguments, **options)
                except grpc.RpcError as error:
                    results[name] = error

            thread = threading.Thread(target=call)
            thread.start()
            return thread

        threads = [run("sendfile", caller.sendfile, sender, f"{self.folder}/file")]
        self.assertEqual(reader.recv(1), b"x")
        threads.append(run("tls", caller.connect, "127.0.0.1", self.port, tls={"verify_mode": tls_pb2.TLS_VERIFY_MODE_NONE}))
        tcp = self.enterContext(self.listener.accept()[0])
        tcp.settimeout(TIMEOUT)
        self.write_policy(role(GRANTS))
        threads[0].join(TIMEOUT)
        self.assertEqual(results["sendfile"].code(), DENIED)
        self.assertEqual(self.revoked(1)[0]["resource"]["requested"], f"{self.folder}/file")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificates / "server.pem", self.certificates / "server.key")
        with self.assertRaises((ssl.SSLError, OSError)):  # Nobody is there any more.
            context.wrap_socket(tcp, server_side=True)
        threads[1].join(TIMEOUT)
        self.assertEqual(results["tls"].code(), DENIED)
        # A connection that is not made, by where it leads.
        self.hang(run, caller, "connect")
        self.write_policy(role(GRANTS) + 'deny { name: "d" connect { classes: LOOPBACK } }')
        eventually(lambda: "connect" in results, "it is answered")
        self.assertEqual(results["connect"].code(), DENIED)
        # And when the session itself ends.
        self.write_policy(role(GRANTS))
        eventually(lambda: sum(record["event"] == "policy.load" for record in self.audit()) >= 3, "it is read")
        self.hang(run, caller, "session")
        server = caller.serve("127.0.0.1")
        self.write_policy(role(""))
        eventually(lambda: "session" in results, "it is answered")
        self.assertEqual(results["session"].code(), DENIED)
        eventually(lambda: server.server_id in [record.get("transport") for record in self.revoked(0)], "it is recorded")

    def hang(self, run, caller: Caller, name: str) -> None:
        """A connection of which the peer keeps the handshake waiting."""
        run(name, caller.connect, "127.0.0.1", self.port, tls={"server_hostname": "a.test"})
        self.enterContext(self.listener.accept()[0])

    def test_start_tls_under_way_ends(self) -> None:
        option = 'option { name: "t" unverified_tls: true }'
        self.start(role(GRANTS + option))
        caller = self.callers()["token"].open()
        transport_id = caller.connect("127.0.0.1", self.port)
        peer = self.enterContext(self.listener.accept()[0])
        peer.settimeout(TIMEOUT)
        options = {"verify_mode": tls_pb2.TLS_VERIFY_MODE_NONE}
        codes: list[grpc.StatusCode] = []

        def start() -> None:
            codes.append(self.assert_code(DENIED, lambda: caller.start_tls(transport_id, **options)).code())

        thread = threading.Thread(target=start)
        thread.start()
        self.assertTrue(peer.recv(1))  # It has begun.
        self.write_policy(role(GRANTS))
        thread.join(TIMEOUT)
        self.assertEqual(codes, [DENIED])
        self.assertEqual(self.revoked(1)[0]["transport"], transport_id)
        caller.close()

    def test_a_port_that_was_picked_is_asked_about(self) -> None:
        grants = GRANTS.replace("protocols: TCP on", "protocols: [TCP, UDP] on")
        self.start(role(grants))
        caller = self.callers()["token"].open()
        server, other = caller.serve("127.0.0.1"), caller.serve("127.0.0.1")
        endpoint = caller.endpoint()
        state = transport_pb2.GetStateRequest(session_id=caller.session_id, transport_id=endpoint)
        port = caller.call(caller.transport.GetState, state).extra_info.sockname.port
        ports = f"ports {{ first: {server.sockets[0].port} last: {server.sockets[0].port} }} ports {{ first: {port} last: {port} }}"
        self.write_policy(role(grants) + f'deny {{ name: "d" listen {{ classes: LOOPBACK {ports} }} }}')
        ended = sorted(record["transport"] for record in self.revoked(2))
        self.assertEqual(ended, sorted((server.server_id, endpoint)))
        socket.create_connection((other.sockets[0].host, other.sockets[0].port), TIMEOUT).close()
        caller.close()

    def test_what_a_server_accepted_ends_with_it(self) -> None:
        grants = GRANTS + 'admin { name: "a" methods: "ListTransports" }'
        self.start(role(grants))
        caller = self.callers()["token"].open()
        path = f"{self.folder}/server"
        caller.listen_unix(path)
        client = self.enterContext(socket.socket(socket.AF_UNIX))
        client.settimeout(TIMEOUT)
        client.connect(path)
        eventually(lambda: caller.transport_count() == 2, "it is accepted")
        self.write_policy(role(grants.replace("[CONNECT, LISTEN]", "[CONNECT]")))
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(len({record["transport"] for record in self.revoked(2)}), 2)
        self.assertFalse({"server.close", "transport.close"} & {record["event"] for record in self.audit()})
        caller.close()

    def test_a_program_that_may_do_less_now_ends(self) -> None:
        def grant(name: str, more: str) -> str:
            path = f"/usr/bin/{name}"
            return f'run {{ name: "{name}" program: "{path}" confinement: BEST_EFFORT {more} }}'

        host, out = "network: HOST ", 'write: "{folder}/"'
        self.start(role(grant("cat", out) + grant("head", host) + grant("tail", host) + grant("tee", host + out)))
        caller = self.callers()["token"].open()
        # Those that stay first: they are looked at before the others.
        for name in ("cat", "head", "tail", "tee"):
            caller.run(f"/usr/bin/{name}")
        wider, limited = host + out, host + " limits { wall_time { seconds: 3600 } }"
        self.write_policy(role(grant("cat", wider) + grant("head", limited) + grant("tail", "") + grant("tee", host)))

        def revoked() -> list[str]:
            records = (record for record in self.audit() if record["event"] == "transport.revoke")
            return sorted(record["resource"]["requested"] for record in records)

        eventually(lambda: len(revoked()) >= 2, "they end")
        self.assertEqual(revoked(), ["/usr/bin/tail", "/usr/bin/tee"])
        caller.close()

    def test_a_bad_file_changes_nothing(self) -> None:
        service = self.start(role(GRANTS))
        caller = self.callers()["token"].open()
        self.policy.write_text('version: "v1" role { nonsense')
        eventually(lambda: any(record["event"] == "policy.reject" for record in self.audit()), "it is noticed")
        caller.connect("127.0.0.1", self.port)
        caller.close()
        self.assertIn("policy.txtpb:1:", service.stderr())

    def test_a_bad_shadow_policy_keeps_no_revocation_from_the_real_one(self) -> None:
        shadow = self.folder / "shadow.txtpb"
        shadow.write_text('version: "v1"')
        self.start(role(GRANTS), f"--shadow-policy={shadow}")

        def told(event: str) -> list[str]:
            return [record["resource"]["path"] for record in self.audit() if record["event"] == event]

        caller = self.callers()["token"].open()
        caller.connect("127.0.0.1", self.port)
        peer = self.enterContext(self.listener.accept()[0])
        peer.settimeout(TIMEOUT)
        shadow.write_text('version: "v1" role { nonsense')
        eventually(lambda: told("policy.reject"), "it is noticed")
        self.write_policy(role(OTHER_GRANTS))
        self.assertEqual(peer.recv(1), b"")
        self.assert_code(DENIED, caller.connect, "127.0.0.1", self.port)
        self.assertEqual(set(told("policy.reject")), {str(shadow)})
        self.assertEqual(told("policy.load"), [str(self.policy)])
        shadow.write_text('version: "v1" role { name: "new" }')
        eventually(lambda: str(shadow) in told("policy.load"), "a new one alone is read")
        hashes = {record["policy"]["sha256"] for record in self.audit() if record["event"] == "policy.load"}
        self.assertEqual(len(hashes), 2)
        caller.close()

    def test_a_bad_policy_keeps_a_new_shadow_from_nothing(self) -> None:
        shadow = self.folder / "shadow.txtpb"
        shadow.write_text('version: "v1"')
        self.start(role(GRANTS), f"--shadow-policy={shadow}")
        self.policy.write_text('version: "v1" role { nonsense')
        eventually(lambda: any(record["event"] == "policy.reject" for record in self.audit()), "it is noticed")
        shadow.write_text('version: "v1" role { name: "new" }')
        eventually(lambda: any(record["event"] == "policy.load" for record in self.audit()), "it is read")

    def test_keep(self) -> None:
        self.start(role(GRANTS), "--policy-reload=keep")
        caller = self.callers()["token"].open()
        caller.connect("127.0.0.1", self.port)
        self.write_policy(role(GRANTS) + 'deny { name: "d" connect { classes: LOOPBACK } }')
        eventually(lambda: sum(record["event"] == "policy.load" for record in self.audit()) > 0, "it is read")
        self.assert_code(DENIED, caller.connect, "127.0.0.1", self.port)
        self.assertNotIn("transport.revoke", {record["event"] for record in self.audit()})
        # How much an open session may is of the new one.
        self.write_policy(role(GRANTS + "quota { session_age { nanos: 200000000 } }"))
        eventually(lambda: any(record["event"] == "session.expire" for record in self.audit()), "it expires")

    def test_a_key_set_that_comes_later(self) -> None:
        self.start(role(GRANTS))

        def count(event: str) -> int:
            return sum(record["event"] == event for record in self.audit())

        self.write_policy(role(GRANTS), ("later:test",))
        eventually(lambda: count("policy.load") > 0, "it is read")
        (self.folder / "later").mkdir()
        text = (self.folder / "identities").read_text()
        (self.folder / "new").write_text(text.replace("/keys", "/later/keys").replace('"jwt:"', '"later:"'))
        (self.folder / "new").rename(self.folder / "identities")
        eventually(lambda: count("identities.reject") > 0, "it is missing")
        loads = count("identities.load")
        (self.folder / "later" / "keys").write_bytes((self.folder / "keys").read_bytes())
        eventually(lambda: count("identities.load") > loads, "it is read")
        Caller(self.channel(), self.jwt()).open().close()

    def test_hangup_opens_the_audit_log_again(self) -> None:
        service = self.start(role(GRANTS))
        self.callers()["token"].open().close()
        (self.folder / "audit").rename(self.folder / "audit.1")
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: (self.folder / "audit").exists(), "there is a new one")
        self.callers()["token"].open().close()
        eventually(lambda: "session.open" in (self.folder / "audit").read_text(), "it is written")


class QuotaTest(PolicyTestCase):
    def test_each_is_a_bound_and_comes_back(self) -> None:
        self.start(role(GRANTS + "quota { sessions: 1 transports: 3 listeners: 1 }"))
        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        callers = self.callers()
        caller = callers["token"]
        for _ in range(3):
            caller.open()
            self.assert_code(exhausted, Caller(self.channel(), TOKEN).open)
            callers["jwt"].open().close()  # Another principal has its own.
            caller.listen("127.0.0.1")
            self.assert_code(exhausted, caller.listen, "127.0.0.1")
            caller.connect("127.0.0.1", self.port)
            caller.connect("127.0.0.1", self.port)
            self.assert_code(exhausted, caller.connect, "127.0.0.1", self.port)
            caller.close()

    def test_what_programs_leave_gives_its_places_back(self) -> None:
        run = 'run { name: "d" program: "/usr/bin/dash" args_regex: ".*" confinement: BEST_EFFORT }'
        self.start(role(GRANTS + run + "quota { transports: 1 }"))
        caller = self.callers()["token"].open()
        for _ in range(4):
            program = eventually(lambda: self.begin(caller), "there is room")
            request = transport_pb2.CloseRequest(session_id=caller.session_id, transport_id=program)
            caller.call(caller.transport.Close, request)
        caller.close()

    def begin(self, caller: Caller) -> int | None:
        """A program with children and without pipes, or None: there is no room for it."""
        nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess_pb2.STDIO_NULL)
        try:
            return caller.run("/usr/bin/dash", ("-c", "sleep 100 & sleep 100 & wait"), **nothing)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            return None

    def test_a_session_expires(self) -> None:
        self.start(role(GRANTS + "quota { session_idle { nanos: 200000000 } }"))
        self.callers()["token"].open()
        eventually(lambda: any(record["event"] == "session.expire" for record in self.audit()), "it expires")


if __name__ == "__main__":
    harness.main()
