"""An asyncio event loop whose sockets, pipes and subprocesses are elsewhere: in a transportd service.

    import transportd

    async def main():
        reader, writer = await asyncio.open_connection("example.org", 80)
        ...

    transportd.run(main())

Any asyncio program or library runs on it unchanged: `transportd.run(main())` instead of `asyncio.run(main())`, or
`asyncio.Runner(loop_factory=transportd.new_event_loop)`. The service is found by TRANSPORTD_TARGET (127.0.0.1:50051
when unset), and told who calls by TRANSPORTD_TOKEN.
"""

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
