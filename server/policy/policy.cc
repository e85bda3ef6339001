#include "server/policy/policy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "re2/re2.h"
#include "server/policy/address_set.h"
#include "server/policy/args_regex.h"
#include "server/policy/names.h"
#include "server/policy/policy_file.h"
#include "server/policy/principal_map.h"
#include "server/policy/real_paths.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::string_view kNoPrincipal = "builtin/no_principal";
constexpr std::string_view kNoRole = "builtin/no_role";
constexpr std::string_view kNoGrant = "builtin/no_grant";
constexpr std::string_view kSelf = "builtin/self";
constexpr std::string_view kMetadata = "builtin/metadata";
constexpr std::string_view kBadAddress = "builtin/bad_address";
constexpr std::string_view kBadPath = "builtin/bad_path";
constexpr std::string_view kBadName = "builtin/bad_name";
constexpr std::string_view kAccount = "builtin/account";
constexpr std::string_view kBadAction = "builtin/bad_action";

// Below it ports are not for whoever comes: a port is never picked there.
constexpr uint16_t kFirstPickedPort = 1024;

// Bits of ActionProtocol.
class Protocols final {
 public:
  explicit Protocols(const google::protobuf::RepeatedField<int>& protocols) {
    for (const int protocol : protocols) {
      has_tcp_ |= protocol == v1::Protocol::TCP;
      has_udp_ |= protocol == v1::Protocol::UDP;
    }
  }
  bool Has(ActionProtocol protocol) const {
    return (protocol == ActionProtocol::kTcp && has_tcp_) || (protocol == ActionProtocol::kUdp && has_udp_);
  }

 private:
  bool has_tcp_ = false;
  bool has_udp_ = false;
};

struct Connect {
  std::string rule;
  Protocols protocols;
  AddressSet to;
};

struct Listen {
  std::string rule;
  Protocols protocols;
  AddressSet on;
  std::optional<AddressSet> peers;
};

struct Run {
  std::string rule;
  const v1::RunGrant* grant;
  std::unique_ptr<const RE2> args;  // Null: any.
};

struct Path {
  std::string rule;
  const v1::PathGrant* grant;
};

struct Option {
  std::string rule;
  const v1::OptionGrant* grant;
};

struct Admin {
  std::string rule;
  const v1::AdminGrant* grant;
};

// Each list is in the order of the names: the order of the file means nothing.
struct Role {
  const v1::Role* message = nullptr;
  std::vector<Connect> connect;
  std::vector<Listen> listen;
  std::vector<Run> run;
  std::vector<Path> path;
  std::vector<Option> option;
  std::vector<Admin> admin;
  std::string_view session_rule;  // The first of all but `admin`; empty: there is none.
};

struct Deny {
  std::string rule;
  std::optional<AddressSet> connect;
  std::optional<AddressSet> listen;
  // With what they lead to: a program is asked about by its real path, a path is used without following links.
  std::vector<std::string> run;
  std::vector<std::string> path;
};

template <typename T>
void MergeSorted(const std::vector<T>& from, std::vector<T>& into) {
  into.insert(into.end(), from.begin(), from.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

// What somebody has.
struct Subject {
  std::vector<size_t> roles;    // By name.
  std::vector<size_t> denials;  // By name.
  std::vector<const v1::Quota*> quotas;

  void Merge(const Subject& other) {
    MergeSorted(other.roles, roles);
    MergeSorted(other.denials, denials);
  }
};

template <typename Grants>
auto SortedByName(const Grants& grants) {
  std::vector<const typename Grants::value_type*> sorted;
  for (const auto& grant : grants) sorted.push_back(&grant);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name() < b->name(); });
  return sorted;
}

std::string Sha256Hex(const v1::Policy& policy) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    policy.SerializeWithCachedSizes(&coded);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_bytes = 0;
  CHECK_EQ(EVP_Digest(bytes.data(), bytes.size(), digest, &digest_bytes, EVP_sha256(), nullptr), 1);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), digest_bytes));
}

template <typename List>
bool AnyMatches(const List& patterns, std::string_view text, bool (*matches)(std::string_view, std::string_view)) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return matches(pattern, text); });
}

// Of PathGrant.paths, as a path is written there.
bool MatchesPathPattern(std::string_view pattern, std::string_view path) {
  if (pattern.substr(0, 1) == "@") return MatchesPrefix(pattern, path);
  return MatchesPath(pattern, path);
}

bool Names(std::string_view pattern, std::string_view name) { return pattern == "*" || pattern == name; }

bool IsPath(std::string_view path) {
  if (path.substr(0, 1) == "@") return path.size() > 1;
  return path.substr(0, 3) == "fd:" || IsCanonicalPath(path);
}

std::optional<v1::PathGrant::Use> UseOf(PathUse use) {
  switch (use) {
    case PathUse::kConnect:
      return v1::PathGrant::CONNECT;
    case PathUse::kListen:
      return v1::PathGrant::LISTEN;
    case PathUse::kRead:
      return v1::PathGrant::READ;
    case PathUse::kWrite:
      return v1::PathGrant::WRITE;
    case PathUse::kNone:
      break;
  }
  return std::nullopt;
}

// Of two grants of the same program: the one that says more of it, else the one that allows it less, so that not the
// file's order decides. Names decide at last: grants come in their order.
bool IsRather(const Run& a, const Run& b) {
  if (a.grant->program().size() != b.grant->program().size()) {
    return a.grant->program().size() > b.grant->program().size();
  }
  if ((a.args != nullptr) != (b.args != nullptr)) return a.args != nullptr;
  const bool a_has_network = a.grant->network() == v1::RunGrant::HOST;
  const bool b_has_network = b.grant->network() == v1::RunGrant::HOST;
  if (a_has_network != b_has_network) return b_has_network;
  const bool a_is_weak = a.grant->confinement() == v1::RunGrant::BEST_EFFORT;
  const bool b_is_weak = b.grant->confinement() == v1::RunGrant::BEST_EFFORT;
  return a_is_weak != b_is_weak && b_is_weak;
}

}  // namespace

// Threading: immutable after construction.
class Policy::Rules final {
 public:
  explicit Rules(v1::Policy message);

  Decision Decide(std::string_view principal, const Action& action, const SelfAddresses& self) const;
  std::vector<PortRange> PortsFor(std::string_view principal, const Action& action, const SelfAddresses& self) const;
  const Subject& SubjectOf(std::string_view principal) const {
    const Subject* const found = principal.empty() ? nullptr : subjects_.Find(principal);
    return found != nullptr ? *found : nobody_;
  }

  const std::string& sha256() const { return sha256_; }
  const v1::Policy& message() const { return message_; }

 private:
  // The ports for a server; `any`: wherever the kernel likes.
  struct Ports {
    bool any = false;
    std::vector<PortRange> ranges;
    std::string_view granted_by;  // Empty: no grant has the address.
    std::string_view denied_by;
  };

  void AddRole(const v1::Role& role);
  static Decision Allow(std::string_view rule, AddressClass address_class = AddressClass::kNone) {
    return {.allowed = true, .rule = rule, .address_class = address_class, .run = nullptr};
  }
  static Decision Refuse(std::string_view rule, AddressClass address_class = AddressClass::kNone) {
    return {.allowed = false, .rule = rule, .address_class = address_class, .run = nullptr};
  }
  // Nothing has granted it.
  static Decision Otherwise(const Subject& subject, AddressClass address_class = AddressClass::kNone) {
    if (subject.roles.empty()) return Refuse(kNoRole, address_class);
    if (address_class == AddressClass::kSelf) return Refuse(kSelf, address_class);
    return Refuse(address_class == AddressClass::kMetadata ? kMetadata : kNoGrant, address_class);
  }

  // Unset: not one.
  static std::optional<Place> PlaceOf(const SocketAddress* address, ActionProtocol protocol, std::string_view host,
                                      const SelfAddresses& self);

  // The first denial, or grant, for which `function` holds; its rule, or empty.
  template <typename Function>
  std::string_view FirstDenial(const Subject& subject, Function function) const {
    for (const size_t index : subject.denials) {
      if (function(denials_[index])) return denials_[index].rule;
    }
    return {};
  }
  template <typename Grants, typename Function>
  std::string_view FirstGrant(const Subject& subject, Grants Role::*grants, Function function) const {
    for (const size_t index : subject.roles) {
      for (const auto& grant : roles_[index].*grants) {
        if (function(grant)) return grant.rule;
      }
    }
    return {};
  }

  Decision Session(const Subject& subject) const;
  Decision ConnectOrSend(const Subject& subject, const Action& action, const SelfAddresses& self) const;
  Decision ToListen(const Subject& subject, const Action& action, const SelfAddresses& self) const;
  Decision Accept(const Subject& subject, const Action& action, const SelfAddresses& self) const;
  Decision Receive(const Subject& subject, const Action& action, const SelfAddresses& self) const;
  Decision Resolve(const Subject& subject, const Action& action) const;
  Decision ToRun(const Subject& subject, const Action& action) const;
  Decision UsePath(const Subject& subject, const Action& action) const;
  Decision SetOption(const Subject& subject, const Action& action) const;
  Decision UseTls(const Subject& subject, const Action& action) const;
  Decision Administer(const Subject& subject, const Action& action) const;
  Ports FindPorts(const Subject& subject, const Place& place, ActionProtocol protocol, const SelfAddresses& self) const;
  static bool MayRun(const Run& run, const Action& action);

  const v1::Policy message_;
  const std::string sha256_;
  std::vector<Role> roles_;    // By name.
  std::vector<Deny> denials_;  // By name.
  PrincipalMap<Subject> subjects_;
  const Subject nobody_;
};

Policy::Rules::Rules(v1::Policy message) : message_(std::move(message)), sha256_(Sha256Hex(message_)) {
  for (const v1::Role* role : SortedByName(message_.role())) AddRole(*role);
  for (const v1::Deny* deny : SortedByName(message_.deny())) {
    Deny& compiled = denials_.emplace_back(Deny{StrCat("deny/", deny->name()), std::nullopt, std::nullopt,
                                                WithRealPaths(deny->run()), WithRealPaths(deny->path())});
    if (deny->has_connect()) compiled.connect.emplace(deny->connect());
    if (deny->has_listen()) compiled.listen.emplace(deny->listen());
    const size_t index = denials_.size() - 1;
    if (deny->principals().empty()) subjects_.Add("*").denials.push_back(index);
    for (const std::string& pattern : deny->principals()) subjects_.Add(pattern).denials.push_back(index);
  }
  for (const v1::Binding& binding : message_.binding()) {
    const auto role = std::find_if(roles_.begin(), roles_.end(),
                                   [&](const Role& other) { return other.message->name() == binding.role(); });
    CHECK(role != roles_.end());
    const auto index = static_cast<size_t>(role - roles_.begin());
    for (const std::string& pattern : binding.principals()) subjects_.Add(pattern).roles.push_back(index);
  }
  // What was added twice goes.
  subjects_.ForEach([](Subject& subject) { subject.Merge({}); });
  subjects_.Complete();
  subjects_.ForEach([&](Subject& subject) {
    for (const size_t index : subject.roles) subject.quotas.push_back(&roles_[index].message->quota());
  });
}

void Policy::Rules::AddRole(const v1::Role& role) {
  Role& compiled = roles_.emplace_back();
  compiled.message = &role;
  const auto rule = [&](const auto* grant) { return StrCat(role.name(), "/", grant->name()); };
  for (const auto* grant : SortedByName(role.connect())) {
    compiled.connect.push_back({rule(grant), Protocols(grant->protocols()), AddressSet(grant->to())});
  }
  for (const auto* grant : SortedByName(role.listen())) {
    compiled.listen.push_back({rule(grant), Protocols(grant->protocols()), AddressSet(grant->on()), std::nullopt});
    if (grant->has_peers()) compiled.listen.back().peers.emplace(grant->peers());
  }
  for (const auto* grant : SortedByName(role.run())) {
    auto args =
        grant->args_regex().empty() ? nullptr : std::make_unique<const RE2>(grant->args_regex(), ArgsRegexOptions());
    compiled.run.push_back({rule(grant), grant, std::move(args)});
  }
  for (const auto* grant : SortedByName(role.path())) compiled.path.push_back({rule(grant), grant});
  for (const auto* grant : SortedByName(role.option())) compiled.option.push_back({rule(grant), grant});
  for (const auto* grant : SortedByName(role.admin())) compiled.admin.push_back({rule(grant), grant});
  const auto first = [&](const auto& grants) {
    if (compiled.session_rule.empty() && !grants.empty()) compiled.session_rule = grants.front().rule;
  };
  first(compiled.connect);
  first(compiled.listen);
  first(compiled.run);
  first(compiled.path);
  first(compiled.option);
}

std::optional<Place> Policy::Rules::PlaceOf(const SocketAddress* address, ActionProtocol protocol,
                                            std::string_view host, const SelfAddresses& self) {
  if (address == nullptr) return std::nullopt;
  const std::optional<IpAddress> ip = IpAddress::From(*address);
  if (!ip) return std::nullopt;
  return Place{.address = *ip,
               .port = address->port,
               .address_class = Classify(*ip, address->port, protocol, self),
               .host = host};
}

Decision Policy::Rules::Session(const Subject& subject) const {
  for (const size_t index : subject.roles) {
    if (!roles_[index].session_rule.empty()) return Allow(roles_[index].session_rule);
  }
  return Otherwise(subject);
}

Decision Policy::Rules::ConnectOrSend(const Subject& subject, const Action& action, const SelfAddresses& self) const {
  if (action.protocol == ActionProtocol::kNone) return Refuse(kBadAction);
  const std::optional<Place> place = PlaceOf(action.address, action.protocol, action.host, self);
  if (!place) return Refuse(kBadAddress);
  // The kernel takes 0.0.0.0 for 127.0.0.1, and :: for ::1.
  std::optional<Place> loopback;
  if (place->address.IsWildcard()) {
    const bool is_v4 = place->address.is_v4;
    loopback = *place;
    loopback->address = is_v4 ? IpAddress::V4(0x7f00'0001) : IpAddress{.is_v4 = false, .high = 0, .low = 1};
    loopback->address_class = Classify(loopback->address, place->port, action.protocol, self);
  }
  const std::string_view denial = FirstDenial(subject, [&](const Deny& deny) {
    return deny.connect && (deny.connect->Denies(*place, self) || (loopback && deny.connect->Denies(*loopback, self)));
  });
  if (!denial.empty()) return Refuse(denial, place->address_class);
  const std::string_view grant = FirstGrant(subject, &Role::connect, [&](const Connect& connect) {
    return connect.protocols.Has(action.protocol) && connect.to.Grants(*place);
  });
  return grant.empty() ? Otherwise(subject, place->address_class) : Allow(grant, place->address_class);
}

Policy::Rules::Ports Policy::Rules::FindPorts(const Subject& subject, const Place& place, ActionProtocol protocol,
                                              const SelfAddresses& self) const {
  Ports out;
  for (const size_t index : subject.roles) {
    for (const Listen& listen : roles_[index].listen) {
      if (!listen.protocols.Has(protocol) || !listen.on.GrantsAddress(place)) continue;
      if (out.granted_by.empty()) out.granted_by = listen.rule;
      out.any |= listen.on.any_port();
      out.ranges.insert(out.ranges.end(), listen.on.ports().begin(), listen.on.ports().end());
    }
  }
  std::vector<PortRange> denied;
  for (const size_t index : subject.denials) {
    const Deny& deny = denials_[index];
    if (!deny.listen || !deny.listen->DeniesAddress(place, self)) continue;
    if (out.denied_by.empty()) out.denied_by = deny.rule;
    if (deny.listen->any_port()) denied.push_back({.first = 1, .last = 65535});
    denied.insert(denied.end(), deny.listen->ports().begin(), deny.listen->ports().end());
  }
  if (out.any && denied.empty()) {
    // The kernel never picks a port that is taken: none of our own.
    out.ranges.clear();
    return out;
  }
  if (out.any) out.ranges = {{.first = kFirstPickedPort, .last = 65535}};
  out.any = false;
  for (const uint16_t port : self.PortsAt(place.address, protocol)) denied.push_back({.first = port, .last = port});
  out.ranges = Without(Joined(std::move(out.ranges)), Joined(std::move(denied)));
  return out;
}

Decision Policy::Rules::ToListen(const Subject& subject, const Action& action, const SelfAddresses& self) const {
  if (action.protocol == ActionProtocol::kNone) return Refuse(kBadAction);
  const std::optional<Place> place = PlaceOf(action.address, action.protocol, {}, self);
  if (!place) return Refuse(kBadAddress);
  if (place->port == 0) {
    const Ports ports = FindPorts(subject, *place, action.protocol, self);
    if (!ports.granted_by.empty() && (ports.any || !ports.ranges.empty())) {
      return Allow(ports.granted_by, place->address_class);
    }
    if (!ports.denied_by.empty()) return Refuse(ports.denied_by, place->address_class);
    return Otherwise(subject, place->address_class);
  }
  const std::string_view denial =
      FirstDenial(subject, [&](const Deny& deny) { return deny.listen && deny.listen->Denies(*place, self); });
  if (!denial.empty()) return Refuse(denial, place->address_class);
  const std::string_view grant = FirstGrant(subject, &Role::listen, [&](const Listen& listen) {
    return listen.protocols.Has(action.protocol) && listen.on.Grants(*place);
  });
  return grant.empty() ? Otherwise(subject, place->address_class) : Allow(grant, place->address_class);
}

Decision Policy::Rules::Accept(const Subject& subject, const Action& action, const SelfAddresses& self) const {
  if (action.protocol == ActionProtocol::kNone) return Refuse(kBadAction);
  // Neither is asked for its port's sake: a peer's means nothing, and a server's own port is not the service's.
  const std::optional<Place> peer = PlaceOf(action.address, ActionProtocol::kNone, {}, self);
  const std::optional<Place> local = PlaceOf(action.local, ActionProtocol::kNone, {}, self);
  if (!peer || !local) return Refuse(kBadAddress);
  const std::string_view denial =
      FirstDenial(subject, [&](const Deny& deny) { return deny.listen && deny.listen->Denies(*local, self); });
  if (!denial.empty()) return Refuse(denial, peer->address_class);
  // Who may bind a wildcard may hear what comes to any address; `::` takes IPv4, too.
  const Place wildcard = {.address = {}, .port = local->port, .address_class = AddressClass::kWildcard, .host = {}};
  const Place wildcard_v4 = {
      .address = IpAddress::V4(0), .port = local->port, .address_class = AddressClass::kWildcard, .host = {}};
  const std::string_view grant = FirstGrant(subject, &Role::listen, [&](const Listen& listen) {
    return listen.protocols.Has(action.protocol) &&
           (listen.on.Grants(*local) || listen.on.Grants(wildcard) ||
            (local->address.is_v4 && listen.on.Grants(wildcard_v4))) &&
           (!listen.peers || listen.peers->GrantsAddress(*peer));
  });
  return grant.empty() ? Otherwise(subject, peer->address_class) : Allow(grant, peer->address_class);
}

Decision Policy::Rules::Receive(const Subject& subject, const Action& action, const SelfAddresses& self) const {
  if (action.local != nullptr) {
    const Decision accepted = Accept(subject, action, self);
    if (accepted.allowed) return accepted;
  }
  return ConnectOrSend(subject, action, self);
}

Decision Policy::Rules::Resolve(const Subject& subject, const Action& action) const {
  if (action.host.empty()) return Refuse(kBadAction);
  const std::string_view denial = FirstDenial(subject, [&](const Deny& deny) {
    return deny.connect && deny.connect->any_port() && deny.connect->HasHost(action.host);
  });
  if (!denial.empty()) return Refuse(denial);
  std::string_view grant = FirstGrant(subject, &Role::connect, [&](const Connect& connect) {
    return connect.to.has_unnamed() || connect.to.HasHost(action.host);
  });
  if (grant.empty() && MatchesHost("localhost", action.host)) {
    grant = FirstGrant(subject, &Role::listen, [](const Listen&) { return true; });
  }
  return grant.empty() ? Otherwise(subject) : Allow(grant);
}

bool Policy::Rules::MayRun(const Run& run, const Action& action) {
  const v1::RunGrant& grant = *run.grant;
  if (!MatchesPath(grant.program(), action.path)) return false;
  const std::string_view folder = action.folder.empty() ? "/" : action.folder;
  const bool is_there = grant.cwd().empty() ? folder == "/" : AnyMatches(grant.cwd(), folder, IsInFolder);
  const bool has_names = std::all_of(action.env_names.begin(), action.env_names.end(), [&](std::string_view name) {
    return AnyMatches(grant.env(), name, MatchesPrefix);
  });
  if (!is_there || !has_names) return false;
  return run.args == nullptr || std::all_of(action.args.begin(), action.args.end(), [&](std::string_view argument) {
           return RE2::FullMatch(re2::StringPiece(argument.data(), argument.size()), *run.args);
         });
}

Decision Policy::Rules::ToRun(const Subject& subject, const Action& action) const {
  if (action.never != NeverToRun::kNothing) return Refuse(action.never == NeverToRun::kName ? kBadName : kAccount);
  if (!IsCanonicalPath(action.path)) return Refuse(kBadPath);
  if (!action.folder.empty() && !IsCanonicalFolder(action.folder)) return Refuse(kBadPath);
  const std::string_view denial =
      FirstDenial(subject, [&](const Deny& deny) { return AnyMatches(deny.run, action.path, MatchesPath); });
  if (!denial.empty()) return Refuse(denial);
  const Run* best = nullptr;
  for (const size_t index : subject.roles) {
    for (const Run& run : roles_[index].run) {
      if ((best == nullptr || IsRather(run, *best)) && MayRun(run, action)) best = &run;
    }
  }
  if (best == nullptr) return Otherwise(subject);
  if (action.is_misnamed) return Refuse(kBadName);
  return {.allowed = true, .rule = best->rule, .address_class = AddressClass::kNone, .run = best->grant};
}

Decision Policy::Rules::UsePath(const Subject& subject, const Action& action) const {
  const std::optional<v1::PathGrant::Use> use = UseOf(action.use);
  if (!use) return Refuse(kBadAction);
  if (!IsPath(action.path)) return Refuse(kBadPath);
  const std::string_view denial =
      FirstDenial(subject, [&](const Deny& deny) { return AnyMatches(deny.path, action.path, MatchesPathPattern); });
  if (!denial.empty()) return Refuse(denial);
  const std::string_view grant = FirstGrant(subject, &Role::path, [&](const Path& path) {
    const auto& uses = path.grant->uses();
    return std::find(uses.begin(), uses.end(), *use) != uses.end() &&
           AnyMatches(path.grant->paths(), action.path, MatchesPathPattern);
  });
  return grant.empty() ? Otherwise(subject) : Allow(grant);
}

Decision Policy::Rules::SetOption(const Subject& subject, const Action& action) const {
  if (action.name.empty()) return Refuse(kBadAction);
  const std::string_view grant = FirstGrant(subject, &Role::option, [&](const Option& option) {
    return AnyMatches(option.grant->options(), action.name, Names);
  });
  return grant.empty() ? Otherwise(subject) : Allow(grant);
}

Decision Policy::Rules::UseTls(const Subject& subject, const Action& action) const {
  constexpr std::string_view kIdentity = "identity:";
  const bool is_identity = action.name.substr(0, kIdentity.size()) == kIdentity;
  if (!is_identity && action.name != "unverified" && action.name != "own_trust") return Refuse(kBadAction);
  const std::string_view grant = FirstGrant(subject, &Role::option, [&](const Option& option) {
    if (is_identity) {
      return AnyMatches(option.grant->tls_identities(), action.name.substr(kIdentity.size()), Names);
    }
    return action.name == "unverified" ? option.grant->unverified_tls() : option.grant->own_trust();
  });
  return grant.empty() ? Otherwise(subject) : Allow(grant);
}

Decision Policy::Rules::Administer(const Subject& subject, const Action& action) const {
  if (action.name.empty()) return Refuse(kBadAction);
  const std::string_view grant = FirstGrant(subject, &Role::admin, [&](const Admin& admin) {
    return AnyMatches(admin.grant->methods(), action.name, Names);
  });
  return grant.empty() ? Otherwise(subject) : Allow(grant);
}

Decision Policy::Rules::Decide(std::string_view principal, const Action& action, const SelfAddresses& self) const {
  if (principal.empty()) return Refuse(kNoPrincipal);
  const Subject& subject = SubjectOf(principal);
  switch (action.kind) {
    case ActionKind::kSession:
      return Session(subject);
    case ActionKind::kConnect:
    case ActionKind::kSend:
      return ConnectOrSend(subject, action, self);
    case ActionKind::kListen:
      return ToListen(subject, action, self);
    case ActionKind::kAccept:
      return Accept(subject, action, self);
    case ActionKind::kReceive:
      return Receive(subject, action, self);
    case ActionKind::kResolve:
      return Resolve(subject, action);
    case ActionKind::kRun:
      return ToRun(subject, action);
    case ActionKind::kPath:
      return UsePath(subject, action);
    case ActionKind::kOption:
      return SetOption(subject, action);
    case ActionKind::kTls:
      return UseTls(subject, action);
    case ActionKind::kAdmin:
      return Administer(subject, action);
  }
  return Refuse(kBadAction);
}

std::vector<PortRange> Policy::Rules::PortsFor(std::string_view principal, const Action& action,
                                               const SelfAddresses& self) const {
  if (action.address == nullptr) return {};
  SocketAddress address = *action.address;
  address.port = 0;
  const std::optional<Place> place = PlaceOf(&address, action.protocol, {}, self);
  return place ? FindPorts(SubjectOf(principal), *place, action.protocol, self).ranges : std::vector<PortRange>();
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Compile(v1::Policy policy, SelfAddresses self) {
  if (absl::Status status = ValidatePolicy(policy); !status.ok()) return status;
  return std::make_shared<const Policy>(std::make_shared<const Rules>(std::move(policy)), std::move(self));
}

Policy::Policy(std::shared_ptr<const Rules> rules, SelfAddresses self)
    : rules_(std::move(rules)), self_(std::move(self)) {}

Policy::~Policy() = default;

std::shared_ptr<const Policy> Policy::WithSelf(SelfAddresses self) const {
  return std::make_shared<const Policy>(rules_, std::move(self));
}

Decision Policy::Decide(std::string_view principal, const Action& action) const {
  return rules_->Decide(principal, action, self_);
}

std::vector<PortRange> Policy::PortsFor(std::string_view principal, const Action& action) const {
  return rules_->PortsFor(principal, action, self_);
}

std::span<const v1::Quota* const> Policy::QuotasFor(std::string_view principal) const {
  return rules_->SubjectOf(principal).quotas;
}

bool Policy::HasRole(std::string_view principal) const { return !rules_->SubjectOf(principal).roles.empty(); }

std::string_view Policy::sha256() const { return rules_->sha256(); }

const v1::Policy& Policy::message() const { return rules_->message(); }

}  // namespace transportd
