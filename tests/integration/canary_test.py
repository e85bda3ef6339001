"""What the policy forbids is never sent: no packet of it is seen, at whatever spelling, name or moment.

In a network namespace of its own, where canaries sit at the real addresses: own_network.py, canary.py.
"""

import ipaddress
import resource
import socket
import ssl
import subprocess
import unittest
from dataclasses import dataclass
from pathlib import Path

import canary
import harness
import own_network
from canary import Canary, Packet, Witness
from client import ServiceError, StreamSession
from harness import eventually
from name_server import NameServer
from own_network import GLOBAL, NAME_SERVER, PRIVATE
from policy_test import PolicyTestCase, role
from transportd.v1 import datagram_pb2, event_loop_pb2, socket_pb2, tls_pb2, transport_pb2, types_pb2

NO_NETWORK = "this program does not run in a network namespace of its own"  # Until `main`.

QUOTA = """quota {
  transports: 1000 listeners: 100
  connects { per_second: 100000 burst: 100000 } resolutions { per_second: 100000 burst: 100000 }
}"""
GLOBAL_ONLY = """
connect { name: "global" protocols: [TCP, UDP] to { classes: GLOBAL any_port: true } }
option { name: "tls" own_trust: true options: "SO_BROADCAST" }
"""
ALL_CLASSES = (
    "[METADATA, WILDCARD, LOOPBACK, LINK_LOCAL, PRIVATE, CGNAT, MULTICAST, BROADCAST, V4_EMBEDDED, RESERVED, GLOBAL]"
)
EVERYTHING = f"""
connect {{ name: "all" protocols: [TCP, UDP] to {{ classes: {ALL_CLASSES} any_port: true }} }}
option {{ name: "tls" own_trust: true options: "SO_BROADCAST" }}
"""


@dataclass(frozen=True)
class Forbidden:
    """How a client may write an address, and where that leads."""

    spelling: str
    leads_to: str


FORBIDDEN = [
    # The host itself.
    *(Forbidden(each, "127.0.0.1") for each in (
        "0", "0.0.0.0", "0x0", "00", "127.0.0.1", "127.1", "127.0.1", "0x7f000001", "0x7F.1", "2130706433", "0177.0.0.1",
        "017700000001", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:0001", "::ffff:0.0.0.0", "localhost",
    )),
    *(Forbidden(each, "::1") for each in ("::", "::1", "0:0:0:0:0:0:0:1", "::0001")),
    Forbidden("127.9.9.9", "127.9.9.9"),
    # Where clouds hand out credentials.
    *(Forbidden(each, "169.254.169.254") for each in (
        "169.254.169.254", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe",
    )),
    *(Forbidden(each, str(ipaddress.ip_address(each))) for each in (
        "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:0ec2:0000::0254",
        # NAT64, 6to4, Teredo (client and server), ISATAP, IPv4-compatible: each with an IPv4 address inside.
        "64:ff9b::a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "2002:7f00:1::", "2001:0:a9fe:a9fe::1", "2001:0:5db8:d822::5601:5601", "2606:2800:220:1:0:5efe:a9fe:a9fe",
        "2606:2800:220:1:200:5efe:7f00:1", "::169.254.169.254", "::127.0.0.1",
        # Networks of others.
        "10.1.2.3", "10.255.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1", "100.127.255.254",
        "169.254.0.1", "fd12:3456:789a::1", "fc00::1", "fec0::1", "0.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.10",
        "203.0.113.1", "192.88.99.1", "240.0.0.1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "::ffff:0:a9fe:a9fe",
    )),
    Forbidden("fe80::1%lo", "fe80::1"),
    Forbidden("fe80::1%1", "fe80::1"),
]  # fmt: skip
# No stream goes there; datagrams do.
GROUPS = [
    Forbidden(each, each)
    for each in ("224.0.0.1", "239.1.2.3", "255.255.255.255", "127.255.255.255", "ff0e::1:2")
]  # fmt: skip


class CanaryTestCase(PolicyTestCase):
    """A witness, a canary and a name server; the service's own client comes by a Unix socket, which makes no packets."""

    @classmethod
    def setUpClass(cls) -> None:
        if NO_NETWORK:
            raise unittest.SkipTest(NO_NETWORK)
        super().setUpClass()
        cls.make_certificate("canary", "ca", "DNS:canary.test")

    def setUp(self) -> None:
        super().setUp()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificates / "canary.pem", self.certificates / "canary.key")
        self.canary = self.enterContext(Canary(tls))
        self.names = self.enterContext(NameServer(NAME_SERVER))

    def open(self, grants: str, *flags: str) -> StreamSession:
        """A service with this policy, and a session; the witness begins."""
        self.start(role(grants + QUOTA), *flags)
        session = self.enterContext(StreamSession("", channel=self.unix_channel()))
        self.witness = self.enterContext(Witness())
        return session

    def strays(self) -> set[Packet]:
        """Packets that are neither the name server's nor between allowed addresses. One end is not enough: what is sent
        to a forbidden address comes from an allowed one, which the kernel chooses."""
        return {each for each in self.packets() if not {each.source, each.destination} <= set(GLOBAL.values())}

    def assert_only_global(self, what: str = "") -> None:
        self.assertEqual(self.strays(), set(), what)

    def packets(self) -> set[Packet]:
        """Without those of the name server."""
        return {each for each in self.witness.packets() if NAME_SERVER not in (each.source, each.destination)}

    def refused(self, leads_to: str, function, *arguments, said: str = "") -> types_pb2.TransportError:
        """Denied, without a word about where it would have led, and without a packet."""
        with self.assertRaises(ServiceError) as raised:
            function(*arguments)
        error = raised.exception.error
        for each in (error, *error.causes):
            self.assertEqual((each.reason, each.code), ("POLICY_DENIED", 7), error)
        if leads_to not in said:
            self.assertNotIn(leads_to, str(error))
        self.assert_only_global(said)
        return error

    def connect(self, session: StreamSession, host: str, port: int = 0, **options) -> int:
        remote = types_pb2.HostPort(host=host, port=port or self.canary.port)
        return session.call(event_loop_pb2.CreateConnectionRequest(remote=remote, **options)).transport_id

    def tls(self) -> tls_pb2.TlsOptions:
        roots = (self.certificates / "ca.pem").read_text()
        return tls_pb2.TlsOptions(trust_roots_pem=roots, server_hostname="canary.test")

    def connect_tls(self, session: StreamSession, host: str) -> int:
        return self.connect(session, host, self.canary.tls_port, tls=self.tls())

    def connect_at_once(self, session: StreamSession, host: str) -> int:
        return self.connect(session, host, happy_eyeballs_delay={})

    def endpoint(self, session: StreamSession, host: str = "", **options) -> int:
        if host:
            options["remote"] = types_pb2.HostPort(host=host, port=self.canary.udp_port)
        return session.call(datagram_pb2.CreateDatagramEndpointRequest(**options)).transport_id

    def datagram(self, host: str = "", data: bytes = b"ping") -> datagram_pb2.Datagram:
        """`host` is numeric, as a datagram's is."""
        if not host:
            return datagram_pb2.Datagram(data=data)
        address, _, scope = host.partition("%")
        family = types_pb2.ADDRESS_FAMILY_INET6 if ":" in address else types_pb2.ADDRESS_FAMILY_INET
        return datagram_pb2.Datagram(
            data=data,
            address=types_pb2.SocketAddress(
                family=family, host=address, port=self.canary.udp_port, scope_id=socket.if_nametoindex("lo") if scope else 0
            ),
        )  # fmt: skip

    def send(self, session: StreamSession, transport_id: int, *datagrams: datagram_pb2.Datagram) -> None:
        """All in one frame; over, when all are sent or dropped."""
        session.send(
            commands=[event_loop_pb2.Command(transport_id=transport_id, sendto=each) for each in datagrams[:-1]]
        )
        session.call(datagram_pb2.SendToRequest(transport_id=transport_id, datagram=datagrams[-1]))

    def assert_arrived(self, session: StreamSession, transport_id: int, address: str) -> None:
        """The connection leads there, and is a connection."""
        line = canary.arrival(address)
        seen = session.seen(transport_id)
        session.wait(lambda: b"\n" in seen.data or seen.lost, "a line")
        self.assertEqual(bytes(seen.data), line)
        session.write(transport_id, b"pong")
        session.wait_data(transport_id, line + b"pong")
        self.abort(session, transport_id)

    def assert_answered(self, session: StreamSession, transport_id: int, address: str, count: int = 1) -> None:
        seen = session.seen(transport_id)
        session.wait(lambda: len(seen.datagrams) >= count, f"{count} datagrams from {address}")
        self.assertEqual([each.data for each in seen.datagrams], [canary.arrival(address)] * count)

    def abort(self, session: StreamSession, transport_id: int) -> None:
        session.call(transport_pb2.AbortRequest(transport_id=transport_id))
        session.wait_lost(transport_id)

    def assert_endpoint_reaches(self, session: StreamSession, host: str, address: str) -> None:
        """A datagram of an endpoint that is connected to `host`: that address alone, and it answers."""
        endpoint = self.endpoint(session, host)
        self.send(session, endpoint, self.datagram())
        self.assert_answered(session, endpoint, address)
        self.assert_only_global()


class ConnectTest(CanaryTestCase):
    """Every spelling, by every way that a stream or an endpoint is connected."""

    def test_what_is_allowed_works(self) -> None:
        session = self.open(GLOBAL_ONLY)
        for address in GLOBAL.values():
            for connect in (self.connect, self.connect_tls, self.connect_at_once):
                with self.subTest(f"{connect.__name__} {address}"):
                    self.assert_arrived(session, connect(session, address), address)
                    self.assert_only_global()
            with self.subTest(f"endpoint {address}"):
                self.assert_endpoint_reaches(session, address, address)

    def test_every_spelling(self) -> None:
        session = self.open(GLOBAL_ONLY)
        for each in FORBIDDEN:
            for connect in (self.connect, self.connect_tls, self.connect_at_once, self.endpoint):
                with self.subTest(f"{connect.__name__} {each.spelling}"):
                    self.refused(each.leads_to, connect, session, each.spelling, said=each.spelling)

    def test_hosts_do_not_name_addresses(self) -> None:
        """`hosts` opens names, and a number is none."""
        grants = 'connect { name: "hosts" protocols: [TCP, UDP] to { hosts: ["*.test", "localhost"] any_port: true } }'
        session = self.open(grants)
        for each in FORBIDDEN:
            with self.subTest(each.spelling):
                self.refused(each.leads_to, self.connect, session, each.spelling, said=each.spelling)

    def test_networks_do_not_open_what_must_be_named(self) -> None:
        session = self.open("""connect {
          name: "all" protocols: [TCP, UDP] to { cidrs: ["0.0.0.0/0", "::/0"] any_port: true }
        }""")
        for each in FORBIDDEN:
            if not is_metadata(each.leads_to):
                continue
            for connect in (self.connect, self.endpoint):
                with self.subTest(f"{connect.__name__} {each.spelling}"):
                    self.refused(each.leads_to, connect, session, each.spelling, said=each.spelling)

    def test_a_denial_also_closes_what_embeds_it(self) -> None:
        session = self.open(EVERYTHING)
        self.write_policy(
            role(EVERYTHING + QUOTA) + """deny { name: "d" connect { cidrs: ["169.254.0.0/16", "127.0.0.0/8"] } }"""
        )
        eventually(lambda: any(each["event"] == "policy.load" for each in self.audit()), "it is read")
        for each in FORBIDDEN:
            if each.spelling != "localhost" and embedded(each.leads_to) & {"127.0.0.1", "169.254.169.254"}:
                with self.subTest(each.spelling):
                    self.refused(each.leads_to, self.connect, session, each.spelling, said=each.spelling)

    def test_the_local_end(self) -> None:
        """To bind an address is a grant of its own, also for a connection."""
        session = self.open(GLOBAL_ONLY)
        for host in (PRIVATE[4], "127.0.0.1", "0x7f000001", GLOBAL[4]):
            with self.subTest(host):
                local = types_pb2.HostPort(host=host)
                with self.assertRaises(ServiceError) as raised:
                    self.connect(session, GLOBAL[4], local=local)
                self.assertEqual(raised.exception.reason, "POLICY_DENIED")
                self.assertEqual(self.packets(), set())


class SelfTest(CanaryTestCase):
    """The service's own port, at whatever address of this host; all else is granted."""

    GRANTS = """
    connect { name: "all" protocols: [TCP, UDP] to { cidrs: ["0.0.0.0/0", "::/0"] any_port: true } }
    option { name: "tls" own_trust: true }
    """
    SPELLINGS = (
        "0", "0.0.0.0", "127.0.0.1", "127.1", "127.9.9.9", "2130706433", "localhost", "::ffff:127.0.0.1",
        PRIVATE[4], "10.66051", f"::ffff:{PRIVATE[4]}", GLOBAL[4], f"::ffff:{GLOBAL[4]}", "here.test",
        "::", "::1", PRIVATE[6], GLOBAL[6], "here6.test", f"64:ff9b::{PRIVATE[4]}", "2002:a01:203::1",
    )  # fmt: skip

    def open_wide(self, grants: str) -> tuple[StreamSession, list[int]]:
        session = self.open(grants, "--listen=0.0.0.0:0", "--listen=[::]:0")
        self.names.tell("here.test", [PRIVATE[4]])
        self.names.tell("here6.test", [PRIVATE[6]])
        return session, [int(target.rsplit(":", 1)[1]) for target in self.service.targets[1:]]

    def test_every_spelling(self) -> None:
        session, ports = self.open_wide(self.GRANTS)
        for port in ports:
            for host in self.SPELLINGS:
                for options in ({}, {"happy_eyeballs_delay": {}}, {"tls": self.tls()}):
                    with self.subTest(f"{host} {options}"):
                        with self.assertRaises(ServiceError) as raised:
                            self.connect(session, host, port, **options)
                        self.assertEqual(raised.exception.reason, "POLICY_DENIED")
                        self.assertEqual(self.packets(), set())
        # Any other port is granted.
        self.assert_arrived(session, self.connect(session, PRIVATE[4]), PRIVATE[4])

    def test_an_address_that_the_host_gets_later(self) -> None:
        session, ports = self.open_wide(self.GRANTS)
        address = "203.0.113.7"

        def is_refused() -> bool:
            try:
                self.abort(session, self.connect(session, address, ports[-2]))
            except ServiceError as error:
                return error.reason == "POLICY_DENIED"
            return False

        self.assertFalse(is_refused())  # Only a route leads there.
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
        self.addCleanup(subprocess.run, ["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=True)
        eventually(is_refused, "it is SELF")
        self.packets()
        self.assertTrue(is_refused())
        self.assertEqual(self.packets(), set())

    def test_an_address_that_cannot_be_looked_at(self) -> None:
        """For want of descriptors: it is tried again, with nobody's help."""
        if "undefined" in harness.SANITIZER:
            self.skipTest("the sanitizer's own check of an object's type needs a pipe, and fails without")
        session, ports = self.open_wide(self.GRANTS)
        address = "203.0.113.8"
        pid = self.service.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
        self.addCleanup(subprocess.run, ["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=True)
        eventually(lambda: "SELF: getifaddrs: " in self.service.stderr(), "it fails")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

        def is_refused() -> bool:
            try:
                self.abort(session, self.connect(session, address, ports[-2]))
            except ServiceError as error:
                return error.reason == "POLICY_DENIED"
            return False

        eventually(is_refused, "it is SELF")

    def test_named_it_is_reached(self) -> None:
        classes = ALL_CLASSES.replace("[", "[SELF, ")
        grants = f'connect {{ name: "self" protocols: TCP to {{ classes: {classes} any_port: true }} }}'
        session, ports = self.open_wide(grants)
        for host in self.SPELLINGS:
            is_v4 = host.startswith("::ffff:") or (":" not in host and host != "here6.test")
            port = ports[-2 if is_v4 else -1]
            with self.subTest(host):
                self.packets()
                transport_id = self.connect(session, host, port)
                self.assertIn(port, {each.destination_port for each in self.packets()})
                self.abort(session, transport_id)


class NameTest(CanaryTestCase):
    """Names that lead where they should not: the address is judged, and the judged address is dialled."""

    ADDRESSES = sorted({each.leads_to for each in FORBIDDEN if "%" not in each.spelling} | {"::ffff:169.254.169.254"})

    def test_a_name_of_a_forbidden_address(self) -> None:
        session = self.open(GLOBAL_ONLY)
        for number, address in enumerate(self.ADDRESSES):
            name = f"name{number}.test"
            self.names.tell(name, [address])
            for connect in (self.connect, self.connect_tls, self.connect_at_once, self.endpoint):
                with self.subTest(f"{connect.__name__} {address}"):
                    self.refused(address, connect, session, name)

    def test_a_granted_name_of_a_forbidden_address(self) -> None:
        grants = 'connect { name: "hosts" protocols: [TCP, UDP] to { hosts: "*.test" any_port: true } }'
        session = self.open(grants)
        for number, address in enumerate(self.ADDRESSES):
            name = f"name{number}.test"
            self.names.tell(name, [address])
            for connect in (self.connect, self.endpoint):
                with self.subTest(f"{connect.__name__} {address}"):
                    self.refused(address, connect, session, name)

    def test_an_alias_of_an_alias(self) -> None:
        session = self.open(GLOBAL_ONLY)
        self.names.alias("first.test", "second.test")
        self.names.alias("second.test", "third.test")
        for address in ("169.254.169.254", "fd00:ec2::254", "127.0.0.1", "10.1.2.3"):
            self.names.tell("third.test", [address])
            for connect in (self.connect, self.connect_tls, self.connect_at_once, self.endpoint):
                with self.subTest(f"{connect.__name__} {address}"):
                    self.refused(address, connect, session, "first.test")
        self.names.tell("third.test", [GLOBAL[4]])
        self.assert_arrived(session, self.connect(session, "first.test"), GLOBAL[4])

    def test_a_name_that_changes_between_resolutions(self) -> None:
        """What was judged is dialled: the name is not asked for again in between."""
        session = self.open(GLOBAL_ONLY)
        for number, forbidden in enumerate(("169.254.169.254", "127.0.0.1", "fd00:ec2::254", "10.1.2.3")):
            name = f"changing{number}.test"
            for connect in (self.connect, self.connect_tls, self.connect_at_once):
                with self.subTest(f"{connect.__name__} {forbidden}"):
                    self.names.tell(name, [GLOBAL[4]], [forbidden], [GLOBAL[4]], [forbidden])
                    self.names.queries()
                    self.assert_arrived(session, connect(session, name), GLOBAL[4])
                    self.assertCountEqual(self.names.queries(), [(name, 1), (name, 28)])
                    self.refused(forbidden, connect, session, name)
                    self.assert_arrived(session, connect(session, name), GLOBAL[4])
                    self.refused(forbidden, connect, session, name)
            with self.subTest(f"endpoint {forbidden}"):
                self.names.tell(name, [GLOBAL[4]], [forbidden])
                endpoint = self.endpoint(session, name)
                self.send(session, endpoint, self.datagram())
                self.assert_answered(session, endpoint, GLOBAL[4])
                self.send(session, endpoint, self.datagram())
                self.assert_answered(session, endpoint, GLOBAL[4], 2)
                self.assert_only_global()
                self.refused(forbidden, self.endpoint, session, name)

    def test_mixed_answers(self) -> None:
        """The allowed address is used, the others never: whichever comes first, and all at once."""
        session = self.open(GLOBAL_ONLY)
        options = ({}, {"happy_eyeballs_delay": {}}, {"happy_eyeballs_delay": {"nanos": 1000000}}, {"interleave": 1})
        mixtures = [
            [GLOBAL[4], "169.254.169.254"], ["169.254.169.254", GLOBAL[4]], ["fd00:ec2::254", GLOBAL[4]],
            [GLOBAL[6], "169.254.169.254"], ["10.1.2.3", "127.0.0.1", GLOBAL[4], "192.168.0.1"],
            ["64:ff9b::a9fe:a9fe", "::1", GLOBAL[6], "127.0.0.1"], ["::ffff:169.254.169.254", GLOBAL[4]],
        ]  # fmt: skip
        for number, mixture in enumerate(mixtures):
            name = f"mixed{number}.test"
            self.names.tell(name, mixture)
            allowed = next(each for each in mixture if each in GLOBAL.values())
            for option in options:
                with self.subTest(f"{mixture} {option}"):
                    self.assert_arrived(session, self.connect(session, name, **option), allowed)
                    self.assert_only_global()
            with self.subTest(f"{mixture} tls"):
                self.assert_arrived(session, self.connect_tls(session, name), allowed)
                self.assert_only_global()
            with self.subTest(f"{mixture} endpoint"):
                self.assert_endpoint_reaches(session, name, allowed)

    def test_the_allowed_one_does_not_answer(self) -> None:
        """Then the next in turn is asked about, and is not dialled either."""
        session = self.open(GLOBAL_ONLY)
        port = harness.free_port()
        for number, forbidden in enumerate(("169.254.169.254", "127.0.0.1", "10.1.2.3", "fd00:ec2::254")):
            name = f"silent{number}.test"
            self.names.tell(name, [GLOBAL[4], forbidden])
            for options in ({}, {"happy_eyeballs_delay": {}}):
                with self.subTest(f"{forbidden} {options}"):
                    with self.assertRaises(ServiceError) as raised:
                        self.connect(session, name, port, **options)
                    self.assertNotIn(forbidden, str(raised.exception.error))
                    reasons = {each.reason for each in raised.exception.error.causes}
                    self.assertEqual(reasons, {"ECONNREFUSED", "POLICY_DENIED"})
                    self.assert_only_global()

    def test_slow_names_of_one_principal_delay_no_other(self) -> None:
        session = self.open(GLOBAL_ONLY)
        token = self.callers()["token"]
        other = self.enterContext(StreamSession("", channel=token.channel, metadata=token.metadata))
        self.names.silence("slow.test")
        self.names.tell("fast.test", [GLOBAL[4]])
        remote = types_pb2.HostPort(host="slow.test", port=80)
        for _ in range(100):
            session.start(event_loop_pb2.CreateConnectionRequest(remote=remote))
        self.assert_arrived(session, self.connect(session, GLOBAL[4]), GLOBAL[4])  # All are asked for before.
        eventually(lambda: any(name == "slow.test" for name, _ in self.names.queries()), "it is asked for")
        for _ in range(10):
            self.assert_arrived(other, self.connect(other, "fast.test"), GLOBAL[4])
        self.names.tell("slow.test", [GLOBAL[4]])

    def test_the_name_server_is_not_asked_for_what_no_grant_names(self) -> None:
        """A question is a message, too."""
        session = self.open(
            'connect { name: "named" protocols: [TCP, UDP] to { hosts: "*.allowed.test" any_port: true } }'
        )
        self.names.tell("one.allowed.test", [GLOBAL[4]])
        self.assert_arrived(session, self.connect(session, "one.allowed.test"), GLOBAL[4])
        self.names.queries()
        info = socket_pb2.GetaddrinfoRequest
        for host in (
            "other.test", "allowed.test", "one.allowed.test.other.test", "xallowed.test", "127.0.0.1.other.test",
            "1.2.3.4%other.test", "1.2.3.4 other.test", "1%.other.test", "127.1 .test", "one.allowed.test%.other.test",
        ):  # fmt: skip
            for what, command in (
                ("getaddrinfo", lambda host=host: session.call(info(host=host.encode(), port=b"80"))),
                ("connect", lambda host=host: self.connect(session, host)),
                ("endpoint", lambda host=host: self.endpoint(session, host)),
                ("listen", lambda host=host: session.listen(host)),
            ):
                with self.subTest(f"{what} {host}"):
                    with self.assertRaises(ServiceError) as raised:
                        command()
                    self.assertEqual(raised.exception.reason, "POLICY_DENIED")
                    self.assertEqual(self.names.queries(), [])
        for host in ("10.1.2.3", "169.254.169.254", "fd00:ec2::254", GLOBAL[4]):
            family = types_pb2.ADDRESS_FAMILY_INET6 if ":" in host else types_pb2.ADDRESS_FAMILY_INET
            address = types_pb2.SocketAddress(family=family, host=host, port=80)
            with self.subTest(f"getnameinfo {host}"):
                with self.assertRaises(ServiceError) as raised:
                    session.call(socket_pb2.GetnameinfoRequest(address=address))
                self.assertEqual(raised.exception.reason, "POLICY_DENIED")
                self.assertEqual(self.names.queries(), [])
                named = session.call(socket_pb2.GetnameinfoRequest(address=address, flags=socket.NI_NUMERICHOST))
                self.assertEqual(named.host.decode(), host)
        for host in ("one.allowed.test", GLOBAL[4]):
            found = session.call(info(host=host.encode(), port=b"80"))
            self.assertEqual({each.address.host for each in found.infos}, {GLOBAL[4]})


def embedded(address: str) -> set[str]:
    """The address, and what it embeds, as far as the table has it."""
    parsed = ipaddress.ip_address(address)
    found = {address}
    if parsed.version == 6:
        found.add(str(ipaddress.IPv4Address(parsed.packed[-4:])))
        if parsed.sixtofour is not None:
            found.add(str(parsed.sixtofour))
        if parsed.teredo is not None:
            found.update(str(each) for each in parsed.teredo)
    return found


def is_metadata(address: str) -> bool:
    named = {
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    }  # fmt: skip
    return bool(embedded(address) & named)


class DatagramTest(CanaryTestCase):
    """Each datagram is judged by where it goes."""

    def any_endpoint(self, session: StreamSession, address: str) -> int:
        """Not connected; of the address's family."""
        family = types_pb2.ADDRESS_FAMILY_INET6 if ":" in address else types_pb2.ADDRESS_FAMILY_INET
        return self.endpoint(session, family=family, allow_broadcast=True)

    def test_every_datagram(self) -> None:
        session = self.open(GLOBAL_ONLY)
        spellings = {each.leads_to for each in FORBIDDEN} | {"0.0.0.0", "::", "::ffff:169.254.169.254", "fe80::1%lo"}
        spellings |= {each.spelling for each in GROUPS}
        for address in sorted(spellings):
            with self.subTest(address):
                endpoint = self.any_endpoint(session, address)
                self.send(session, endpoint, self.datagram(address))
                errors = session.seen(endpoint).errors
                session.wait(lambda errors=errors: errors, "error_received")
                self.assertEqual([each.reason for each in errors], ["POLICY_DENIED"])
                self.assert_only_global()
                allowed = GLOBAL[6 if ":" in address else 4]
                mixture = [allowed, address, allowed, address, address, allowed]
                self.send(session, endpoint, *(self.datagram(each) for each in mixture))
                self.assert_answered(session, endpoint, allowed, 3)
                session.wait(lambda errors=errors: len(errors) == 4, "an error for each")
                self.assert_only_global()
                self.abort(session, endpoint)

    def test_the_remote_end_of_one_that_is_not_connected(self) -> None:
        """With allow_broadcast the socket is not connected, and each datagram goes there by its own address."""
        session = self.open(GLOBAL_ONLY)
        self.names.tell("named.test", ["169.254.169.254"])
        for each in [*FORBIDDEN, *GROUPS, Forbidden("named.test", "169.254.169.254")]:
            with self.subTest(each.spelling):
                endpoint = self.endpoint(session, each.spelling, allow_broadcast=True)
                self.send(session, endpoint, self.datagram())
                errors = session.seen(endpoint).errors
                session.wait(lambda errors=errors: errors, "error_received")
                self.assertEqual([each.reason for each in errors], ["POLICY_DENIED"])
                self.assert_only_global()
                self.abort(session, endpoint)

    def test_a_new_policy_stops_the_next_datagram(self) -> None:
        session = self.open(EVERYTHING)
        endpoint = self.any_endpoint(session, PRIVATE[4])
        self.send(session, endpoint, self.datagram(PRIVATE[4]))
        self.assert_answered(session, endpoint, PRIVATE[4])
        self.packets()
        self.write_policy(role(GLOBAL_ONLY + QUOTA))
        eventually(lambda: any(each["event"] == "policy.load" for each in self.audit()), "it is read")
        self.send(session, endpoint, self.datagram(PRIVATE[4]))
        errors = session.seen(endpoint).errors
        session.wait(lambda: errors, "error_received")
        self.assertEqual(errors[0].reason, "POLICY_DENIED")
        self.assert_only_global()


class ListenTest(CanaryTestCase):
    GRANTS = f"""
    connect {{ name: "global" protocols: [TCP, UDP] to {{ classes: GLOBAL any_port: true }} }}
    listen {{
      name: "local" protocols: [TCP, UDP] on {{ classes: GLOBAL ports {{ first: 20000 last: 29999 }} }}
      peers {{ cidrs: ["{GLOBAL[4]}", "{GLOBAL[6]}"] }}
    }}
    """

    def bound(self) -> set[str]:
        """Every socket of the namespace, but connections: proc(5)."""
        listens = "0A"
        lines = []
        for name in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if name.startswith("udp") or state == listens:
                    lines.append(f"{name} {local}")
        return set(lines)

    def test_bind_to_every_spelling(self) -> None:
        session = self.open(self.GRANTS)
        self.names.tell("named.test", ["10.1.2.3"])
        self.names.tell("mixed.test", [GLOBAL[4], "10.1.2.3"])
        hosts = [each.spelling for each in FORBIDDEN] + ["named.test", "mixed.test", ""]
        before = self.bound()
        for host in hosts:
            for port in (0, 25000):
                with self.subTest(f"server {host} {port}"):
                    self.refused("10.1.2.3", lambda h=host, p=port: session.listen(h, port=p), said=host)
                    self.assertEqual(self.bound(), before)
                if host in ("", "mixed.test"):
                    continue
                with self.subTest(f"endpoint {host} {port}"):
                    local = types_pb2.HostPort(host=host, port=port)
                    self.refused("10.1.2.3", lambda local=local: self.endpoint(session, local=local), said=host)
                    self.assertEqual(self.bound(), before)

    def at(self, source: str, kind: socket.SocketKind) -> socket.socket:
        """A peer with this address."""
        peer = self.enterContext(socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind))
        peer.settimeout(harness.TIMEOUT)
        ip_freebind, ipv6_freebind = 15, 78  # ip(7); no interface has the address.
        peer.setsockopt(
            *((socket.IPPROTO_IPV6, ipv6_freebind) if ":" in source else (socket.IPPROTO_IP, ip_freebind)), 1
        )
        peer.bind((source, 0))
        return peer

    def dial_from(self, source: str, address: tuple[str, int]) -> socket.socket:
        peer = self.at(source, socket.SOCK_STREAM)
        peer.connect(address)
        return peer

    def test_accepted_peers(self) -> None:
        """Who may not connect is reset before a byte, and nobody hears of it."""
        session = self.open(self.GRANTS)
        for version, strangers in ((4, ("10.1.2.3", "127.0.0.1", "169.254.169.254", "93.184.216.35", "192.168.0.1")),
                                   (6, ("::1", "fd00:ec2::254", "2606:2800:220:1::23", "2002:a9fe:a9fe::1"))):  # fmt: skip
            server_id, address = session.listen(GLOBAL[version])
            for stranger in strangers:
                with self.subTest(stranger):
                    with self.assertRaises(ConnectionResetError):
                        peer = self.dial_from(stranger, address)
                        peer.sendall(b"hello")
                        while peer.recv(1):
                            self.fail("a byte came")
                        raise ConnectionResetError  # FIN without a byte: nothing was seen either.
            peer = self.dial_from(GLOBAL[version], address)
            accepted = session.wait_accepted(server_id)
            self.assertEqual(len(accepted), 1)
            session.write(accepted[0], b"welcome")
            self.assertEqual(harness.read_exactly(peer, 7), b"welcome")

    def test_received_datagrams(self) -> None:
        session = self.open(self.GRANTS)
        for version, strangers in ((4, ("10.1.2.3", "127.0.0.1", "169.254.169.254")), (6, ("::1", "fd00:ec2::254"))):
            local = types_pb2.HostPort(host=GLOBAL[version])
            made = session.call(datagram_pb2.CreateDatagramEndpointRequest(local=local))
            address = (GLOBAL[version], made.extra_info.sockname.port)
            # The last one is heard of, so the others would have been.
            for source in (*strangers, GLOBAL[version]):
                self.at(source, socket.SOCK_DGRAM).sendto(source.encode(), address)
            seen = session.wait_callback(made.transport_id, "datagram_received")
            self.assertEqual([each.data.decode() for each in seen.datagrams], [GLOBAL[version]])


class ControlTest(CanaryTestCase):
    """The canaries would have noticed: what is granted by name reaches each of them, by every way."""

    def assert_seen(self, address: str, port: int) -> None:
        destinations = {(each.destination, each.destination_port) for each in self.strays()}
        self.assertIn((address, port), destinations)

    def test_streams(self) -> None:
        session = self.open(EVERYTHING)
        for each in FORBIDDEN:
            for connect, port in (
                (self.connect, self.canary.port),
                (self.connect_tls, self.canary.tls_port),
                (self.connect_at_once, self.canary.port),
            ):
                with self.subTest(f"{connect.__name__} {each.spelling}"):
                    transport_id = connect(session, each.spelling)
                    if each.spelling != "localhost":  # That is ::1, too.
                        self.assert_seen(each.leads_to, port)
                        session.wait_data(transport_id, canary.arrival(each.leads_to))
                    self.abort(session, transport_id)
                    self.packets()

    def test_datagrams(self) -> None:
        session = self.open(EVERYTHING)
        for each in [*FORBIDDEN, *GROUPS]:
            if each.spelling == "localhost":
                continue
            for options in ({}, {"allow_broadcast": True}):
                with self.subTest(f"{each.spelling} {options}"):
                    if each in GROUPS and not options:
                        continue
                    endpoint = self.endpoint(session, each.spelling, **options)
                    self.send(session, endpoint, self.datagram())
                    self.assert_seen(each.leads_to, self.canary.udp_port)
                    self.abort(session, endpoint)
                    self.packets()

    def test_names(self) -> None:
        session = self.open(EVERYTHING)
        for number, address in enumerate(NameTest.ADDRESSES):
            name = f"name{number}.test"
            self.names.tell(name, [address])
            with self.subTest(address):
                transport_id = self.connect(session, name)
                mapped = ipaddress.ip_address(address).version == 6 and ipaddress.ip_address(address).ipv4_mapped
                self.assert_seen(str(mapped or address), self.canary.port)
                self.abort(session, transport_id)
                self.packets()


if __name__ == "__main__":
    NO_NETWORK = own_network.enter()
    harness.main()
