"""`transportctl connect --tls` and `listen --tls` against openssl and curl; certificates of each kind, made here."""

import hashlib
import json
import os
import re
import ssl
import subprocess
import threading
from pathlib import Path

import harness
from certificates_case import CertificatesTestCase
from harness import pattern
from transportctl_case import FAILED, USAGE, TransportctlTestCase


class TlsTestCase(TransportctlTestCase, CertificatesTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.make_ca("ca")
        cls.make_ca("other-ca")
        cls.make_certificate("server", "ca", "DNS:server.test,IP:127.0.0.1")
        cls.make_certificate("expired", "ca", "DNS:server.test,IP:127.0.0.1", days=-1)
        cls.make_certificate("client", "ca", "DNS:client.test")
        cls.make_certificate("stranger", "other-ca", "DNS:client.test")

    @classmethod
    def file(cls, name: str) -> str:
        return str(cls.certificates / name)

    def identity(self, name: str) -> tuple[str, str, str, str]:
        return "--cert", self.file(f"{name}.pem"), "--key", self.file(f"{name}.key")

    def trust(self, name: str = "ca") -> tuple[str, str]:
        return "--cacert", self.file(f"{name}.pem")


class ConnectTest(TlsTestCase):
    """openssl s_server, which sends each line back reversed."""

    def server(self, *options: str, certificate: str = "server") -> str:
        """Its address."""
        process = self.program(
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-rev", "-cert", self.file(f"{certificate}.pem"),
            "-key", self.file(f"{certificate}.key"), *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(rb"ACCEPT (\S+)", line):
                threading.Thread(target=self.drain, args=(process.stdout,), daemon=True).start()
                return found[1].decode()
        raise AssertionError(f"no address: {said}")

    def talk(self, *arguments: str) -> tuple[int, dict, str]:
        """A line there and back; what the handshake came to, and what it says on standard error."""
        process = self.transportctl("connect", "--json", "--close-at-eof", *arguments)
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        made = {}
        for line in process.stdout:
            event = json.loads(line)
            if event["callback"] == "connection_made":
                made = event["args"].get("tls", {})
            elif event["callback"] == "data_received":
                process.stdin.close()
        err = process.stderr.read().decode()
        return process.wait(harness.TIMEOUT), made, err

    def expect_failure(self, what: str, *arguments: str) -> None:
        status, made, err = self.talk("--tls", *arguments)
        self.assertEqual((status, made), (FAILED, {}), err)
        self.assertIn(what, err)

    def test_each_version(self):
        for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            status, made, err = self.talk("--tls", *self.trust(), self.server(flag))
            self.assertEqual(status, 0, err)
            self.assertEqual((made["version"], made["peer_verified"]), (version, True))
            self.assertEqual(made["peer_subject"], "organizationName=Test, commonName=server.test")
            self.assertTrue(made["cipher"])

    def test_the_bytes_come_back(self):
        process = self.transportctl("-v", "connect", "--tls", "--close-at-eof", *self.trust(), self.server())
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"olleh\n")
        _, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 0, err)
        self.assertRegex(err, rb"tls TLSv1\.3, TLS_\w+, peer organizationName=Test, commonName=server\.test\n")

    def test_what_a_certificate_says_does_not_drive_the_terminal(self):
        self.make_ca("evil", "evil\033[31m\nX")
        address = self.server(certificate="evil")
        process = self.transportctl("-v", "connect", "--tls", "--insecure", "--close-at-eof", address)
        _, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertIn(rb"peer commonName=evil\x1b[31m\nX (not verified)", err)
        self.assertNotIn(b"\033", err)

    def test_wrong_certificates(self):
        address = self.server()
        self.expect_failure("CERTIFICATE_VERIFY_FAILED", address)
        self.expect_failure("unable to get local issuer certificate", *self.trust("other-ca"), address)
        self.expect_failure("hostname mismatch", *self.trust(), "--servername", "wrong.test", address)
        self.expect_failure("certificate has expired", *self.trust(), self.server(certificate="expired"))
        self.expect_failure("self-signed certificate", *self.trust(), self.server(certificate="other-ca"))

    def test_a_name_of_ones_own_and_none_at_all(self):
        address = self.server()
        status, made, err = self.talk("--tls", *self.trust(), "--servername", "server.test", address)
        self.assertEqual((status, made.get("peer_verified")), (0, True), err)
        for certificate in ("server", "expired", "other-ca"):
            status, made, err = self.talk("--tls", "--insecure", self.server(certificate=certificate))
            self.assertEqual((status, made.get("peer_verified")), (0, False), err)

    def test_alpn(self):
        address = self.server("-alpn", "http/1.1,imap")
        status, made, err = self.talk("--tls", *self.trust(), "--alpn", "h2,http/1.1", address)
        self.assertEqual((status, made.get("alpn")), (0, "http/1.1"), err)

    def test_client_certificates(self):
        # -Verify: without one, no connection.
        options = ("-Verify", "1", "-verify_return_error", "-CAfile", self.file("ca.pem"))
        for version in ("-tls1_2", "-tls1_3"):
            address = self.server(version, *options)
            status, _, err = self.talk("--tls", *self.trust(), *self.identity("client"), address)
            self.assertEqual(status, 0, err)
            # With TLS 1.3 the client has done its part when the server refuses.
            status, _, err = self.talk("--tls", *self.trust(), self.server(version, *options))
            self.assertEqual(status, FAILED, err)
            self.assertRegex(err, "TLS_ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)")
            arguments = ("--tls", *self.trust(), *self.identity("stranger"), self.server(version, *options))
            status, _, err = self.talk(*arguments)
            self.assertEqual(status, FAILED, err)
            self.assertIn("TLS_ALERT_UNKNOWN_CA", err)

    def test_a_peer_that_does_not_speak_tls(self):
        listener = self.listener()
        process = self.transportctl("connect", "--tls", "--insecure", f"127.0.0.1:{listener.getsockname()[1]}")
        peer = self.accept(listener)
        peer.sendall(b"220 mail.example ready\r\n")
        _, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, FAILED)
        self.assertIn(b"WRONG_VERSION_NUMBER", err)

    def test_an_end_that_may_not_be_the_end(self):
        listener = self.listener()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("server.pem"), self.file("server.key"))
        process = self.transportctl("connect", "--tls", *self.trust(), f"127.0.0.1:{listener.getsockname()[1]}")
        with context.wrap_socket(self.accept(listener), server_side=True) as peer:
            peer.sendall(b"the first half")
            # No close_notify.
            os.close(peer.detach())
        out, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertEqual((process.returncode, out), (0, b"the first half"), err)
        self.assertIn(b"something may be missing", err)

    def test_over_a_unix_socket(self):
        path = self.folder() / "socket"
        # A relative one: openssl 3.0 gives up on long paths.
        self.program(
            "openssl", "s_server", "-unix", path.name, "-rev", "-cert", self.file("server.pem"),
            "-key", self.file("server.key"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=path.parent,
        )  # fmt: skip
        harness.eventually(path.exists, "openssl is there")
        status, made, err = self.talk("--tls", *self.trust(), "--servername", "server.test", f"unix:{path}")
        self.assertEqual((status, made.get("peer_verified")), (0, True), err)

    def test_bad_command_lines(self):
        encrypted = self.file("encrypted.key")
        self.openssl("pkey", "-in", "client.key", "-out", encrypted, "-aes256", "-passout", "pass:x")
        for words, what in (
            (("connect", "--cacert", "x", "a:1"), "--cacert needs --tls"),
            (("connect", "--tls", "--cert", self.file("client.pem"), "a:1"), "give the file that has the key with --key"),
            (("connect", "--tls", "--key", self.file("client.key"), "a:1"), "--key needs --cert FILE"),
            (("connect", "--tls", "--insecure", *self.trust(), "a:1"), "give one of them"),
            (("connect", "--tls", "--alpn", "h2,,x", "a:1"), "--alpn must be names"),
            (("connect", "--tls", "unix:/x"), "needs --servername"),
            (("connect", "--tls", "--cacert", "/no/such/file", "a:1"), "--cacert: open /no/such/file"),
            (("connect", "--tls", "--cacert", self.file("ca.key"), "a:1"), "-----BEGIN CERTIFICATE-----"),
            (("connect", "--tls", "--cert", self.file("client.pem"), "--key", encrypted, "a:1"), "must not be encrypted"),
            (("listen", "--tls", "0"), "listen --tls needs --cert FILE and --key FILE"),
            (("listen", "--tls", "--insecure", *self.identity("server"), "0"), "--insecure has no meaning for listen"),
        ):
            status, out, err = self.run_to_end(*words)
            self.assertEqual((status, out), (USAGE, b""), (words, err))
            self.assertIn(what, err)
        mixed = ("--cert", self.file("client.pem"), "--key", self.file("server.key"))
        status, _, err = self.run_to_end("listen", "--tls", *mixed, "127.0.0.1:0")
        self.assertEqual(status, FAILED)
        self.assertIn("KEY_VALUES_MISMATCH", err)


class ListenTest(TlsTestCase):
    """openssl s_client and curl."""

    def s_client(self, address: tuple[str, int], *options: str) -> subprocess.Popen:
        return self.program(
            "openssl", "s_client", "-connect", "{}:{}".format(*address), "-CAfile", self.file("ca.pem"),
            "-verify_return_error", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def test_s_client_each_version(self):
        for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            process = self.transportctl("listen", "--tls", "--echo", *self.identity("server"), "127.0.0.1:0")
            address = self.listening_on(process)
            client = self.s_client(address, flag, "-quiet", "-no_ign_eof", "-verify_hostname", "server.test")
            client.stdin.write(b"hello\n")
            client.stdin.flush()
            said = []
            for line in client.stdout:
                said.append(line)
                if line == b"hello\n":
                    break
            self.assertEqual(said[-1:], [b"hello\n"], (version, said))
            client.stdin.close()
            client.stdout.read()
            self.assertEqual(client.wait(harness.TIMEOUT), 0)
            self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_alpn_is_the_servers_choice(self):
        arguments = ("--alpn", "h2,http/1.1", *self.identity("server"))
        process = self.transportctl("listen", "--json", "--tls", "--keep", *arguments, "127.0.0.1:0")
        address = self.listening_on(process)
        client = self.s_client(address, "-alpn", "http/1.1,h2")
        out, _ = client.communicate(b"", timeout=harness.TIMEOUT)
        self.assertIn(b"ALPN protocol: h2\n", out)
        made = json.loads(process.stdout.readline())
        self.assertEqual((made["callback"], made["args"]["tls"]["alpn"]), ("connection_made", "h2"))

    def curl(self, address: tuple[str, int], *options: str) -> subprocess.Popen:
        return self.program(
            "curl", "-sS", "--noproxy", "*", "--max-time", harness.TIMEOUT, "--http1.1", "--cacert",
            self.file("ca.pem"), *options, "https://{}:{}/x".format(*address),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def test_curl(self):
        process = self.transportctl("listen", "--tls", *self.identity("server"), "127.0.0.1:0")
        address = self.listening_on(process)
        body = pattern(2 << 20)
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        feeder = threading.Thread(target=self.feed, args=(process.stdin, head + body), daemon=True)
        feeder.start()
        out, err = self.curl(address).communicate(timeout=harness.TIMEOUT)
        self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(body).digest(), err)
        self.assertTrue(process.stdout.read().startswith(b"GET /x HTTP/1.1\r\n"))
        self.assertEqual(process.wait(harness.TIMEOUT), 0)

    @staticmethod
    def feed(stdin, data: bytes) -> None:
        stdin.write(data)
        stdin.close()

    def test_client_certificates(self):
        arguments = ("--echo", "--keep", *self.trust(), *self.identity("server"))
        process = self.transportctl("listen", "--json", "--tls", *arguments, "127.0.0.1:0")
        address = self.listening_on(process)
        # Neither of them gets as far as an answer.
        for options in ((), ("--cert", self.file("stranger.pem"), "--key", self.file("stranger.key"))):
            client = self.curl(address, *options)
            _, err = client.communicate(timeout=harness.TIMEOUT)
            self.assertIn(client.returncode, (35, 56), err)
        # The echo is no HTTP: curl says so, and that is after the handshake.
        client = self.curl(address, "--http0.9", "--no-buffer", "--cert", self.file("client.pem"), "--key", self.file("client.key"))
        made = json.loads(process.stdout.readline())["args"]
        self.assertEqual(made["tls"]["peer_subject"], "organizationName=Test, commonName=client.test")
        self.assertTrue(made["tls"]["peer_verified"])
        self.assertEqual(client.stdout.read(16), b"GET /x HTTP/1.1\r")


class IdentityTest(TlsTestCase):
    """Certificates of the service's, by name; and one file with certificate and key."""

    def start_service(self) -> harness.Service:
        return harness.Service(
            *(f"--tls-identity={name}={self.file(name)}.pem,{self.file(name)}.key" for name in ("server", "client"))
        )

    def expect_echo(self, server: tuple[str, ...], client: tuple[str, ...]) -> None:
        listening = self.transportctl(
            "listen", "--json", "--tls", "--echo", *self.trust(), *server, "127.0.0.1:0"
        )  # fmt: skip
        host, port = self.listening_on(listening)
        process = self.transportctl("connect", "--tls", "--close-at-eof", *self.trust(), *client, f"{host}:{port}")
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"hello\n")
        _, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 0, err)
        made = json.loads(listening.stdout.readline())["args"]["tls"]
        self.assertEqual(made["peer_subject"], "organizationName=Test, commonName=client.test")
        self.assertTrue(made["peer_verified"])
        listening.stdout.read()
        self.assertEqual(listening.wait(harness.TIMEOUT), 0)

    def test_both_sides(self):
        self.expect_echo(("--identity", "server"), ("--identity", "client"))

    def test_the_key_in_the_certificates_file(self):
        for name in ("server", "client"):
            both = Path(self.file(f"{name}.both"))
            both.write_bytes(Path(self.file(f"{name}.pem")).read_bytes() + Path(self.file(f"{name}.key")).read_bytes())
        self.expect_echo(("--cert", self.file("server.both")), ("--cert", self.file("client.both")))
        status, _, err = self.run_to_end("listen", "--tls", "--cert", self.file("server.pem"), "127.0.0.1:0")
        self.assertEqual(status, USAGE)
        self.assertIn("give the file that has the key with --key", err)

    def test_what_is_wrong(self):
        status, _, err = self.run_to_end("listen", "--tls", "--identity", "nobody", "127.0.0.1:0")
        self.assertEqual(status, FAILED)
        self.assertIn("UNKNOWN_TLS_IDENTITY", err)
        for words, what in (
            (("--tls", "--identity", "server", *self.identity("server")), "give one of them"),
            (("--identity", "server"), "--identity needs --tls"),
        ):
            status, _, err = self.run_to_end("listen", *words, "127.0.0.1:0")
            self.assertEqual(status, USAGE)
            self.assertIn(what, err)


if __name__ == "__main__":
    harness.main()
