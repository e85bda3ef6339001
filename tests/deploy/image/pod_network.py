"""A network namespace for a pod, and the cable to its node: the namespace of whoever makes it."""

import itertools
import subprocess

_NUMBERS = itertools.count(1)
_SET_UP = """
ip link set lo up
echo ready
exec cat
"""


class PodNetwork:
    """The namespace is there until `close`. As root."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        # RFC 5737: of nobody.
        self.node_address, self.address = (f"192.0.2.{4 * number + host}" for host in (1, 2))
        # It keeps the namespace while its input is open.
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-ec", _SET_UP], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            if self._keeper.stdout.readline() != b"ready\n":
                raise AssertionError("no network namespace could be made")
            cable = f"pod{number}"
            self._ip(f"link add {cable} type veth peer name eth0 netns {self._keeper.pid}")
            self._ip(f"address add {self.node_address}/30 dev {cable}")
            self._ip(f"link set {cable} up")
            self._ip(f"address add {self.address}/30 dev eth0", *self.inside())
            self._ip("link set eth0 up", *self.inside())
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _ip(arguments: str, *prefix: str) -> None:
        subprocess.run([*prefix, "ip", *arguments.split()], check=True, stdin=subprocess.DEVNULL)

    def inside(self) -> tuple[str, ...]:
        """In front of a command: it runs in the pod's network."""
        return ("nsenter", f"--net=/proc/{self._keeper.pid}/ns/net")

    def close(self) -> None:
        self._keeper.communicate()
