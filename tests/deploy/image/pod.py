"""A pod of what deploy/kustomize/base installs, run by `podman play kube`.

It is the chart's pod with its defaults (a test of the manifests holds the two together), as an operator completes it:
with a policy, with a certificate, and with the image's name. The caller is in a network of its own, the node's:
CMakeLists.txt.
"""

import contextlib
import json
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Self

import grpc
import yaml
from certificates import Authority
from harness import eventually

import containers
from kubelet import Kubelet
from pod_network import PodNetwork

BASE = containers.ROOT / "deploy/kustomize/base/transportd.yaml"
HOST = "transportd.transportd.svc"
CLIENT = "spiffe://example.org/ns/lab/sa/ci"
NOT_SERVING, SERVING = b"\x08\x02", b"\x08\x01"


def base() -> dict[tuple[str, str], dict]:
    """What is installed: (kind, name) to object."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(BASE.read_text())}


class Pod:
    """Ready when the constructor returns. A context: it is gone at its end, whatever happened."""

    def __init__(self, name: str, image: str, policy: str):
        self.name = name
        self.container = f"{name}-transportd"
        objects = base()
        template = objects["Deployment", "transportd"]["spec"]["template"]
        (self.spec,) = template["spec"]["containers"]
        # The sleep is the kubelet's, before SIGTERM, and a part of the time that the pod has.
        sleep_seconds = self.spec["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.grace_seconds = template["spec"]["terminationGracePeriodSeconds"] - sleep_seconds
        self.spec.update(image=image, imagePullPolicy="Never")
        with contextlib.ExitStack() as stack:
            # Beside the images: whoever removes these unmounts what an interrupted run left.
            places = containers.FOLDER / "containers/pods"
            places.mkdir(parents=True, exist_ok=True)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=places)))
            authority = Authority.make(folder, "ca")
            self.ca = authority.path
            self.certificate, self.key = authority.sign("client", f"URI:{CLIENT}")
            certificate, key = authority.sign("service", f"DNS:{HOST}")
            self.network = PodNetwork()
            stack.callback(self.network.close)
            self.target = f"{self.network.address}:50051"
            (folder / "volumes").mkdir()
            self.kubelet = Kubelet(folder / "volumes", name, self.network.address, self.network.node_address)
            stack.callback(self.kubelet.close)
            for (kind, object_name), one in objects.items():
                if kind == "ConfigMap":
                    self.kubelet.set_data(kind, object_name, one["data"])
            self.set_policy(policy)
            texts = {"tls.crt": certificate, "tls.key": key, "ca.crt": self.ca}
            self.kubelet.set_data("Secret", "transportd-tls", {key: path.read_text() for key, path in texts.items()})
            manifest = folder / "pod.yaml"
            manifest.write_text(yaml.safe_dump(self.kubelet.pod(template)))
            stack.callback(self._remove)
            # The host's network is for podman that in which it runs.
            containers.run(*self.network.inside(), "podman", "play", "kube", "--network=host", str(manifest))
            for probe in ("startup", "readiness"):
                self.wait_until(probe, SERVING)
            self._stack = stack.pop_all()

    def set_policy(self, policy: str) -> None:
        """As `helm upgrade` with another one does."""
        self.kubelet.set_data("ConfigMap", "transportd-policy", {"policy.txtpb": policy})

    def probe(self, kind: str) -> bytes | None:
        """What a probe of the pod's is told: startup, liveness or readiness. None: nothing."""
        wanted = self.spec[f"{kind}Probe"]["grpc"]
        service = wanted["service"].encode()
        with grpc.insecure_channel(f"{self.network.address}:{wanted['port']}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            try:
                return check(
                    b"\x0a" + bytes([len(service)]) + service, timeout=self.spec[f"{kind}Probe"]["timeoutSeconds"]
                )
            except grpc.RpcError:
                return None

    def wait_until(self, probe: str, answer: bytes) -> None:
        def look() -> bool:
            if self.state()["Status"] == "exited":
                raise AssertionError(f"the pod ended with {self.state()['ExitCode']}:\n{self.logs()}")
            return self.probe(probe) == answer

        eventually(look, f"the probe {probe} gets {answer!r}")

    def environment(self) -> dict[str, str]:
        """For transportctl, and for clients that read it."""
        return {
            "TRANSPORTD_TARGET": self.target,
            "TRANSPORTD_TARGET_CA": str(self.ca),
            "TRANSPORTD_TARGET_CERTIFICATE": str(self.certificate),
            "TRANSPORTD_TARGET_KEY": str(self.key),
            "TRANSPORTD_TARGET_NAME": HOST,
        }

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

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
        """Runs a program in the container, as `kubectl exec` would; its standard output."""
        return containers.run(*self.network.inside(), "podman", "exec", self.container, *command)

    def stop(self) -> threading.Thread:
        """SIGTERM, and SIGKILL when the rest of the grace period is over; the thread ends when the container has."""
        stop = ("podman", "stop", "--time", str(self.grace_seconds), self.container)
        thread = threading.Thread(target=containers.run, args=stop)
        thread.start()
        return thread

    def _remove(self) -> None:
        subprocess.run(
            ["podman", "pod", "rm", "--force", "--time", "0", self.name],
            env=containers.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
