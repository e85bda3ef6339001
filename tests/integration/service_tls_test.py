"""transportctl and a service with TLS, client certificates, tokens and JSON Web Tokens; and each way in which that fails."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time

import harness
from policy_test import GRANTS, ID, TOKEN, PolicyTestCase, role

FAILED, USAGE, NO_SERVICE, DENIED, SERVICE_FAILED = 1, 2, 3, 4, 125
LOOK = ' admin { name: "a" methods: ["GetVersion", "ListSessions", "ListTransports"] } '
# Each command that talks to the service; `{port}` is a peer's.
COMMANDS = (
    ("version",), ("health",), ("sessions",), ("transports",), ("connect", "127.0.0.1:{port}"), ("listen", "127.0.0.1:0"),
    ("udp", "--no-reply", "127.0.0.1:{port}"), ("exec", "--", "/usr/bin/true"),
)  # fmt: skip


class TransportctlTestCase(PolicyTestCase):
    """transportctl with a service that has TLS, or whatever is at `self.target`."""

    def transportctl(self, *arguments: str, data: bytes = b"", **variables: str) -> tuple[int, bytes, list[str]]:
        """(exit status, standard output, the lines of standard error)"""
        environment = {name: text for name, text in os.environ.items() if not name.startswith("TRANSPORTD_")}
        done = subprocess.run(
            [os.environ["TRANSPORTCTL_BIN"], *arguments], input=data, capture_output=True, timeout=harness.TIMEOUT,
            env={**environment, "TRANSPORTD_TARGET": self.target, **variables}, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr.decode().splitlines()

    def file(self, name: str) -> str:
        return str(self.certificates / name)

    def as_client(self, name: str = "client", ca: str = "ca") -> list[str]:
        """The options of whoever has that certificate; none: of nobody."""
        options = [f"--target-ca={self.file(ca)}.pem"]
        if name:
            options += [f"--target-certificate={self.file(name)}.pem", f"--target-key={self.file(name)}.key"]
        return options

    def token_file(self, token: str) -> str:
        path = self.folder / "token"
        path.write_text(token + "\n")
        return str(path)

    def start(self, text: str, *flags: str):
        service = super().start(text, *flags)
        self.target = service.targets[1]
        return service


class ServiceTlsTest(TransportctlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start(role(GRANTS + LOOK))

    def echo(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    def echo_once(self) -> None:
        threading.Thread(target=lambda: self.echo(self.listener.accept()[0]), daemon=True).start()

    def check(self, *options: str, **variables: str) -> None:
        """Bytes go there and back, and a question is answered."""
        self.echo_once()
        data = harness.pattern(200_000)
        status, out, err = self.transportctl(*options, "connect", f"127.0.0.1:{self.port}", data=data, **variables)
        self.assertEqual((status, out == data), (0, True), err)
        status, out, err = self.transportctl(*options, "version", **variables)
        self.assertEqual((status, err), (0, []), out)
        self.assertIn(b"\ntransportd ", out)

    def test_a_client_certificate(self) -> None:
        self.check(*self.as_client())

    def test_certificate_and_key_in_one_file(self) -> None:
        both = self.folder / "both.pem"
        both.write_bytes(b"".join((self.certificates / f"client.{kind}").read_bytes() for kind in ("key", "pem")))
        self.check(f"--target-ca={self.file('ca.pem')}", f"--target-certificate={both}")

    def test_a_token(self) -> None:
        self.check(*self.as_client(""), f"--token-file={self.token_file(TOKEN)}")
        self.check(*self.as_client(""), f"--token={TOKEN}")

    def test_a_json_web_token(self) -> None:
        self.check(*self.as_client(""), f"--token-file={self.token_file(self.jwt())}")

    def test_what_a_shell_substitutes(self) -> None:
        """A pipe instead of a file: it can be read once."""
        reader, writer = os.pipe()
        os.write(writer, TOKEN.encode())
        os.close(writer)
        with open(reader, "rb") as pipe:
            done = subprocess.run(
                [os.environ["TRANSPORTCTL_BIN"], *self.as_client(""), f"--token-file=/dev/fd/{pipe.fileno()}", "version"],
                capture_output=True, timeout=harness.TIMEOUT, pass_fds=[pipe.fileno()], check=False,
                env={**os.environ, "TRANSPORTD_TARGET": self.target},
            )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)

    def test_the_environment(self) -> None:
        self.check(
            TRANSPORTD_TARGET_CA=self.file("ca.pem"),
            TRANSPORTD_TARGET_CERTIFICATE=self.file("client.pem"),
            TRANSPORTD_TARGET_KEY=self.file("client.key"),
        )
        variables = {"TRANSPORTD_TARGET_CA": self.file("ca.pem"), "TRANSPORTD_TOKEN_FILE": self.token_file(TOKEN)}
        self.check(**variables)
        # What stands there for TCP does not keep from a Unix socket, whose principal needs no token.
        unix = {"TRANSPORTD_TARGET": self.service.targets[0], "TRANSPORTD_TARGET_CA": self.file("ca.pem")}
        self.check(**unix)

    def test_the_name_to_expect(self) -> None:
        host, _, port = self.target.rpartition(":")
        self.assertEqual(host, "127.0.0.1")
        # c-ares, with which gRPC looks up names, loses 10 bytes by itself, and LeakSanitizer says so; getaddrinfo(3) does not.
        native = {"GRPC_DNS_RESOLVER": "native"}
        status, _, err = self.transportctl(*self.as_client(), f"--target=localhost:{port}", "version", **native)
        self.assertEqual((status, len(err)), (NO_SERVICE, 2), err)
        self.assertIn("does not name localhost", err[0])
        self.assertTrue(err[0].endswith("(SERVICE_NOT_TRUSTED)"), err)
        self.assertIn("--target-name", err[1])
        self.check(*self.as_client(), f"--target=ipv4:{self.target}", "--target-name=127.0.0.1")

    def test_every_command(self) -> None:
        for command in COMMANDS:
            with self.subTest(command[0]):
                words = [word.format(port=self.port) for word in command]
                process = self.enterContext(
                    harness.running(
                        os.environ["TRANSPORTCTL_BIN"], *self.as_client(), f"--target={self.target}", *words,
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    )
                )  # fmt: skip
                if command[0] == "listen":
                    self.assertIn(b"127.0.0.1:", process.stderr.readline())
                    continue
                if command[0] == "connect":
                    self.listener.accept()[0].close()
                _, err = process.communicate(timeout=harness.TIMEOUT)
                # The policy says nothing of datagrams, and that is not about TLS.
                expected = DENIED if command[0] == "udp" else 0
                self.assertEqual(process.returncode, expected, err)


class ServiceTlsErrorTest(TransportctlTestCase):
    """Each error is one line that says what is wrong, with its reason, and one that says what to do."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.make_certificate("elsewhere", "ca", "DNS:elsewhere.test")

    def fails(self, status: int, reason: str, what: str, hint: str, *options: str, command=("version",), **variables) -> None:
        with self.subTest(reason=reason, options=options, command=command):
            got, _, err = self.transportctl(*options, *command, **variables)
            self.assert_failed(got, err, status, reason, what, hint)

    def assert_failed(self, got: int, err: list[str], status: int, reason: str, what: str, hint: str) -> None:
        self.assertEqual(got, status, err)
        self.assertEqual(len(err), 2, err)
        self.assertIn(what, err[0])
        self.assertTrue(err[0].startswith("transportctl: "), err)
        self.assertTrue(err[0].endswith(f"({reason})"), err)
        self.assertIn(hint, err[1])
        self.assertNotIn(TOKEN, "".join(err))

    def test_no_tls_for_a_service_that_has_it(self) -> None:
        self.start(role(GRANTS + LOOK))
        for command in COMMANDS:
            words = tuple(word.format(port=self.port) for word in command)
            status = SERVICE_FAILED if command[0] == "exec" else NO_SERVICE
            self.fails(status, "SERVICE_WANTS_TLS", self.target, "--target-ca or TRANSPORTD_TARGET_CA", command=words)

    def test_tls_for_a_service_that_has_none(self) -> None:
        self.service = harness.Service()
        self.addCleanup(self.service.stop)
        self.target = self.service.target
        self.fails(NO_SERVICE, "SERVICE_WITHOUT_TLS", self.target, "leave --target-ca", *self.as_client())
        self.fails(
            NO_SERVICE, "SERVICE_WITHOUT_TLS", self.target, "leave --target-ca", *self.as_client(),
            command=("connect", f"127.0.0.1:{self.port}"),
        )  # fmt: skip

    def test_a_service_that_is_not_trusted(self) -> None:
        self.start(role(GRANTS + LOOK))
        refused = (NO_SERVICE, "SERVICE_NOT_TRUSTED")
        other = self.as_client(ca="other")
        for command in (("version",), ("connect", f"127.0.0.1:{self.port}")):
            self.fails(*refused, self.file("other.pem"), "--target-ca or TRANSPORTD_TARGET_CA", *other, command=command)
        self.fails(*refused, "this machine trusts", "--target-ca or", "--target-ca=system")
        name = [*self.as_client(), "--target-name=elsewhere.test"]
        self.fails(*refused, "does not name elsewhere.test", "--target-name", *name)

    def test_a_service_whose_certificate_is_for_somebody_else(self) -> None:
        self.start(
            role(GRANTS), f"--tls-certificate={self.file('elsewhere.pem')}", f"--tls-key={self.file('elsewhere.key')}"
        )
        self.fails(NO_SERVICE, "SERVICE_NOT_TRUSTED", "does not name 127.0.0.1", "--target-name", *self.as_client())

    def test_a_service_whose_certificate_has_expired(self) -> None:
        """transportd itself does not start with one, nor take it up; one that runs on can have it."""
        self.make_certificate("old-server", "ca", "IP:127.0.0.1", days=-1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("old-server.pem"), self.file("old-server.key"))
        context.set_alpn_protocols(["h2"])
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        self.target = f"127.0.0.1:{listener.getsockname()[1]}"
        self.fails(NO_SERVICE, "SERVICE_NOT_TRUSTED", "has expired", "--tls-certificate", *self.as_client())

    def expire_client(self) -> None:
        """A certificate `old-client`, whose dates are known: it was valid for a second."""
        (self.certificates / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=number\nnew_certs_dir=.\ndefault_md=sha256\n"
            f"policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=URI:{ID}\n"
        )
        (self.certificates / "index").write_text("")
        (self.certificates / "number").write_text("01\n")
        self.make_certificate("old-client", "ca", f"URI:{ID}")
        self.openssl(
            "ca", "-batch", "-config", "ca.cnf", "-in", "old-client.csr", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-out", "old-client.pem", "-startdate", "20200101000000Z", "-enddate", "20200101000001Z", "-notext",
        )  # fmt: skip

    def test_who_has_failed_too_often(self) -> None:
        self.start(role(GRANTS + LOOK))
        options = [*self.as_client(""), f"--token-file={self.token_file(TOKEN + 'x')}"]
        failures = 0
        while (failed := self.transportctl(*options, "version"))[0] == DENIED:
            self.assert_failed(
                failed[0], failed[2], DENIED, "INVALID_CREDENTIALS", "token is not known", "--token-file"
            )
            # Three, but more when they are slow: what each of them counts passes with time.
            failures += 1
            self.assertLess(failures, 20)
        self.assert_failed(
            failed[0], failed[2], NO_SERVICE, "SERVICE_HUNG_UP", "after three failed authentications", "wait"
        )
        self.assertGreaterEqual(failures, 3)

    def test_who_is_not_let_in(self) -> None:
        self.start(role(GRANTS + LOOK), "--refuse-after-failures=false")
        self.expire_client()
        refused = (DENIED, "CLIENT_CERTIFICATE_REFUSED")
        hint = "--target-certificate and --target-key"
        for command in (("version",), ("connect", f"127.0.0.1:{self.port}")):
            self.fails(*refused, self.file("stranger.pem"), hint, *self.as_client("stranger"), command=command)
            self.fails(*refused, "expired on 2020-01-01T00:00:01Z", hint, *self.as_client("old-client"), command=command)
        for what, token in (
            ("token is not known", TOKEN + "x"),
            ("has expired", self.jwt(exp=int(time.time()) - 3600)),
            ("another audience", self.jwt(aud="others")),
        ):
            options = [*self.as_client(""), f"--token-file={self.token_file(token)}"]
            for command in (("version",), ("connect", f"127.0.0.1:{self.port}")):
                self.fails(DENIED, "INVALID_CREDENTIALS", what, "--token-file", *options, command=command)
        nobody = self.as_client("")
        self.fails(DENIED, "NO_PRINCIPAL", "not identified", "--token-file, --token or --target-certificate", *nobody)

    def test_a_missing_client_certificate(self) -> None:
        """Without identities for tokens there is no other way in."""
        self.write_policy(role(GRANTS + LOOK))
        service = harness.Service(
            f"--policy={self.policy}", "--listen=127.0.0.1:0", f"--tls-certificate={self.file('server.pem')}",
            f"--tls-key={self.file('server.key')}", f"--tls-client-ca={self.file('ca.pem')}", "--audit-log=off", dev=False,
        )  # fmt: skip
        self.addCleanup(service.stop)
        self.target = service.target
        for command in (("version",), ("connect", f"127.0.0.1:{self.port}")):
            self.fails(
                DENIED, "CLIENT_CERTIFICATE_REFUSED", "none was given", "--target-certificate", *self.as_client(""),
                command=command,
            )  # fmt: skip

    def test_files_and_options_that_are_wrong(self) -> None:
        """Nobody is asked."""
        self.target = f"127.0.0.1:{self.port}"
        ca, me, key = self.as_client()
        nowhere = str(self.folder / "nowhere")
        empty = self.folder / "empty"
        empty.write_text("")
        self.fails(USAGE, "ENOENT", nowhere, "--target-ca or TRANSPORTD_TARGET_CA", f"--target-ca={nowhere}")
        self.fails(USAGE, "ENOENT", nowhere, "TRANSPORTD_TARGET_CA", TRANSPORTD_TARGET_CA=nowhere)
        self.fails(USAGE, "INVALID_TRUST_ROOTS", str(empty), "--target-ca", f"--target-ca={empty}")
        self.fails(USAGE, "ENOENT", nowhere, "--target-certificate", ca, f"--target-certificate={nowhere}")
        self.fails(USAGE, "INVALID_PRIVATE_KEY", "client.pem", "--target-certificate", ca, me)
        self.fails(
            USAGE, "KEY_VALUES_MISMATCH", "server.key", "--target-key", ca, me, f"--target-key={self.file('server.key')}"
        )
        self.fails(USAGE, "INVALID_SERVICE_TLS", "its certificate", "--target-certificate", ca, key)
        self.fails(USAGE, "INVALID_SERVICE_TLS", "needs TLS", "--target-ca or", me, key)
        self.fails(USAGE, "INVALID_SERVICE_TLS", "a Unix socket", "leave --target-ca", ca, "--target=unix:/nobody")
        self.fails(USAGE, "ENOENT", nowhere, "--token-file or TRANSPORTD_TOKEN_FILE", f"--token-file={nowhere}")
        self.fails(USAGE, "INVALID_TOKEN", "empty", "--token-file or TRANSPORTD_TOKEN_FILE", f"--token-file={empty}")
        remote = ["--target=192.0.2.1:1", f"--token={TOKEN}"]
        self.fails(USAGE, "TOKEN_WITHOUT_TLS", "192.0.2.1:1", "--target-ca or TRANSPORTD_TARGET_CA", *remote)
        self.fails(USAGE, "TOKEN_WITHOUT_TLS", "192.0.2.1:1", "--target-ca or", *remote, command=("exec", "--", "true"))


if __name__ == "__main__":
    harness.main()
