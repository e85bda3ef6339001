#include "server/policy/audit_record.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/json_string.h"
#include "tests/support/json.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

std::string LineOf(const AuditRecord& record, const AuditStamp& stamp = {}) {
  std::string line;
  AppendAuditLine(record, stamp, line);
  return line;
}

Json Parsed(const AuditRecord& record, const AuditStamp& stamp = {}) {
  const std::string line = LineOf(record, stamp);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  const std::optional<Json> parsed = ReadJson(line);
  EXPECT_TRUE(parsed.has_value()) << line;
  return parsed.value_or(Json());
}

std::vector<std::string> TextsOf(const Json& array) {
  std::vector<std::string> texts;
  for (const Json& item : array.items) texts.push_back(item.text);
  return texts;
}

TEST(AuditRecord, EveryFieldIsInItsPlace) {
  AuditSession session("0123456789abcdef0123456789abcdef");
  const std::vector<std::string_view> args = {"socat", "-", ""};
  const std::vector<std::string_view> env_names = {"LANG"};
  const AuditRecord record = {.event = AuditEvent::kConnect,
                              .session = &session,
                              .principal = "spiffe://example.org/ns/lab/sa/ci",
                              .auth_method = "mtls",
                              .credential = "serial:1f",
                              .peer = "ipv4:10.1.2.3:51234",
                              .action = "transportd.v1.EventLoop.CreateConnection",
                              .resource = {.requested = "db.lab:5432",
                                           .resolved = "169.254.169.254:5432",
                                           .address_class = "METADATA",
                                           .path = "/run/x",
                                           .program = "/usr/bin/socat",
                                           .args = args,
                                           .env_names = env_names},
                              .decision = AuditDecision::kDeny,
                              .rule = "builtin/class",
                              .policy_version = "v1",
                              .policy_sha256 = "ab",
                              .shadow = AuditDecision::kAllow,
                              .shadow_rule = "lab/db",
                              .quota = "connects",
                              .transport = 7,
                              .bytes_in = 18446744073709551615U,
                              .bytes_out = 0,
                              .count = 3,
                              .duration = std::chrono::microseconds(3200001),
                              .returncode = -9,
                              .confinement = "no landlock",
                              .cause = "eof"};
  const auto time = std::chrono::system_clock::time_point(std::chrono::microseconds(1795168800123456));
  EXPECT_EQ(
      LineOf(record, {.time = time, .uid = "00ff-1", .session_index = 17}),
      R"({"v":1,"time":"2026-11-20T10:00:00.123456Z","event":"transport.connect.decision","code":"TD2001W","uid":"00ff-1",)"
      R"("session":"01234567","ei":17,"principal":"spiffe://example.org/ns/lab/sa/ci",)"
      R"("auth":{"method":"mtls","credential":"serial:1f"},"peer":"ipv4:10.1.2.3:51234",)"
      R"("action":"transportd.v1.EventLoop.CreateConnection","resource":{"requested":"db.lab:5432",)"
      R"("resolved":"169.254.169.254:5432","class":"METADATA","path":"/run/x","program":"/usr/bin/socat",)"
      R"("args":["socat","-",""],"env":["LANG"]},"decision":"deny","rule":"builtin/class",)"
      R"("policy":{"version":"v1","sha256":"ab"},"shadow":"allow","shadow_rule":"lab/db","quota":"connects","transport":7,)"
      R"("bytes_in":18446744073709551615,"bytes_out":0,"count":3,"duration_s":3.200001,"returncode":-9,)"
      R"("confinement":"no landlock","cause":"eof"})"
      "\n");
}

TEST(AuditRecord, WhatIsUnsetIsNotThere) {
  EXPECT_EQ(LineOf({.event = AuditEvent::kDrainBegin}, {.uid = "u"}),
            R"({"v":1,"time":"1970-01-01T00:00:00.000000Z","event":"drain.begin","code":"TD7003I","uid":"u"})"
            "\n");
}

TEST(AuditRecord, ADenialIsAWarningAndAFailureStaysAnError) {
  EXPECT_EQ(Parsed({.event = AuditEvent::kRun, .decision = AuditDecision::kAllow})["code"].text, "TD3001I");
  EXPECT_EQ(Parsed({.event = AuditEvent::kRun, .decision = AuditDecision::kDeny})["code"].text, "TD3001W");
  EXPECT_EQ(Parsed({.event = AuditEvent::kPolicyReject})["code"].text, "TD6002E");
  EXPECT_EQ(Parsed({.event = AuditEvent::kPolicyReject, .decision = AuditDecision::kDeny})["code"].text, "TD6002E");
}

TEST(AuditRecord, NoTextOfAClientMakesALineOrAField) {
  const std::string evil = "x\",\"decision\":\"allow\"}\n{\"v\":1}\r\x1b[2J\\";
  const Json line = Parsed({.event = AuditEvent::kConnect,
                            .principal = evil,
                            .resource = {.requested = evil},
                            .decision = AuditDecision::kDeny});
  EXPECT_EQ(line["principal"].text, evil);
  EXPECT_EQ(line.At("resource.requested").text, evil);
  EXPECT_EQ(line["decision"].text, "deny");
}

TEST(AuditRecord, ALongTextIsCutAtACharacterAndMarked) {
  const std::string exact(kMaxAuditStringBytes, 'x');
  Json line = Parsed({.principal = exact});
  EXPECT_EQ(line["principal"].text, exact);
  EXPECT_FALSE(line.Has("truncated"));

  const std::string longer = std::string(kMaxAuditStringBytes - 1, 'x') + "\u00e4y";
  line = Parsed({.principal = "me", .resource = {.path = longer}});
  EXPECT_EQ(line.At("resource.path").text, std::string(kMaxAuditStringBytes - 1, 'x'));
  EXPECT_THAT(TextsOf(line["truncated"]), ElementsAre("resource.path"));

  // What is escaped counts as long as it is written.
  line = Parsed({.cause = std::string(kMaxAuditStringBytes, '\n')});
  EXPECT_EQ(line["cause"].text, std::string(kMaxAuditStringBytes / 6, '\n'));
  EXPECT_THAT(TextsOf(line["truncated"]), ElementsAre("cause"));
}

TEST(AuditRecord, AMarkOfTruncationCannotBeForged) {
  const Json line = Parsed({.principal = "x\"],\"truncated\":[\"principal"});
  EXPECT_FALSE(line.Has("truncated"));
}

TEST(AuditRecord, ListsAreBoundedTogether) {
  const std::string piece(1000, 'a');
  const std::vector<std::string_view> long_args(5, piece);
  Json line = Parsed({.resource = {.args = long_args}});
  EXPECT_THAT(line.At("resource.args").items, SizeIs(5));
  EXPECT_LT(line.At("resource.args").items.back().text.size(), piece.size());
  EXPECT_THAT(TextsOf(line["truncated"]), ElementsAre("resource.args"));

  const std::vector<std::string_view> many(100000, "");
  line = Parsed({.resource = {.args = many, .env_names = many}});
  EXPECT_THAT(line.At("resource.args").items, SizeIs(kMaxAuditListCount));
  EXPECT_THAT(TextsOf(line["truncated"]), ElementsAre("resource.args", "resource.env"));

  const std::vector<std::string_view> just(kMaxAuditListCount, "a");
  line = Parsed({.resource = {.args = just}});
  EXPECT_THAT(line.At("resource.args").items, SizeIs(kMaxAuditListCount));
  EXPECT_FALSE(line.Has("truncated"));
}

TEST(AuditRecord, TheLongestLineIsBelowItsBound) {
  AuditSession session("01234567");
  const std::string text(100000, '\x01');
  const std::vector<std::string_view> texts(1000, text);
  const AuditRecord record = {.session = &session,
                              .principal = text,
                              .auth_method = text,
                              .credential = text,
                              .peer = text,
                              .action = text,
                              .resource = {.requested = text,
                                           .resolved = text,
                                           .address_class = text,
                                           .path = text,
                                           .program = text,
                                           .args = texts,
                                           .env_names = texts},
                              .decision = AuditDecision::kAllow,
                              .rule = text,
                              .policy_version = text,
                              .policy_sha256 = text,
                              .shadow = AuditDecision::kAllow,
                              .shadow_rule = text,
                              .quota = text,
                              .confinement = text,
                              .cause = text};
  EXPECT_LT(LineOf(record, {.uid = text}).size(), kMaxAuditLineBytes);
  EXPECT_THAT(Parsed(record, {.uid = text})["truncated"].items, SizeIs(20));
}

TEST(JsonString, EscapesWhatATerminalOrASplitterOfLinesWouldObey) {
  const auto json = [](std::string_view text) {
    std::string out;
    EXPECT_TRUE(AppendJsonString(text, 1000, out));
    return out;
  };
  EXPECT_EQ(json("plain \u00e4 \u4e2d \U0001f600"), "\"plain \u00e4 \u4e2d \U0001f600\"");
  EXPECT_EQ(json(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
  EXPECT_EQ(json("\"\\"), R"("\"\\")");
  EXPECT_EQ(json("\u0085\u009b\u2028\u2029\u202e\u2066\ufeff"), R"("\u0085\u009b\u2028\u2029\u202e\u2066\ufeff")");
  EXPECT_EQ(json("\xff\xc0\xaf\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd")");
  EXPECT_EQ(json("cut \xe4\xb8"), R"("cut \ufffd\ufffd")");
}

TEST(AuditEvents, NamesAndCodesAreUniqueAndInOrder) {
  std::vector<std::string_view> names;
  std::vector<std::string_view> codes;
  for (size_t i = 0; i < kAuditEvents.size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(kAuditEvents[i].event), i) << kAuditEvents[i].name;
    EXPECT_TRUE(std::all_of(codes.begin(), codes.end(), [&](auto code) { return code < kAuditEvents[i].code; }))
        << kAuditEvents[i].code;
    EXPECT_EQ(std::count(names.begin(), names.end(), kAuditEvents[i].name), 0) << kAuditEvents[i].name;
    names.push_back(kAuditEvents[i].name);
    codes.push_back(kAuditEvents[i].code);
  }
}

TEST(AuditEvents, EveryKindOfActionHasItsDecision) {
  EXPECT_EQ(InfoOf(EventOf(ActionKind::kSession)).name, "session.open");
  EXPECT_EQ(InfoOf(EventOf(ActionKind::kSend)).name, "transport.sendto.decision");
  EXPECT_EQ(InfoOf(EventOf(ActionKind::kReceive)).name, "transport.receive.decision");
  EXPECT_EQ(InfoOf(EventOf(ActionKind::kRun)).name, "process.spawn.decision");
  EXPECT_EQ(InfoOf(EventOf(ActionKind::kAdmin)).name, "admin.decision");
}

}  // namespace
}  // namespace transportd
