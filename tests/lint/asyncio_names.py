#!/usr/bin/python3
"""The tables "Where every name of asyncio stands" in proto/README.md: every name, command and callback has a row, every
number and name that a row gives is the contract's, and every row names conformance scenarios that exist, or says after
a dash why it has none."""

import re
from dataclasses import dataclass, field

import lint

TABLE = "proto/README.md"
HEADING = "## Where every name of asyncio stands"

# Everything of asyncio's that the contract holds.
NAMES = frozenset(
    """
    create_connection create_server create_unix_connection create_unix_server create_datagram_endpoint connect_read_pipe
    connect_write_pipe connect_accepted_socket subprocess_exec subprocess_shell start_tls sendfile getaddrinfo
    getnameinfo socketpair start_serving wait_closed close_clients abort_clients sockets
    host hosts port family flags proto sock local_addr remote_addr server_hostname ssl ssl_handshake_timeout
    ssl_shutdown_timeout happy_eyeballs_delay interleave all_errors backlog reuse_address reuse_port keep_alive
    cleanup_socket allow_broadcast stdin stdout stderr cwd env start_new_session process_group user group extra_groups
    umask restore_signals pipesize
    close is_closing abort get_extra_info set_protocol get_protocol is_reading pause_reading resume_reading write
    writelines write_eof can_write_eof set_write_buffer_limits get_write_buffer_limits get_write_buffer_size sendto
    get_pid get_returncode get_pipe_transport send_signal terminate kill getsockopt setsockopt
    connection_made data_received eof_received pause_writing resume_writing connection_lost datagram_received
    error_received pipe_data_received pipe_connection_lost process_exited get_buffer buffer_updated
    sockname peername socket cipher compression peercert sslcontext ssl_object pipe subprocess
    """.split()
)

ROW = re.compile(r"^\|.*$", re.MULTILINE)
WORD = re.compile(r"`([^`]+)`")
NUMBERED = re.compile(r"`(Command|Callback)\.(\w+)`(?: \(hot\))? = (\d+)")
HEADERS = ("request_id", "transport_id")  # What every command or callback has beside its variant.
METHOD = re.compile(r"`([A-Z]\w+)\.([A-Z]\w+)`")
FIELD = re.compile(r"`([A-Z]\w+)\.([a-z]\w*)`")
SCENARIO = re.compile(r'\{"([a-z0-9_]+)",\s*[A-Z]')  # {"name", Function


@dataclass
class Contract:
    """What the .proto files define, as far as the tables speak of it."""

    fields: dict[str, dict[str, int]] = field(default_factory=dict)  # Message -> field -> number.
    methods: set[tuple[str, str]] = field(default_factory=set)  # (service, method)


def contract_of(text: str) -> Contract:
    contract = Contract()
    stack: list[tuple[str, str]] = []
    for line in text.splitlines():
        line = line.split("//")[0]
        if opening := re.match(r"\s*(message|service|enum|oneof) (\w+) \{", line):
            stack.append((opening[1], opening[2]))
            if opening[1] == "message":
                contract.fields.setdefault(opening[2], {})
            if "}" in line:
                stack.pop()
        elif "}" in line and "{" not in line:
            stack.pop()
        elif method := re.match(r"\s*rpc (\w+)\(", line):
            contract.methods.add((stack[-1][1], method[1]))
        elif number := re.match(r"\s*(?:optional |repeated )?[\w.<>, ]+ (\w+) = (\d+)", line):
            owner = next((name for kind, name in reversed(stack) if kind == "message"), None)
            if owner is not None and stack[-1][0] != "enum":
                contract.fields[owner][number[1]] = int(number[2])
    return contract


def check_table(text: str, contract: Contract, scenarios: set[str]) -> list[lint.Finding]:
    begin = text.index(HEADING)
    end = text.find("\n## ", begin + 1)
    section = text[begin : end if end >= 0 else len(text)]
    findings: list[lint.Finding] = []
    named: set[str] = set()
    numbered: set[tuple[str, str]] = set()

    for match in ROW.finditer(section):
        line = lint.line_of(text, begin + match.start())

        def find(message: str) -> None:
            findings.append(lint.Finding(TABLE, line, message))

        cells = [cell.strip() for cell in match[0].strip("|").split("|")]
        if len(cells) != 3:
            find("a row has three cells")
            continue
        names_cell, here, scenario_cell = cells
        if names_cell == "asyncio" or set(names_cell) <= {"-"}:
            continue
        named |= set(re.findall(r"\w+", names_cell))
        for message, name, number in NUMBERED.findall(here):
            numbered.add((message, name))
            if contract.fields.get(message, {}).get(name) != int(number):
                find(f"{message}.{name} is not {number} in the contract")
        for service, method in METHOD.findall(here):
            if (service, method) not in contract.methods:
                find(f"there is no method {service}.{method}")
        for message, name in FIELD.findall(here):
            if message in contract.fields and name not in contract.fields[message]:
                find(f"there is no field {message}.{name}")
        if scenario_cell.startswith("—"):
            if len(scenario_cell) < 10:
                find("a dash without a reason")
            continue
        used = set(WORD.findall(scenario_cell))
        if not used:
            find("no scenario, and no dash with a reason")
        for name in sorted(used - scenarios):
            find(f"there is no scenario {name}")
    variants = {(message, name) for message in ("Command", "Callback") for name in contract.fields.get(message, {})}
    unnumbered = sorted((message, name) for message, name in variants - numbered if name not in HEADERS)
    missing = sorted(NAMES - named) + [f"{message}.{name}" for message, name in unnumbered]
    return findings + [lint.Finding(TABLE, 0, f"{name} has no row") for name in missing]


def check() -> list[lint.Finding]:
    protos = "\n".join(lint.read(name) for name in lint.files_with((".proto",), ("proto/transportd/",)))
    sources = lint.files_with((".cc",), ("tests/conformance/scenarios/",))
    scenarios = {name for source in sources for name in SCENARIO.findall(lint.read(source))}
    assert scenarios, "there are no scenarios"
    return check_table(lint.read(TABLE), contract_of(protos), scenarios)


SAMPLE_PROTO = """
service Transport {
  rpc Close(CloseRequest) returns (CloseResponse);
}
message CloseRequest {
  optional uint32 transport_id = 2;  // its id = 3
}
message Command {
  uint32 transport_id = 2;
  oneof command {
    bytes write = 3;
    CloseRequest close = 51;
  }
}
message Empty {}
"""
SAMPLE_TABLE = """
## Where every name of asyncio stands
| asyncio | Here | Scenarios |
|---|---|---|
| `write`, `close` | `Command.write` (hot) = 3, `Transport.Close`, `Command.close` = 51 | `close_twice` |
| `get_protocol` | `CloseRequest.transport_id` | — the client library's own |
## Next
| `x` | `Command.y` = 1 | |
"""


def self_test() -> None:
    assert SCENARIO.findall('{"a_1", A1},\n{"b",\n B, false}, Exec({"sh", "-c"}), {"c"}') == ["a_1", "b"]
    contract = contract_of(SAMPLE_PROTO)
    assert contract.fields["CloseRequest"] == {"transport_id": 2}, contract
    assert contract.fields["Command"] == {"transport_id": 2, "write": 3, "close": 51}, contract
    assert contract.methods == {("Transport", "Close")}, contract

    def messages(text: str) -> set[str]:
        return {f.message for f in check_table(text, contract, {"close_twice"}) if not f.message.endswith("has no row")}

    assert messages(SAMPLE_TABLE) == set(), messages(SAMPLE_TABLE)
    for old, new, message in (
        ("= 51", "= 52", "Command.close is not 52 in the contract"),
        ("Transport.Close", "Transport.Closes", "there is no method Transport.Closes"),
        ("CloseRequest.transport_id", "CloseRequest.id", "there is no field CloseRequest.id"),
        ("close_twice", "close_thrice", "there is no scenario close_thrice"),
        ("— the client library's own", "—", "a dash without a reason"),
        ("`close_twice`", "none", "no scenario, and no dash with a reason"),
        ("| — the client library's own |", "|", "a row has three cells"),
    ):
        assert messages(SAMPLE_TABLE.replace(old, new)) == {message}, messages(SAMPLE_TABLE.replace(old, new))
    fewer = SAMPLE_TABLE.replace(", `Command.close` = 51", "")
    missing = {f.message for f in check_table(fewer, contract, {"close_twice"})}
    assert {"sendto has no row", "Command.close has no row"} <= missing, missing
    assert not {"close has no row", "Command.write has no row", "Command.transport_id has no row"} & missing, missing


if __name__ == "__main__":
    lint.run(check, self_test)
