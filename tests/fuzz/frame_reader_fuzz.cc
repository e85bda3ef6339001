// What the hand-written readers of frames take, protobuf takes, and it means the same.
//
// The other way round there are differences: a frame with two openings, a known field of another wire type, a group and
// a field number that overflows are refused, where protobuf merges them, keeps them as unknown or drops bits.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "google/protobuf/unknown_field_set.h"
#include "proto/frame/frame_reader.h"
#include "tests/support/frame_pieces.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

template <typename Message>
bool Parse(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <typename Message>
bool HasUnknownFields(const Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

const v1::Open& OpeningOf(const v1::SessionRequest& frame) { return frame.open(); }
const v1::Opened& OpeningOf(const v1::SessionResponse& frame) { return frame.opened(); }
bool HasOpening(const v1::SessionRequest& frame) { return frame.has_open(); }
bool HasOpening(const v1::SessionResponse& frame) { return frame.has_opened(); }
const auto& EntriesOf(const v1::SessionRequest& frame) { return frame.commands(); }
const auto& EntriesOf(const v1::SessionResponse& frame) { return frame.callbacks(); }

template <typename Frame, typename Opening, typename Entry>
void CompareFrame(std::string_view bytes) {
  FrameView view;
  const bool ours = ReadFrame(bytes, view);
  Frame frame;
  const bool theirs = Parse(bytes, frame);
  if (!ours) {
    // Written as protobuf writes, with known fields only, a frame is never refused.
    CHECK(!theirs || HasUnknownFields(frame) || frame.SerializeAsString() != bytes);
    return;
  }
  Opening opening;
  if (view.opening.has_value() && !Parse(*view.opening, opening)) return CHECK(!theirs);
  std::vector<Entry> entries(view.entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!Parse(view.entries[i].bytes, entries[i])) return CHECK(!theirs);
  }
  if constexpr (std::is_same_v<Frame, v1::SessionRequest>) {  // In a response, their field is unknown.
    for (const std::string_view acknowledgement : view.acknowledgements) {
      v1::Acknowledgement message;
      if (!Parse(acknowledgement, message)) return CHECK(!theirs);
    }
  }
  CHECK(theirs);
  CHECK(frame.sequence() == view.sequence);
  CHECK(frame.acknowledged_sequence() == view.acknowledged_sequence);
  CHECK(HasOpening(frame) == view.opening.has_value());
  CHECK(OpeningOf(frame).SerializeAsString() == opening.SerializeAsString());
  CHECK(static_cast<size_t>(EntriesOf(frame).size()) == entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    CHECK(EntriesOf(frame).at(static_cast<int>(i)).SerializeAsString() == entries[i].SerializeAsString());
  }
}

// What the hot reader has left unread: the address. False: protobuf does not take it.
bool Fill(const HotEntry& hot, v1::Datagram& datagram) {
  datagram.set_data(std::string(hot.data));
  return !hot.address.has_value() || Parse(*hot.address, *datagram.mutable_address());
}

void CompareCommand(std::string_view bytes) {
  const auto hot = ReadHotCommand({.bytes = bytes, .more_data = {}});
  v1::Command command;
  const bool theirs = Parse(bytes, command);
  if (!hot.has_value()) {
    CHECK(!theirs || (!command.has_write() && !command.has_sendto()) || HasUnknownFields(command) ||
          HasUnknownFields(command.sendto()) || command.SerializeAsString() != bytes);
    return;
  }
  v1::Command expected;
  expected.set_request_id(hot->request_id);
  expected.set_transport_id(hot->transport_id);
  if (hot->kind == HotEntry::Kind::kDatagram) {
    if (!Fill(*hot, *expected.mutable_sendto())) return CHECK(!theirs);
  } else {
    expected.set_write(std::string(hot->data));
  }
  CHECK(theirs && command.SerializeAsString() == expected.SerializeAsString());
}

void CompareCallback(std::string_view bytes) {
  const auto hot = ReadHotCallback({.bytes = bytes, .more_data = {}});
  v1::Callback callback;
  const bool theirs = Parse(bytes, callback);
  if (!hot.has_value()) {
    const bool is_hot =
        callback.has_data_received() || callback.has_write_progress() || callback.has_datagram_received();
    CHECK(!theirs || !is_hot || HasUnknownFields(callback) || HasUnknownFields(callback.datagram_received()) ||
          callback.SerializeAsString() != bytes);
    return;
  }
  v1::Callback expected;
  expected.set_transport_id(hot->transport_id);
  if (hot->kind == HotEntry::Kind::kProgress) {
    expected.set_write_progress(hot->sent_bytes);
  } else if (hot->kind == HotEntry::Kind::kDatagram) {
    if (!Fill(*hot, *expected.mutable_datagram_received())) return CHECK(!theirs);
  } else {
    expected.set_data_received(std::string(hot->data));
  }
  CHECK(theirs && callback.SerializeAsString() == expected.SerializeAsString());
}

bool Same(const HotEntry& whole, const HotEntry& cut) {
  std::string data(cut.data);
  for (const std::string_view piece : cut.more_data) data += piece;
  return whole.kind == cut.kind && whole.transport_id == cut.transport_id && whole.request_id == cut.request_id &&
         whole.data == data;
}

// A frame means the same in however many pieces it comes; the input's size says in which.
void ComparePieces(std::string_view bytes) {
  constexpr size_t kPieceBytes[] = {1, 2, 5, 20, 64};
  const std::vector<std::string_view> pieces = CutFrame(bytes, kPieceBytes[bytes.size() / 2 % std::size(kPieceBytes)]);
  const FrameKind kind = bytes.size() % 2 == 0 ? FrameKind::kCommands : FrameKind::kCallbacks;
  FrameView whole;
  FrameView cut;
  const bool is_frame = ReadFrame(bytes, whole);
  CHECK(ReadFrame(pieces, kind, cut) == is_frame);
  if (!is_frame) return;
  CHECK(whole.opening == cut.opening && whole.sequence == cut.sequence &&
        whole.acknowledged_sequence == cut.acknowledged_sequence &&
        whole.prompt_write_progress == cut.prompt_write_progress && whole.acknowledgements == cut.acknowledgements &&
        whole.entries.size() == cut.entries.size());
  for (size_t i = 0; i < whole.entries.size(); ++i) {
    const EntryView& entry = cut.entries[i];
    if (entry.more_data.empty()) {
      CHECK(whole.entries[i].bytes == entry.bytes);
      continue;
    }
    const auto read = kind == FrameKind::kCommands ? ReadHotCommand : ReadHotCallback;
    const auto expected = read(whole.entries[i]);
    const auto hot = read(entry);
    CHECK(expected.has_value() && hot.has_value() && Same(*expected, *hot));
  }
}

void CompareAcknowledgement(std::string_view bytes) {
  const auto view = ReadAcknowledgement(bytes);
  v1::Acknowledgement message;
  const bool theirs = Parse(bytes, message);
  if (!view.has_value()) {
    CHECK(!theirs || HasUnknownFields(message) || message.SerializeAsString() != bytes);
    return;
  }
  v1::Acknowledgement expected;
  expected.set_transport_id(view->transport_id);
  expected.set_data_bytes(view->data_bytes);
  expected.set_data_count(view->data_count);
  message.DiscardUnknownFields();
  CHECK(theirs && message.SerializeAsString() == expected.SerializeAsString());
}

}  // namespace

static void TestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  CompareFrame<v1::SessionRequest, v1::Open, v1::Command>(bytes);
  ComparePieces(bytes);
  CompareFrame<v1::SessionResponse, v1::Opened, v1::Callback>(bytes);
  CompareCommand(bytes);
  CompareCallback(bytes);
  CompareAcknowledgement(bytes);
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput(data, size);
  return 0;
}
