"""A pod that runs: `podman play kube` of a manifest, and what it says."""

import hashlib
import json
import re
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Self

import containers
from harness import eventually

TOKEN = "transportd_of_the_image_s_test"


class Pod:
    """Serves when the constructor returns. A context: it is gone at its end, whatever happened."""

    def __init__(self, name: str, image: str, manifest: Path = containers.HERE / "pod.yaml"):
        """`manifest`: with @NAME@, @IMAGE@ and @TOKEN_SHA256@ to be filled in; its container is named `transportd`."""
        self.name = name
        self.container = f"{name}-transportd"
        text = manifest.read_text().replace("@NAME@", name).replace("@IMAGE@", image)
        text = text.replace("@TOKEN_SHA256@", hashlib.sha256(TOKEN.encode()).hexdigest())
        self._folder = tempfile.TemporaryDirectory(prefix="pod-")
        self._manifest = Path(self._folder.name, "pod.yaml")
        self._manifest.write_text(text)
        try:
            containers.run("podman", "play", "kube", "--network=host", str(self._manifest))
            self.target = self._said(r"transportd \S+ listens on (\S+)")
            self.health_target = self._said(r"health is answered on (\S+)")
        except BaseException:
            self.close()
            raise

    def _said(self, pattern: str) -> str:
        """What the service has told of itself, as soon as it has."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.logs())
            if found is None and self.state()["Status"] == "exited":
                raise AssertionError(f"the pod ended with {self.state()['ExitCode']}:\n{self.logs()}")
            return found

        return eventually(look, f"the pod says {pattern!r}")[1]

    def logs(self) -> str:
        done = subprocess.run(
            ["podman", "logs", self.container], env=containers.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def inspect(self) -> dict:
        return json.loads(containers.run("podman", "container", "inspect", self.container))[0]

    def state(self) -> dict:
        return self.inspect()["State"]

    def execute(self, *command: str) -> str:
        """Runs a program in the container, as a kubelet would; its standard output."""
        return containers.run(
            "podman", "exec", "--env", f"TRANSPORTD_TARGET={self.target}", "--env", f"TRANSPORTD_TOKEN={TOKEN}",
            self.container, *command,
        )  # fmt: skip

    def stop(self) -> threading.Thread:
        """SIGTERM, and SIGKILL when the grace period is over; the thread ends when the container has."""
        thread = threading.Thread(target=containers.run, args=("podman", "stop", "--time", "40", self.container))
        thread.start()
        return thread

    def close(self) -> None:
        subprocess.run(
            ["podman", "pod", "rm", "--force", "--time", "0", self.name],
            env=containers.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
