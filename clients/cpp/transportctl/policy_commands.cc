#include <netdb.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/endpoint.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/policy_question.h"
#include "clients/cpp/transportctl/policy_table.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "clients/cpp/transportctl/table.h"
#include "server/policy/config_file.h"
#include "server/policy/config_text.h"
#include "server/policy/ip_address.h"
#include "server/policy/real_paths.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

int WriteOut(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) PrintToStderr("standard output cannot be written");
  return written ? kOk : kFailed;
}

// Each line of the message is one of standard error's.
int Refuse(const absl::Status& status, ExitCode exit_code) {
  Lines lines;
  std::string_view rest(status.message().data(), status.message().size());
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    lines.emplace_back(rest.substr(0, end));
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
  }
  PrintLinesToStderr(lines);
  return exit_code;
}

// Grants of what is a link here are of no use here: the service asks with a program's real path, and follows no link to
// a socket or a file. A service elsewhere may have other links, so that is no error.
Lines LinkNotes(const v1::Policy& policy) {
  Lines notes;
  const auto look = [&](const v1::Role& role, const std::string& grant, const std::string& path) {
    const std::string real = path.starts_with('/') ? RealPath(path) : path;
    if (real != path) notes.push_back(StrCat(role.name(), "/", grant, ": ", path, " is a link here, to ", real));
  };
  for (const v1::Role& role : policy.role()) {
    for (const v1::RunGrant& run : role.run()) look(role, run.name(), run.program());
    for (const v1::PathGrant& grant : role.path()) {
      for (const std::string& path : grant.paths()) look(role, grant.name(), path);
    }
  }
  if (!notes.empty()) notes.emplace_back("such a grant is of no use where that is a link: write where it leads");
  return notes;
}

int Check(const PolicyArguments& arguments) {
  const auto policy = LoadPolicy(arguments.file, {});
  if (!policy.ok()) return Refuse(policy.status(), kBadFile);
  const v1::Policy& message = (*policy)->message();
  if (const Lines notes = LinkNotes(message); !notes.empty()) PrintLinesToStderr(notes);
  return WriteOut(StrCat(arguments.file, ": valid: ", message.role_size(),
                         message.role_size() == 1 ? " role, " : " roles, ", message.binding_size(),
                         message.binding_size() == 1 ? " binding, " : " bindings, ", message.deny_size(),
                         message.deny_size() == 1 ? " denial" : " denials", "; SHA-256 ", (*policy)->sha256(), "\n"));
}

int Test(const PolicyArguments& arguments) {
  const absl::StatusOr<std::string> text = ReadConfigFile(arguments.file, kMaxConfigBytes);
  if (!text.ok()) return Refuse(text.status(), kBadFile);
  const absl::StatusOr<v1::PolicyTest> test = ReadPolicyTest(*text, arguments.file);
  if (!test.ok()) return Refuse(test.status(), kBadFile);
  std::vector<uint16_t> own_ports;
  for (const uint32_t port : test->own_ports()) own_ports.push_back(static_cast<uint16_t>(port));
  const auto policy = LoadPolicy(PolicyPathOf(*test, arguments.file), own_ports);
  if (!policy.ok()) return Refuse(policy.status(), kBadFile);
  const PolicyTestReport report = RunPolicyTest(*test, **policy);
  const int written = WriteOut(report.tap);
  return written == kOk && report.failure_count > 0 ? kFailed : written;
}

// --- explain

// Where a name leads, each address once.
absl::StatusOr<std::vector<SocketAddress>> ResolveHere(const std::string& host, uint32_t port, AddressFamily family) {
  addrinfo hints = {};
  hints.ai_family = AddressFamilyToNumber(family);
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
  if (error != 0) return absl::NotFoundError(ToAbsl(StrCat(host, ": ", std::string_view(::gai_strerror(error)))));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> holder(first, ::freeaddrinfo);
  std::vector<SocketAddress> out;
  for (const addrinfo* entry = first; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address = FromRawAddress(entry->ai_addr, entry->ai_addrlen);
    address.port = static_cast<uint16_t>(port);
    out.push_back(std::move(address));
  }
  return out;
}

// The addresses that are asked for; `is_name`: they were found under the host's name.
absl::StatusOr<std::vector<SocketAddress>> AddressesOf(const Arguments& arguments, const std::string& host,
                                                       uint32_t port, bool& is_name) {
  const PolicyArguments& policy = arguments.policy;
  is_name = !IpAddress::Parse(host);
  std::vector<SocketAddress> out;
  if (!is_name) {
    absl::StatusOr<SocketAddress> address = ParseNumericAddress(host, port);
    if (!address.ok()) return address.status();
    out.push_back(*std::move(address));
  }
  for (const std::string& text : policy.addresses) {
    absl::StatusOr<SocketAddress> address = ParseNumericAddress(text, port);
    if (!address.ok()) return address.status();
    out.push_back(*std::move(address));
  }
  if (is_name && policy.resolve) {
    absl::StatusOr<std::vector<SocketAddress>> found = ResolveHere(host, port, arguments.family);
    if (!found.ok()) return found.status();
    out.insert(out.end(), found->begin(), found->end());
  }
  if (out.empty()) {
    return absl::InvalidArgumentError(ToAbsl(
        StrCat("`", host, "` is a name: give --resolve to resolve it here, or --at ADDRESS for where it leads")));
  }
  return out;
}

absl::StatusOr<std::vector<PolicyQuestion>> ConnectQuestions(const Arguments& arguments) {
  const absl::StatusOr<HostPort> to = ParseHostPort(arguments.policy.words[1], false);
  if (!to.ok()) return to.status();
  if (!to->host) return absl::InvalidArgumentError("the host is missing; write HOST:PORT");
  bool is_name = false;
  const auto addresses = AddressesOf(arguments, *to->host, to->port.value_or(0), is_name);
  if (!addresses.ok()) return addresses.status();
  std::vector<PolicyQuestion> out;
  if (is_name) out.push_back({.kind = ActionKind::kResolve, .host = *to->host});
  for (const SocketAddress& address : *addresses) {
    PolicyQuestion& question = out.emplace_back();
    question.kind = arguments.policy.udp ? ActionKind::kSend : ActionKind::kConnect;
    question.protocol = arguments.policy.udp ? ActionProtocol::kUdp : ActionProtocol::kTcp;
    question.address = address;
    if (is_name) question.host = *to->host;
  }
  return out;
}

absl::StatusOr<PolicyQuestion> ListenQuestion(const PolicyArguments& arguments) {
  const absl::StatusOr<HostPort> on = ParseHostPort(arguments.words[1], false);
  if (!on.ok()) return on.status();
  absl::StatusOr<SocketAddress> address = ParseNumericAddress(on->host.value_or(""), on->port.value_or(0));
  if (!address.ok()) return address.status();
  PolicyQuestion out;
  out.kind = ActionKind::kListen;
  out.protocol = arguments.udp ? ActionProtocol::kUdp : ActionProtocol::kTcp;
  out.address = *std::move(address);
  return out;
}

absl::StatusOr<PathUse> ParsePathUse(std::string_view text) {
  if (text == "connect") return PathUse::kConnect;
  if (text == "listen") return PathUse::kListen;
  if (text == "read") return PathUse::kRead;
  if (text == "write") return PathUse::kWrite;
  return absl::InvalidArgumentError(ToAbsl(StrCat("`", text, "` is no use; it is connect, listen, read or write")));
}

// All questions that the words come down to; of the several of `connect` one must be allowed.
absl::StatusOr<std::vector<PolicyQuestion>> QuestionsOf(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.policy.words;
  const std::string& what = words.front();
  if (what == "connect") return ConnectQuestions(arguments);
  PolicyQuestion out;
  if (what == "listen") {
    absl::StatusOr<PolicyQuestion> question = ListenQuestion(arguments.policy);
    if (!question.ok()) return question.status();
    out = *std::move(question);
  } else if (what == "run") {
    out.kind = ActionKind::kRun;
    // The service asks with real paths.
    out.path = words[1].starts_with('/') ? RealPath(words[1]) : words[1];
    if (out.path != words[1]) out.asked_path = words[1];
    out.args.assign(words.begin() + 2, words.end());
    for (const auto& [name, value] : arguments.exec.env) out.env_names.push_back(name);
    if (arguments.exec.cwd)
      out.folder = arguments.exec.cwd->starts_with('/') ? RealPath(*arguments.exec.cwd) : *arguments.exec.cwd;
  } else if (what == "path") {
    const absl::StatusOr<PathUse> use = ParsePathUse(words[1]);
    if (!use.ok()) return use.status();
    out.kind = ActionKind::kPath;
    out.use = *use;
    out.path = words[2];
  } else if (what == "resolve") {
    out.kind = ActionKind::kResolve;
    out.host = words[1];
  } else if (what != "session") {
    out.kind = what == "option" ? ActionKind::kOption : what == "tls" ? ActionKind::kTls : ActionKind::kAdmin;
    out.name = words[1];
  }
  return std::vector<PolicyQuestion>{std::move(out)};
}

std::string PortsText(const std::vector<PortRange>& ranges) {
  std::string out;
  for (const PortRange& range : ranges) {
    out += StrCat(out.empty() ? "" : ",", range.first);
    if (range.last != range.first) out += StrCat("-", range.last);
  }
  return out.empty() ? "any" : out;
}

int ExplainQuestions(const Arguments& arguments) {
  const std::string& principal = arguments.policy.principal;
  const auto policy = LoadPolicy(arguments.policy.file, arguments.policy.own_ports);
  if (!policy.ok()) return Refuse(policy.status(), kBadFile);
  const auto questions = QuestionsOf(arguments);
  if (!questions.ok()) {
    return Refuse(questions.status(), absl::IsNotFound(questions.status()) ? kFailed : kUsage);
  }
  std::vector<std::vector<std::string>> rows = {{"DECISION", "RULE", "CLASS", "ASKED"}};
  bool is_resolved = true;
  bool is_allowed = false;
  for (const PolicyQuestion& question : *questions) {
    const Decision decision = question.Ask(**policy, principal);
    const bool has_class = decision.address_class != AddressClass::kNone;
    std::string asked = question.ToString();
    if (question.kind == ActionKind::kListen && question.address.port == 0 && decision.allowed) {
      asked += StrCat(", ports ", PortsText(question.Ports(**policy, principal)));
    }
    rows.push_back({decision.allowed ? "allowed" : "denied", std::string(decision.rule),
                    has_class ? std::string(AddressClassName(decision.address_class)) : "", std::move(asked)});
    const bool is_first_step = question.kind == ActionKind::kResolve && questions->size() > 1;
    if (question.kind == ActionKind::kPath && decision.allowed && question.path.starts_with('/')) {
      const std::string real = RealPath(question.path);
      if (real != question.path) {
        PrintLinesToStderr({StrCat(question.path, " leads through a link here, to ", real),
                            "the service follows none in a path: there the answer is ELOOP"});
      }
    }
    (is_first_step ? is_resolved : is_allowed) = decision.allowed || (!is_first_step && is_allowed);
  }
  const int written = WriteOut(FormatTable(rows));
  return written == kOk && !(is_resolved && is_allowed) ? kFailed : written;
}

}  // namespace

int RunPolicy(const Arguments& arguments) {
  switch (arguments.policy.what) {
    case PolicyArguments::What::kCheck:
      return Check(arguments.policy);
    case PolicyArguments::What::kTest:
      return Test(arguments.policy);
    case PolicyArguments::What::kExplain:
      break;
  }
  return ExplainQuestions(arguments);
}

}  // namespace transportd::ctl
