#!/usr/bin/python3
"""Every service, rpc, message, field, oneof, enum and enum value of the contract has a comment."""

import subprocess
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

import lint

# Where SourceCodeInfo paths lead: (message type, field number) -> (what it is, message type of the elements).
# The numbers are those of google/protobuf/descriptor.proto.
_CHILDREN = {
    "file": {4: ("message", "message"), 5: ("enum", "enum"), 6: ("service", "service")},
    "message": {2: ("field", None), 3: ("message", "message"), 4: ("enum", "enum"), 8: ("oneof", None)},
    "enum": {2: ("enum value", None)},
    "service": {2: ("rpc", None)},
}
_FIELD_NAMES = {
    "file": {4: "message_type", 5: "enum_type", 6: "service"},
    "message": {2: "field", 3: "nested_type", 4: "enum_type", 8: "oneof_decl"},
    "enum": {2: "value"},
    "service": {2: "method"},
}


def compile_protos(folder: Path, names: list[str]) -> list[descriptor_pb2.FileDescriptorProto]:
    with tempfile.NamedTemporaryFile(suffix=".pb") as output:
        command = ["protoc", f"-I{folder}", "--include_source_info", f"--descriptor_set_out={output.name}", *names]
        subprocess.run(command, check=True)
        return list(descriptor_pb2.FileDescriptorSet.FromString(Path(output.name).read_bytes()).file)


def check_file(file: descriptor_pb2.FileDescriptorProto) -> list[lint.Finding]:
    locations = {tuple(location.path): location for location in file.source_code_info.location}
    findings = []

    def walk(parent, kind: str, path: tuple[int, ...], prefix: str) -> None:
        for number, (what, child_kind) in _CHILDREN[kind].items():
            for index, element in enumerate(getattr(parent, _FIELD_NAMES[kind][number])):
                element_path = (*path, number, index)
                # The oneof that protoc makes for an `optional` field stands nowhere in the text.
                location = locations.get(element_path)
                if location is None:
                    continue
                if not (location.leading_comments.strip() or location.trailing_comments.strip()):
                    line = location.span[0] + 1
                    findings.append(
                        lint.Finding(f"proto/{file.name}", line, f"{what} {prefix}{element.name} has no comment")
                    )
                if child_kind is not None:
                    walk(element, child_kind, element_path, f"{prefix}{element.name}.")

    walk(file, "file", (), "")
    return findings


def check() -> list[lint.Finding]:
    names = [name.removeprefix("proto/") for name in lint.files_with((".proto",), ("proto/",))]
    assert names, "there are no .proto files"
    return [finding for file in compile_protos(lint.ROOT / "proto", names) for finding in check_file(file)]


BAD = """syntax = "proto3";
package sample;
service S { rpc R(M) returns (M); }
message M {
  string f = 1;
  optional string g = 2;
  oneof o { uint32 h = 3; }
  message N {}
  enum I { I_UNSPECIFIED = 0; }
}
enum E { E_UNSPECIFIED = 0; }
"""
BAD_NAMES = {"S", "S.R", "M", "M.f", "M.g", "M.o", "M.h", "M.N", "M.I", "M.I.I_UNSPECIFIED", "E", "E.E_UNSPECIFIED"}
GOOD = """syntax = "proto3";
package good;
// A message.
message M {
  // Text.
  optional string f = 1;
  uint32 g = 2;  // Beside the field.
}
"""


def self_test() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bad.proto").write_text(BAD)
        Path(folder, "good.proto").write_text(GOOD)
        bad, good = compile_protos(Path(folder), ["bad.proto", "good.proto"])
    reported = {finding.message.split()[-4] for finding in check_file(bad)}
    assert reported == BAD_NAMES, f"wrongly reported or not reported: {reported ^ BAD_NAMES}"
    assert not check_file(good), check_file(good)


if __name__ == "__main__":
    lint.run(check, self_test)
