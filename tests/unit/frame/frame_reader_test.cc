#include "proto/frame/frame_reader.h"

#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/frame/frame_writer.h"
#include "tests/support/frame_pieces.h"
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
  EXPECT_EQ(frame.entries[0].bytes, request.commands(0).SerializeAsString());
  EXPECT_EQ(frame.entries[1].bytes, request.commands(1).SerializeAsString());
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

// What is left of the pieces when they are put together again.
std::string DataOf(const HotEntry& hot) {
  std::string data(hot.data);
  for (const std::string_view piece : hot.more_data) data += piece;
  return data;
}

TEST(ReadFrame, MeansTheSameInPieces) {
  v1::SessionRequest request;
  request.mutable_open()->set_client_name("a client with a name");
  request.set_sequence(300);
  request.set_acknowledged_sequence(uint64_t{1} << 40);
  request.set_prompt_write_progress(true);
  v1::Command& write = *request.add_commands();
  write.set_transport_id(300);
  write.set_write("data of a transport");
  request.add_commands()->mutable_close()->set_transport_id(4);
  v1::Datagram& datagram = *request.add_commands()->mutable_sendto();
  datagram.set_data("a datagram stays whole");
  request.add_acknowledgements()->set_data_bytes(500);
  const std::string bytes = request.SerializeAsString();
  FrameView frame;
  for (size_t piece_bytes = 1; piece_bytes <= bytes.size(); ++piece_bytes) {
    ASSERT_TRUE(ReadFrame(CutFrame(bytes, piece_bytes), FrameKind::kCommands, frame)) << piece_bytes;
    EXPECT_EQ(frame.opening, request.open().SerializeAsString());
    EXPECT_EQ(frame.sequence, 300u);
    EXPECT_EQ(frame.acknowledged_sequence, uint64_t{1} << 40);
    EXPECT_TRUE(frame.prompt_write_progress);
    ASSERT_EQ(frame.entries.size(), 3u);
    const auto hot = ReadHotCommand(frame.entries[0]);
    ASSERT_TRUE(hot.has_value());
    EXPECT_EQ(hot->transport_id, 300u);
    EXPECT_EQ(DataOf(*hot), "data of a transport");
    EXPECT_EQ(frame.entries[1].bytes, request.commands(1).SerializeAsString());
    EXPECT_TRUE(frame.entries[1].more_data.empty());
    EXPECT_EQ(frame.entries[2].bytes, request.commands(2).SerializeAsString());
    EXPECT_TRUE(frame.entries[2].more_data.empty());
    EXPECT_THAT(frame.acknowledgements, testing::ElementsAre(request.acknowledgements(0).SerializeAsString()));
  }
}

TEST(ReadFrame, RefusesMoreEntriesThanAFrameMayHave) {
  FrameView frame;
  const auto entries = [](char tag, size_t count) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i) bytes += {tag, '\0'};
    return bytes;
  };
  for (const char tag : {'\x22', '\x2a'}) {  // entries, acknowledgements
    EXPECT_TRUE(ReadFrame(entries(tag, kMaxFrameEntryCount), frame));
    EXPECT_FALSE(ReadFrame(entries(tag, kMaxFrameEntryCount + 1), frame));
    EXPECT_FALSE(ReadFrame(CutFrame(entries(tag, kMaxFrameEntryCount + 1), 1), FrameKind::kCommands, frame));
  }
  // Data in pieces counts, too.
  const std::string full = entries('\x22', kMaxFrameEntryCount);
  const std::string write =
      "\x22\x06\x1a\x04"
      "data";
  const std::vector<std::string_view> pieces = {full, std::string_view(write).substr(0, 6),
                                                std::string_view(write).substr(6)};
  EXPECT_FALSE(ReadFrame(pieces, FrameKind::kCommands, frame));
}

TEST(FrameView, KeepsNoMoreThanUsualFramesNeed) {
  FrameView frame;
  std::string bytes;
  for (int i = 0; i < 10'000; ++i) bytes += {'\x22', '\0', '\x2a', '\0'};
  ASSERT_TRUE(ReadFrame(bytes, frame));
  frame.Rest();
  EXPECT_EQ(frame.entries.capacity(), 0u);
  EXPECT_EQ(frame.acknowledgements.capacity(), 0u);
  ASSERT_TRUE(ReadFrame(bytes.substr(0, 400), frame));
  frame.Rest();
  EXPECT_GE(frame.entries.capacity(), 100u);
}

TEST(ReadFrame, DoesNotCopyDataInPieces) {
  FrameWriter writer;
  writer.AppendDataReceived(1, std::string(100, 'a'));
  writer.AppendDataReceived(2, std::string(100, 'b'));
  const FrameBuffer bytes = writer.Seal(1, 0);
  const std::vector<std::string_view> pieces = CutFrame(bytes.view(), 70);
  FrameView frame;
  ASSERT_TRUE(ReadFrame(pieces, FrameKind::kCallbacks, frame));
  ASSERT_EQ(frame.entries.size(), 2u);
  for (const EntryView& entry : frame.entries) {
    ASSERT_FALSE(entry.more_data.empty());
    const auto hot = ReadHotCallback(entry);
    ASSERT_TRUE(hot.has_value());
    EXPECT_EQ(DataOf(*hot).size(), 100u);
    const std::string_view whole = bytes.view();
    EXPECT_TRUE(hot->data.begin() >= whole.begin() && hot->more_data.back().end() <= whole.end());
  }
  EXPECT_TRUE(frame.copies.empty());
}

TEST(ReadFrame, RefusesPiecesThatAreCutShort) {
  FrameWriter writer;
  writer.AppendWrite(1, "data");
  writer.AppendWrite(2, "more data");
  const FrameBuffer whole = writer.Seal(1, 1);
  FrameView frame;
  for (const size_t piece_bytes : {1u, 3u, 10u}) {
    size_t good = 0;
    for (size_t size = 0; size < whole.size(); ++size) {
      const bool ok = ReadFrame(CutFrame(whole.view().substr(0, size), piece_bytes), FrameKind::kCommands, frame);
      EXPECT_EQ(ok, ReadFrame(whole.view().substr(0, size), frame)) << size;
      good += ok ? 1 : 0;
    }
    EXPECT_EQ(good, 4u);  // Between two fields.
  }
}

TEST(ReadHotCommand, LeavesToProtobufWhatEndsElsewhereWithoutBeingData) {
  v1::Command command;
  command.mutable_sendto()->set_data("0123456789");
  const std::string sendto = command.SerializeAsString();
  const std::string_view end = std::string_view(sendto).substr(4);
  EXPECT_FALSE(ReadHotCommand({.bytes = std::string_view(sendto).substr(0, 4), .more_data = {&end, 1}}).has_value());
  command.set_write("0123456789");
  const std::string write = command.SerializeAsString();
  const std::string_view id = "\x08\x01";
  EXPECT_FALSE(ReadHotCommand({.bytes = write, .more_data = {&id, 1}}).has_value()) << "a field after the data";
}

TEST(ReadHotCommand, TakesWriteOnly) {
  v1::Command command;
  command.set_request_id(3);
  command.set_transport_id(300);
  command.set_write("data");
  const std::string write = command.SerializeAsString();
  const auto hot = ReadHotCommand({.bytes = write, .more_data = {}});
  ASSERT_TRUE(hot.has_value());
  EXPECT_EQ(hot->request_id, 3u);
  EXPECT_EQ(hot->transport_id, 300u);
  EXPECT_EQ(hot->data, "data");

  command.mutable_close();
  EXPECT_FALSE(ReadHotCommand({.bytes = command.SerializeAsString(), .more_data = {}}).has_value());
  command.clear_command();
  EXPECT_FALSE(ReadHotCommand({.bytes = command.SerializeAsString(), .more_data = {}}).has_value());
  EXPECT_FALSE(ReadHotCommand({.bytes = "", .more_data = {}}).has_value());
  EXPECT_FALSE(ReadHotCommand({.bytes = write + "\x0a", .more_data = {}}).has_value());
}

TEST(ReadHotCommand, TakesEmptyData) {
  v1::Command command;
  command.set_write("");
  const std::string write = command.SerializeAsString();
  ASSERT_TRUE(ReadHotCommand({.bytes = write, .more_data = {}}).has_value());
  EXPECT_EQ(ReadHotCommand({.bytes = write, .more_data = {}})->data, "");
}

TEST(ReadHotCallback, TakesDataReceivedAndWriteProgress) {
  v1::Callback callback;
  callback.set_transport_id(7);
  callback.set_data_received("data");
  const std::string data = callback.SerializeAsString();
  ASSERT_TRUE(ReadHotCallback({.bytes = data, .more_data = {}}).has_value());
  EXPECT_EQ(ReadHotCallback({.bytes = data, .more_data = {}})->kind, HotEntry::Kind::kData);
  EXPECT_EQ(ReadHotCallback({.bytes = data, .more_data = {}})->transport_id, 7u);
  EXPECT_EQ(ReadHotCallback({.bytes = data, .more_data = {}})->data, "data");

  callback.set_write_progress(0);
  const std::string progress = callback.SerializeAsString();
  ASSERT_TRUE(ReadHotCallback({.bytes = progress, .more_data = {}}).has_value());
  EXPECT_EQ(ReadHotCallback({.bytes = progress, .more_data = {}})->kind, HotEntry::Kind::kProgress);
  EXPECT_EQ(ReadHotCallback({.bytes = progress, .more_data = {}})->sent_bytes, 0u);

  callback.mutable_eof_received();
  EXPECT_FALSE(ReadHotCallback({.bytes = callback.SerializeAsString(), .more_data = {}}).has_value());
  // Protobuf takes the last of two variants; that is for protobuf to say.
  EXPECT_FALSE(ReadHotCallback({.bytes = data + progress, .more_data = {}}).has_value());
}

TEST(ReadHotCommand, TakesSendtoWithAndWithoutAddress) {
  v1::Command command;
  command.set_transport_id(9);
  command.mutable_sendto();
  const std::string empty = command.SerializeAsString();
  ASSERT_TRUE(ReadHotCommand({.bytes = empty, .more_data = {}}).has_value());
  EXPECT_EQ(ReadHotCommand({.bytes = empty, .more_data = {}})->kind, HotEntry::Kind::kDatagram);
  EXPECT_EQ(ReadHotCommand({.bytes = empty, .more_data = {}})->data, "");
  EXPECT_FALSE(ReadHotCommand({.bytes = empty, .more_data = {}})->address.has_value());

  command.mutable_sendto()->set_data("data");
  command.mutable_sendto()->mutable_address()->set_host("127.0.0.1");
  const std::string addressed = command.SerializeAsString();
  const auto hot = ReadHotCommand({.bytes = addressed, .more_data = {}});
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
  const auto hot = ReadHotCallback({.bytes = bytes, .more_data = {}});
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
    EXPECT_FALSE(ReadHotCallback({.bytes = entry, .more_data = {}}).has_value());
    EXPECT_FALSE(ReadHotCommand({.bytes = entry, .more_data = {}}).has_value());
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
