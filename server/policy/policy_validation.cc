#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "google/protobuf/descriptor.h"
#include "re2/re2.h"
#include "server/policy/args_regex.h"
#include "server/policy/ascii.h"
#include "server/policy/config_json.h"
#include "server/policy/ip_address.h"
#include "server/policy/names.h"
#include "server/policy/policy_file.h"
#include "server/policy/principal.h"
#include "transportd/v1/admin.pb.h"
#include "transportd/v1/types.pb.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kMaxOffences = 50;
constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxQuotedBytes = 80;
constexpr int64_t kMaxDurationSeconds = 315'576'000'000;
constexpr double kMaxRate = 1'000'000;
constexpr uint64_t kMinBufferedBytes = 65536;
constexpr char kNameRule[] = "a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`";

// By their names without the enum's own: those that can be set, and IP_ADD_MEMBERSHIP.
std::vector<std::string_view> SocketOptionNameList() {
  constexpr std::string_view kPrefix = "SOCKET_OPTION_";
  constexpr std::string_view kOthers[] = {"UNSPECIFIED", "SO_ERROR", "SO_TYPE", "SO_ACCEPTCONN"};
  std::vector<std::string_view> names = {"IP_ADD_MEMBERSHIP"};
  const auto* const all = v1::SocketOption_descriptor();
  for (int i = 0; i < all->value_count(); ++i) {
    const std::string_view name = std::string_view(all->value(i)->name()).substr(kPrefix.size());
    if (std::find(std::begin(kOthers), std::end(kOthers), name) == std::end(kOthers)) names.push_back(name);
  }
  return names;
}

bool IsSocketOptionName(std::string_view name) {
  const std::vector<std::string_view> names = SocketOptionNameList();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string SocketOptionNames() {
  std::string out;
  for (const std::string_view name : SocketOptionNameList()) out += StrCat(out.empty() ? "" : ", ", name);
  return out;
}

// In quotes, on one line, and not too much of it.
std::string Quoted(std::string_view text) {
  const bool is_long = text.size() > kMaxQuotedBytes;
  return StrCat("\"", absl::Utf8SafeCHexEscape(ToAbsl(text.substr(0, kMaxQuotedBytes))), is_long ? "…" : "", "\"");
}

std::string NetworkText(const IpNetwork& network) {
  char text[INET6_ADDRSTRLEN] = "";
  if (network.address.is_v4) {
    const in_addr bytes = {.s_addr = htonl(static_cast<uint32_t>(network.address.low))};
    ::inet_ntop(AF_INET, &bytes, text, sizeof(text));
  } else {
    in6_addr bytes = {};
    for (int i = 0; i < 16; ++i) {
      const uint64_t half = i < 8 ? network.address.high : network.address.low;
      bytes.s6_addr[i] = static_cast<uint8_t>(half >> (56 - 8 * (i % 8)));
    }
    ::inet_ntop(AF_INET6, &bytes, text, sizeof(text));
  }
  return StrCat(std::string_view(text), "/", network.prefix_bits);
}

// The nearest network without bits behind its prefix.
IpNetwork Canonical(IpNetwork network) {
  for (int bit = network.prefix_bits; bit < (network.address.is_v4 ? 32 : 128); ++bit) {
    if (network.address.is_v4) {
      network.address.low &= ~(uint64_t{1} << (31 - bit));
    } else {
      (bit < 64 ? network.address.high : network.address.low) &= ~(uint64_t{1} << (63 - bit % 64));
    }
  }
  return network;
}

// What an AddressSet is for.
enum class SetUse { kTo, kOn, kPeers, kDenyConnect, kDenyListen };

// Threading: a value.
class Validator final {
 public:
  void Check(const v1::Policy& policy);
  absl::Status Result() const;

 private:
  // `path` names a field; `what` says what is wrong, and what is allowed.
  void Add(std::string_view path, std::string_view what) {
    if (++count_ <= kMaxOffences) text_ += StrCat(text_.empty() ? "" : "\n", path, ": ", what);
  }

  static bool IsName(std::string_view name) {
    return !name.empty() && name.size() <= kMaxNameBytes &&
           std::all_of(name.begin(), name.end(), [](char c) { return IsLower(c) || IsDigit(c) || IsOneOf(c, "-_."); });
  }

  // The path of a list's element, with its name: `role[0] "lab"`.
  static std::string Element(std::string_view parent, std::string_view field, int index, std::string_view name) {
    return StrCat(parent, parent.empty() ? "" : " ", field, "[", index, "]", name.empty() ? "" : " ",
                  name.empty() ? std::string() : Quoted(name));
  }
  static std::string Item(std::string_view parent, std::string_view field, int index) {
    return StrCat(parent, parent.empty() ? "" : " ", field, "[", index, "]");
  }

  void CheckName(const std::string& path, std::string_view name, std::set<std::string, std::less<>>& seen) {
    if (!IsName(name)) return Add(path, StrCat("name ", Quoted(name), ": ", kNameRule));
    if (!seen.emplace(name).second) Add(path, "another has the same name; names must differ");
  }

  // One of the enum, and not its 0, unless that is a default.
  void CheckEnum(const std::string& path, int value, const google::protobuf::EnumDescriptor* descriptor,
                 bool zero_is_default = false) {
    if (descriptor->FindValueByNumber(value) != nullptr && (value != 0 || zero_is_default)) return;
    Add(path, StrCat(value, " is none; it is one of ", ValueNames(*descriptor)));
  }

  void CheckPrincipals(const std::string& path, const google::protobuf::RepeatedPtrField<std::string>& principals);
  void CheckRole(const v1::Role& role, const std::string& path);
  template <typename Grant>
  void CheckProtocols(const Grant& grant, const std::string& path);
  void CheckSet(const v1::AddressSet& set, SetUse use, const std::string& path);
  void CheckHost(std::string_view host, const std::string& path);
  void CheckCidr(std::string_view cidr, const std::string& path);
  void CheckPorts(const v1::AddressSet& set, SetUse use, const std::string& path);
  void CheckRun(const v1::RunGrant& grant, const std::string& path);
  void CheckPathGrant(const v1::PathGrant& grant, const std::string& path);
  void CheckOption(const v1::OptionGrant& grant, const std::string& path);
  void CheckAdmin(const v1::AdminGrant& grant, const std::string& path);
  void CheckQuota(const v1::Quota& quota, const std::string& path);
  void CheckServiceQuota(const v1::Quota& quota);
  void CheckRate(const v1::Rate& rate, const std::string& path);
  void CheckDeny(const v1::Deny& deny, const std::string& path);
  void CheckDuration(const google::protobuf::Duration& duration, const std::string& path);
  // `what` may be a file's path, a folder with a slash at its end, or with `names` what PathGrant.paths may be besides.
  void CheckFile(std::string_view what, const std::string& path, bool names);

  std::string text_;
  size_t count_ = 0;
};

void Validator::Check(const v1::Policy& policy) {
  if (policy.version() != "v1") Add("version", StrCat(Quoted(policy.version()), R"( must be "v1")"));
  std::set<std::string, std::less<>> roles;
  for (int i = 0; i < policy.role_size(); ++i) {
    const v1::Role& role = policy.role(i);
    const std::string path = Element("", "role", i, role.name());
    CheckName(path, role.name(), roles);
    // In records they would look like something else.
    if (role.name() == "deny" || role.name() == "builtin") Add(path, "no role may be called `deny` or `builtin`");
    CheckRole(role, path);
  }
  for (int i = 0; i < policy.binding_size(); ++i) {
    const v1::Binding& binding = policy.binding(i);
    const std::string path = Item("", "binding", i);
    if (roles.find(binding.role()) == roles.end()) {
      Add(path + " role", StrCat("there is no role ", Quoted(binding.role())));
    }
    if (binding.principals().empty()) Add(path, "principals must name at least one; `*` is everybody");
    CheckPrincipals(path, binding.principals());
  }
  std::set<std::string, std::less<>> denials;
  for (int i = 0; i < policy.deny_size(); ++i) {
    const std::string path = Element("", "deny", i, policy.deny(i).name());
    CheckName(path, policy.deny(i).name(), denials);
    CheckDeny(policy.deny(i), path);
  }
  CheckQuota(policy.principal_quota(), "principal_quota");
  CheckServiceQuota(policy.service_quota());
}

absl::Status Validator::Result() const {
  if (count_ == 0) return absl::OkStatus();
  if (count_ <= kMaxOffences) return absl::InvalidArgumentError(text_);
  return absl::InvalidArgumentError(ToAbsl(StrCat(text_, "\nand ", count_ - kMaxOffences, " more")));
}

void Validator::CheckPrincipals(const std::string& path,
                                const google::protobuf::RepeatedPtrField<std::string>& principals) {
  for (int i = 0; i < principals.size(); ++i) {
    const std::string& principal = principals[i];
    if (!IsPrincipal(principal)) {
      Add(Item(path, "principals", i), StrCat(Quoted(principal), ": a principal is ", kPrincipalRule));
    } else if (principal.find('*') < principal.size() - 1) {
      Add(Item(path, "principals", i), StrCat(Quoted(principal), ": `*` may stand at the end only"));
    }
  }
}

void Validator::CheckRole(const v1::Role& role, const std::string& path) {
  std::set<std::string, std::less<>> names;
  const auto each = [&](std::string_view field, const auto& grants, auto check) {
    for (int i = 0; i < grants.size(); ++i) {
      const std::string grant_path = Element(path, field, i, grants[i].name());
      CheckName(grant_path, grants[i].name(), names);
      check(grants[i], grant_path);
    }
  };
  each("connect", role.connect(), [&](const v1::ConnectGrant& grant, const std::string& grant_path) {
    CheckProtocols(grant, grant_path);
    if (grant.has_to()) return CheckSet(grant.to(), SetUse::kTo, grant_path + " to");
    Add(grant_path, "needs `to`: where to");
  });
  each("listen", role.listen(), [&](const v1::ListenGrant& grant, const std::string& grant_path) {
    CheckProtocols(grant, grant_path);
    if (grant.has_peers()) CheckSet(grant.peers(), SetUse::kPeers, grant_path + " peers");
    if (grant.has_on()) return CheckSet(grant.on(), SetUse::kOn, grant_path + " on");
    Add(grant_path, "needs `on`: the local addresses");
  });
  const auto with = [&](auto method) {
    return [this, method](const auto& grant, const std::string& grant_path) { (this->*method)(grant, grant_path); };
  };
  each("run", role.run(), with(&Validator::CheckRun));
  each("path", role.path(), with(&Validator::CheckPathGrant));
  each("option", role.option(), with(&Validator::CheckOption));
  each("admin", role.admin(), with(&Validator::CheckAdmin));
  if (role.has_quota()) CheckQuota(role.quota(), path + " quota");
}

template <typename Grant>
void Validator::CheckProtocols(const Grant& grant, const std::string& path) {
  if (grant.protocols().empty()) Add(path, "needs `protocols`: TCP, UDP or both");
  for (int i = 0; i < grant.protocols_size(); ++i) {
    CheckEnum(Item(path, "protocols", i), grant.protocols(i), v1::Protocol::Value_descriptor());
  }
}

void Validator::CheckSet(const v1::AddressSet& set, SetUse use, const std::string& path) {
  const bool is_deny = use == SetUse::kDenyConnect || use == SetUse::kDenyListen;
  if (use != SetUse::kTo && use != SetUse::kDenyConnect && !set.hosts().empty()) {
    Add(path + ".hosts", "has no meaning here; use cidrs or classes");
  }
  if (set.hosts().empty() && set.cidrs().empty() && set.classes().empty()) {
    Add(path, "has no address in it; give cidrs, classes or, where to connect, hosts");
  }
  for (int i = 0; i < set.hosts_size(); ++i) CheckHost(set.hosts(i), StrCat(path, ".hosts[", i, "]"));
  for (int i = 0; i < set.cidrs_size(); ++i) CheckCidr(set.cidrs(i), StrCat(path, ".cidrs[", i, "]"));
  const bool only_cidrs = set.hosts().empty() && !set.cidrs().empty();
  for (int i = 0; i < set.classes_size(); ++i) {
    const std::string class_path = StrCat(path, ".classes[", i, "]");
    const v1::AddressClass::Value value = set.classes(i);
    CheckEnum(class_path, value, v1::AddressClass::Value_descriptor());
    const bool is_opener = value == v1::AddressClass::SELF || value == v1::AddressClass::METADATA;
    if (only_cidrs && !is_deny && !is_opener) {
      Add(class_path, "beside cidrs only SELF and METADATA have a meaning; for other addresses make another grant");
    }
  }
  CheckPorts(set, use, path);
}

void Validator::CheckPorts(const v1::AddressSet& set, SetUse use, const std::string& path) {
  if (use == SetUse::kPeers) {
    if (!set.ports().empty() || set.any_port()) Add(path + ".ports", "have no meaning here; leave them out");
    return;
  }
  if (!set.ports().empty() && set.any_port()) Add(path, "has both ports and any_port; give one of them");
  if (set.ports().empty() && !set.any_port() && (use == SetUse::kTo || use == SetUse::kOn)) {
    Add(path, "needs ports, or any_port: true");
  }
  for (int i = 0; i < set.ports_size(); ++i) {
    const v1::PortRange& range = set.ports(i);
    const std::string range_path = StrCat(path, ".ports[", i, "]");
    if (range.first() < 1 || range.first() > 65535) {
      Add(range_path, StrCat("first is ", range.first(), "; it must be 1 to 65535"));
    } else if (range.last() != 0 && (range.last() < range.first() || range.last() > 65535)) {
      Add(range_path, StrCat("last is ", range.last(), "; it must be ", range.first(), " to 65535, or left out"));
    }
  }
}

void Validator::CheckHost(std::string_view host, const std::string& path) {
  const auto bad = [&](std::string_view what) { Add(path, StrCat(Quoted(host), " ", what)); };
  std::string_view name = host;
  if (name == "*") return bad("is every name; leave hosts out, and give classes or cidrs");
  if (name.substr(0, 2) == "*.") name.remove_prefix(2);
  if (IpAddress::Parse(name) || EndsInNumber(name) || name.find(':') != std::string_view::npos) {
    return bad("is an address or has a port; addresses belong in cidrs, ports in ports");
  }
  if (name.find('*') != std::string_view::npos) return bad("has a `*` that is not a `*.` before all else");
  if (std::any_of(name.begin(), name.end(), IsUpper)) return bad("must be lower-case");
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    return bad("must be ASCII; internationalized names are written as xn--…");
  }
  if (!name.empty() && name.back() == '.') return bad("must not have a dot at its end");
  bool is_name = !name.empty() && name.size() <= 253;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view label = name.substr(begin, end - begin);
    is_name =
        is_name && !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
        std::all_of(label.begin(), label.end(), [](char c) { return IsLower(c) || IsDigit(c) || IsOneOf(c, "-_"); });
    begin = end + 1;
  }
  if (!is_name) bad("is no host name; write db.example, or *.example for all below it");
}

void Validator::CheckCidr(std::string_view cidr, const std::string& path) {
  const std::optional<IpNetwork> network = IpNetwork::Parse(cidr);
  if (!network) {
    Add(path, StrCat(Quoted(cidr), " is no network; write 10.0.0.0/8, fd00::/8, or one address"));
  } else if (!network->IsCanonical()) {
    Add(path, StrCat(Quoted(cidr), " has bits behind its prefix; write ", NetworkText(Canonical(*network))));
  }
}

void Validator::CheckFile(std::string_view what, const std::string& path, bool names) {
  const auto bad = [&](std::string_view why) { Add(path, StrCat(Quoted(what), " ", why)); };
  if (names && what.substr(0, 1) == "@") {
    const size_t star = what.find('*');
    if (what.size() == 1) return bad("has no name; `@*` is every abstract socket");
    if (star != std::string_view::npos && star + 1 != what.size()) return bad("has a `*` that is not at its end");
    if (what.size() > 108) bad("is longer than 107 bytes");
    return;
  }
  if (names && what.substr(0, 3) == "fd:") {
    const std::string_view digits = what.substr(3);
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool has_zero = digits.size() > 1 && digits.front() == '0';
    if (error != std::errc() || end != digits.data() + digits.size() || number < 0 || has_zero) {
      bad("is no descriptor; write fd:3");
    }
    return;
  }
  if (what.find('*') != std::string_view::npos) return bad("has a `*`; for all below a folder end it with `/`");
  if (!IsCanonicalFolder(what)) {
    bad(names ? "must be an absolute path without `.`, `..` and doubled slashes, or @NAME, or fd:N"
              : "must be an absolute path without `.`, `..` and doubled slashes");
  }
}

void Validator::CheckDuration(const google::protobuf::Duration& duration, const std::string& path) {
  // https://protobuf.dev/reference/protobuf/google.protobuf/#duration
  const bool is_duration = duration.seconds() <= kMaxDurationSeconds && duration.nanos() < 1'000'000'000;
  const bool is_positive =
      duration.seconds() >= 0 && duration.nanos() >= 0 && duration.seconds() + duration.nanos() > 0;
  if (!is_duration || !is_positive) Add(path, "must be a time of more than 0; leave it out for none");
}

void Validator::CheckRun(const v1::RunGrant& grant, const std::string& path) {
  CheckFile(grant.program(), path + " program", false);
  if (!grant.args_regex().empty()) {
    const RE2 regex(grant.args_regex(), ArgsRegexOptions());
    if (!regex.ok()) Add(path + " args_regex", StrCat(Quoted(grant.args_regex()), ": ", regex.error()));
  }
  for (int i = 0; i < grant.env_size(); ++i) {
    std::string_view name = grant.env(i);
    const bool has_star = !name.empty() && name.back() == '*';
    if (has_star) name.remove_suffix(1);
    const bool is_name = (has_star || !name.empty()) && (name.empty() || !IsDigit(name.front())) &&
                         std::all_of(name.begin(), name.end(),
                                     [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_'; });
    if (!is_name) {
      Add(Item(path, "env", i),
          StrCat(Quoted(grant.env(i)),
                 ": a name is letters, digits and `_`, and may end with `*` for all that begin so"));
    }
  }
  const auto folders = [&](std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& list) {
    for (int i = 0; i < list.size(); ++i) CheckFile(list[i], Item(path, field, i), false);
  };
  folders("cwd", grant.cwd());
  folders("read", grant.read());
  folders("write", grant.write());
  CheckEnum(path + " network", grant.network(), v1::RunGrant::Network_descriptor(), true);
  CheckEnum(path + " confinement", grant.confinement(), v1::RunGrant::Confinement_descriptor(), true);
  if (grant.limits().has_wall_time()) CheckDuration(grant.limits().wall_time(), path + " limits.wall_time");
  if (grant.limits().has_cpu_time()) {
    CheckDuration(grant.limits().cpu_time(), path + " limits.cpu_time");
    if (grant.limits().cpu_time().nanos() != 0) Add(path + " limits.cpu_time", "must be whole seconds");
  }
}

void Validator::CheckPathGrant(const v1::PathGrant& grant, const std::string& path) {
  if (grant.uses().empty()) Add(path, "needs `uses`: CONNECT, LISTEN, READ or WRITE");
  for (int i = 0; i < grant.uses_size(); ++i) {
    CheckEnum(Item(path, "uses", i), grant.uses(i), v1::PathGrant::Use_descriptor());
  }
  if (grant.paths().empty()) Add(path, "needs `paths`");
  for (int i = 0; i < grant.paths_size(); ++i) CheckFile(grant.paths(i), Item(path, "paths", i), true);
}

void Validator::CheckOption(const v1::OptionGrant& grant, const std::string& path) {
  if (grant.options().empty() && grant.tls_identities().empty() && !grant.unverified_tls() && !grant.own_trust()) {
    Add(path, "grants nothing; give options, unverified_tls, own_trust or tls_identities");
  }
  for (int i = 0; i < grant.options_size(); ++i) {
    if (grant.options(i) != "*" && !IsSocketOptionName(grant.options(i))) {
      Add(Item(path, "options", i),
          StrCat(Quoted(grant.options(i)), " is none that the service knows; `*` or one of ", SocketOptionNames()));
    }
  }
  for (int i = 0; i < grant.tls_identities_size(); ++i) {
    const std::string& name = grant.tls_identities(i);
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return IsLower(c) || IsUpper(c) || IsDigit(c) || IsOneOf(c, "-_.");
    });
    if (!is_name && name != "*") {
      Add(Item(path, "tls_identities", i),
          StrCat(Quoted(name), ": a name is letters, digits, `-`, `_` and `.`; `*` is all"));
    }
  }
}

void Validator::CheckAdmin(const v1::AdminGrant& grant, const std::string& path) {
  const auto* const admin = v1::GetVersionRequest::descriptor()->file()->FindServiceByName("Admin");
  if (grant.methods().empty()) Add(path, "needs `methods`; `*` is all");
  for (int i = 0; i < grant.methods_size(); ++i) {
    if (grant.methods(i) == "*" || admin->FindMethodByName(grant.methods(i)) != nullptr) continue;
    std::string names;
    for (int m = 0; m < admin->method_count(); ++m) names += StrCat(m == 0 ? "" : ", ", admin->method(m)->name());
    Add(Item(path, "methods", i), StrCat(Quoted(grant.methods(i)), " is no method of Admin; `*` or one of ", names));
  }
}

void Validator::CheckRate(const v1::Rate& rate, const std::string& path) {
  // Written so that a NaN is refused, too.
  if (!(rate.per_second() > 0 && rate.per_second() <= kMaxRate)) {
    Add(path + ".per_second", "must be more than 0, and at most 1000000");
  }
  if (rate.burst() > static_cast<uint32_t>(kMaxRate)) Add(path + ".burst", "must be at most 1000000");
}

void Validator::CheckQuota(const v1::Quota& quota, const std::string& path) {
  if (quota.has_buffered_bytes() && quota.buffered_bytes() < kMinBufferedBytes) {
    Add(path + ".buffered_bytes", "must be at least 65536");
  }
  if (quota.has_connects()) CheckRate(quota.connects(), path + ".connects");
  if (quota.has_spawns()) CheckRate(quota.spawns(), path + ".spawns");
  if (quota.has_resolutions()) CheckRate(quota.resolutions(), path + ".resolutions");
  if (quota.has_session_age()) CheckDuration(quota.session_age(), path + ".session_age");
  if (quota.has_session_idle()) CheckDuration(quota.session_idle(), path + ".session_idle");
}

void Validator::CheckServiceQuota(const v1::Quota& quota) {
  CheckQuota(quota, "service_quota");
  if (quota.has_buffered_bytes()) {
    Add("service_quota.buffered_bytes", "is of one principal; --buffered-bytes bounds those of all");
  }
  if (quota.has_session_age()) Add("service_quota.session_age", "is of one principal; give it in principal_quota");
  if (quota.has_session_idle()) Add("service_quota.session_idle", "is of one principal; give it in principal_quota");
}

void Validator::CheckDeny(const v1::Deny& deny, const std::string& path) {
  CheckPrincipals(path, deny.principals());
  if (!deny.has_connect() && !deny.has_listen() && deny.run().empty() && deny.path().empty()) {
    Add(path, "denies nothing; give connect, listen, run or path");
  }
  if (deny.has_connect()) CheckSet(deny.connect(), SetUse::kDenyConnect, path + " connect");
  if (deny.has_listen()) CheckSet(deny.listen(), SetUse::kDenyListen, path + " listen");
  for (int i = 0; i < deny.run_size(); ++i) CheckFile(deny.run(i), Item(path, "run", i), false);
  for (int i = 0; i < deny.path_size(); ++i) CheckFile(deny.path(i), Item(path, "path", i), true);
}

}  // namespace

absl::Status ValidatePolicy(const v1::Policy& policy) {
  Validator validator;
  validator.Check(policy);
  return validator.Result();
}

}  // namespace transportd
