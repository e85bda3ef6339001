"""ssh -L through an sshd of its own."""

import getpass
import os
import subprocess
from pathlib import Path

import loopback
from peer import Forwarder
from processes import CannotRun
from setting import installed

_SSHD_CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/ssh_host_key
AuthorizedKeysFile {folder}/ssh_user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
AllowTcpForwarding yes
MaxSessions 1000
MaxStartups 1000
"""


class Ssh(Forwarder):
    """One ssh process, hence one encrypted connection, carries all ports; default ciphers, no compression."""

    title = "ssh -L"

    def version(self) -> str:
        words = [installed("ssh", "openssh-client"), "-V"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stderr.split(",")[0].strip()

    def start_on_ports(self) -> None:
        folder = self.setting.folder
        for name in ("ssh_host_key", "ssh_user_key"):
            if not (folder / name).exists():
                self._make_key(folder / name)
        if os.geteuid() == 0:
            # Its privilege separation wants this folder; the package's init script makes it at boot.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (server_port,) = loopback.free_ports(1)
        (folder / "sshd_config").write_text(_SSHD_CONFIGURATION.format(port=server_port, folder=folder))
        server = self.run("sshd", [installed("sshd", "openssh-server"), "-D", "-e", "-f", folder / "sshd_config"])
        server.wait_until(lambda: loopback.listens(server_port), "listens")
        # No configuration of the user's or of the machine's changes what is measured.
        words = [installed("ssh", "openssh-client"), "-F", "none", "-N", "-p", server_port, "-i", folder / "ssh_user_key"]
        for option in (
            "BatchMode=yes",
            "Compression=no",
            "ControlMaster=no",
            "ControlPath=none",
            "ExitOnForwardFailure=yes",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ):
            words += ["-o", option]
        for name, port in self.ports.items():
            words += ["-L", f"127.0.0.1:{port}:127.0.0.1:{self.setting.far_ports[name]}"]
        self.run(self.name, [*words, f"{getpass.getuser()}@127.0.0.1"])
        try:
            self.wait_ready()
        except CannotRun as error:
            raise CannotRun(f"{error}\nsshd said:\n{server.stderr()}") from None

    def _make_key(self, path: Path) -> None:
        words = [installed("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", path]
        subprocess.run(words, check=True)
