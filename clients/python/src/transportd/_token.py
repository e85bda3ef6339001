"""Who calls: the bearer token, and where it may be sent."""

from __future__ import annotations

import os

from transportd._named_file import read_named_file, variable
from transportd._target import Target
from transportd._target_tls import HOW_TO_HAVE_TLS

# gRPC's servers take 8 KiB of metadata for certain (grpc_types.h, GRPC_ARG_MAX_METADATA_SIZE): the rest is for others.
_MAX_CHARACTERS = 7 << 10


def token_to_send(place: Target, has_tls: bool, token: str | None, token_file: str | os.PathLike[str] | None) -> str:
    """What EventLoop's arguments say, else the environment; empty: nobody says who calls. A file is read now.

    ValueError: there are two; no header can have it; everybody on the way to `place` could read it. OSError: a file's.
    """
    token_name, file_name = "token", "token_file"
    if token is None and token_file is None:
        token_name, file_name = "TRANSPORTD_TOKEN", "TRANSPORTD_TOKEN_FILE"
        token, token_file = variable(token_name), variable(file_name)
    if not token and token_file is None:
        return ""
    if token and token_file is not None:
        raise ValueError(f"{token_name} and {file_name} are both given: one of them must do")
    if not has_tls and not place.is_local:
        raise token_without_tls(place, place.text)
    if token_file is None:
        assert token is not None
        _check(token, "token")
        return token
    # As bytes: what is not ASCII is found below.
    content = read_named_file(file_name, token_file).decode("latin-1").rstrip("\r\n")
    if not content:
        raise ValueError(f"{file_name}: there is no token in {os.fspath(token_file)!r}: it is empty")
    _check(content, f"{file_name}: the token in {os.fspath(token_file)!r}")
    return content


def token_without_tls(place: Target, where: str) -> ValueError:
    """`where` would get it in plaintext."""
    return ValueError(
        f"target {place.text!r}: a token is sent by TLS only, unless the service is on this machine, and {where} would"
        f" get it without: {HOW_TO_HAVE_TLS}"
    )


def _check(token: str, name: str) -> None:
    """ValueError: no header can have it (RFC 9113, 8.2.1). What it is, they never say."""
    allowed = f"allowed are at most {_MAX_CHARACTERS} printable ASCII characters, without a space at either end"
    if len(token) > _MAX_CHARACTERS:
        raise ValueError(f"{name} has {len(token)} characters; {allowed}")
    if token.endswith(("\n", "\r")):
        raise ValueError(f"{name} ends with a line break; {allowed}")
    for position, character in enumerate(token):
        if not " " <= character <= "~":
            raise ValueError(f"{name} has a character at position {position} that it cannot have; {allowed}")
    if token != token.strip():
        raise ValueError(f"{name} begins or ends with a space; {allowed}")
