"""Thousands of mixed sessions whose clients are killed at random: nothing is left, in no counter and no descriptor.

TRANSPORTD_SEED=N repeats what a run drew: it prints its own.
"""

import collections
import json
import os
import random
import selectors
import signal
import socket
import ssl
import sys
import time
import traceback

from transportd.v1 import admin_pb2, event_loop_pb2

import harness
from client import Admin
from harness import eventually
from policy_test import TOKEN, PolicyTestCase, role
from raw_http2 import Connection, RawSession, connect

SESSION_COUNT = 1_000 if harness.SANITIZER else 10_000
# Of each principal; all three together are more than the service's own limits.
SESSIONS, TRANSPORTS, LISTENERS, PROCESSES = 120, 400, 100, 20
ALL_SESSIONS, ALL_TRANSPORTS = 300, 1000
GRANTS = f"""
  connect {{ name: "c" protocols: [TCP, UDP] to {{ classes: LOOPBACK any_port: true }} }}
  listen {{ name: "l" protocols: [TCP, UDP] on {{ classes: LOOPBACK any_port: true }} }}
  run {{ name: "r" program: "/usr/bin/cat" confinement: BEST_EFFORT }}
  path {{ name: "p" uses: [CONNECT, LISTEN, READ, WRITE] paths: "{{folder}}/" }}
  option {{ name: "o" unverified_tls: true tls_identities: "*" }}
  admin {{ name: "a" methods: "*" }}
  quota {{
    sessions: {SESSIONS} transports: {TRANSPORTS} listeners: {LISTENERS} processes: {PROCESSES}
    connects {{ per_second: 100000 }} spawns {{ per_second: 100000 }} resolutions {{ per_second: 100000 }}
  }}
"""
CLIENT_COUNT = 5  # Processes at once.
SESSIONS_OF_CLIENT = 40
LOOPBACK = "127.0.0.1"
UNVERIFIED = {"verify_mode": 1, "server_hostname": ""}


def command(request_id: int, name: str, **fields) -> event_loop_pb2.Command:
    return event_loop_pb2.Command(request_id=request_id, **{name: fields})


def echo_peer(listener: socket.socket) -> None:
    """Sends back what comes, to whoever connects; for ever."""
    selector = selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            peer = key.fileobj
            try:
                if peer is listener:
                    peer, _ = listener.accept()
                    peer.settimeout(1)
                    selector.register(peer, selectors.EVENT_READ)
                elif data := peer.recv(4096):
                    peer.sendall(data)
                else:
                    selector.unregister(peer)
                    peer.close()
            except BlockingIOError:
                pass
            except OSError:
                if peer is not listener:
                    selector.unregister(peer)
                    peer.close()


class Doors:
    """The ways in, one for each principal."""

    def __init__(self, targets: list[str], certificates, folder):
        self.folder = folder
        self.unix = targets[0].removeprefix("unix:")
        self.tls, self.plain = ((LOOPBACK, int(target.rsplit(":", 1)[1])) for target in targets[1:])
        self._tls = ssl.create_default_context(cafile=certificates / "ca.pem")
        self._tls.load_cert_chain(certificates / "client.pem", certificates / "client.key")
        self._tls.set_alpn_protocols(["h2"])

    def dial(self, principal: str) -> Connection:
        if principal == "unix":
            return Connection(connect(self.unix))
        return Connection(connect(self.tls, self._tls) if principal == "certificate" else connect(self.plain))

    @staticmethod
    def token(principal: str) -> str:
        return TOKEN if principal == "token" else ""


PRINCIPALS = ("unix", "token", "certificate")


class Client:
    """What one client process does, until it is dead."""

    def __init__(self, doors: Doors, echo_port: int, seed: int):
        self._doors = doors
        self._echo_port = echo_port
        self._random = random.Random(seed)
        self._name = seed
        # Where it dies: so many steps from now.
        self._sessions: list[RawSession] = []
        self._half_opened: list[Connection] = []
        self._steps_left = self._random.randrange(1, 6 * SESSIONS_OF_CLIENT)

    def step(self) -> None:
        self._steps_left -= 1
        if self._steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def live(self) -> None:
        sessions = self._sessions
        while len(sessions) < SESSIONS_OF_CLIENT:
            principal = self._random.choice(PRINCIPALS)
            connection = self._doors.dial(principal)
            self.step()
            for stream in range(self._random.choice((1, 1, 1, 3))):
                session = RawSession(connection, 2 * stream + 1, self._doors.token(principal))
                opening = session.opening
                if self._random.random() < 0.05:
                    # It dies in the middle of an Open, and takes its connection along.
                    connection.send(opening[: self._random.randrange(len(opening))])
                    self._half_opened.append(connection)
                    break
                connection.send(opening)
                sessions.append(session)
                self.step()
        for number, session in enumerate(sessions):
            if session.connection in self._half_opened:
                continue
            try:
                self.work(session, number)
            except OSError:
                pass  # Its connection is one that was closed.
            self.step()
        self._random.shuffle(sessions)
        for session in sessions:
            try:
                self.leave(session)
            except OSError:
                pass
            self.step()

    def work(self, session: RawSession, number: int) -> None:
        kinds = self._random.sample(
            ("tcp", "server", "udp", "unix", "pipes", "process", "tls"), self._random.choice((1, 2))
        )
        if self._random.random() < 0.1:
            return
        commands = [one for index, kind in enumerate(kinds) for one in self.commands_of(kind, number, 10 * (index + 1))]
        session.connection.send(session.commands(*commands))
        self.step()
        if self._random.random() < 0.5:
            return
        for reply in session.replies(len(commands)):
            if reply.WhichOneof("result") == "create_connection":
                written = event_loop_pb2.Command(transport_id=reply.create_connection.transport_id, write=b"x" * 5000)
                session.connection.send(session.commands(written))
            elif reply.WhichOneof("result") == "create_server" and "tls" in kinds:
                # A handshake between two of its own.
                remote = {"host": LOOPBACK, "port": reply.create_server.sockets[0].port}
                session.connection.send(
                    session.commands(command(99, "create_connection", remote=remote, tls=UNVERIFIED))
                )
            self.step()

    def commands_of(self, kind: str, number: int, request_id: int) -> list[event_loop_pb2.Command]:
        path = f"{self._doors.folder}/{self._name}.{number}".encode()
        match kind:
            case "tcp":
                return [command(request_id, "create_connection", remote={"host": LOOPBACK, "port": self._echo_port})]
            case "server":
                return [command(request_id, "create_server", hosts=[LOOPBACK], port=0)]
            case "tls":
                return [command(request_id, "create_server", hosts=[LOOPBACK], port=0, tls={"identity": "main"})]
            case "udp":
                return [command(request_id, "create_datagram_endpoint", local={"host": LOOPBACK})]
            case "unix":
                return [
                    command(request_id, "create_unix_server", path=path),
                    command(request_id + 1, "create_unix_connection", path=path),
                ]
            case "pipes":
                os.mkfifo(path)
                return [
                    command(request_id, "connect_read_pipe", source={"path": path}),
                    command(request_id + 1, "connect_write_pipe", source={"path": path}),
                ]
            case "process":
                return [command(request_id, "subprocess_exec", program=b"/usr/bin/cat")]
        raise AssertionError(kind)

    def leave(self, session: RawSession) -> None:
        match self._random.randrange(5):
            case 0:
                session.close()
            case 1:
                session.connection.reset()
            case 2:
                session.connection.socket.close()
            case 3:
                session.connection.socket.shutdown(socket.SHUT_WR)
            case 4:
                # In the middle of a frame.
                frame = session.commands(command(50, "create_server", hosts=[LOOPBACK]))
                session.connection.send(frame[: self._random.randrange(len(frame))])


class MassDeathTest(PolicyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int(os.environ.get("TRANSPORTD_SEED") or random.randrange(1 << 32))
        print(f"TRANSPORTD_SEED={self.seed}", flush=True)
        self.start(
            role(GRANTS),
            "--listen=127.0.0.1:0,plaintext",
            f"--tls-identity=main={self.certificates}/server.pem,{self.certificates}/server.key",
            f"--max-session-count={ALL_SESSIONS}",
            f"--max-transport-count={ALL_TRANSPORTS}",
            # All clients have one address; and to gRPC one that dies in the middle of its headers has shown no credentials.
            "--max-unauthenticated-count=1024",
            "--refuse-after-failures=false",
            "--log-level=error",
        )
        self.doors = Doors(self.service.targets, self.certificates, self.folder)
        self.children: set[int] = set()
        self.kept: list[RawSession] = []
        self.addCleanup(self.end_children)
        self.audit_position = 0
        self.ends: dict[str, collections.Counter] = {}  # By the beginning of a session's id.

    def fork(self, function, expected: tuple[type[Exception], ...] = ()) -> int:
        """A process that calls it, and ends by SIGKILL: afterwards, or when it raises what is `expected`."""
        pid = os.fork()
        if pid == 0:
            try:
                function()
            except expected:
                pass
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        self.children.add(pid)
        return pid

    def ended(self, pid: int, status: int) -> None:
        self.assertIn(pid, self.children, self.service.stderr())
        self.children.discard(pid)
        self.assertEqual(os.waitstatus_to_exitcode(status), -signal.SIGKILL, "a child failed: its traceback is above")

    def fork_echo(self) -> int:
        with socket.create_server((LOOPBACK, 0), backlog=1024) as listener:
            self.echo_port = listener.getsockname()[1]
            return self.fork(lambda: echo_peer(listener))

    def end_children(self) -> None:
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        for pid in list(self.children):
            self.ended(*os.waitpid(pid, 0))

    def read_audit(self) -> None:
        with open(self.folder / "audit", "rb") as file:
            file.seek(self.audit_position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.audit_position += len(whole)
        for line in whole.splitlines():
            if b'"session.open"' in line or b'"session.close"' in line:
                record = json.loads(line)
                if record.get("decision", "allow") == "allow":
                    self.ends.setdefault(record["session"], collections.Counter())[record["event"]] += 1

    def opened_count(self) -> int:
        self.read_audit()
        return sum(counts["session.open"] for counts in self.ends.values())

    def threads(self) -> collections.Counter:
        """The service's, by name; without those that are started when there is work: executors, and gRPC's own."""
        names = collections.Counter()
        for task in os.listdir(f"/proc/{self.service.process.pid}/task"):
            try:
                with open(f"/proc/{self.service.process.pid}/task/{task}/comm") as file:
                    names[file.read().strip()] += 1
            except OSError:
                continue  # It has ended.
        return collections.Counter(
            {
                name: count
                for name, count in names.items()
                if not name.startswith(("executor", "default-exec", "resolver-exec", "event_engine", "grpc_global"))
            }
        )

    def processes(self) -> list[str]:
        children = []
        for task in os.listdir(f"/proc/{self.service.process.pid}/task"):
            try:
                with open(f"/proc/{self.service.process.pid}/task/{task}/children") as file:
                    children += file.read().split()
            except OSError:
                continue  # It has ended.
        return children

    def fork_mute(self) -> int:
        """Over when all its sessions have what they asked for."""
        reader, writer = os.pipe()
        with open(reader, "rb") as ready:
            with open(writer, "wb"):
                pid = self.fork(lambda: self.mute(writer))
            self.assertEqual(ready.read(1), b"x", "its traceback is above")
        return pid

    def mute(self, ready: int) -> None:
        """Sessions of each door, whose client neither reads nor ends: keep-alive finds out."""
        sessions = self.kept
        for principal in PRINCIPALS:
            session = RawSession(self.doors.dial(principal), token=self.doors.token(principal)).open()
            session.connection.send(
                session.commands(
                    command(1, "create_server", hosts=[LOOPBACK]),
                    command(2, "subprocess_exec", program=b"/usr/bin/cat"),
                )
            )
            replies = session.replies(2)
            self.assertEqual([reply.WhichOneof("result") for reply in replies], ["create_server", "subprocess_exec"])
            sessions.append(session)
        os.write(ready, b"x")
        signal.pause()

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.ended(*os.waitpid(pid, 0))

    def test_nothing_is_left_of_the_dead(self) -> None:
        threads, fds = self.threads(), len(self.service.fds())
        echo = self.fork_echo()
        mute = self.fork_mute()
        drawn = random.Random(self.seed)
        deadline = time.monotonic() + 120
        while self.opened_count() < SESSION_COUNT:
            self.assertLess(time.monotonic(), deadline, f"{self.opened_count()} sessions so far")
            while len(self.children) < CLIENT_COUNT + 2:
                client = Client(self.doors, self.echo_port, drawn.randrange(1 << 32))
                self.fork(client.live, expected=(OSError,))  # Refused by a quota, for one.
            pid, status = os.wait()
            self.ended(pid, status)
            self.assertNotIn(pid, (echo, mute))
        for pid in self.children - {echo, mute}:
            self.kill(pid)
        print(f"{self.opened_count()} sessions, {self.service.cpu_seconds():.1f} s of the service's CPU", flush=True)

        with Admin(self.service.targets[0]) as admin:
            # The mute one still lives, and has its connections.
            eventually(lambda: not admin.call(admin_pb2.ListSessionsRequest()).sessions, "no session is left", 60)
            self.assertEqual(os.waitpid(mute, os.WNOHANG), (0, 0))
            self.assertEqual(list(admin.call(admin_pb2.ListTransportsRequest()).transports), [])
        eventually(lambda: not self.processes(), "no child process is left")
        eventually(self.all_ended, "session.open and session.close are in pairs in the audit log")
        self.whole_quotas_can_be_had()
        eventually(lambda: len(self.service.fds()) == fds, "the descriptors are as many as at the start")
        eventually(lambda: self.threads() == threads, f"the threads are as at the start: {threads}")

    def all_ended(self) -> bool:
        self.read_audit()
        wrong = {name: counts for name, counts in self.ends.items() if set(counts.values()) != {1} or len(counts) != 2}
        return not wrong

    def whole_quotas_can_be_had(self) -> None:
        """Each counter is at 0 when all of what it counts can be had, and no more."""
        had = collections.Counter()
        held = []
        for principal in PRINCIPALS:
            first = RawSession(self.doors.dial(principal), token=self.doors.token(principal)).open()
            held.append(first)
            while had[principal, "sessions"] < SESSIONS + 1:
                session = RawSession(self.doors.dial(principal), token=self.doors.token(principal)).open()
                if session.read() is None:
                    session.connection.socket.close()
                    break
                had[principal, "sessions"] += 1
                held.append(session)
            had[principal, "sessions"] += 1  # The first.
            for what, most, variant in (
                ("listeners", LISTENERS, lambda i: command(i, "create_server", hosts=[LOOPBACK], port=0)),
                ("processes", PROCESSES, lambda i: command(i, "subprocess_exec", program=b"/usr/bin/cat")),
                ("transports", TRANSPORTS, lambda i: command(i, "create_datagram_endpoint", local={"host": LOOPBACK})),
            ):
                first.connection.send(first.commands(*(variant(i) for i in range(1, most + 2))))
                replies = first.replies(most + 1)
                had[principal, what] = sum(reply.WhichOneof("result") != "error" for reply in replies)
                refused = {reply.error.code for reply in replies if reply.WhichOneof("result") == "error"}
                self.assertEqual(refused, {8}, [reply.error.message for reply in replies if reply.error.code][:2])
        for session in held:
            session.connection.socket.close()
        expected = collections.Counter()
        sessions, transports = ALL_SESSIONS, ALL_TRANSPORTS
        for principal in PRINCIPALS:
            expected[principal, "listeners"], expected[principal, "processes"] = LISTENERS, PROCESSES
            expected[principal, "sessions"] = min(SESSIONS, sessions)
            sessions -= expected[principal, "sessions"]
            # The listeners are transports, too, and the processes with their three pipes.
            here = min(TRANSPORTS, transports)
            transports -= here
            expected[principal, "transports"] = here - LISTENERS - 4 * PROCESSES
        self.assertEqual(had, expected)


if __name__ == "__main__":
    harness.main()
