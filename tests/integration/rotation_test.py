"""The service's certificate, its key and the CA of clients change under load: no good client's handshake fails."""

import json
import ssl
import threading

import harness
from harness import TIMEOUT, Service, eventually
from policy_test import GRANTS, PolicyTestCase, role
from raw_http2 import PREFACE, Connection, RawSession, connect, settings
from transportd.v1 import event_loop_pb2

DIALLER_COUNT = 3


class Dialler:
    """Handshakes without end, as a good client; its own session lives meanwhile."""

    def __init__(self, address, context: ssl.SSLContext):
        self._address = address
        self._context = context
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._served: list[bytes] = []  # The service's certificates, in the order of the handshakes.
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(TIMEOUT)

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._served)

    def served(self, since: int = 0) -> list[bytes]:
        with self._lock:
            return self._served[since:]

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                peer = connect(self._address, self._context)
                with Connection(peer, PREFACE + settings()) as connection:
                    # TLS 1.3: whether the client's certificate is accepted shows in what comes next.
                    if connection.read() is None:
                        raise AssertionError("the handshake was refused")
                    certificate = peer.getpeercert(binary_form=True)
                with self._lock:
                    self._served.append(certificate)
        except Exception as error:
            self.failure = error


class RotationTest(PolicyTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for name in ("second", "third"):
            cls.make_certificate(name, "ca", "IP:127.0.0.1")
        cls.make_certificate("other-client", "other", "URI:spiffe://example.org/ns/lab/sa/test")
        cls.make_certificate("expired", "ca", "IP:127.0.0.1", days=-1)

    def setUp(self) -> None:
        super().setUp()
        self.mount = self.folder / "mount"
        self.mount.mkdir()
        self.generation = 0

    def read(self, name: str) -> bytes:
        return (self.certificates / name).read_bytes()

    def der(self, name: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.read(f"{name}.pem").decode())

    def start_rotating(self, files: dict[str, bytes]) -> Service:
        for name, contents in files.items():
            (self.mount / name).write_bytes(contents)
        return self.start_on_mount()

    def start_on_mount(self) -> Service:
        self.write_policy(role(GRANTS))
        self.service = Service(
            f"--policy={self.policy}",
            f"--tls-certificate={self.mount}/tls.crt",
            f"--tls-key={self.mount}/tls.key",
            f"--tls-client-ca={self.mount}/ca.crt",
            f"--audit-log={self.folder}/audit",
            "--listen=127.0.0.1:0",
            dev=False,
        )
        self.addCleanup(self.service.stop)
        self.address = ("127.0.0.1", int(self.service.target.rsplit(":", 1)[1]))
        return self.service

    def context(self, client: str = "client") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        context.load_cert_chain(self.certificates / f"{client}.pem", self.certificates / f"{client}.key")
        context.set_alpn_protocols(["h2"])
        return context

    def begin_load(self) -> None:
        self.diallers = [Dialler(self.address, self.context()) for _ in range(DIALLER_COUNT)]
        for dialler in self.diallers:
            self.addCleanup(dialler.stop)
        connection = self.enterContext(Connection(connect(self.address, self.context())))
        self.session = RawSession(connection).open()
        self.assertIsNotNone(self.session.read())
        self.request_id = 0
        self.dialled()

    def dialled(self) -> None:
        """Each dialler has begun and ended a handshake since; the session lives."""
        counts = [dialler.count for dialler in self.diallers]
        eventually(
            lambda: all(
                dialler.failure or dialler.count >= count + 2
                for dialler, count in zip(self.diallers, counts, strict=True)
            ),
            "handshakes go on",
        )
        for dialler in self.diallers:
            if dialler.failure is not None:
                raise AssertionError("a good client was refused") from dialler.failure
        self.request_id += 1
        asked = event_loop_pb2.Command(request_id=self.request_id, create_server={"hosts": ["127.0.0.1"], "port": 0})
        self.session.connection.send(self.session.commands(asked))
        self.assertEqual([reply.request_id for reply in self.session.replies(1)], [self.request_id])
        closed = event_loop_pb2.Command(request_id=self.request_id, server_close={"server_id": self.request_id})
        self.session.connection.send(self.session.commands(closed))
        self.session.replies(1)

    def now_served(self) -> set[bytes]:
        """What handshakes get that begin after this call."""
        counts = [dialler.count for dialler in self.diallers]
        self.dialled()
        # The first of each may have begun before.
        return {one for dialler, count in zip(self.diallers, counts, strict=True) for one in dialler.served(count + 1)}

    def rename(self, name: str, contents: bytes) -> None:
        new = self.mount / ".new"
        new.write_bytes(contents)
        new.rename(self.mount / name)

    def swap(self, files: dict[str, bytes]) -> None:
        """As kubelet updates a volume: a folder of its own, to which the link ..data is swapped."""
        self.generation += 1
        folder = self.mount / f"..{self.generation}"
        folder.mkdir()
        for name, contents in files.items():
            (folder / name).write_bytes(contents)
        link = self.mount / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(self.mount / "..data")

    def records(self, event: str) -> list[dict]:
        lines = (self.folder / "audit").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def refused(self, change, *words: str) -> None:
        """`change()` is refused, the log and the audit log say why, and the certificate before is served."""
        before, said = len(self.records("cert.reject")), len(self.service.stderr())
        change()
        eventually(lambda: len(self.records("cert.reject")) > before, f"cert.reject: {words}")
        for word in words:
            eventually(
                lambda word=word: any(word in record["cause"] for record in self.records("cert.reject")[before:]),
                f"{word} in {[record['cause'] for record in self.records('cert.reject')[before:]]}",
            )
            eventually(lambda word=word: word in self.service.stderr()[said:], f"{word} in the log")
        self.assertEqual(self.now_served(), {self.last_good})

    def accepted(self, change, name: str) -> None:
        """`change()` brings the certificate `name`."""
        before = len(self.records("cert.load"))
        change()
        eventually(lambda: len(self.records("cert.load")) > before, f"cert.load: {name}")
        self.last_good = self.der(name)
        self.assertEqual(self.now_served(), {self.last_good})

    def pair(self, name: str) -> dict[str, bytes]:
        return {"tls.crt": self.read(f"{name}.pem"), "tls.key": self.read(f"{name}.key"), "ca.crt": self.read("ca.pem")}

    def test_renames(self) -> None:
        self.start_rotating(self.pair("server"))
        self.begin_load()
        self.last_good = self.der("server")
        # A half pair: the old one is served until the other half is there.
        self.refused(lambda: self.rename("tls.crt", self.read("second.pem")), "tls.key")
        self.accepted(lambda: self.rename("tls.key", self.read("second.key")), "second")
        # The other order.
        self.refused(lambda: self.rename("tls.key", self.read("third.key")), "tls.key")
        self.accepted(lambda: self.rename("tls.crt", self.read("third.pem")), "third")
        # What no certificate is.
        for what in (b"", b"garbage\n", self.read("third.pem")[:100]):
            self.refused(lambda what=what: self.rename("tls.crt", what), "tls.crt")
        for what in (b"", b"garbage\n", self.read("server.key")):
            self.rename("tls.crt", self.read("third.pem"))
            self.refused(lambda what=what: self.rename("tls.key", what), "tls.key")
        self.refused(lambda: (self.mount / "tls.key").unlink(), "tls.key")
        self.rename("tls.key", self.read("expired.key"))
        self.refused(lambda: self.rename("tls.crt", self.read("expired.pem")), "expired on")
        self.rename("tls.key", self.read("server.key"))
        self.accepted(lambda: self.rename("tls.crt", self.read("server.pem")), "server")

    def test_swapped_links_as_of_kubernetes(self) -> None:
        self.swap(self.pair("server"))
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (self.mount / name).symlink_to(f"..data/{name}")
        self.start_on_mount()
        self.begin_load()
        self.last_good = self.der("server")
        for name in ("second", "third", "server"):
            self.accepted(lambda name=name: self.swap(self.pair(name)), name)
        self.refused(lambda: self.swap({**self.pair("second"), "tls.key": self.read("third.key")}), "tls.key")
        self.refused(lambda: self.swap({**self.pair("second"), "ca.crt": b""}), "ca.crt")
        self.accepted(lambda: self.swap(self.pair("second")), "second")

    def test_the_ca_of_clients(self) -> None:
        self.start_rotating(self.pair("server"))
        self.begin_load()
        self.last_good = self.der("server")
        self.assertFalse(self.enters("other-client"))
        for what in (b"", b"garbage\n"):
            self.refused(lambda what=what: self.rename("ca.crt", what), "ca.crt")
            self.assertFalse(self.enters("other-client"))
        self.accepted(lambda: self.rename("ca.crt", self.read("ca.pem") + self.read("other.pem")), "server")
        self.assertTrue(self.enters("other-client"))
        self.accepted(lambda: self.rename("ca.crt", self.read("ca.pem")), "server")
        self.assertFalse(self.enters("other-client"))

    def enters(self, client: str) -> bool:
        """Whether a client with this certificate gets through a handshake."""
        try:
            with Connection(connect(self.address, self.context(client)), PREFACE + settings()) as connection:
                return connection.read() is not None
        except (TimeoutError, ConnectionError, ssl.SSLError):
            return False


if __name__ == "__main__":
    harness.main()
