"""Certificates of a class of tests, each of the kind that it needs, made by openssl(1)."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import harness


class CertificatesTestCase(unittest.TestCase):
    """NAME.pem and NAME.key in `certificates`, a folder for the class."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        harness.need("openssl")
        cls.certificates = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="integration-")))

    @classmethod
    def openssl(cls, *arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            ["openssl", *arguments], input=data, check=True, capture_output=True, cwd=cls.certificates
        ).stdout

    @classmethod
    def openssl_request(cls, name: str, subject: str, *arguments: str) -> None:
        """`openssl req`, with a new key."""
        cls.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
            "-subj", subject, *arguments,
        )  # fmt: skip

    @classmethod
    def make_ca(cls, name: str, common_name: str = "") -> None:
        """Signed by itself."""
        cls.openssl_request(name, f"/CN={common_name or name}", "-x509", "-days", "2", "-out", f"{name}.pem")

    @classmethod
    def make_certificate(cls, name: str, ca: str, names: str, days: int = 2) -> None:
        """`names` as openssl writes subjectAltName. `days` -1: it expired a day ago."""
        cls.openssl_request(name, f"/O=Test/CN={name}.test", "-out", f"{name}.csr")
        (cls.certificates / "extensions").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        cls.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", str(days), "-extfile", "extensions",
        )  # fmt: skip
