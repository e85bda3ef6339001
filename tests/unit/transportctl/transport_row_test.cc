#include "clients/cpp/transportctl/transport_row.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd::ctl {
namespace {

using testing::ElementsAre;

// KIND, LOCAL and PEER.
std::vector<std::string> WhatItIs(const v1::TransportInfo& transport) {
  const std::vector<std::string> row = TransportRow(transport);
  EXPECT_EQ(row.size(), TransportHeading().size());
  return {row.at(2), row.at(3), row.at(4)};
}

TEST(TransportRow, NamesEachKind) {
  v1::TransportInfo transport;
  for (const auto& [kind, name] : {std::pair(v1::TRANSPORT_KIND_STREAM, "stream"),
                                   {v1::TRANSPORT_KIND_SERVER, "server"},
                                   {v1::TRANSPORT_KIND_DATAGRAM, "datagram"},
                                   {v1::TRANSPORT_KIND_SOCKET, "socket"},
                                   {v1::TRANSPORT_KIND_SUBPROCESS, "subprocess"}}) {
    transport.set_kind(kind);
    EXPECT_THAT(WhatItIs(transport), ElementsAre(name, "", ""));
  }
  transport.set_kind(static_cast<v1::TransportKind>(99));
  EXPECT_THAT(WhatItIs(transport), ElementsAre("kind 99", "", ""));
}

TEST(TransportRow, AddressesAreThoseThatAreThere) {
  v1::TransportInfo transport;
  transport.set_kind(v1::TRANSPORT_KIND_DATAGRAM);
  transport.mutable_sockname()->set_family(v1::ADDRESS_FAMILY_INET);
  transport.mutable_sockname()->set_host("127.0.0.1");
  transport.mutable_sockname()->set_port(53);
  transport.mutable_peername();
  EXPECT_THAT(WhatItIs(transport), ElementsAre("datagram", "127.0.0.1:53", ""));
}

TEST(TransportRow, SubprocessesAndPipesHaveWhatTheyAreKnownBy) {
  v1::TransportInfo transport;
  transport.set_kind(v1::TRANSPORT_KIND_SUBPROCESS);
  transport.set_pid(4711);
  EXPECT_THAT(WhatItIs(transport), ElementsAre("subprocess", "pid 4711", ""));
  transport.Clear();
  transport.set_kind(v1::TRANSPORT_KIND_STREAM);
  transport.mutable_pipe()->set_path("/run/fifo");
  EXPECT_THAT(WhatItIs(transport), ElementsAre("pipe", "/run/fifo", ""));
  transport.mutable_pipe()->clear_path();
  transport.mutable_pipe()->set_fd(5);
  EXPECT_THAT(WhatItIs(transport), ElementsAre("pipe", "fd 5", ""));
  transport.mutable_pipe()->set_fd(1);
  transport.set_subprocess_id(3);
  EXPECT_THAT(WhatItIs(transport), ElementsAre("pipe", "", "fd 1 of subprocess 3"));
  transport.mutable_pipe()->set_kind(v1::PIPE_KIND_TERMINAL);
  EXPECT_THAT(WhatItIs(transport), ElementsAre("pipe", "", "terminal of subprocess 3"));
}

}  // namespace
}  // namespace transportd::ctl
