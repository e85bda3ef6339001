"""The Dockerfile and its images: who runs there, what is in them, and that the same comes out again."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import containers

DOCKERFILE = containers.ROOT / "deploy/docker/Dockerfile"
MEGABYTE = 1_000_000
# All of an image that was unpacked; what our two programs need of the image.
LARGEST = {"transportd": 56 * MEGABYTE, "tools": 200 * MEGABYTE}
SHARED = {
    "libc.so.6",
    "libcrypto.so.3",
    "libgcc_s.so.1",
    "libm.so.6",
    "libssl.so.3",
    "libstdc++.so.6",
    "ld-linux-x86-64.so.2",
}
LINKED = {
    "libabsl-dev",
    "libc-ares-dev",
    "libc6-dev",
    "libgrpc-dev",
    "libgrpc++-dev",
    "libprotobuf-dev",
    "libre2-dev",
    "zlib1g-dev",
}
PROGRAMS = {"usr/bin/transportd", "usr/bin/transportctl", "usr/libexec/transportd/transportd-spawn"}


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: (name, what follows), lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions():
        if name == "FROM":
            found[rest.split()[-1]] = current = []
        if found:
            current.append((name, rest))
    return found


@pytest.fixture(scope="module", params=["transportd", "tools"])
def flavour(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def root(flavour: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An image's files, as the kernel shows them to who runs there."""
    container = containers.run("buildah", "from", "--pull-never", containers.IMAGES[flavour]).strip()
    yield Path(containers.run("buildah", "mount", container).strip())
    containers.run("buildah", "rm", container)


def test_the_default_is_the_last_stage() -> None:
    assert list(stages())[-1] == "transportd"


@pytest.mark.parametrize("stage", ["transportd", "tools"])
def test_instructions_of_what_ships(stage: str) -> None:
    said = dict(stages()[stage])
    assert said["USER"] == "65532:65532", "by number: runAsNonRoot cannot see whom a name means"
    assert json.loads(said["ENTRYPOINT"]) == ["/usr/bin/transportd"], "no shell to start it with"
    assert said["EXPOSE"].split() == ["50051", "8086", "9090"]
    assert not {"HEALTHCHECK", "ADD", "CMD", "RUN", "VOLUME"} & set(said)


def test_bases_can_be_pinned() -> None:
    bases = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert bases <= {"${BUILD_BASE}", "${RUNTIME_BASE}", "runtime-base", "tools-base"}
    assert {rest.split("=")[0] for name, rest in instructions()[:2] if name == "ARG"} == {"BUILD_BASE", "RUNTIME_BASE"}


def test_configuration(flavour: str) -> None:
    config = containers.inspect(containers.IMAGES[flavour])["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/transportd"]
    assert not config.get("Cmd")
    assert "Healthcheck" not in config
    assert set(config["ExposedPorts"]) == {"50051/tcp", "8086/tcp", "9090/tcp"}
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["version"] == containers.VERSION
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"([0-9a-f]{40}(-modified)?|unknown)", labels["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])
    assert labels["title"]
    assert labels["description"]


def test_size(flavour: str) -> None:
    size = containers.inspect(containers.IMAGES[flavour])["Size"]
    print(f"{flavour}: {size / MEGABYTE:.1f} MB")
    assert size < LARGEST[flavour]


def test_nobody_can_become_another(root: Path, flavour: str) -> None:
    """Nothing that is ours may be written by who runs there, nor gives anybody rights."""
    for name in PROGRAMS:
        status = (root / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o755), name
    if flavour == "transportd":
        assert not [path for path in files(root) if path.stat().st_mode & 0o6000]


def files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (path for path in map(Path(folder).joinpath, names) if path.is_file() and not path.is_symlink())


def test_no_other_programs(root: Path, flavour: str) -> None:
    """Nothing to execute but ours; of what ELF has, libraries say so by their name."""
    if flavour == "tools":
        for name in ("curl", "ncat", "openssl", "python3", "sh", "socat"):
            assert (root / "usr/bin" / name).exists(), name
        return
    found = set()
    for path in files(root):
        with open(path, "rb") as file:
            begin = file.read(4)
        is_program = begin == b"\x7fELF" or begin.startswith(b"#!")
        if path.stat().st_mode & 0o111 and is_program and ".so" not in path.name:
            found.add(str(path.relative_to(root)))
    assert found == PROGRAMS


def needed(program: Path) -> set[str]:
    said = subprocess.run(
        ["readelf", "--dynamic", "--wide", program], capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))


def test_shared_libraries(root: Path, flavour: str) -> None:
    for name in ("transportd", "transportctl"):
        assert needed(root / "usr/bin" / name) <= SHARED
    assert not needed(root / "usr/libexec/transportd/transportd-spawn")


def test_bill_of_materials(root: Path, flavour: str) -> None:
    document = json.loads((root / "usr/share/doc/transportd/sbom.spdx.json").read_text())
    assert document["spdxVersion"] == "SPDX-2.3"
    packages = {package["SPDXID"]: package for package in document["packages"]}
    assert len(packages) == len(document["packages"]), "an id twice"
    related: dict[str, set[str]] = {}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} - {"SPDXRef-DOCUMENT"} <= set(packages)
        related.setdefault(relation["relationshipType"], set()).add(packages[relation["relatedSpdxElement"]]["name"])
    assert related["STATIC_LINK"] >= LINKED
    assert related["CONTAINS"] >= {"transportd", "libc6", "libssl3", "libstdc++6"}
    assert ("socat" in related["CONTAINS"]) == (flavour == "tools")
    for package in packages.values():
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
        assert package["versionInfo"], package
    created = containers.inspect(containers.IMAGES[flavour])["Config"]["Labels"]["org.opencontainers.image.created"]
    assert document["creationInfo"]["created"] == created


def test_the_same_again() -> None:
    """Built anew from the bases, without what the first build left: the same layers."""
    again = f"{containers.NAME}-again"
    containers.build("--no-cache", name=again)
    for image in containers.IMAGES.values():
        first, second = (
            containers.inspect(name)["RootFS"]["Layers"] for name in (image, image.replace(containers.NAME, again))
        )
        assert first == second, image
