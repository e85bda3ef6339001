"""transportd itself, with the flags and the door that a row asks for."""

import subprocess

from peer import Peer


class Service(Peer):
    """The load generator's loop is in the service, and reaches bench_peer from there."""

    loop = "service"
    own_programs = ("transportd", "bench_load")

    def __init__(self, name, setting, title: str, flags: tuple[str, ...] = (), unix: bool = False):
        super().__init__(name, setting)
        self.title = title
        self._flags = flags
        self._unix = unix
        self._target = ""

    def version(self) -> str:
        words = [self.setting.program("transportd"), "--version"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    def start(self) -> None:
        self.ports = dict(self.setting.far_ports)
        number = len(list(self.setting.folder.glob("address-*")))
        address_file = self.setting.folder / f"address-{self.name}-{number}"
        listen = f"unix:{self.setting.folder}/{self.name}-{number}.sock" if self._unix else "127.0.0.1:0"
        words = [self.setting.program("transportd"), "--dev", f"--listen={listen}", f"--address-file={address_file}"]
        words += ["--log-level=warning", "--drain-timeout=1s", *self._flags]
        program = self.run(self.name, words)
        program.wait_until(lambda: address_file.exists() and address_file.read_text().strip(), "answers calls")
        self._target = address_file.read_text().splitlines()[0]

    def environment(self) -> dict[str, str]:
        return {"TRANSPORTD_TARGET": self._target}
