"""What a kubelet makes of a pod and `podman play kube` does not: volumes, and values of the environment.

podman 4.3 has no Secrets and no projected volumes, no fieldRef of a pod's status, no $(NAME) in values, no probes by
gRPC and no sleep before SIGTERM. Whatever is not in the tables below, at whichever depth, is an error: nothing of the
chart's pod is lost unseen.
"""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

# A field's own fields; [fields]: a list's; None: a value. A name that is a star: all names.
Fields = dict | list | None


class LeftOut:
    """What podman is not told, with the fields that are known of it, and who does it instead."""

    def __init__(self, fields: Fields, why: str):
        self.fields = fields
        self.why = why


SECURITY = dict.fromkeys(("runAsGroup", "runAsNonRoot", "runAsUser")) | {"seccompProfile": {"type": None}}
PROBE = {
    "grpc": {"port": None, "service": None},
    "failureThreshold": None,
    "periodSeconds": None,
    "timeoutSeconds": None,
}
CONTAINER: Fields = {
    "args": None,
    "env": [{"name": None, "value": None, "valueFrom": {"fieldRef": {"fieldPath": None}}}],
    "image": None,
    "imagePullPolicy": None,
    "lifecycle": LeftOut({"preStop": {"sleep": {"seconds": None}}}, "Pod.stop: nothing of it runs in the pod"),
    "livenessProbe": LeftOut(PROBE, "Pod.probe"),
    "name": None,
    "ports": LeftOut([{"containerPort": None, "name": None}], "what they are for is outside: Services"),
    "readinessProbe": LeftOut(PROBE, "Pod.probe"),
    "resources": {"limits": {"memory": None}, "requests": {"cpu": None, "memory": None}},
    "securityContext": SECURITY
    | {
        "allowPrivilegeEscalation": None,
        "capabilities": {"drop": None},
        "privileged": None,
        "readOnlyRootFilesystem": None,
    },
    "startupProbe": LeftOut(PROBE, "Pod.probe"),
    "volumeMounts": [{"mountPath": None, "name": None, "readOnly": None}],
}
POD: Fields = {
    "automountServiceAccountToken": None,
    "containers": [CONTAINER],
    "enableServiceLinks": None,
    "securityContext": SECURITY
    | {
        "fsGroup": LeftOut(None, "the volumes are made with it"),
        "fsGroupChangePolicy": LeftOut(None, "they are new"),
    },
    "serviceAccountName": LeftOut(None, "no token of it is mounted"),
    "terminationGracePeriodSeconds": None,
    "topologySpreadConstraints": LeftOut(
        [{"labelSelector": {"matchLabels": {"*": None}}}
         | dict.fromkeys(("maxSkew", "topologyKey", "whenUnsatisfiable"))],
        "there is one node",
    ),
    "volumes": [
        {
            "configMap": {"name": None},
            "emptyDir": {"medium": None, "sizeLimit": None},
            "name": None,
            "projected": {
                "defaultMode": None,
                "sources": [{"secret": {"items": [{"key": None, "path": None}], "name": None}}],
            },
        }
    ],
}  # fmt: skip


class UnknownFieldError(Exception):
    """The pod has what nothing here knows how to do."""


def known(value: object, fields: Fields, path: str = "spec") -> object:
    """The value without what is left out. UnknownFieldError: a field is in no table, or is of another kind."""
    if isinstance(fields, list) and isinstance(value, list):
        return [known(one, fields[0], f"{path}[{number}]") for number, one in enumerate(value)]
    if isinstance(fields, dict) and isinstance(value, dict):
        kept = {}
        for name, inner in value.items():
            of_field = fields.get(name, fields.get("*", UnknownFieldError))
            if of_field is UnknownFieldError:
                raise UnknownFieldError(f"{path}.{name}")
            if isinstance(of_field, LeftOut):
                known(inner, of_field.fields, f"{path}.{name}")
            else:
                kept[name] = known(inner, of_field, f"{path}.{name}")
        return kept
    if fields is not None or isinstance(value, dict):
        raise UnknownFieldError(f"{path}: {value!r}")
    return value


def expanded(text: str, variables: dict[str, str]) -> str:
    """$(NAME), as in Kubernetes: one that is not set stays as it is."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), text)


class Kubelet:
    """Volumes of one pod, in a folder, until `close`."""

    def __init__(self, folder: Path, name: str, address: str, node_address: str):
        self.folder = folder
        self._fields = {"metadata.name": name, "status.podIP": address, "status.hostIP": node_address}
        self._data: dict[tuple[str, str], dict[str, str]] = {}
        self._written: list[tuple[Path, list[tuple[str, str, str, str]], int, int]] = []
        self._mounted: list[Path] = []
        self._versions = itertools.count()

    def set_data(self, kind: str, name: str, data: dict[str, str]) -> None:
        """Of a ConfigMap or a Secret. Pods that have it mounted see the change as they would in a cluster."""
        self._data[kind, name] = data
        for volume in self._written:
            self._write(*volume)

    def pod(self, template: dict) -> dict:
        """For `podman play kube`: of a pod template, with its volumes made."""
        spec = known(template["spec"], POD)
        group = template["spec"]["securityContext"]["fsGroup"]
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
                if source["medium"] != "Memory":
                    raise UnknownFieldError(f"volumes.{name}.emptyDir.medium")
                size = re.sub(r"([KMG])i$", r"\1", source["sizeLimit"]).lower()
                options = f"size={size},mode=2777,gid={group},nosuid,nodev"
                subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
                self._mounted.append(path)
                return path
            case "configMap":
                keys = self._data["ConfigMap", source["name"]]
                files = [("ConfigMap", source["name"], key, key) for key in keys]
            case "projected":
                files = [
                    ("Secret", one["secret"]["name"], item["key"], item["path"])
                    for one in source["sources"]
                    for item in one["secret"]["items"]
                ]
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
