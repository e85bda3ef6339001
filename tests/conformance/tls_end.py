"""TLS for the peers of stage.py, and certificates. tls_end.h is the same in C++."""

import functools
import pathlib
import re
import ssl
import subprocess
import tempfile
import threading


class RaggedEof(Exception):
    """FIN without close_notify."""


def tls_reason(error):
    """As the service has it."""
    if isinstance(error, RaggedEof):
        return "ragged eof"
    alert = re.match(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(.*)", error.reason)
    return f"TLS_ALERT_{alert.group(1)}" if alert else error.reason


class TlsEnd:
    """TLS over a socket or over another of these. Two threads may send and receive at once."""

    def __init__(self, lower, context, server_side=True, server_hostname=None):
        self._lower = lower
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._notified = False
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )

    def _flush(self):
        with self._lock:
            data = self._outgoing.read()
        if data:
            self._lower.sendall(data)

    def _fill(self):
        data = self._lower.recv(65536)
        if not data:
            raise RaggedEof
        with self._lock:
            self._incoming.write(data)

    def handshake(self):
        while True:
            try:
                self.object.do_handshake()
                return
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()
            self._fill()

    def sendall(self, data):
        view = memoryview(data)
        with self._sending:
            while view:
                with self._lock:
                    view = view[self.object.write(view[:65536]) :]
                self._flush()

    def recv(self, size):
        while True:
            try:
                with self._lock:
                    data = self.object.read(size)
                if data:
                    return data
                self.notify()
                return b""
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self._fill()
            except ssl.SSLError:
                self._flush()
                raise

    def notify(self):
        """close_notify; receiving goes on."""
        with self._sending:
            if not self._notified:
                self._notified = True
                with self._lock:
                    try:
                        self.object.unwrap()
                    except ssl.SSLError:
                        pass
            try:
                self._flush()
            except OSError:
                pass


class Certificate:
    def __init__(self, folder, name):
        self.chain = str(folder / f"{name}.pem")
        self.key = str(folder / f"{name}.key")


class Certificates:
    """What test_certificates.h makes, made by openssl(1)."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self._path = pathlib.Path(self._folder.name)
        self.root = self._self_signed("root", "transportd test root", "basicConstraints=critical,CA:TRUE")
        self.localhost = self._issued("localhost", "localhost", "30")
        self.expired = self._issued("expired", "localhost", "-1")
        self.self_signed = self._self_signed(
            "self_signed", "localhost", "basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:localhost"
        )

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _self_signed(self, name, common_name, *extensions):
        made = Certificate(self._path, name)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", made.key]
        words = ["-subj", f"/O=transportd tests/CN={common_name}", "-days", "30", "-out", made.chain]
        for extension in extensions:
            words += ["-addext", extension]
        self._openssl("req", "-x509", *key, *words)
        return made

    def _issued(self, name, common_name, days):
        made = Certificate(self._path, name)
        request, extensions = str(self._path / "request"), self._path / "extensions"
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n", encoding="ascii"
        )
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", made.key]
        self._openssl("req", "-new", *key, "-subj", f"/O=transportd tests/CN={common_name}", "-out", request)
        above = ["-CA", self.root.chain, "-CAkey", self.root.key, "-CAcreateserial"]
        words = ["-days", days, "-extfile", str(extensions), "-out", made.chain]
        self._openssl("x509", "-req", "-in", request, *above, *words)
        return made

@functools.cache
def certificates():
    """First called by the first stage of TLS, before there are threads."""
    return Certificates()


def server_context(certificate=None):
    """Takes and shows the certificate of localhost; asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = certificate or certificates().localhost
    context.load_cert_chain(certificate.chain, certificate.key)
    # A session ticket that nobody reads turns the FIN of an abort into RST.
    context.num_tickets = 0
    return context


def client_context(root=None):
    """Trusts the tests' root."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations((root or certificates().root).chain)
    return context
