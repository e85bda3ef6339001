"""How a row is measured through a peer: the load generator runs, and prints its result."""

from peer import Peer
from processes import Program

# Beyond the time that is measured: to connect, to warm up, to end.
_PATIENCE_SECONDS = 60


def load(peer: Peer, row) -> dict:
    """The row's work, through the peer."""
    with peer.load(row) as program:
        return program.result(peer.setting.seconds + _PATIENCE_SECONDS)


def accept(peer: Peer, row) -> dict:
    """An echo server that the load generator makes with create_server, in or behind the peer; direct clients dial it."""
    serving = [*peer.generator(peer.loop), "serve"]
    with Program(peer.setting.folder, f"{row.name}-server", serving, peer.environment()) as server:
        port = server.first_line()["port"]
        before = getattr(peer, "before", None)
        if before is None:
            return _dial(peer, row, port)
        with before(port) as other:
            return _dial(peer, row, other.ports["echo"])


def _dial(peer: Peer, row, port: int) -> dict:
    words = [*peer.generator("direct"), *(word.format(accept=port) for word in row.work)]
    with Program(peer.setting.folder, f"{row.name}-{peer.name}", words) as program:
        return program.result(peer.setting.seconds + _PATIENCE_SECONDS)
