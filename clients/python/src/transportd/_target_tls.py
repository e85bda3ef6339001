"""TLS with the service itself: an ssl.SSLContext of the program's, or what the environment says."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Literal

from transportd._named_file import read_named_file, variable
from transportd._target import Target

_CA, _NAME = "TRANSPORTD_TARGET_CA", "TRANSPORTD_TARGET_NAME"
_CERTIFICATE, _KEY = "TRANSPORTD_TARGET_CERTIFICATE", "TRANSPORTD_TARGET_KEY"
_SYSTEM_CA = "system"

_PEM_CERTIFICATE = re.compile("-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")
# Nothing of what else may be in the file, such as its key.
_FIRST_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_PEM_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")

HOW_TO_HAVE_TLS = f"give ssl=…, or name a file of the CAs to trust, or `{_SYSTEM_CA}`, by {_CA}"


@dataclass(frozen=True)
class TargetTls:
    """The terms."""

    context: ssl.SSLContext
    server_hostname: str  # Whom the service's certificate must name.
    trusted: str  # Whose signature it must have, for people: "a CA …".
    certificate_file: str | None  # By which the service knows who calls. None: there is none, or `context` has it.
    certificate: str = field(repr=False)  # The first in it, PEM; empty: none that can be read here.
    is_given: bool  # `context` is the program's.


def target_tls(
    place: Target, context: ssl.SSLContext | Literal[False] | None, server_hostname: str | None
) -> TargetTls | None:
    """EventLoop's arguments, else the environment; None: no TLS. Files are read now.

    ValueError: what does not go together, or cannot be; a file that has not in it what it should. OSError: a file's.
    """
    is_unix = place.family == socket.AF_UNIX
    if context and is_unix:
        raise ValueError(f"target {place.text!r}: a Unix socket has no TLS, and needs none: leave ssl=… away")
    ca_file = None if context is not None or is_unix else variable(_CA)
    if not context and ca_file is None:
        if server_hostname is None:
            return None
        raise ValueError(
            f"server_hostname {server_hostname!r}: a name of the service's certificate needs TLS: {HOW_TO_HAVE_TLS}"
        )
    name, host = "server_hostname", server_hostname
    if host is None:
        name, host = _NAME, variable(_NAME)
    if host is None:
        name, host = "target", place.host
    if context:
        tls = TargetTls(context, host, "that ssl=… trusts", None, "", True)
    else:
        assert ca_file is not None
        tls = _from_environment(ca_file, host)
    try:
        # What would fail on the connection: a name that cannot be one, a context for servers.
        tls.context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)
    except ssl.SSLError as error:
        raise ValueError(f"ssl: {error}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} {host!r}: no certificate can name that: {error}") from None
    return tls


def _from_environment(ca_file: str, host: str) -> TargetTls:
    # Not create_default_context(): the newer a Python, the stricter it is with CAs that people make themselves.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As gRPC: an intermediate CA, or the service's own certificate, may be what is trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusted = "that this machine trusts"
    if ca_file == _SYSTEM_CA:
        context.load_default_certs()
    else:
        trusted = f"of {ca_file}"
        try:
            context.load_verify_locations(cadata=_text(read_named_file(_CA, ca_file)))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{_CA}: there is no certificate in PEM form in {ca_file!r}: {error}") from None
    certificate_file, key_file = variable(_CERTIFICATE), variable(_KEY)
    if certificate_file is None and key_file is not None:
        raise ValueError(f"{_KEY} names a key, and {_CERTIFICATE} not its certificate")
    certificate = _load(context, certificate_file, key_file) if certificate_file is not None else ""
    return TargetTls(context, host, trusted, certificate_file, certificate, False)


def _load(context: ssl.SSLContext, certificate_file: str, key_file: str | None) -> str:
    """Who calls, into `context`; the first certificate in `certificate_file`."""
    certificate = key = _text(read_named_file(_CERTIFICATE, certificate_file))
    key_name, key_path = _CERTIFICATE, certificate_file
    if key_file is not None:
        key_name, key_path = _KEY, key_file
        key = _text(read_named_file(_KEY, key_file))
    if not _PEM_CERTIFICATE.search(certificate):
        raise ValueError(f"{_CERTIFICATE}: there is no certificate in PEM form in {certificate_file!r}")
    if not _PEM_KEY.search(key):
        hint = f": if it is in a file of its own, {_KEY} names that" if key_file is None else ""
        raise ValueError(f"{key_name}: there is no private key in PEM form in {key_path!r}{hint}")

    def passphrase() -> str:  # Else OpenSSL asks for it at the terminal.
        raise ValueError(f"{key_name}: the private key in {key_path!r} has a passphrase, and must have none")

    try:
        context.load_cert_chain(certificate_file, key_file, passphrase)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            text = f"{key_name}: the private key in {key_path!r} is not that of the certificate in {certificate_file!r}"
        else:
            text = f"{_CERTIFICATE}: {certificate_file!r}, or its key in {key_path!r}, cannot be read: {error}"
        raise ValueError(text) from None
    first = _FIRST_CERTIFICATE.search(certificate)
    return first[0] if first is not None else ""


def _text(content: bytes) -> str:
    """PEM: what stands around it may be anything."""
    return content.decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")
