"""The package itself: what is in it, how it is built, what it needs."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import harness
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients/python"
OLDEST = Path(sys.prefix) / "oldest"
PROTOS = sorted(path.stem for path in (ROOT / "proto/transportd/v1").glob("*.proto"))

# Imports every message module, and takes a frame apart that it has put together.
ROUND_TRIP = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"transportd.v1.{name}_pb2")
from transportd.v1 import event_loop_pb2, types_pb2
frame = event_loop_pb2.SessionRequest(sequence=1)
frame.commands.add(transport_id=7, write=b"data")
frame.commands.add(request_id=8).create_connection.remote.CopyFrom(types_pb2.HostPort(host="peer", port=9))
same = event_loop_pb2.SessionRequest.FromString(frame.SerializeToString())
assert same == frame and same.commands[1].WhichOneof("command") == "create_connection", same
import google.protobuf
print(google.protobuf.__version__, google.protobuf.__file__)
"""

# Through a server and a client of an event loop's; says with what.
LOOP = """
import asyncio, sys
import google.protobuf, hpack, transportd

async def main():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "localhost", 0) as server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        writer.write(b"hello\\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode().strip()

print(transportd.run(main(), target=sys.argv[1]), hpack.__version__, google.protobuf.__version__)
"""


def pyproject() -> Any:
    return tomllib.loads((PACKAGE / "pyproject.toml").read_text())


def oldest_requirements() -> dict[str, str]:
    lines = (Path(__file__).parent / "requirements-oldest.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def project_version() -> str:
    match = re.search(r"^project\(transportd VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


def python(code: str, *arguments: str, folder: Path | None = None, **environment: str) -> str:
    """What a Python of its own prints that runs `code` with all warnings as errors."""
    # The package's own folder stays off the path: what is installed is tested.
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code, *arguments],
        cwd=folder or ROOT / "tests",
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def build(what: str, source: Path, output: Path) -> Path:
    """`what`: a hook of PEP 517 or 660. The file it builds from `source`, as pip would, with our build tools."""
    output.mkdir(exist_ok=True)
    temporary = output.with_name(f"{output.name}-temporary")
    temporary.mkdir()
    code = "import sys\nfrom hatchling import build\nprint(getattr(build, sys.argv[1])(sys.argv[2]))"
    try:
        name = python(code, what, str(output), folder=source, TMPDIR=str(temporary)).splitlines()[-1]
    finally:
        temporary.rmdir()  # It is empty again, also when the build failed.
    return output / name


def copy_project(folder: Path) -> Path:
    """The package and what it takes from the rest of the project, in another place; returns the package's folder."""
    package = folder / "clients/python"
    ignored = shutil.ignore_patterns("__pycache__", "v1")
    shutil.copytree(PACKAGE, package, ignore=ignored)
    shutil.copytree(ROOT / "proto/transportd", folder / "proto/transportd")
    for name in ("CMakeLists.txt", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    return package


def test_version_is_the_projects() -> None:
    assert importlib.metadata.version("transportd") == project_version()
    assert python("import transportd; print(transportd.__version__)") == project_version()


def test_importing_the_package_is_enough_for_a_service_of_ones_own() -> None:
    code = """
import sys, transportd
assert "transportd.service" not in sys.modules and "importlib.metadata" not in sys.modules
print(transportd.service.Service.__name__, hasattr(transportd, "servcie"))
from transportd import service
assert service is transportd.service
"""
    assert python(code) == "Service False"


def test_installed_package_has_types_and_messages_and_no_grpc() -> None:
    files = {str(file) for file in importlib.metadata.files("transportd") or ()}
    assert "transportd/py.typed" in files
    assert "pytest_transportd.py" in files
    messages = {f"transportd/v1/{name}_pb2.{suffix}" for name in PROTOS for suffix in ("py", "pyi")}
    assert messages <= files
    assert not [name for name in files if "grpc" in name]


def test_only_protobuf_and_hpack_are_needed() -> None:
    needed = [need for need in importlib.metadata.requires("transportd") or () if "extra ==" not in need]
    assert sorted(re.split(r"[<>=!~]", need)[0] for need in needed) == ["hpack", "protobuf"]


def test_messages_work_with_the_newest_protobuf() -> None:
    version, file = python(ROUND_TRIP, *PROTOS).split()
    assert version == importlib.metadata.version("protobuf")
    assert not Path(file).is_relative_to(OLDEST)


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_messages_work_with_the_oldest_protobuf(implementation: str) -> None:
    version, file = python(
        ROUND_TRIP, *PROTOS, PYTHONPATH=str(OLDEST), PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation
    ).split()
    assert version == oldest_requirements()["protobuf"]
    assert Path(file).is_relative_to(OLDEST)


def test_loop_runs_with_the_oldest_dependencies(service: harness.Service) -> None:
    printed = python(LOOP, service.target, PYTHONPATH=str(OLDEST))
    assert printed == " ".join(("hello", *oldest_requirements().values()))


def test_the_oldest_that_are_tested_are_those_that_are_declared() -> None:
    bounds = [re.fullmatch(r"(\w+)>=([0-9.]+),<[0-9]+", need) for need in pyproject()["project"]["dependencies"]]
    assert {bound[1]: bound[2] for bound in bounds if bound is not None} == oldest_requirements()


def test_messages_of_protoc_itself_may_be_imported_as_well(tmp_path: Path) -> None:
    names = [f"transportd/v1/{name}.proto" for name in PROTOS]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={tmp_path}"]
    subprocess.run([*protoc, *names], check=True)
    code = """
import sys
from transportd.v1 import event_loop_pb2 as ours
ours_modules = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("transportd")}
sys.path.insert(0, sys.argv[1])
from transportd.v1 import event_loop_pb2 as others
assert others is not ours and others.DESCRIPTOR is ours.DESCRIPTOR, (others, ours)
"""
    python(code, str(tmp_path))


def test_source_distribution_is_enough_to_build_the_same_wheel(tmp_path: Path) -> None:
    archive = build("build_sdist", PACKAGE, tmp_path / "sdist")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "unpacked"], check=True)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    names = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {f"proto/transportd/v1/{name}.proto" for name in PROTOS} <= names
    assert {"LICENSE", "README.md", "PKG-INFO", "hatch_build.py", "pyproject.toml"} <= names
    assert not [name for name in names if "_pb2" in name]

    def contents(wheel: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(wheel) as archive:
            return {
                name: archive.read(name)
                for name in archive.namelist()
                if ".dist-info/licenses/" not in name and not name.endswith(("/RECORD", "/METADATA"))
            }

    of_sdist = build("build_wheel", unpacked, tmp_path / "of-sdist")
    of_tree = build("build_wheel", PACKAGE, tmp_path / "of-tree")
    assert of_sdist.name == of_tree.name
    assert contents(of_sdist) == contents(of_tree)
    again = build("build_sdist", unpacked, tmp_path / "again")
    with tarfile.open(again) as sdist:
        assert {name.split("/", 1)[1] for name in sdist.getnames()} == names


def test_editable_installation_generates_into_the_sources(tmp_path: Path) -> None:
    package = copy_project(tmp_path / "project")
    build("build_editable", package, tmp_path / "wheel")
    generated = {path.name for path in (package / "src/transportd/v1").iterdir()}
    assert generated == {f"{name}_pb2.{suffix}" for name in PROTOS for suffix in ("py", "pyi")} | {"__init__.py"}
    printed = python("import transportd.v1.event_loop_pb2 as it; print(it.__file__)", PYTHONPATH=str(package / "src"))
    assert printed == str(package / "src/transportd/v1/event_loop_pb2.py")


def test_build_without_the_contract_says_what_is_missing(tmp_path: Path) -> None:
    package = copy_project(tmp_path / "project")
    shutil.rmtree(tmp_path / "project/proto")
    with pytest.raises(AssertionError, match=r"no \.proto files in .*project/proto/transportd/v1"):
        build("build_wheel", package, tmp_path / "wheel")
