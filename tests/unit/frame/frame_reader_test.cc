#include "proto/frame/frame_reader.h"

#include <string>

#include "gtest/gtest.h"
#include "proto/frame/frame_writer.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

namespace {

TEST(ReadFrame, FindsEveryPart) {
  v1::SessionRequest request;
  request.mutable_open()->set_revision(1);
  request.set_sequence(300);
  request.set_acknowledged_sequence(2);
  request.set_prompt_write_progress(true);
  request.add_commands()->set_write("one");
  request.add_commands()->mutable_close()->set_transport_id(4);
  request.add_acknowledgements()->set_data_bytes(5);
  const std::string bytes = request.SerializeAsString();
  FrameView frame;
  ASSERT_TRUE(ReadFrame(bytes, frame));
  EXPECT_EQ(frame.opening, request.open().SerializeAsString());
  EXPECT_EQ(frame.sequence, 300u);
  EXPECT_EQ(frame.acknowledged_sequence, 2u);
  EXPECT_TRUE(frame.prompt_write_progress);
  ASSERT_EQ(frame.entries.size(), 2u);
  EXPECT_EQ(frame.entries[0], request.commands(0).SerializeAsString());
  EXPECT_EQ(frame.entries[1], request.commands(1).SerializeAsString());
  ASSERT_EQ(frame.acknowledgements.size(), 1u);
  EXPECT_EQ(frame.acknowledgements[0], request.acknowledgements(0).SerializeAsString());
}

TEST(ReadFrame, ForgetsTheFrameBefore) {
  v1::SessionRequest request;
  request.mutable_open();
  request.set_sequence(1);
  request.add_commands();
  request.add_acknowledgements();
  request.set_prompt_write_progress(true);
  FrameView frame;
  const std::string bytes = request.SerializeAsString();
  ASSERT_TRUE(ReadFrame(bytes, frame));
  ASSERT_TRUE(ReadFrame("", frame));
  EXPECT_FALSE(frame.opening.has_value());
  EXPECT_EQ(frame.sequence, 0u);
  EXPECT_FALSE(frame.prompt_write_progress);
  EXPECT_TRUE(frame.entries.empty());
  EXPECT_TRUE(frame.acknowledgements.empty());
}

TEST(ReadFrame, PassesOverFieldsItDoesNotKnow) {
  FrameView frame;
  // Field 15: a varint, bytes, fixed32, fixed64.
  const std::string unknown = std::string("\x78\x01\x7a\x01x\x7d\0\0\0\0\x79\0\0\0\0\0\0\0\0", 19);
  ASSERT_TRUE(ReadFrame(unknown + "\x10\x07" + unknown, frame));
  EXPECT_EQ(frame.sequence, 7u);
}

TEST(ReadFrame, RefusesAKnownFieldOfAnotherType) {
  FrameView frame;
  EXPECT_FALSE(ReadFrame("\x08\x01", frame));                      // open as a varint
  EXPECT_FALSE(ReadFrame("\x12\x01x", frame));                     // sequence as bytes
  EXPECT_FALSE(ReadFrame(std::string("\x15\0\0\0\0", 5), frame));  // sequence as fixed32
  EXPECT_FALSE(ReadFrame("\x20\x01", frame));                      // entries as a varint
}

TEST(ReadFrame, RefusesTwoOpenings) {
  FrameView frame;
  EXPECT_TRUE(ReadFrame(std::string("\x0a\0", 2), frame));
  EXPECT_FALSE(ReadFrame(std::string("\x0a\0\x0a\0", 4), frame));
}

TEST(ReadFrame, RefusesWhatIsCutShort) {
  FrameWriter writer;
  writer.AppendWrite(1, "data");
  writer.AppendAcknowledgement(1, 200, 300);
  const FrameBuffer whole = writer.Seal(1, 1);
  FrameView frame;
  size_t good = 0;
  for (size_t size = 0; size < whole.size(); ++size) good += ReadFrame(whole.view().substr(0, size), frame) ? 1 : 0;
  // Only the ends of fields: nothing, the entry, the acknowledgement, the sequence.
  EXPECT_EQ(good, 4u);
}

TEST(ReadHotCommand, TakesWriteOnly) {
  v1::Command command;
  command.set_request_id(3);
  command.set_transport_id(300);
  command.set_write("data");
  const std::string write = command.SerializeAsString();
  const auto hot = ReadHotCommand(write);
  ASSERT_TRUE(hot.has_value());
  EXPECT_EQ(hot->request_id, 3u);
  EXPECT_EQ(hot->transport_id, 300u);
  EXPECT_EQ(hot->data, "data");

  command.mutable_close();
  EXPECT_FALSE(ReadHotCommand(command.SerializeAsString()).has_value());
  command.clear_command();
  EXPECT_FALSE(ReadHotCommand(command.SerializeAsString()).has_value());
  EXPECT_FALSE(ReadHotCommand("").has_value());
  EXPECT_FALSE(ReadHotCommand(write + "\x0a").has_value());
}

TEST(ReadHotCommand, TakesEmptyData) {
  v1::Command command;
  command.set_write("");
  const std::string write = command.SerializeAsString();
  ASSERT_TRUE(ReadHotCommand(write).has_value());
  EXPECT_EQ(ReadHotCommand(write)->data, "");
}

TEST(ReadHotCallback, TakesDataReceivedAndWriteProgress) {
  v1::Callback callback;
  callback.set_transport_id(7);
  callback.set_data_received("data");
  const std::string data = callback.SerializeAsString();
  ASSERT_TRUE(ReadHotCallback(data).has_value());
  EXPECT_EQ(ReadHotCallback(data)->kind, HotEntry::Kind::kData);
  EXPECT_EQ(ReadHotCallback(data)->transport_id, 7u);
  EXPECT_EQ(ReadHotCallback(data)->data, "data");

  callback.set_write_progress(0);
  const std::string progress = callback.SerializeAsString();
  ASSERT_TRUE(ReadHotCallback(progress).has_value());
  EXPECT_EQ(ReadHotCallback(progress)->kind, HotEntry::Kind::kProgress);
  EXPECT_EQ(ReadHotCallback(progress)->sent_bytes, 0u);

  callback.mutable_eof_received();
  EXPECT_FALSE(ReadHotCallback(callback.SerializeAsString()).has_value());
  // Protobuf takes the last of two variants; that is for protobuf to say.
  EXPECT_FALSE(ReadHotCallback(data + progress).has_value());
}

TEST(ReadHotCommand, TakesSendtoWithAndWithoutAddress) {
  v1::Command command;
  command.set_transport_id(9);
  command.mutable_sendto();
  const std::string empty = command.SerializeAsString();
  ASSERT_TRUE(ReadHotCommand(empty).has_value());
  EXPECT_EQ(ReadHotCommand(empty)->kind, HotEntry::Kind::kDatagram);
  EXPECT_EQ(ReadHotCommand(empty)->data, "");
  EXPECT_FALSE(ReadHotCommand(empty)->address.has_value());

  command.mutable_sendto()->set_data("data");
  command.mutable_sendto()->mutable_address()->set_host("127.0.0.1");
  const std::string addressed = command.SerializeAsString();
  const auto hot = ReadHotCommand(addressed);
  ASSERT_TRUE(hot.has_value());
  EXPECT_EQ(hot->transport_id, 9u);
  EXPECT_EQ(hot->data, "data");
  EXPECT_EQ(hot->address, command.sendto().address().SerializeAsString());
}

TEST(ReadHotCallback, TakesDatagramReceived) {
  v1::Callback callback;
  callback.set_transport_id(9);
  callback.mutable_datagram_received()->set_data(std::string(70'000, 'd'));
  callback.mutable_datagram_received()->mutable_address()->set_path("path");
  const std::string bytes = callback.SerializeAsString();
  const auto hot = ReadHotCallback(bytes);
  ASSERT_TRUE(hot.has_value());
  EXPECT_EQ(hot->kind, HotEntry::Kind::kDatagram);
  EXPECT_EQ(hot->transport_id, 9u);
  EXPECT_EQ(hot->data, std::string(70'000, 'd'));
  EXPECT_EQ(hot->address, callback.datagram_received().address().SerializeAsString());
}

TEST(ReadHotCallback, LeavesDatagramsToProtobufThatItDoesNotKnow) {
  // Two addresses, which protobuf merges; an unknown field; a field of another type; a length that is too long.
  const std::string datagrams[] = {"\x12\x02\x18\x35\x12\x02\x18\x36", "\x1a\x01x", "\x08\x01", "\x0a\x05x"};
  for (const std::string& datagram : datagrams) {
    std::string entry = "\x22";
    entry.push_back(static_cast<char>(datagram.size()));
    entry += datagram;
    EXPECT_FALSE(ReadHotCallback(entry).has_value());
    EXPECT_FALSE(ReadHotCommand(entry).has_value());
  }
}

TEST(ReadAcknowledgement, FindsEveryPart) {
  v1::Acknowledgement acknowledgement;
  acknowledgement.set_transport_id(1);
  acknowledgement.set_data_bytes(uint64_t{1} << 40);
  acknowledgement.set_data_count(3);
  const auto view = ReadAcknowledgement(acknowledgement.SerializeAsString());
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->transport_id, 1u);
  EXPECT_EQ(view->data_bytes, uint64_t{1} << 40);
  EXPECT_EQ(view->data_count, 3u);
  EXPECT_TRUE(ReadAcknowledgement("").has_value());
  EXPECT_TRUE(ReadAcknowledgement("\x78\x01").has_value());
  EXPECT_FALSE(ReadAcknowledgement("\x0a\x01x").has_value());
  EXPECT_FALSE(ReadAcknowledgement("\x08").has_value());
}

}  // namespace

}  // namespace transportd
