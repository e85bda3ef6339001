"""Out of file descriptors, with each command that makes one: it says so, the service lives, and all works again."""

import json
import os
import resource
import signal
import socket
import threading
import time

from transportd.v1 import (
    datagram_pb2,
    event_loop_pb2,
    pipe_pb2,
    socket_pb2,
    subprocess_pb2,
    transport_pb2,
    types_pb2,
    unix_pb2,
)

import harness
from client import ServiceError, StreamSession, open_channel
from harness import Service, eventually, read_exactly
from policy_test import PolicyTestCase, role

RESOURCE_EXHAUSTED = 8
GRANTS = """
  connect { name: "c" protocols: [TCP, UDP] to { hosts: "localhost" classes: LOOPBACK any_port: true } }
  connect { name: "n" protocols: [TCP, UDP] to { classes: LOOPBACK any_port: true } }
  listen { name: "l" protocols: [TCP, UDP] on { classes: LOOPBACK any_port: true } }
  run { name: "r" program: "/usr/bin/cat" confinement: BEST_EFFORT }
  path { name: "p" uses: [CONNECT, LISTEN, READ, WRITE] paths: "{folder}/" }
  option { name: "o" options: "*" unverified_tls: true tls_identities: "*" }
  admin { name: "a" methods: "*" }
  quota {
    transports: 10000 listeners: 1000 processes: 100
    connects { per_second: 1000 } spawns { per_second: 1000 } resolutions { per_second: 1000 }
  }
"""
LOOPBACK = "127.0.0.1"


class DescriptorsTest(PolicyTestCase):
    LIMIT = 160  # Of which 40 are kept back from transports.

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.make_certificate("second", "ca", "IP:127.0.0.1")

    def setUp(self) -> None:
        if "undefined" in harness.SANITIZER:
            self.skipTest("the sanitizer's own check of an object's type needs a pipe, and fails without")
        super().setUp()
        self.write_policy(role(GRANTS))
        self.write_identities()
        self.write_certificate("server")
        self.service = Service(
            f"--policy={self.policy}",
            f"--identities={self.folder}/identities",
            f"--listen=unix:{self.folder}/socket,principal=unix",
            f"--listen=unix:{self.folder}/other,principal=unix",
            "--listen=127.0.0.1:0",
            f"--tls-certificate={self.folder}/server.pem",
            f"--tls-key={self.folder}/server.key",
            f"--tls-client-ca={self.certificates}/ca.pem",
            f"--tls-identity=main={self.certificates}/server.pem,{self.certificates}/server.key",
            f"--audit-log={self.folder}/audit",
            wrapper=("sh", "-c", f'ulimit -n {self.LIMIT} && exec "$@"', "sh"),
            dev=False,
        )
        self.addCleanup(self.service.stop)
        self.channel_of_all = self.enterContext(open_channel(self.service.target))
        self.session = self.enterContext(self.open_session())
        (self.folder / "file").write_bytes(b"x" * 1000)
        for name in ("fifo", "fifo2"):
            os.mkfifo(self.folder / name)
        self.reader = os.open(self.folder / "fifo2", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reader)
        unix_peer = self.enterContext(socket.socket(socket.AF_UNIX))
        unix_peer.bind(f"{self.folder}/peer")
        unix_peer.listen(64)
        self.transport_id = self.session.connect((LOOPBACK, self.port))
        self.peer = self.enterContext(self.listener.accept()[0])
        _, self.server = self.session.listen()
        _, self.tls_server = self.session.listen(tls={"identity": "main"})

    def write_certificate(self, name: str) -> None:
        """The service's own."""
        for kind in ("key", "pem"):
            (self.folder / f"server.{kind}").write_bytes((self.certificates / f"{name}.{kind}").read_bytes())

    def file(self, name: str) -> bytes:
        return f"{self.folder}/{name}".encode()

    def requests(self):
        """One for each way to need a descriptor."""
        remote = types_pb2.HostPort(host=LOOPBACK, port=self.port)
        yield "tcp", event_loop_pb2.CreateConnectionRequest(remote=remote)
        tls_remote = types_pb2.HostPort(host=LOOPBACK, port=self.tls_server[1])
        yield "tls", event_loop_pb2.CreateConnectionRequest(remote=tls_remote, tls={"verify_mode": 1})
        yield "by name", event_loop_pb2.CreateConnectionRequest(remote={"host": "localhost", "port": self.port})
        yield "unix", unix_pb2.CreateUnixConnectionRequest(path=self.file("peer"))
        yield "listen", event_loop_pb2.CreateServerRequest(hosts=[LOOPBACK], port=0)
        yield "listen tls", event_loop_pb2.CreateServerRequest(hosts=[LOOPBACK], port=0, tls={"identity": "main"})
        yield "listen unix", unix_pb2.CreateUnixServerRequest(path=self.file("listener"))
        yield "udp", datagram_pb2.CreateDatagramEndpointRequest(local={"host": LOOPBACK})
        yield "read pipe", pipe_pb2.ConnectReadPipeRequest(source={"path": self.file("fifo")})
        yield "write pipe", pipe_pb2.ConnectWritePipeRequest(source={"path": self.file("fifo2")})
        yield "process", subprocess_pb2.SubprocessExecRequest(program=b"/usr/bin/cat")
        yield "socketpair", socket_pb2.SocketpairRequest()

    def open_session(self) -> StreamSession:
        """On the connection that is there."""
        return StreamSession(self.service.target, channel=self.channel_of_all)

    def all_work(self) -> None:
        for what, request in self.requests():
            with self.subTest(what), self.open_session() as session:
                session.call(request)
        self.assertEqual(self.send_file(), 1000)
        self.peer_is_served()

    def all_are_refused(self) -> None:
        for what, request in self.requests():
            with self.subTest(what), self.open_session() as session:
                self.refused(lambda session=session, request=request: session.call(request))
        with self.subTest("sendfile"):
            self.refused(self.send_file)

    def refused(self, call) -> types_pb2.TransportError:
        with self.assertRaises(ServiceError) as caught:
            call()
        error = caught.exception.error
        self.assertEqual((error.code, error.errno_name), (RESOURCE_EXHAUSTED, "EMFILE"), error)
        self.assertIn("ulimit -n", error.message)
        return error

    def send_file(self) -> int:
        request = socket_pb2.SendfileRequest(transport_id=self.transport_id, path=self.file("file"))
        sent = self.session.call(request).sent_bytes
        read_exactly(self.peer, sent)
        return sent

    def peer_is_served(self) -> None:
        """Whoever connects to the session's server is accepted, be it late."""
        with socket.create_connection(self.server, harness.TIMEOUT) as peer:
            peer.sendall(b"hello")
            self.session.wait(lambda: any(seen.data == b"hello" for seen in self.session._seen.values()), "hello")
            for seen in self.session._seen.values():
                seen.data.clear()

    def fill(self, stop) -> StreamSession:
        """A session that takes descriptors until it gets no more, or `stop()`."""
        holder = self.enterContext(self.open_session())
        while not stop():
            try:
                holder.call(datagram_pb2.CreateDatagramEndpointRequest(local={"host": LOOPBACK}))
            except ServiceError as error:
                self.assertEqual(error.reason, "EMFILE")
                break
        return holder

    def calls(self, target: str) -> None:
        """A connection of its own, and a call on it."""
        with StreamSession(target):
            pass

    def is_idle(self) -> None:
        """It answers, and waits, instead of trying without end: that shows in its processor time alone, over some time."""
        cpu, begin = self.service.cpu_seconds(), time.monotonic()
        for _ in range(30):
            self.session.call(transport_pb2.GetStateRequest(transport_id=self.transport_id))
            threading.Event().wait(0.05)
        if not harness.SANITIZER:
            # A share of the time that it took: on a loaded machine that is longer, and the share is smaller.
            share = (self.service.cpu_seconds() - cpu) / (time.monotonic() - begin)
            self.assertLess(share, 0.4)

    def test_transports_leave_room_for_the_service(self) -> None:
        self.all_work()
        holder = self.fill(lambda: False)
        self.all_are_refused()
        self.is_idle()
        # What the service itself needs, it has.
        self.calls(f"unix:{self.folder}/other")
        loads = len(self.loads())
        self.write_policy(role(GRANTS.replace('"n"', '"n2"')))
        eventually(lambda: len(self.loads()) > loads, "the policy is read")
        self.assertTrue(self.session.call(socket_pb2.GetaddrinfoRequest(host=b"localhost")).infos)
        holder.close()
        self.all_work()

    def certificate_rejects(self) -> list[str]:
        records = map(json.loads, (self.folder / "audit.1").read_text().splitlines())
        return [record["cause"] for record in records if record["event"] == "cert.reject"]

    def loads(self) -> list[dict]:
        return [record for record in self.audit() if record["event"] == "policy.load"]

    def test_none_is_left(self) -> None:
        pid = self.service.process.pid
        holder = self.fill(lambda: False)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(fd) for fd in self.service.fds())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
        self.all_are_refused()
        with self.subTest("getaddrinfo"):
            self.refused(lambda: self.session.call(socket_pb2.GetaddrinfoRequest(host=b"localhost")))

        # A peer of a server waits.
        waiting = self.enterContext(socket.create_connection(self.server, harness.TIMEOUT))
        waiting.sendall(b"waited")
        self.session.wait(lambda: self.session.exceptions, "call_exception_handler")
        self.assertEqual(self.session.exceptions[-1].error.errno_name, "EMFILE")
        # A client, too, or it is refused at once.
        client = self.enterContext(socket.socket(socket.AF_UNIX))
        client.settimeout(harness.TIMEOUT)
        client.connect(f"{self.folder}/other")
        # Files that change cannot be read: what was read before is in force.
        rejects = self.service.stderr().count("cannot be used, the last good one stays")
        self.write_policy(role(GRANTS.replace('"n"', '"n3"')))
        self.write_certificate("second")
        (self.folder / "audit").rename(self.folder / "audit.1")
        self.service.process.send_signal(signal.SIGHUP)
        eventually(
            lambda: self.service.stderr().count("cannot be used, the last good one stays") > rejects, "the log says so"
        )
        self.assertIn("the audit log: ", self.service.stderr())
        eventually(self.certificate_rejects, "so does the audit log")
        self.is_idle()
        # It is tried again all the while, and told once.
        rejects = self.certificate_rejects()
        self.assertEqual(len(rejects), 1, rejects)
        self.assertTrue(rejects[0].startswith(f"open {self.folder}/server.pem: Too many open files"), rejects)

        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        holder.close()
        self.session.wait(lambda: any(seen.data == b"waited" for seen in self.session._seen.values()), "it is accepted")
        for target in (f"unix:{self.folder}/other", self.service.target):
            self.calls(target)
        self.all_work()
        # It tries again by itself.
        eventually(
            lambda: (self.folder / "audit").exists() and self.loads(),
            "the policy is read, and the audit log has its new file",
        )
        eventually(lambda: any(record["event"] == "cert.load" for record in self.audit()), "the certificate is read")


if __name__ == "__main__":
    harness.main()
