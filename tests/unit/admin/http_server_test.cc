#include "server/admin/http_server.h"

#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "transports/base/mutex.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// What a handler has been asked; answers `body` at once, or when the test says so.
class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpBounds bounds = {}) {
    auto server = HttpServer::Create(bounds);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const auto listen = ParseListenAddress("127.0.0.1:0");
    ASSERT_TRUE(listen.ok()) << listen.status();
    const auto bound = server_->Listen(*listen, [this](const HttpRequest& request, RespondHttp respond) {
      MutexLock lock(mutex_);
      requests_.push_back(request);
      if (holds_) {
        held_.push_back(std::move(respond));
        changed_.SignalAll();
      } else {
        respond({.body = body_});
      }
    });
    ASSERT_TRUE(bound.ok()) << bound.status();
    address_ = *bound;
  }
  RawPeer Connect() { return RawPeer::Connect(address_); }
  // The whole answer of a connection that ends with it.
  std::string Ask(std::string_view request) {
    RawPeer peer = Connect();
    EXPECT_TRUE(peer.Send(request));
    EXPECT_TRUE(peer.RecvToEof());
    return peer.received();
  }
  std::vector<HttpRequest> requests() {
    MutexLock lock(mutex_);
    return requests_;
  }
  RespondHttp TakeHeld() {
    MutexLock lock(mutex_);
    while (held_.empty()) changed_.Wait(mutex_);
    RespondHttp respond = std::move(held_.front());
    held_.erase(held_.begin());
    return respond;
  }

  Mutex mutex_;
  CondVar changed_;
  std::string body_ = "hello\n";
  bool holds_ = false;
  std::vector<RespondHttp> held_ ABSL_GUARDED_BY(mutex_);
  std::vector<HttpRequest> requests_ ABSL_GUARDED_BY(mutex_);
  SocketAddress address_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersARequest) {
  Start();
  const std::string answer =
      Ask("GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-one: 2\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nContent-Length: 6\r\n"),
                            HasSubstr("\r\nConnection: close\r\n"), testing::EndsWith("\r\n\r\nhello\n")));
  ASSERT_EQ(requests().size(), 1u);
  EXPECT_EQ(requests()[0].method, "GET");
  EXPECT_EQ(requests()[0].path, "/a/b");
  EXPECT_THAT(requests()[0].Header("X-ONE"), testing::ElementsAre("1", "2"));
  EXPECT_THAT(requests()[0].peer, StartsWith("ipv4:127.0.0.1:"));
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  Start();
  const std::string answer = Ask("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, AllOf(HasSubstr("Content-Length: 6\r\n"), testing::EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, RequestsOfAConnectionAreAnsweredInTheirOrder) {
  Start();
  RawPeer peer = Connect();
  std::string both = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_TRUE(peer.Send(both));
  ASSERT_TRUE(peer.Send("GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ASSERT_TRUE(peer.RecvToEof());
  ASSERT_EQ(requests().size(), 3u);
  EXPECT_EQ(requests()[2].path, "/3");
}

TEST_F(HttpServerTest, ARequestMayComeByteByByte) {
  Start();
  RawPeer peer = Connect();
  for (const char c :
       std::string_view("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")) {
    ASSERT_TRUE(peer.Send(std::string_view(&c, 1)));
  }
  ASSERT_TRUE(peer.RecvToEof());
  EXPECT_THAT(peer.received(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, WhatIsNoHttpIsRefused) {
  Start();
  EXPECT_THAT(Ask("\x16\x03\x01\x02\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(requests().size(), 0u);
}

// What has no bound of its own in a parser: chunk extensions, trailers.
TEST_F(HttpServerTest, AChunkedBodyIsRefusedBeforeItsFirstChunk) {
  Start();
  for (const char* const begin : {"1;", "0\r\n", ""}) {
    EXPECT_THAT(Ask(StrCat("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", begin, std::string(1000, 'a'))),
                StartsWith("HTTP/1.1 411 "));
  }
  EXPECT_THAT(Ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + std::string(4096, 'x') + "\r\n"),
              StartsWith("HTTP/1.1 411 "));
  EXPECT_EQ(requests().size(), 0u);
}

TEST_F(HttpServerTest, ALineWithoutAnEndIsRefused) {
  Start();
  EXPECT_THAT(Ask(std::string(20'000, 'G')), StartsWith("HTTP/1.1 4"));
}

TEST_F(HttpServerTest, WhoSaysNothingIsClosed) {
  Start({.request_timeout = std::chrono::seconds(1)});
  RawPeer silent = Connect();
  RawPeer slow = Connect();
  ASSERT_TRUE(slow.Send("GET / HTTP/1.1\r\nHost: "));
  silent.RecvToEof();
  slow.RecvToEof();
  EXPECT_TRUE(silent.eof() || silent.error_number() == ECONNRESET);
  EXPECT_TRUE(slow.eof() || slow.error_number() == ECONNRESET);
}

TEST_F(HttpServerTest, WhoDoesNotReadIsClosed) {
  body_ = std::string(64 * 1024 * 1024, 'x');
  Start({.response_timeout = std::chrono::seconds(1)});
  RawPeer peer = Connect();
  ASSERT_TRUE(peer.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  // Bytes that come after the request are not read meanwhile, so the end shows in what can be sent, at the latest.
  while (peer.error_number() == 0 && peer.Send(std::string(64 * 1024, 'x'))) {
  }
  EXPECT_NE(peer.error_number(), 0);
}

TEST_F(HttpServerTest, TheOldestConnectionEndsForTheNext) {
  Start();
  std::vector<RawPeer> peers;
  for (size_t i = 0; i < HttpServer::kMaxConnectionCount + 1; ++i) {
    peers.push_back(Connect());
    ASSERT_TRUE(peers.back().valid());
    if (i == 0) continue;
    // It was accepted.
    ASSERT_TRUE(peers.back().Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(peers.back().RecvAtLeast(1));
  }
  peers.front().RecvToEof();
  EXPECT_TRUE(peers.front().eof() || peers.front().error_number() == ECONNRESET);
  ASSERT_TRUE(peers[1].Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(peers[1].RecvToEof());
}

TEST_F(HttpServerTest, AnAnswerAfterTheEndIsDropped) {
  holds_ = true;
  Start();
  RawPeer peer = Connect();
  ASSERT_TRUE(peer.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  RespondHttp respond = TakeHeld();
  server_ = nullptr;
  respond({.body = "late"});
  peer.RecvToEof();
  EXPECT_EQ(peer.received(), "");
}

}  // namespace
}  // namespace transportd
