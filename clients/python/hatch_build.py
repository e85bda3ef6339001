"""The build hook: makes `transportd/v1/*_pb2.py` and their types from the contract, proto/transportd/v1.

protoc's own Python refuses to run with a protobuf that is older than protoc. What is written here says the same, in
the calls that all of protoc's Python has made since protobuf 3.20: so it runs with every protobuf that pyproject.toml
names.
"""

import importlib.resources
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "transportd/v1"

INIT = '''"""The messages of the contract, proto/transportd/v1. Generated: not to be edited."""
'''

MODULE = '''"""The messages of {proto}. Generated: not to be edited."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder
{imports}
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    {serialized!r}
)
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, {module!r}, globals())
'''


def module_name(proto: str) -> str:
    return proto.removesuffix(".proto").replace("/", ".") + "_pb2"


def strip_json_names(messages: Iterable[Any]) -> None:
    """As in protoc's own Python, so that its modules may be imported beside ours: the pool wants equal descriptors."""
    for message in messages:
        for field in (*message.field, *message.extension):
            field.ClearField("json_name")
        strip_json_names(message.nested_type)


def generate(protos: Path, output: Path) -> list[Path]:
    """Writes the modules and the types of `transportd/v1/*.proto` below `protos` into `output`; returns the files."""
    # Only what builds needs them; hatchling also imports this file to answer what it needs.
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    names = sorted(f"{PACKAGE}/{path.name}" for path in (protos / PACKAGE).glob("*.proto"))
    if not names:
        raise FileNotFoundError(f"no .proto files in {protos / PACKAGE}")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="transportd-") as name:
        folder = Path(name)
        descriptors = folder / "descriptors"
        well_known = importlib.resources.files("grpc_tools") / "_proto"
        options = [f"-I{protos}", f"-I{well_known}", f"--descriptor_set_out={descriptors}", f"--pyi_out={folder}"]
        if protoc.main(["protoc", *options, *names]) != 0:
            raise RuntimeError("protoc failed; its output says why")
        made = [folder / PACKAGE / "__init__.py"]
        made[0].write_text(INIT)
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file:
            strip_json_names(file.message_type)
            dependencies = sorted(module_name(dependency) for dependency in file.dependency)
            imports = "".join(f"import {dependency}\n" for dependency in dependencies)
            module = module_name(file.name)
            text = MODULE.format(proto=file.name, imports=imports, serialized=file.SerializeToString(), module=module)
            path = folder / (module.replace(".", "/") + ".py")
            path.write_text(text)
            made += [path, path.with_suffix(".pyi")]
        for path in made:
            # Whoever imports meanwhile finds the old file or the new one.
            temporary = output / f".{path.name}.{os.getpid()}"
            shutil.copyfile(path, temporary)
            temporary.replace(output / path.name)
        return [output / path.name for path in made]


class GenerateMessages(BuildHookInterface[Any]):
    """Adds the generated modules to a wheel, the .proto files to a source distribution."""

    PLUGIN_NAME = "custom"
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it gathers the files; `version`: "standard" or "editable"."""
        root = Path(self.root)
        # A source distribution carries the .proto files; the project has them at its top.
        protos = root / "proto"
        if not protos.is_dir():
            protos = root.parents[1] / "proto"
        if self.target_name == "sdist":
            build_data["force_include"][str(protos / PACKAGE)] = f"proto/{PACKAGE}"
            licence = root / "LICENSE"
            if not licence.is_file():
                licence = root.parents[1] / "LICENSE"
            build_data["force_include"][str(licence)] = "LICENSE"
        elif version == "editable":
            generate(protos, root / "src" / PACKAGE)
        else:
            # Also gone when the build fails before finalize().
            self._folder = tempfile.TemporaryDirectory(prefix="transportd-")
            for path in generate(protos, Path(self._folder.name)):
                build_data["force_include"][str(path)] = f"{PACKAGE}/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the file is written."""
        if self._folder is not None:
            self._folder.cleanup()
