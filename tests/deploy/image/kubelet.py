"""What a kubelet makes of a pod and `podman play kube` does not: volumes, and values of the environment.

podman 4.3 has no Secrets and no projected volumes, no fieldRef of a pod's status, no $(NAME) in values, no probes by
gRPC and no sleep before SIGTERM. A field that is not in the tables below is an error: nothing of the chart's pod is
lost unseen.
"""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

# As it is: podman does it.
PASSED = {
    "pod": {
        "automountServiceAccountToken",
        "containers",
        "enableServiceLinks",
        "securityContext",
        "terminationGracePeriodSeconds",
        "volumes",
    },
    "pod.securityContext": {"runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile"},
    "container": {"args", "env", "image", "imagePullPolicy", "name", "resources", "securityContext", "volumeMounts"},
    "container.securityContext": {
        "allowPrivilegeEscalation",
        "capabilities",
        "privileged",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seccompProfile",
    },
}
# What podman is not told, and why.
LEFT_OUT = {
    "pod": {
        "serviceAccountName": "no token of it is mounted",
        "topologySpreadConstraints": "there is one node",
    },
    "pod.securityContext": {
        "fsGroup": "the volumes are made with it",
        "fsGroupChangePolicy": "they are new",
    },
    "container": {
        "lifecycle": "the sleep is the kubelet's alone: nothing runs in the pod",
        "livenessProbe": "Pod.probe",
        "ports": "what they are for is outside: Services, and the like",
        "readinessProbe": "Pod.probe",
        "startupProbe": "Pod.probe",
    },
    "container.securityContext": {},
}


class UnknownFieldError(Exception):
    """The pod has what nothing here knows how to do."""


def only_passed(level: str, fields: dict) -> dict:
    for name in fields:
        if name not in PASSED[level] and name not in LEFT_OUT[level]:
            raise UnknownFieldError(f"{level}.{name}")
    return {name: value for name, value in fields.items() if name in PASSED[level]}


def expanded(text: str, variables: dict[str, str]) -> str:
    """$(NAME), as in Kubernetes: one that is not set stays as it is."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), text)


class Kubelet:
    """Volumes of one pod, in a folder. A context: at its end they are gone."""

    def __init__(self, folder: Path, name: str, address: str, node_address: str):
        self.folder = folder
        self._fields = {"metadata.name": name, "status.podIP": address, "status.hostIP": node_address}
        self._data: dict[tuple[str, str], dict[str, str]] = {}
        self._written: list[tuple[Path, list[tuple[str, str, str]], int, int]] = []
        self._mounted: list[Path] = []
        self._versions = itertools.count()

    def set_data(self, kind: str, name: str, data: dict[str, str]) -> None:
        """Of a ConfigMap or a Secret. Pods that have it mounted see the change as they would in a cluster."""
        self._data[kind, name] = data
        for volume in self._written:
            self._write(*volume)

    def pod(self, template: dict) -> dict:
        """For `podman play kube`: of a pod template, with its volumes made."""
        spec = only_passed("pod", template["spec"])
        group = spec["securityContext"]["fsGroup"]
        spec["securityContext"] = only_passed("pod.securityContext", spec["securityContext"])
        spec["hostNetwork"] = True
        spec["restartPolicy"] = "Never"
        spec["containers"] = [self._container(container) for container in spec["containers"]]
        spec["volumes"] = [
            {"name": volume["name"], "hostPath": {"type": "Directory", "path": str(self._volume(volume, group))}}
            for volume in spec["volumes"]
        ]
        metadata = {**template["metadata"], "name": self._fields["metadata.name"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _container(self, container: dict) -> dict:
        container = only_passed("container", container)
        container["securityContext"] = only_passed("container.securityContext", container["securityContext"])
        variables: dict[str, str] = {}
        for variable in container["env"]:
            if "valueFrom" in variable:
                variables[variable["name"]] = self._fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            else:
                variables[variable["name"]] = expanded(variable["value"], variables)
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        container["args"] = [expanded(argument, variables) for argument in container["args"]]
        return container

    def _volume(self, volume: dict, group: int) -> Path:
        name, kind = volume["name"], next(key for key in volume if key != "name")
        source = volume[kind]
        path = self.folder / name
        path.mkdir()
        mode = source.get("defaultMode", 0o644)
        match kind:
            case "emptyDir":
                if source.keys() != {"medium", "sizeLimit"} or source["medium"] != "Memory":
                    raise UnknownFieldError(f"volumes.{name}.emptyDir")
                size = re.sub(r"([KMG])i$", r"\1", source["sizeLimit"]).lower()
                options = f"size={size},mode=2777,gid={group},nosuid,nodev"
                subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
                self._mounted.append(path)
                return path
            case "configMap":
                keys = self._data["ConfigMap", source["name"]]
                files = [("ConfigMap", source["name"], key, key) for key in keys]
            case "secret":
                keys = self._data["Secret", source["secretName"]]
                files = [("Secret", source["secretName"], key, key) for key in keys]
            case "projected":
                files = [
                    ("Secret", one["secret"]["name"], item["key"], item["path"])
                    for one in source["sources"]
                    for item in one["secret"]["items"]
                ]
            case _:
                raise UnknownFieldError(f"volumes.{name}.{kind}")
        self._written.append((path, files, mode, group))
        self._write(path, files, mode, group)
        return path

    def _write(self, path: Path, files: list[tuple[str, str, str, str]], mode: int, group: int) -> None:
        """All files of a volume change at once: they are links into a folder, which is exchanged by one rename."""
        data = path / "..data"
        old = data.resolve() if data.is_symlink() else None
        new = path / f"..version_{next(self._versions)}"
        new.mkdir()
        for kind, name, key, where in files:
            file = new / where
            file.write_text(self._data[kind, name][key])
            os.chown(file, 0, group)
            file.chmod(mode)
        link = path / "..data_tmp"
        link.symlink_to(new.name)
        link.rename(data)
        for *_, where in files:
            if not (path / where).is_symlink():
                (path / where).symlink_to(f"..data/{where}")
        if old is not None:
            shutil.rmtree(old)

    def close(self) -> None:
        for path in self._mounted:
            subprocess.run(["umount", "--lazy", path], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
