"""A network namespace of the test's own, where every address of the world leads to this host; user_namespaces(7).

Nothing that the test or the service sends leaves it, so a canary may sit at the real addresses. Who is not root needs
a user namespace; `enter` says why when the kernel gives none.
"""

import os
import subprocess
import sys

# On the interface, as a host's own addresses are. All others are local by the two routes alone.
GLOBAL = {4: "93.184.216.34", 6: "2606:2800:220:1::22"}
PRIVATE = {4: "10.1.2.3", 6: "fd12:3456:789a::1"}
NAME_SERVER = "127.0.0.53"

_ENTERED = "TRANSPORTD_TEST_OWN_NETWORK"
_SET_UP = f"""
ip link set lo up
ip addr add {GLOBAL[4]}/32 dev lo
ip addr add {PRIVATE[4]}/32 dev lo
ip -6 addr add {GLOBAL[6]}/128 dev lo nodad
ip -6 addr add {PRIVATE[6]}/128 dev lo nodad
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
echo "nameserver {NAME_SERVER}" >"$folder/resolv.conf"
echo "hosts: files dns" >"$folder/nsswitch.conf"
printf '127.0.0.1 localhost\\n::1 localhost\\n' >"$folder/hosts"
for file in resolv.conf nsswitch.conf hosts; do mount --bind "$folder/$file" "/etc/$file"; done
rm -r "$folder"
trap - EXIT
exec "$@"
"""


_UNSHARE = ["unshare", "--net", "--mount"]


def _inside(unshare: list[str], *command: str) -> list[str]:
    return [*unshare, "sh", "-ec", _SET_UP, "sh", *command]


def enter() -> str:
    """Runs this program again inside, and does not return there. Else, why it cannot: empty when it is inside."""
    if os.environ.get(_ENTERED):
        return ""
    reason = ""
    for unshare in ([*_UNSHARE, "--user", "--map-root-user"], _UNSHARE):
        try:
            trial = subprocess.run(
                _inside(unshare, "true"), check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        except FileNotFoundError as error:
            return f"no network namespace: {error}"
        if trial.returncode == 0:
            os.execvpe(unshare[0], _inside(unshare, *sys.orig_argv), {**os.environ, _ENTERED: "1"})
        reason = reason or trial.stderr.strip() or f"unshare ended with {trial.returncode}"
    return f"no network namespace: {reason}"
