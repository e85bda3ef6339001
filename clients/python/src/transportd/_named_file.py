"""Files that a program is named for its way to the service: certificates, keys, tokens."""

from __future__ import annotations

import os

# As the clients in C++, and as much as TLS takes of certificates.
_MAX_BYTES = 1 << 20


def variable(name: str) -> str | None:
    """The environment's; None when it is empty, too."""
    return os.environ.get(name) or None


def read_named_file(name: str, path: str | os.PathLike[str]) -> bytes:
    """The whole of it. `name` is the argument's, or the variable's, that says `path`.

    OSError that names both; ValueError above 1 MiB.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}", os.fspath(path)) from None
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{name}: {os.fspath(path)!r} is longer than 1 MiB, which is not allowed")
    return content
