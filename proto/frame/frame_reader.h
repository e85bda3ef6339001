// Takes frames apart without copying their data: SessionRequest and SessionResponse.
#ifndef TRANSPORTD_PROTO_FRAME_FRAME_READER_H_
#define TRANSPORTD_PROTO_FRAME_FRAME_READER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proto/frame/frame_buffer.h"

namespace transportd {

// Whose entries a frame has.
enum class FrameKind : uint8_t { kCommands, kCallbacks };

// An entry of a frame. Threading: a value.
struct EntryView {
  std::string_view bytes;  // A serialized v1::Command or v1::Callback.
  // Only for a `write` or `data_received` that arrived in pieces: where its data goes on, after `bytes`.
  std::span<const std::string_view> more_data;
};

// A frame's parts; the views point into the bytes it was read from. Threading: a value.
struct FrameView {
  std::optional<std::string_view> opening;  // A serialized v1::Open or v1::Opened.
  uint64_t sequence = 0;
  uint64_t acknowledged_sequence = 0;
  bool prompt_write_progress = false;
  std::vector<EntryView> entries;                  // In order.
  std::vector<std::string_view> acknowledgements;  // Serialized v1::Acknowledgement, in order.

  // What the reader keeps for the views: the pieces of more_data, and copies of what arrived in pieces and is no data.
  std::vector<std::string_view> data_pieces;
  std::vector<FrameBuffer> copies;

  // Until the next frame: frees what an unusual one took. The views mean nothing then.
  void Rest();
};

// The most entries and acknowledgements that a frame may have, each: a view takes more memory than what it is of.
inline constexpr size_t kMaxFrameEntryCount = 64 * 1024;

// Reads the frame that `pieces` are, one after the other, into `frame`, whose vectors keep their capacity. False: not a
// frame, or one with more entries than it may have; what it holds then means nothing. Fields of other numbers are
// passed over.
bool ReadFrame(std::span<const std::string_view> pieces, FrameKind kind, FrameView& frame);
// The same, of a frame of either kind that is in one piece.
inline bool ReadFrame(std::string_view bytes, FrameView& frame) {
  return ReadFrame({&bytes, 1}, FrameKind::kCommands, frame);
}

// An entry that is a hot variant and nothing else. Threading: a value.
struct HotEntry {
  enum class Kind {
    kData,      // write, data_received.
    kProgress,  // write_progress; callbacks only.
    kDatagram,  // sendto, datagram_received.
  };

  Kind kind = Kind::kData;
  uint32_t transport_id = 0;
  uint32_t request_id = 0;                           // Commands only.
  std::string_view data = {};                        // kData, kDatagram.
  std::span<const std::string_view> more_data = {};  // kData: what follows `data`.
  std::optional<std::string_view> address = {};      // kDatagram: a serialized v1::SocketAddress, not looked into.
  uint64_t sent_bytes = 0;                           // kProgress.
};

// Command{request_id, transport_id, write or sendto}; nothing when it is any other command, or malformed: parse it with
// protobuf.
std::optional<HotEntry> ReadHotCommand(const EntryView& entry);
// Callback{transport_id, data_received, write_progress or datagram_received}; nothing: as above.
std::optional<HotEntry> ReadHotCallback(const EntryView& entry);

// A v1::Acknowledgement. Threading: a value.
struct AcknowledgementView {
  uint32_t transport_id = 0;
  uint64_t data_bytes = 0;
  uint64_t data_count = 0;
};

// Nothing when it is malformed.
std::optional<AcknowledgementView> ReadAcknowledgement(std::string_view bytes);

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_FRAME_FRAME_READER_H_
