"""What is wrong between this program and the service, when the service itself has not said it."""

from __future__ import annotations

import contextlib
import errno
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from transportd._errors import AuthenticationError, ServiceError, ServiceUnavailableError
from transportd._target import Target, seconds_until
from transportd._target_tls import HOW_TO_HAVE_TLS, TargetTls
from transportd._tls import connect_tls

# A service that is there answers within this, or has nothing to tell.
_LONGEST_SECONDS = 3.0

# openssl/x509_vfy.h
_EXPIRED, _NOT_YET_VALID, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH = 10, 9, 62, 64
_SIGNED_BY_OTHERS = frozenset((2, 18, 19, 20, 21))

# As the ssl module names what the peer says of a certificate (RFC 8446, 6.2).
_CERTIFICATE_ALERTS = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)
# OpenSSL 3.2 and later have the second for both.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
# Which of them an end of the connection is depends on when it comes, and on the version of Python.
_HANG_UPS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)


def explain_handshake(place: Target, tls: TargetTls, error: OSError, deadline: float) -> ServiceError:
    """Why there is no TLS with the service. Of one that hung up: what explain_silence finds."""
    why = explain_silence(place, tls, deadline) if _is_hang_up(error) else _why_no_handshake(place, tls, error)
    return why or ServiceUnavailableError(f"TLS with the service at {place.text} failed: {error}")


def explain_silence(place: Target, tls: TargetTls | None, deadline: float) -> ServiceError | None:
    """Why the service ended the connection before it said anything: by another one, on which it is asked for nothing.

    `tls`: with what it was spoken to. None: that one says nothing new, a restart, say, is over. Waits, not long.
    """
    finding = _try(place, tls, min(deadline, time.monotonic() + _LONGEST_SECONDS))
    if tls is not None:
        if finding.error is not None:
            return _why_no_handshake(place, tls, finding.error)
        # TLS 1.3: the service looks at the certificate when the handshake is over for the client.
        return _certificate_refused(place, tls) if finding.has_hung_up else None
    if finding.error is None or _is_alert(finding.error):
        return wants_tls(place)
    return _hung_up(place) if _is_hang_up(finding.error) else None


@dataclass(frozen=True)
class _Finding:
    """What came of one connection by TLS."""

    error: OSError | None  # Of the connection, with its handshake.
    has_hung_up: bool = False  # After the handshake, mute: a server of HTTP/2 speaks first (RFC 9113, 3.4).


def _try(place: Target, tls: TargetTls | None, deadline: float) -> _Finding:
    """Without `tls`: with whomever, and no longer than the handshake."""
    if time.monotonic() >= deadline:
        return _Finding(TimeoutError("timed out"))
    if tls is not None:
        context, name = tls.context, tls.server_hostname
    else:
        context, name = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        with contextlib.closing(place.connect(deadline)) as sock:
            sock.settimeout(seconds_until(deadline))
            secured = connect_tls(context, sock, name, ["h2"])
    except OSError as error:
        return _Finding(error)
    with contextlib.closing(secured):
        if tls is None:
            return _Finding(None)
        try:
            secured.settimeout(seconds_until(deadline))
            return _Finding(None, has_hung_up=not secured.recv(1))
        except OSError as error:
            return _Finding(None, has_hung_up=not isinstance(error, TimeoutError))


def _why_no_handshake(place: Target, tls: TargetTls, error: OSError) -> ServiceError | None:
    """None: `error` says it as well."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what, hint = _why_not_trusted(tls, error)
        return _unavailable("SERVICE_NOT_TRUSTED", f"the certificate of the service at {place.text} {what}: {hint}")
    if _is_certificate_alert(error):
        return _certificate_refused(place, tls)
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        return _unavailable(
            "SERVICE_WITHOUT_TLS",
            f"the service at {place.text} does not speak TLS: leave ssl=… and TRANSPORTD_TARGET_CA away, or name"
            " another service: EventLoop(target) or TRANSPORTD_TARGET",
        )
    return _hung_up(place) if _is_hang_up(error) else None


def _certificate_refused(place: Target, tls: TargetTls) -> AuthenticationError:
    where = f"the service at {place.text}"
    if tls.is_given:
        text = f"{where} ended the connection: it wants a client certificate, or another one than that of ssl=…"
    elif tls.certificate_file is None:
        text = f"{where} wants a client certificate, and none was given"
    else:
        what = _what_is_wrong_with(tls.certificate) or "its CA must be one that the service trusts"
        text = f"{where} did not take the client certificate of {tls.certificate_file}: {what}"
    hint = "give one that it takes to ssl=… (load_cert_chain), or name it by TRANSPORTD_TARGET_CERTIFICATE and"
    refused = AuthenticationError(errno.EACCES, f"{text}; {hint} TRANSPORTD_TARGET_KEY")
    refused.reason = "CLIENT_CERTIFICATE_REFUSED"
    return refused


def wants_tls(place: Target) -> ServiceUnavailableError:
    """It was spoken to without."""
    return _unavailable("SERVICE_WANTS_TLS", f"the service at {place.text} speaks TLS: {HOW_TO_HAVE_TLS}")


def _hung_up(place: Target) -> ServiceUnavailableError:
    return _unavailable(
        "SERVICE_HUNG_UP",
        f"the service at {place.text} takes the connection and hangs up: it refuses an address for a while after three"
        " failed authentications, or has too many connections: wait, and see its audit log, auth.fail and auth.refused,"
        " or name another service: EventLoop(target) or TRANSPORTD_TARGET",
    )


def _is_hang_up(error: OSError) -> bool:
    """In the middle of the handshake, without a reason. ENOTCONN: of a socket that was reset before it began."""
    return isinstance(error, _HANG_UPS) or error.errno == errno.ENOTCONN


def _is_alert(error: OSError) -> bool:
    return isinstance(error, ssl.SSLError) and "_ALERT_" in (error.reason or "")


def _is_certificate_alert(error: OSError) -> bool:
    return isinstance(error, ssl.SSLError) and (error.reason or "").endswith(_CERTIFICATE_ALERTS)


def _why_not_trusted(tls: TargetTls, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """What is wrong with it, and what to do."""
    code = error.verify_code
    if code in (_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH):
        hint = "the name to expect is server_hostname's or TRANSPORTD_TARGET_NAME's, else the target's host"
        return f"does not name {tls.server_hostname}", hint
    if code in (_EXPIRED, _NOT_YET_VALID):
        hint = "the service needs another one (transportd --tls-certificate), or this machine's clock is wrong"
        return "has expired" if code == _EXPIRED else "is not valid yet", hint
    hint = "whom to trust is what ssl=… or TRANSPORTD_TARGET_CA says"
    if code in _SIGNED_BY_OTHERS:
        return f"is not signed by a CA {tls.trusted}", hint
    return f"is refused ({error.verify_message})", hint


def _unavailable(reason: str, text: str) -> ServiceUnavailableError:
    error = ServiceUnavailableError(text)
    error.reason = reason
    return error


def _what_is_wrong_with(certificate: str) -> str:
    """Why nobody would take it now (PEM); empty: nothing is known."""
    try:
        not_before, not_after = _validity(ssl.PEM_cert_to_DER_cert(certificate))
    except (ValueError, IndexError):
        return ""
    now = datetime.now(UTC)
    if now > not_after:
        return f"it expired on {not_after:%Y-%m-%dT%H:%M:%SZ}"
    if now < not_before:
        return f"it is not valid before {not_before:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _validity(certificate: bytes) -> tuple[datetime, datetime]:
    """From when, until when (RFC 5280, 4.1). The ssl module tells it of peers only. ValueError, IndexError."""
    fields = _elements(_elements(_elements(certificate)[0][1])[0][1])
    if fields[0][0] == 0xA0:  # The version is there.
        del fields[0]
    first, last = _elements(fields[3][1])  # Behind the serial number, the algorithm and the issuer.
    return _time(*first), _time(*last)


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of the year (RFC 5280, 4.1.2.5.1).
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """DER: what a constructed value consists of, each with its tag. IndexError."""
    found = []
    while data:
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        found.append((tag, data[start : start + length]))
        data = data[start + length :]
    return found
