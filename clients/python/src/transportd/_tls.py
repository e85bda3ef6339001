"""TLS: by this process with any ssl.SSLContext, or by the service with ServiceTls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transportd.v1 import tls_pb2, transport_pb2

_VERSIONS = {
    ssl.TLSVersion.TLSv1: tls_pb2.TLS_VERSION_1_0,
    ssl.TLSVersion.TLSv1_1: tls_pb2.TLS_VERSION_1_1,
    ssl.TLSVersion.TLSv1_2: tls_pb2.TLS_VERSION_1_2,
    ssl.TLSVersion.TLSv1_3: tls_pb2.TLS_VERSION_1_3,
}
_VERIFY_MODES = {
    ssl.CERT_NONE: tls_pb2.TLS_VERIFY_MODE_NONE,
    ssl.CERT_OPTIONAL: tls_pb2.TLS_VERIFY_MODE_OPTIONAL,
    ssl.CERT_REQUIRED: tls_pb2.TLS_VERIFY_MODE_REQUIRED,
}


class _SSLProtocol(sslproto.SSLProtocol):
    """asyncio's, which at the end of TLS forgets what it could not write because the transport was paused."""

    def _on_shutdown_complete(self, shutdown_exc: BaseException | None) -> None:
        this: Any = self
        if shutdown_exc is None and this._transport is not None and this._outgoing.pending:
            this._transport.write(this._outgoing.read())
        parent: Any = super()
        parent._on_shutdown_complete(shutdown_exc)


@dataclass(frozen=True)
class TlsSide:
    """One side's terms, of a connection whose TLS this process does."""

    context: ssl.SSLContext | bool
    server_hostname: str | None
    server_side: bool
    handshake_timeout: float | None
    shutdown_timeout: float | None

    def protocol(
        self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[Any]
    ) -> Any:
        """asyncio's own TLS, to be put over any stream transport."""
        make: Any = _SSLProtocol
        return make(
            loop,
            protocol,
            None if isinstance(self.context, bool) else self.context,
            waiter,
            self.server_side,
            self.server_hostname,
            ssl_handshake_timeout=self.handshake_timeout,
            ssl_shutdown_timeout=self.shutdown_timeout,
        )


@dataclass(frozen=True)
class ServiceTls:
    """Asks the service to do the TLS: for `ssl=` of the event loop's calls.

    The service then sees what is transferred, and keys are sent to it, unless `identity` names one that it has. With an
    ssl.SSLContext instead, TLS goes from end to end and the service sees ciphertext only.

    Where something is refused: ValueError that names the field, or ssl.SSLError.
    """

    trust_roots: str | None = None
    """Certificates in PEM form to trust. None: those that the service's machine trusts."""
    certificate_chain: str = ""
    """This side's certificate and those between it and the root, in PEM form; the key may stand with them."""
    private_key: str = field(default="", repr=False)
    """The certificate's key in PEM form, without a passphrase."""
    identity: str = ""
    """A certificate with its key that the service was started with, by its name, instead of the two above."""
    verify_mode: ssl.VerifyMode | None = None
    """What is asked of the peer's certificate. None: CERT_REQUIRED for a client, CERT_NONE for a server."""
    alpn_protocols: Sequence[str] = ()
    """ALPN, the most wanted first."""
    minimum_version: ssl.TLSVersion | None = None
    """None: TLS 1.2."""
    maximum_version: ssl.TLSVersion | None = None
    """None: the highest there is."""
    ciphers: str = ""
    """OpenSSL's cipher list for TLS 1.2 and older. Empty: OpenSSL's default."""
    ciphersuites: str = ""
    """The ciphersuites of TLS 1.3. Empty: OpenSSL's default."""
    session_resumption: bool | None = None
    """Whether a session may be resumed. None: a server lets its clients, a client does not ask."""

    def to_proto(
        self, server_hostname: str | None, handshake_timeout: float | None, shutdown_timeout: float | None
    ) -> tls_pb2.TlsOptions:
        """The contract's message. ValueError for a timeout that is not positive, or a version that is not TLS."""
        if isinstance(self.alpn_protocols, (str, bytes)) or not all(isinstance(x, str) for x in self.alpn_protocols):
            raise TypeError(f"ServiceTls: alpn_protocols must be a sequence of str, not {self.alpn_protocols!r}")
        if self.verify_mode is not None and self.verify_mode not in _VERIFY_MODES:
            raise ValueError(f"ServiceTls: verify_mode {self.verify_mode!r} is not CERT_NONE, _OPTIONAL or _REQUIRED")
        options = tls_pb2.TlsOptions(
            certificate_chain_pem=self.certificate_chain,
            private_key_pem=self.private_key,
            identity=self.identity,
            alpn_protocols=[name.encode("ascii") for name in self.alpn_protocols],
            cipher_list=self.ciphers,
            ciphersuites=self.ciphersuites,
        )
        if self.trust_roots is not None:
            options.trust_roots_pem = self.trust_roots
        if self.verify_mode is not None:
            options.verify_mode = _VERIFY_MODES[self.verify_mode]
        if server_hostname is not None:
            options.server_hostname = server_hostname
        if self.session_resumption is not None:
            options.session_resumption = self.session_resumption
        if self.minimum_version is not None:
            options.minimum_version = _version(self.minimum_version)
        if self.maximum_version is not None:
            options.maximum_version = _version(self.maximum_version)
        for name, seconds in (("handshake", handshake_timeout), ("shutdown", shutdown_timeout)):
            if seconds is None:
                continue
            if seconds <= 0:
                raise ValueError(f"ssl_{name}_timeout should be a positive number, got {seconds}")
            getattr(options, f"{name}_timeout").FromNanoseconds(int(seconds * 1e9))
        return options

    def extra(self, info: transport_pb2.ExtraInfo) -> dict[str, Any]:
        """get_extra_info's keys of a transport that it made."""
        tls = info.tls
        cipher = (tls.cipher.name, tls.cipher.protocol, tls.cipher.secret_bits) if tls.HasField("cipher") else None
        is_shown = tls.HasField("peer_certificate")
        return {
            "sslcontext": self,
            "ssl_object": None,
            "cipher": cipher,
            "compression": tls.compression if tls.HasField("compression") else None,
            "peercert": _certificate(tls.peer_certificate) if is_shown and tls.peer_certificate_verified else {},
            "peercert_der": tls.peer_certificate.der if is_shown else None,
            "tls_version": tls.version,
            "alpn_protocol": tls.alpn_protocol.decode("ascii", "replace") if tls.HasField("alpn_protocol") else None,
        }


def _version(version: ssl.TLSVersion) -> tls_pb2.TlsVersion:
    try:
        return _VERSIONS[version]
    except KeyError:
        raise ValueError(f"{version!r} is not TLSv1, TLSv1_1, TLSv1_2 or TLSv1_3") from None


def _certificate(certificate: tls_pb2.TlsCertificate) -> dict[str, Any]:
    """As SSLSocket.getpeercert(): https://docs.python.org/3/library/ssl.html#ssl.SSLSocket.getpeercert"""

    def name(name: tls_pb2.TlsName) -> tuple[tuple[tuple[str, str], ...], ...]:
        return tuple(tuple((item.name, item.value) for item in part.attributes) for part in name.relative_names)

    def moment(seconds: int) -> str:
        at = time.gmtime(seconds)
        return f"{time.strftime('%b', at)} {at.tm_mday:2d} {time.strftime('%H:%M:%S %Y', at)} GMT"

    out: dict[str, Any] = {
        "subject": name(certificate.subject),
        "issuer": name(certificate.issuer),
        "version": certificate.version,
        "serialNumber": certificate.serial_number,
        "notBefore": moment(certificate.not_before.seconds),
        "notAfter": moment(certificate.not_after.seconds),
    }
    if certificate.subject_alternative_names:
        out["subjectAltName"] = tuple(
            (item.type, item.value.decode("utf-8", "replace")) for item in certificate.subject_alternative_names
        )
    return out


def connect_tls(
    context: ssl.SSLContext, sock: socket.socket, server_hostname: str | None, alpn_protocols: list[str]
) -> ssl.SSLSocket:
    """TLS on `sock`, which becomes its; waits for the handshake. `context` keeps the ALPN protocols that it has."""
    own_protocols = _alpn_protocols(context, server_hostname)
    context.set_alpn_protocols(alpn_protocols)
    try:
        secured = context.wrap_socket(sock, server_hostname=server_hostname, do_handshake_on_connect=False)
    finally:
        # OpenSSL 1.1 says that it has no memory for none, and has none.
        with contextlib.suppress(MemoryError):
            context.set_alpn_protocols(own_protocols)
    try:
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


_ALPN_EXTENSION = 16


def _alpn_protocols(context: ssl.SSLContext, server_hostname: str | None) -> list[str]:
    """What `context` offers by ALPN. Nothing tells it but the ClientHello (RFC 8446, 4.1.2; RFC 7301, 3.1)."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_hostname).do_handshake()
    hello = _Fields(outgoing.read())
    hello.take(5 + 4 + 2 + 32)  # The record's header, the message's, the version, the random bytes.
    hello.take_vector(1)  # The session's id.
    hello.take_vector(2)  # The cipher suites.
    hello.take_vector(1)  # The compression methods.
    extensions = _Fields(hello.take_vector(2))
    protocols: list[str] = []
    while extensions.rest:
        kind, value = int.from_bytes(extensions.take(2), "big"), _Fields(extensions.take_vector(2))
        if kind == _ALPN_EXTENSION:
            names = _Fields(value.take_vector(2))
            while names.rest:
                protocols.append(names.take_vector(1).decode("ascii"))
    return protocols


class _Fields:
    """Takes a message of TLS apart (RFC 8446, 3)."""

    def __init__(self, data: bytes):
        self.rest = data

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def take_vector(self, length_bytes: int) -> bytes:
        return self.take(int.from_bytes(self.take(length_bytes), "big"))


def check_local(tls: Any) -> None:
    """TypeError when the service is asked to do the TLS of a socket of this process."""
    if isinstance(tls, ServiceTls):
        raise TypeError("ServiceTls is for connections of the service: give a socket of this process an ssl.SSLContext")
