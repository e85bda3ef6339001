"""Which process owns a socket: proc(5), /proc/net/tcp and /proc/PID/fd; ss(8) for Unix sockets."""

import os
import subprocess
from pathlib import Path

ESTABLISHED, LISTEN = "01", "0A"


def port_of(address: str) -> int:
    """0100007F:1F90 is 127.0.0.1:8080."""
    return int(address.rsplit(":", 1)[1], 16)


def rows(protocol: str) -> list[tuple[int, int, str, int]]:
    """(local port, remote port, state, inode) of each socket, IPv4 and IPv6."""
    found = []
    for name in (protocol, f"{protocol}6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            found.append((port_of(fields[1]), port_of(fields[2]), fields[3], int(fields[9])))
    return found


class Home:
    """The process that must own the sockets of the loop under test: the service, or for asyncio's own loop this one."""

    def __init__(self, pid: int):
        self.pid = pid

    def check_connection(self, port: int, peer_port: int) -> None:
        """The TCP connection's end at `port`, now open, is here."""
        self._check(
            [
                inode
                for local, remote, state, inode in rows("tcp")
                if (local, remote, state) == (port, peer_port, ESTABLISHED)
            ]
        )

    def check_listener(self, port: int) -> None:
        """Whoever listens at the TCP port is here."""
        self._check([inode for local, _, state, inode in rows("tcp") if (local, state) == (port, LISTEN)])

    def check_udp(self, port: int) -> None:
        """The UDP socket bound to the port is here."""
        self._check([inode for local, _, _, inode in rows("udp") if local == port])

    def check_unix_listener(self, path: Path) -> None:
        """Whoever listens at the Unix socket `path` is here."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        # Num, RefCount, Protocol, Flags, Type, St, Inode, Path. Flags: 10000 is a socket that listens.
        found = [line.split(maxsplit=7) for line in lines]
        self._check([int(row[6]) for row in found if row[7:] == [str(path)] and row[3] == "00010000"])

    def check_unix_connections(self, path: Path) -> None:
        """Whoever is connected to the Unix socket at `path` is here."""
        lines = subprocess.run(["ss", "-xH"], check=True, capture_output=True, text=True).stdout.splitlines()
        # Netid, State, Recv-Q, Send-Q, local path, its inode, the peer's path, its inode.
        ends = [line.split() for line in lines]
        self._check([int(end[7]) for end in ends if end[1] == "ESTAB" and end[4] == str(path)])

    def _check(self, inodes: list[int]) -> None:
        assert inodes, "there is no such socket"
        elsewhere = set(inodes) - self._inodes()
        assert not elsewhere, f"another process than {self.pid} owns the sockets {elsewhere}"

    def _inodes(self) -> set[int]:
        found = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(int(target[len("socket:[") : -1]))
        return found
