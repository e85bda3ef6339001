"""The contract's errors as the exceptions that asyncio raises."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys

from google.protobuf import any_pb2

from transportd._addresses import text_address
from transportd._frames import length_delimited_fields
from transportd._http2 import Status
from transportd.v1 import types_pb2


class ServiceError(Exception):
    """What only a service can get wrong, mixed into an exception of Python's own.

    `reason` is stable, in UPPER_SNAKE form (proto/README.md lists them); the text may change.
    """

    reason: str = ""


class ServiceUnavailableError(ServiceError, ConnectionError):
    """No service could be reached at the target, or what is there is none, or not one that this package can talk to."""


class SessionLostError(ServiceError, ConnectionError):
    """The connection with the service broke, or the service ended the session: every transport of the loop is gone."""


class AuthenticationError(ServiceError, PermissionError):
    """The service does not know who calls: the token or client certificate is missing, wrong or expired."""


class PolicyDeniedError(ServiceError, PermissionError):
    """The service's policy does not allow the caller to do this."""


class ServiceBusyError(ServiceError, OSError):
    """A limit of the service, or of the session, is reached."""


class RequestTimeoutError(ServiceError, TimeoutError):
    """The service gave up on the call, or did not answer in time what must be answered at once."""


class UnsupportedError(ServiceError, NotImplementedError):
    """This service, or the transport in question, cannot do that."""


# google.rpc.Code
_CANCELLED, _INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _NOT_FOUND, _PERMISSION_DENIED, _RESOURCE_EXHAUSTED = (
    1,
    3,
    4,
    5,
    7,
    8,
)
_FAILED_PRECONDITION, _ABORTED, _UNIMPLEMENTED, _UNAVAILABLE, _DATA_LOSS, _UNAUTHENTICATED = 9, 10, 12, 14, 15, 16

# The alerts that were in SSL 3.0, and those that are new in TLS 1.3: OpenSSL, and so the ssl module, names them so.
_SSL3_ALERTS = frozenset(
    (
        "UNEXPECTED_MESSAGE",
        "BAD_RECORD_MAC",
        "DECOMPRESSION_FAILURE",
        "HANDSHAKE_FAILURE",
        "NO_CERTIFICATE",
        "BAD_CERTIFICATE",
        "UNSUPPORTED_CERTIFICATE",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_UNKNOWN",
        "ILLEGAL_PARAMETER",
    )
)
_TLS13_ALERTS = frozenset(("MISSING_EXTENSION", "CERTIFICATE_REQUIRED"))


def to_exception(error: types_pb2.TransportError) -> Exception:
    """One failure, with `error` itself as its attribute `transport_error`."""
    exception = _choose(error)
    exception.transport_error = error  # type: ignore[attr-defined]
    return exception


def transport_error_of(exception: BaseException) -> types_pb2.TransportError | None:
    """What `to_exception` was given; None when the exception is no service's."""
    error = getattr(exception, "transport_error", None)
    return error if isinstance(error, types_pb2.TransportError) else None


def status_error(status: Status) -> Exception:
    """Why a call ended: the TransportError in its details, or what its code and message say."""
    try:
        for number, value in length_delimited_fields(status.details):
            error = types_pb2.TransportError()
            if number == 3 and any_pb2.Any.FromString(value).Unpack(error):  # google.rpc.Status.details
                return to_exception(error)
    except Exception:  # Whatever cannot be read has nothing to add.
        pass
    text = status.message or (f"it ended with gRPC status {status.code}" if status.code else "the service ended it")
    return to_exception(types_pb2.TransportError(code=status.code or _UNAVAILABLE, message=text))


def _choose(error: types_pb2.TransportError) -> Exception:
    if error.gai_code:
        return socket.gaierror(error.gai_code, error.message.rpartition(": ")[2] or error.message)
    if error.errno_number:
        return _os_error(error)
    if error.reason.startswith("EAI_"):
        return socket.gaierror(getattr(socket, error.reason, socket.EAI_FAIL), error.message)
    if error.code in (_ABORTED, _DATA_LOSS) or (error.code, error.operation) == (_FAILED_PRECONDITION, "handshake"):
        return _tls_error(error)
    return _own_error(error)


def each_exception(exception: Exception) -> list[Exception]:
    """That of each address that was tried, in order."""
    error = transport_error_of(exception)
    return [to_exception(cause) for cause in error.causes] if error is not None and error.causes else [exception]


# What connect(2) says at once: asyncio hands it on as it is. What it says later, asyncio words itself.
_AT_ONCE = frozenset((errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENETUNREACH))


def _os_error(error: types_pb2.TransportError) -> OSError:
    number = error.errno_number
    text = os.strerror(number)
    if error.operation == "connect" and number in _AT_ONCE:
        pass
    elif error.operation == "connect" and error.address and not error.address.startswith(("/", "@", "\0", "unix:")):
        text = f"Connect call failed {text_address(error.address)!r}"
    elif error.operation == "bind" and error.address:
        what = text.lower() if sys.version_info < (3, 13) else f"[errno {number}] {text.lower()}"
        text = f"error while attempting to bind on address {text_address(error.address)!r}: {what}"
    return OSError(number, text)


def plain_os_error(error: types_pb2.TransportError) -> Exception:
    """As `to_exception`, with the kernel's text alone."""
    return OSError(error.errno_number, os.strerror(error.errno_number)) if error.errno_number else to_exception(error)


def _tls_error(error: types_pb2.TransportError) -> Exception:
    if error.tls_verify_code:
        failure = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] {error.message}")
        failure.reason = "CERTIFICATE_VERIFY_FAILED"
        failure.verify_code = error.tls_verify_code
        failure.verify_message = error.message.rpartition(": ")[2]
        return failure
    reason = error.reason
    if reason.startswith("TLS_ALERT_"):
        alert = reason.removeprefix("TLS_ALERT_")
        version = "SSLV3" if alert in _SSL3_ALERTS else "TLSV13" if alert in _TLS13_ALERTS else "TLSV1"
        reason = f"{version}_ALERT_{alert}"
    plain = ssl.SSLError(1, f"[SSL: {reason}] {error.message}")
    plain.reason = reason
    return plain


def _own_error(error: types_pb2.TransportError) -> Exception:
    message, code = error.message or error.reason, error.code
    failure: ServiceError
    if code == _DEADLINE_EXCEEDED:
        if error.reason in ("HANDSHAKE_TIMEOUT", "SHUTDOWN_TIMEOUT"):
            return _plain_tls_timeout(error)
        failure = RequestTimeoutError(message)
    elif code == _UNAUTHENTICATED:
        failure = AuthenticationError(errno.EACCES, message)
    elif code == _PERMISSION_DENIED:
        failure = PolicyDeniedError(errno.EACCES, message)
    elif code == _RESOURCE_EXHAUSTED:
        failure = ServiceBusyError(errno.ENOBUFS, message)
    elif code == _UNIMPLEMENTED:
        failure = UnsupportedError(message)
    elif code == _CANCELLED:
        # Whoever cancels a call of this process does not ask for its outcome: it is the service that ends.
        failure = SessionLostError("the service is stopping: it gave up the call")
    elif code == _UNAVAILABLE:
        if error.reason == "HANDSHAKE_EOF":
            return ConnectionResetError(message)
        failure = SessionLostError(message)
    elif code == _INVALID_ARGUMENT:
        if error.reason == "INVALID_PORT":
            return OverflowError(message)
        if error.reason == "INVALID_FLAGS":
            return socket.gaierror(socket.EAI_BADFLAGS, "Bad value for ai_flags")
        return ValueError(message)
    elif code == _NOT_FOUND:
        return LookupError(message)
    elif code == _FAILED_PRECONDITION:
        return RuntimeError(message)
    else:
        return OSError(f"{error.reason}: {error.message}" if error.reason else message)
    failure.reason = error.reason
    return failure


def _plain_tls_timeout(error: types_pb2.TransportError) -> Exception:
    if error.reason == "SHUTDOWN_TIMEOUT":
        return TimeoutError("SSL shutdown timed out")
    return ConnectionAbortedError("SSL handshake is taking too long: aborting the connection")
