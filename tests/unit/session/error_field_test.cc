#include "server/session/error_field.h"

#include "gtest/gtest.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {
namespace {

TEST(RequestField, IsAsTheRequestHasIt) {
  const auto& exec = *v1::SubprocessExecRequest::descriptor();
  EXPECT_EQ(RequestField(exec, "cwd"), "options.cwd");
  EXPECT_EQ(RequestField(exec, "pipesize"), "options.pipesize_bytes");
  EXPECT_EQ(RequestField(exec, "rows"), "options.window_size.rows");
  EXPECT_EQ(RequestField(exec, "args"), "args");
  EXPECT_EQ(RequestField(*v1::SubprocessShellRequest::descriptor(), "args"), "cmd");
  EXPECT_EQ(RequestField(*v1::ResizeRequest::descriptor(), "rows"), "size.rows");
  EXPECT_EQ(RequestField(*v1::GetnameinfoRequest::descriptor(), "host"), "address.host");
  EXPECT_EQ(RequestField(*v1::GetnameinfoRequest::descriptor(), "address.port"), "address.port");
  EXPECT_EQ(RequestField(*v1::ConnectAcceptedSocketRequest::descriptor(), "sock"), "socket_id");
  EXPECT_EQ(RequestField(*v1::ConnectReadPipeRequest::descriptor(), "pipe"), "source");
  EXPECT_EQ(RequestField(*v1::CreateConnectionRequest::descriptor(), "low_bytes"), "write_buffer_limits.low_bytes");
  EXPECT_EQ(RequestField(*v1::CreateConnectionRequest::descriptor(), "tls.identity"), "tls.identity");
}

TEST(RequestField, IsWhatItWasWhenTheRequestHasNoSuchField) {
  EXPECT_EQ(RequestField(*v1::CloseRequest::descriptor(), "nothing"), "nothing");
  EXPECT_EQ(RequestField(*v1::CloseRequest::descriptor(), ""), "");
}

}  // namespace
}  // namespace transportd
