#!/usr/bin/python3
"""Who may know whom: the layers of the project, for #include lines and for the links between CMake targets."""

import re

import lint

EVERYTHING = frozenset({"*"})

TRANSPORTS = (
    "api",
    "base",
    "reactor",
    "resolver",
    "stream",
    "tls",
    "tcp",
    "unix",
    "datagram",
    "pipe",
    "subprocess",
    "sendfile",
    "loop",
)
LOW = ("transports/api", "transports/base")
MESSAGES = ("proto", "proto/frame")

# Folder -> what it may include besides itself. A file belongs to the longest folder that its path starts with.
# `proto` stands for the generated messages, `proto_grpc` for the stubs, `protobuf` and `grpc` for the libraries.
MAY_INCLUDE: dict[str, frozenset[str]] = {
    "transports/api": frozenset(),
    "transports/base": frozenset({"transports/api"}),
    "transports/reactor": frozenset(LOW),
    "transports/resolver": frozenset({*LOW, "transports/reactor"}),
    "transports/stream": frozenset({*LOW, "transports/reactor"}),
    "transports/tls": frozenset({*LOW, "transports/reactor", "transports/stream"}),
    "transports/tcp": frozenset({*LOW, "transports/reactor", "transports/resolver", "transports/stream"}),
    "transports/datagram": frozenset({*LOW, "transports/reactor", "transports/resolver", "transports/stream"}),
    "transports/unix": frozenset({*LOW, "transports/reactor", "transports/stream"}),
    "transports/pipe": frozenset({*LOW, "transports/reactor", "transports/stream"}),
    "transports/subprocess": frozenset({*LOW, "transports/reactor", "transports/stream", "transports/pipe"}),
    "transports/sendfile": frozenset({*LOW, "transports/reactor", "transports/stream"}),
    "transports/loop": frozenset(f"transports/{layer}" for layer in TRANSPORTS),
    "transports/examples": frozenset(f"transports/{layer}" for layer in TRANSPORTS),
    "proto/frame": frozenset({"proto", "protobuf"}),
    "proto/grpc": frozenset({"grpc", "protobuf", "proto/frame"}),
    "server/policy": frozenset({*LOW, *MESSAGES, "protobuf"}),
    "server/listen": frozenset({*LOW, "server/policy", "transports/reactor", "transports/stream", "transports/tcp", "transports/unix", "transports/tls", "transports/loop"}),
    "server/session": frozenset(
        {
            *LOW,
            *MESSAGES,
            "protobuf",
            "transports/loop",
            "transports/reactor",
            "transports/resolver",
            "transports/subprocess",
            "server/policy",
        }
    ),
    "server/rpc": frozenset(
        {
            *LOW,
            *MESSAGES,
            "protobuf",
            "proto/grpc",
            "proto_grpc",
            "grpc",
            "transports/loop",
            "server/listen",
            "server/policy",
            "server/session",
        }
    ),
    "server/ops": frozenset(
        {
            *LOW,
            *MESSAGES,
            "protobuf",
            "proto_grpc",
            "grpc",
            "transports/loop",
            "transports/reactor",
            "transports/tls",
            "server/listen",
            "server/policy",
            "server/session",
            "server/rpc",
        }
    ),
    "server/admin": frozenset(
        {
            *LOW,
            *MESSAGES,
            "protobuf",
            "transports/loop",
            "transports/reactor",
            "server/listen",
            "server/ops",
            "server/policy",
            "server/session",
        }
    ),
    "server": EVERYTHING,  # main.cc: all the wiring
    "clients/cpp/examples": frozenset({*LOW, "clients/cpp", "transports/loop"}),  # Either loop.
    # Its `policy` decides as the service does, without one.
    "clients/cpp/transportctl": frozenset(
        {*LOW, *MESSAGES, "clients/cpp", "transports/reactor", "protobuf", "proto/grpc", "proto_grpc", "grpc", "server/policy"}
    ),
    # Of the loop and of TLS for what gRPC does not say: what is wrong with a file, or with the connection.
    "clients/cpp": frozenset(
        {
            *LOW,
            *MESSAGES,
            "transports/reactor",
            "transports/loop",
            "transports/tls",
            "protobuf",
            "proto/grpc",
            "proto_grpc",
            "grpc",
        }
    ),
    "tests": EVERYTHING,
}

# What nobody includes, but for the folder of gRPC's, whose users ThreadSanitizer does not see anyway.
NEVER = {"absl/synchronization/": "ThreadSanitizer cannot see into the packaged Abseil: transports/base/mutex.h"}

TARGET_FOLDERS = {
    **{f"transportd::{layer}": f"transports/{layer}" for layer in TRANSPORTS},
    **{f"transportd::{layer}": f"server/{layer}" for layer in ("listen", "policy", "session", "rpc", "ops")},
    "transportd::proto": "proto",
    "transportd::proto_grpc": "proto_grpc",
    "transportd::frame": "proto/frame",
    "transportd::remote": "clients/cpp",
    "transportd::test_support": "tests",
    "gRPC::": "grpc",
    "protobuf::": "protobuf",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.MULTILINE)
LINK = re.compile(r"target_link_libraries\s*\(([^)]*)\)")


def layer_of(name: str) -> str | None:
    """The folder of MAY_INCLUDE that a file of the project belongs to."""
    fitting = [folder for folder in MAY_INCLUDE if name.startswith(folder + "/")]
    return max(fitting, key=len) if fitting else None


def included_layer(include: str) -> str | None:
    """The layer that an include names; None for the C++ library, the system and libraries that everybody may use."""
    if include.endswith(".grpc.pb.h"):
        return "proto_grpc"
    if include.startswith("google/protobuf/"):
        return "protobuf"
    if include.endswith(".pb.h"):
        return "proto"
    if include.startswith(("grpc/", "grpcpp/", "grpc++/")):
        return "grpc"
    if include.startswith(("transports/", "server/", "clients/", "tests/", "proto/")):
        return layer_of(include) or include
    return None


def may_know(layer: str, other: str) -> bool:
    return other == layer or MAY_INCLUDE[layer] == EVERYTHING or other in MAY_INCLUDE[layer]


def check_text(name: str, text: str) -> list[lint.Finding]:
    layer = layer_of(name)
    if layer is None:
        return [
            lint.Finding(name, 0, "the folder has no row in MAY_INCLUDE of tests/lint/include_direction.py: add it")
        ]
    findings = []
    # Comments go, the names in quotes stay.
    text = lint.without_comments(text, keep_strings=True)
    for match in INCLUDE.finditer(text):
        line = lint.line_of(text, match.start(1))
        other = included_layer(match[1])
        if other is not None and not may_know(layer, other):
            findings.append(lint.Finding(name, line, f"{layer} may not include {match[1]} ({other})"))
        findings += [
            lint.Finding(name, line, f"{match[1]}: {why}")
            for start, why in NEVER.items()
            if match[1].startswith(start) and layer != "proto/grpc"
        ]
    return findings


def check_cmake(name: str, text: str) -> list[lint.Finding]:
    layer = layer_of(name)
    if layer is None:
        return []
    findings = []
    text = re.sub(r"#[^\n]*", "", text)
    for link in LINK.finditer(text):
        for word in re.finditer(r"[\w+]+::[\w+]+", link[1]):
            library = word[0]
            other = TARGET_FOLDERS.get(library) or TARGET_FOLDERS.get(library.split("::")[0] + "::")
            if other is not None and not may_know(layer, other):
                line = lint.line_of(text, link.start(1) + word.start())
                findings.append(lint.Finding(name, line, f"{layer} may not link {library} ({other})"))
    return findings


def check() -> list[lint.Finding]:
    findings = []
    for name in lint.files_with(lint.CPP_SUFFIXES):
        findings += check_text(name, lint.read(name))
    for name in lint.files_with(("CMakeLists.txt",)):
        findings += check_cmake(name, lint.read(name))
    return findings


def self_test() -> None:
    bad_includes = (
        ("transports/api/sample.h", '#include "transports/base/clock.h"'),
        ("transports/stream/sample.cc", '#include "transports/tcp/acceptor.h"'),
        ("transports/reactor/sample.cc", '#include "transports/resolver/resolver.h"'),
        ("transports/tcp/sample.cc", "  # include <grpcpp/grpcpp.h>"),
        ("transports/tcp/sample.cc", '#include "transportd/v1/types.pb.h"'),
        ("transports/tcp/sample.cc", '#include "google/protobuf/message.h"'),
        ("transports/loop/sample.cc", '#include "server/session/session.h"'),
        ("transports/unheard/sample.cc", ""),
        ("proto/frame/sample.cc", '#include "transports/api/transport.h"'),
        ("server/session/sample.cc", "#include <grpcpp/server.h>"),
        ("server/session/sample.cc", '#include "transportd/v1/event_loop.grpc.pb.h"'),
        ("server/session/sample.cc", '#include "server/rpc/service.h"'),
        ("clients/cpp/sample.cc", '#include "server/session/session.h"'),
        ("clients/cpp/sample.cc", '#include "transports/tcp/acceptor.h"'),
        ("tests/unit/tcp/sample_test.cc", '#include "absl/synchronization/mutex.h"'),
    )
    for name, text in bad_includes:
        assert check_text(name, text), f"not reported in {name}: {text}"
    good_includes = (
        (
            "transports/tcp/sample.cc",
            '#include "transports/tcp/acceptor.h"\n#include "transports/api/server.h"\n#include <vector>',
        ),
        ("transports/tcp/sample.cc", "// #include <grpcpp/grpcpp.h>"),
        ("server/session/sample.cc", '#include "transportd/v1/types.pb.h"\n#include "transports/api/transport.h"'),
        ("server/main.cc", '#include <grpcpp/grpcpp.h>\n#include "transports/loop/epoll_event_loop.h"'),
    )
    for name, text in good_includes:
        assert not check_text(name, text), f"reported without reason: {check_text(name, text)[0]}"
    assert check_cmake("transports/api/CMakeLists.txt", "target_link_libraries(a PUBLIC\n  transportd::base)")
    assert check_cmake("server/session/CMakeLists.txt", "target_link_libraries(a PRIVATE gRPC::grpc++)")
    assert not check_cmake(
        "server/rpc/CMakeLists.txt", "target_link_libraries(a PUBLIC absl::status gRPC::grpc++ transportd::session)"
    )


if __name__ == "__main__":
    lint.run(check, self_test)
