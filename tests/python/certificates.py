"""Certificates for tests, made by openssl(1), and the terms of TLS that go with one."""

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


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Authority:
    """A CA: NAME.pem and NAME.key in its folder, and those that it has signed."""

    folder: Path
    name: str

    @classmethod
    def make(cls, folder: Path, name: str) -> Authority:
        authority = cls(folder, name)
        authority._openssl(
            *("req", "-x509", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2"),
            *("-subj", f"/CN={name}"),
        )
        return authority

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def authority(self, name: str) -> Authority:
        """Another CA, which this one has signed."""
        self._sign(name, "basicConstraints=critical,CA:TRUE", days=2)
        return Authority(self.folder, name)

    def sign(self, name: str, names: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate and its key. `names` as openssl writes subjectAltName. -1 days: it expired yesterday."""
        return self._sign(name, f"subjectAltName={names}\nbasicConstraints=CA:FALSE", days)

    def _sign(self, name: str, what: str, days: int) -> tuple[Path, Path]:
        extensions = self.folder / f"{name}.extensions"
        extensions.write_text(f"{what}\n")
        request, certificate, key = (self.folder / f"{name}.{suffix}" for suffix in ("csr", "pem", "key"))
        self._openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.path.with_suffix(".key")),
            *("-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", certificate),
        )
        return certificate, key

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
