#include "proto/frame/frame_writer.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

namespace {

constexpr uint32_t kIds[] = {0, 1, 127, 128, 16383, 16384, std::numeric_limits<uint32_t>::max()};
constexpr size_t kSizes[] = {0, 1, 127, 128, 16383, 16384, 65536, 300'000};

std::string Data(size_t size_bytes) {
  std::string data(size_bytes, '\0');
  for (size_t i = 0; i < size_bytes; ++i) data[i] = static_cast<char>(i);
  return data;
}

v1::SessionRequest Request(FrameWriter& writer, uint64_t sequence = 0, uint64_t acknowledged = 0) {
  const FrameBuffer frame = writer.Seal(sequence, acknowledged);
  v1::SessionRequest request;
  EXPECT_TRUE(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return request;
}

v1::SessionResponse Response(FrameWriter& writer, uint64_t sequence = 0, uint64_t acknowledged = 0) {
  const FrameBuffer frame = writer.Seal(sequence, acknowledged);
  v1::SessionResponse response;
  EXPECT_TRUE(response.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return response;
}

TEST(FrameWriter, WritesWhatProtobufReadsAsWrite) {
  for (const uint32_t id : kIds) {
    for (const size_t size : kSizes) {
      FrameWriter writer;
      writer.AppendWrite(id, Data(size));
      const v1::SessionRequest request = Request(writer);
      ASSERT_EQ(request.commands_size(), 1);
      EXPECT_EQ(request.commands(0).request_id(), 0u);
      EXPECT_EQ(request.commands(0).transport_id(), id);
      EXPECT_EQ(request.commands(0).command_case(), v1::Command::kWrite);
      EXPECT_TRUE(request.commands(0).write() == Data(size)) << size;
      EXPECT_EQ(request.GetReflection()->GetUnknownFields(request).field_count(), 0);
    }
  }
}

TEST(FrameWriter, WritesWhatProtobufReadsAsSendto) {
  v1::SocketAddress address;
  address.set_host("::1");
  address.set_port(53);
  const std::string address_bytes = address.SerializeAsString();
  for (const uint32_t id : kIds) {
    for (const size_t size : kSizes) {
      FrameWriter writer;
      writer.AppendSendTo(id, Data(size), std::nullopt);
      writer.AppendSendTo(id, Data(size), address_bytes);
      EXPECT_LE(writer.size_bytes(), 2 * (size + kDatagramOverheadBytes) + address_bytes.size());
      const v1::SessionRequest request = Request(writer);
      ASSERT_EQ(request.commands_size(), 2);
      for (const v1::Command& command : request.commands()) {
        EXPECT_EQ(command.transport_id(), id);
        ASSERT_TRUE(command.has_sendto());
        EXPECT_TRUE(command.sendto().data() == Data(size)) << size;
      }
      EXPECT_FALSE(request.commands(0).sendto().has_address());
      EXPECT_EQ(request.commands(1).sendto().address().SerializeAsString(), address_bytes);
    }
  }
}

TEST(FrameWriter, WritesWhatProtobufReadsAsDatagramReceived) {
  FrameWriter writer;
  writer.AppendDatagramReceived(7, "", std::nullopt);
  writer.AppendDatagramReceived(7, "x", "");
  writer.AppendDatagramReceived(300, Data(65507), std::nullopt);
  const v1::SessionResponse response = Response(writer);
  ASSERT_EQ(response.callbacks_size(), 3);
  EXPECT_TRUE(response.callbacks(0).has_datagram_received());
  EXPECT_FALSE(response.callbacks(0).datagram_received().has_address());
  EXPECT_TRUE(response.callbacks(1).datagram_received().has_address());
  EXPECT_EQ(response.callbacks(2).transport_id(), 300u);
  EXPECT_TRUE(response.callbacks(2).datagram_received().data() == Data(65507));
}

TEST(FrameWriter, WritesWhatProtobufReadsAsDataReceived) {
  for (const uint32_t id : kIds) {
    for (const size_t size : kSizes) {
      if (size == 0) continue;
      FrameWriter writer;
      writer.AppendDataReceived(id, Data(size));
      EXPECT_LE(writer.size_bytes(), size + kDataReceivedOverheadBytes);
      const v1::SessionResponse response = Response(writer);
      ASSERT_EQ(response.callbacks_size(), 1);
      EXPECT_EQ(response.callbacks(0).transport_id(), id);
      EXPECT_EQ(response.callbacks(0).callback_case(), v1::Callback::kDataReceived);
      EXPECT_TRUE(response.callbacks(0).data_received() == Data(size)) << size;
    }
  }
}

TEST(FrameWriter, WritesWhatProtobufReadsAsWriteProgress) {
  for (const uint32_t id : kIds) {
    for (const uint64_t sent : {uint64_t{0}, uint64_t{127}, uint64_t{128}, std::numeric_limits<uint64_t>::max()}) {
      FrameWriter writer;
      writer.AppendWriteProgress(id, sent);
      const v1::SessionResponse response = Response(writer);
      ASSERT_EQ(response.callbacks_size(), 1);
      EXPECT_EQ(response.callbacks(0).transport_id(), id);
      EXPECT_EQ(response.callbacks(0).callback_case(), v1::Callback::kWriteProgress);
      EXPECT_EQ(response.callbacks(0).write_progress(), sent);
    }
  }
}

TEST(FrameWriter, WritesWhatProtobufReadsAsAcknowledgement) {
  for (const uint32_t id : kIds) {
    for (const uint64_t count : {uint64_t{0}, uint64_t{128}, std::numeric_limits<uint64_t>::max()}) {
      FrameWriter writer;
      writer.AppendAcknowledgement(id, count, count / 2);
      const v1::SessionRequest request = Request(writer);
      ASSERT_EQ(request.acknowledgements_size(), 1);
      EXPECT_EQ(request.acknowledgements(0).transport_id(), id);
      EXPECT_EQ(request.acknowledgements(0).data_bytes(), count);
      EXPECT_EQ(request.acknowledgements(0).data_count(), count / 2);
    }
  }
}

TEST(FrameWriter, WritesMessagesOfEverySize) {
  for (const size_t size : kSizes) {
    v1::Command command;
    command.set_request_id(7);
    command.mutable_write_and_drain()->set_data(Data(size));
    FrameWriter writer;
    writer.AppendEntry(command);
    const v1::SessionRequest request = Request(writer);
    ASSERT_EQ(request.commands_size(), 1);
    EXPECT_EQ(request.commands(0).SerializeAsString(), command.SerializeAsString());
  }
}

TEST(FrameWriter, WritesTheOpening) {
  v1::Open open;
  open.set_revision(1);
  open.set_client_name("somebody");
  FrameWriter writer;
  writer.AppendOpening(open);
  EXPECT_EQ(Request(writer).open().SerializeAsString(), open.SerializeAsString());
}

TEST(FrameWriter, KeepsTheOrderOfEntries) {
  FrameWriter writer;
  writer.AppendDataReceived(1, "one");
  v1::Callback eof;
  eof.set_transport_id(1);
  eof.mutable_eof_received();
  writer.AppendEntry(eof);
  writer.AppendWriteProgress(2, 20);
  writer.AppendDataReceived(2, "two");
  const v1::SessionResponse response = Response(writer, 5, 4);
  ASSERT_EQ(response.callbacks_size(), 4);
  EXPECT_EQ(response.callbacks(0).data_received(), "one");
  EXPECT_TRUE(response.callbacks(1).has_eof_received());
  EXPECT_EQ(response.callbacks(2).write_progress(), 20u);
  EXPECT_EQ(response.callbacks(3).data_received(), "two");
  EXPECT_EQ(response.sequence(), 5u);
  EXPECT_EQ(response.acknowledged_sequence(), 4u);
}

TEST(FrameWriter, LeavesOutNumbersThatAreZero) {
  FrameWriter writer;
  EXPECT_TRUE(writer.Seal(0, 0).empty());
  const v1::SessionRequest request = Request(writer, std::numeric_limits<uint64_t>::max(), 1);
  EXPECT_EQ(request.sequence(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(request.acknowledged_sequence(), 1u);
}

TEST(FrameWriter, AsksForPromptProgress) {
  FrameWriter writer;
  v1::SessionRequest request;
  const FrameBuffer asks = writer.Seal(1, 0, FrameFlag::kPromptWriteProgress);
  ASSERT_TRUE(request.ParseFromArray(asks.data(), static_cast<int>(asks.size())));
  EXPECT_TRUE(request.prompt_write_progress());
  EXPECT_FALSE(Request(writer).prompt_write_progress());
}

TEST(FrameWriter, SaysThatAllIsWritten) {
  FrameWriter writer;
  v1::SessionResponse response;
  const FrameBuffer says = writer.Seal(1, 1, FrameFlag::kAllWritten);
  ASSERT_TRUE(response.ParseFromArray(says.data(), static_cast<int>(says.size())));
  EXPECT_TRUE(response.all_written());
  EXPECT_FALSE(Response(writer).all_written());
}

TEST(FrameWriter, IsEmptyAfterSeal) {
  FrameWriter writer;
  writer.AppendWrite(1, "data");
  EXPECT_FALSE(writer.empty());
  EXPECT_FALSE(writer.Seal(1, 0).empty());
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.size_bytes(), 0u);
  writer.AppendWrite(2, "more");
  EXPECT_EQ(Request(writer).commands_size(), 1);
}

TEST(FrameWriter, TakesDataInPlace) {
  for (const size_t used : {size_t{1}, size_t{127}, size_t{128}, size_t{16383}, size_t{16384}, size_t{65536}}) {
    FrameWriter writer;
    writer.AppendDataReceived(1, "before");
    const std::span<char> room = writer.BeginDataReceived(9, 65536);
    ASSERT_EQ(room.size(), 65536u);
    std::memset(room.data(), 'x', room.size());
    writer.EndDataReceived(used);
    writer.AppendDataReceived(1, "after");
    const v1::SessionResponse response = Response(writer);
    ASSERT_EQ(response.callbacks_size(), 3);
    EXPECT_EQ(response.callbacks(0).data_received(), "before");
    EXPECT_EQ(response.callbacks(1).transport_id(), 9u);
    EXPECT_TRUE(response.callbacks(1).data_received() == std::string(used, 'x'));
    EXPECT_EQ(response.callbacks(2).data_received(), "after");
  }
}

TEST(FrameWriter, LeavesNoTraceOfDataThatDidNotCome) {
  FrameWriter writer;
  writer.BeginDataReceived(9, 65536);
  writer.EndDataReceived(0);
  EXPECT_TRUE(writer.empty());
  writer.AppendWriteProgress(9, 1);
  writer.BeginDataReceived(9, 65536);
  writer.EndDataReceived(0);
  const v1::SessionResponse response = Response(writer);
  ASSERT_EQ(response.callbacks_size(), 1);
  EXPECT_EQ(response.callbacks(0).write_progress(), 1u);
}

}  // namespace

}  // namespace transportd
