#!/usr/bin/python3
"""Images and containers in a folder of the tests' own: nothing of this machine's podman is used or touched.

containers.py prepare    makes the bases' stand-ins, imports them under the names that deploy/docker/Dockerfile has, and
                         builds both images
containers.py remove     ends all containers and removes what `prepare` made, but for the bases' archives
containers.py run COMMAND [ARGUMENT]...
                         runs podman, buildah or skopeo on them: for whoever wants to look

The environment says where: TRANSPORTD_DEPLOY, a folder. As root.
Exit status: 0 done; 1 not possible, and why; 2 bad usage.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("TRANSPORTD_DEPLOY", ROOT / "build/deploy")).absolute()
BASES = {
    "debian-bookworm-slim": "docker.io/library/debian:bookworm-slim",
    "distroless-cc-debian12": "gcr.io/distroless/cc-debian12:nonroot",
}
VERSION = re.search(r"^project\(transportd VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
NAME = "localhost/transportd"
IMAGES = {"transportd": f"{NAME}:{VERSION}", "tools": f"{NAME}:{VERSION}-tools"}

# runc: crun of Debian 12 refuses machines with both kinds of control groups. Limits: no more than a machine without
# CAP_SYS_RESOURCE may give.
CONFIGURATION = {
    "containers.conf": """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{run}/libpod"
[network]
network_config_dir = "{folder}/networks"
""",
    "storage.conf": """
[storage]
driver = "overlay"
runroot = "{run}/storage"
graphroot = "{folder}/storage"
""",
    "registries.conf": "unqualified-search-registries = []\n",
    "policy.json": '{{"default": [{{"type": "insecureAcceptAnything"}}]}}\n',
}


class FailedError(Exception):
    """What did not work."""


def environment() -> dict[str, str]:
    """For podman, buildah and skopeo. Writes what they read."""
    folder = FOLDER / "containers"
    places = {"folder": folder, "run": folder / "run"}
    for name in ("networks", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in CONFIGURATION.items():
        (folder / name).write_text(text.format(**places))
    return {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "TMPDIR": str(folder / "tmp"),
    }


def with_policy(command: tuple[str, ...]) -> list[str]:
    """Each of the programs takes the signature policy in a place of its own."""
    policy = str(FOLDER / "containers/policy.json")
    if command[0] == "skopeo":
        return ["skopeo", "--policy", policy, *command[1:]]
    if command[0] == "buildah" and command[1] in ("bud", "commit", "pull", "push"):
        return [*command[:2], "--signature-policy", policy, *command[2:]]
    return list(command)


def run(*command: str, timeout: float = 120) -> str:
    """Its standard output. FailedError, with what it said, when it fails."""
    try:
        done = subprocess.run(
            with_policy(command), env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
        )
    except FileNotFoundError:
        raise FailedError(f"there is no {command[0]}: deploy/packages/install.sh deploy") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise FailedError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout.decode()


def inspect(image: str) -> dict:
    """Of an image: what `podman image inspect` says."""
    return json.loads(run("podman", "image", "inspect", image))[0]


def import_base(archive: Path, name: str) -> None:
    container = run("buildah", "from", "scratch").strip()
    run("buildah", "add", container, str(archive), "/")
    if "distroless" in name:
        run("buildah", "config", "--user", "65532", "--workingdir", "/home/nonroot", container)
    run("buildah", "commit", "--rm", container, name)


def build(*options: str, name: str = NAME) -> None:
    """As a pipeline does, but that nothing is pulled. What was compiled here already is not compiled again.

    Steps are not kept as layers for a next build: to store the compiler takes longer than all else.
    """
    cache = subprocess.run(
        ["ccache", "--get-config=cache_dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    Path(cache).mkdir(parents=True, exist_ok=True)
    command = [str(ROOT / "deploy/docker/build"), "--name", name, "--", "--pull-never", "--isolation=chroot"]
    command += ["--layers=false", "--network=host", f"--signature-policy={FOLDER}/containers/policy.json"]
    command += [f"--volume={cache}:/ccache", *options]
    if subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL).returncode != 0:
        raise FailedError("the images could not be built; see above")


def prepare() -> None:
    remove()
    bases = FOLDER / "bases"
    if subprocess.run([str(HERE / "bases"), str(bases)], stdin=subprocess.DEVNULL).returncode != 0:
        raise FailedError("the bases could not be made; see above")
    for archive, name in BASES.items():
        import_base(bases / f"{archive}.tar", name)
    build()


def remove() -> None:
    folder = FOLDER / "containers"
    if not folder.exists():
        return
    if shutil.which("podman"):
        run("podman", "pod", "rm", "--all", "--force", "--time", "0")
        run("podman", "rm", "--all", "--force", "--time", "0")
    # What a build that was interrupted left mounted.
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        where = line.split()[1].replace("\\040", " ")
        if where.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", where], check=False)
    shutil.rmtree(folder)


def main() -> int:
    command = sys.argv[1:2]
    try:
        if command == ["prepare"]:
            prepare()
        elif command == ["remove"]:
            remove()
        elif command == ["run"] and len(sys.argv) > 2:
            os.execvpe(sys.argv[2], with_policy(tuple(sys.argv[2:])), environment())
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except FailedError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
