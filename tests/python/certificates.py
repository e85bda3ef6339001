"""A certificate for tests, made by openssl(1), and the terms of TLS that go with it."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from transportd import ServiceTls

NAME = "server.test"


@dataclass(frozen=True)
class Certificate:
    """Self-signed, of the host server.test and of 127.0.0.1."""

    path: Path
    """PEM: the certificate and its key."""

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        path = folder / "server.pem"
        key = folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-keyout", key, "-out", path, "-days", "2", "-subj", f"/CN={NAME}"),
                *("-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"),
            ],
            check=True,
            capture_output=True,
        )
        path.write_text(path.read_text() + key.read_text())
        return cls(path)

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    def client_service(self) -> ServiceTls:
        return ServiceTls(trust_roots=self.path.read_text())

    def server_service(self) -> ServiceTls:
        return ServiceTls(certificate_chain=self.path.read_text())
