"""An asyncio event loop whose sockets, pipes and subprocesses are elsewhere: in a transportd service.

    import transportd

    async def main():
        reader, writer = await asyncio.open_connection("example.org", 80)
        ...

    transportd.run(main())

Any asyncio program or library runs on it unchanged: `transportd.run(main())` instead of `asyncio.run(main())`, or
`asyncio.Runner(loop_factory=transportd.new_event_loop)`. The service is found by TRANSPORTD_TARGET (127.0.0.1:50051
when unset), and told who calls by TRANSPORTD_TOKEN or TRANSPORTD_TOKEN_FILE; TLS with it is what TRANSPORTD_TARGET_CA
and its like say. README.md has them all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from transportd._errors import (
    AuthenticationError,
    PolicyDeniedError,
    RequestTimeoutError,
    ServiceBusyError,
    ServiceError,
    ServiceUnavailableError,
    SessionLostError,
    UnsupportedError,
)
from transportd._loop import EventLoop, new_event_loop, run
from transportd._pipe import ServicePipe
from transportd._socketpair import ServiceSocket, socketpair
from transportd._tls import ServiceTls

if TYPE_CHECKING:
    from transportd import service as service

__version__: str

__all__ = [
    "AuthenticationError",
    "EventLoop",
    "PolicyDeniedError",
    "RequestTimeoutError",
    "ServiceBusyError",
    "ServiceError",
    "ServicePipe",
    "ServiceSocket",
    "ServiceTls",
    "ServiceUnavailableError",
    "SessionLostError",
    "UnsupportedError",
    "new_event_loop",
    "run",
    "socketpair",
]


if not TYPE_CHECKING:  # Else a type checker would take every name for one of this module's.

    def __getattr__(name: str) -> Any:
        """`service` and `__version__`, which few programs want: imported, or looked up, when they are asked for."""
        if name == "service":
            return importlib.import_module("transportd.service")
        if name == "__version__":
            return importlib.import_module("importlib.metadata").version("transportd")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
