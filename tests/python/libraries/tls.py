"""A certificate for localhost, and who trusts it."""

import ssl
from pathlib import Path

import trustme


class Tls:
    def __init__(self, folder: Path):
        self.ca_certificate = folder / "ca.pem"
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        ca = trustme.CA()
        issued = ca.issue_cert("localhost", "127.0.0.1", "::1")
        ca.cert_pem.write_to_path(self.ca_certificate)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.certificate, append=True)
        issued.private_key_pem.write_to_path(self.key)

    def client_context(self) -> ssl.SSLContext:
        """Trusts the certificate, and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_certificate))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context
