// Builds frames: SessionRequest and SessionResponse, which differ only in what their entries are.
#ifndef TRANSPORTD_PROTO_FRAME_FRAME_WRITER_H_
#define TRANSPORTD_PROTO_FRAME_FRAME_WRITER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "google/protobuf/message_lite.h"
#include "proto/frame/frame_buffer.h"

namespace transportd {

// What a frame says besides its numbers.
enum class FrameFlag : uint8_t {
  kNone,
  kPromptWriteProgress,  // Of a SessionRequest.
  kAllWritten,           // Of a SessionResponse.
};

// One frame under construction. The hot variants (write, data_received, write_progress, sendto, datagram_received) are
// written by hand, the data straight where it came from; everything else is serialized by protobuf. The numbers go in
// last, by Seal. Threading: one thread at a time.
class FrameWriter final {
 public:
  bool empty() const { return buffer_.empty(); }
  size_t size_bytes() const { return buffer_.size(); }

  // SessionRequest.open or SessionResponse.opened.
  void AppendOpening(const google::protobuf::MessageLite& opening);
  // A v1::Command or v1::Callback.
  void AppendEntry(const google::protobuf::MessageLite& entry);
  // A v1::Acknowledgement.
  void AppendAcknowledgement(uint32_t transport_id, uint64_t data_bytes, uint64_t data_count);

  // Command{transport_id, write}.
  void AppendWrite(uint32_t transport_id, std::string_view data);
  // Callback{transport_id, data_received}.
  void AppendDataReceived(uint32_t transport_id, std::string_view data);
  // Command{transport_id, sendto} and Callback{transport_id, datagram_received}. `address`: a serialized
  // v1::SocketAddress; unset: none.
  void AppendSendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address);
  void AppendDatagramReceived(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address);
  // Callback{transport_id, write_progress}.
  void AppendWriteProgress(uint32_t transport_id, uint64_t sent_bytes);

  // Callback{transport_id, data_received} whose data is written in place: room for `size_bytes` (1 to 16 MiB), to be
  // closed by EndDataReceived with how much was used (0: no entry) before anything else is appended.
  std::span<char> BeginDataReceived(uint32_t transport_id, size_t size_bytes);
  void EndDataReceived(size_t used_bytes);

  // Takes the frame; the writer is empty then. Numbers of 0 are left out.
  FrameBuffer Seal(uint64_t sequence, uint64_t acknowledged_sequence, FrameFlag flag = FrameFlag::kNone);

 private:
  void AppendMessage(uint32_t field_number, const google::protobuf::MessageLite& message);
  // An entry {transport_id, Datagram} of these field numbers.
  void AppendDatagram(uint32_t id_field_number, uint32_t transport_id, uint32_t datagram_field_number,
                      std::string_view data, std::optional<std::string_view> address);

  FrameBuffer buffer_;
  size_t open_entry_ = 0;  // Where the data_received under construction begins.
};

// The most that AppendDataReceived adds besides the data.
inline constexpr size_t kDataReceivedOverheadBytes = 16;
// The most that AppendDatagramReceived and AppendSendTo add besides the data and the address.
inline constexpr size_t kDatagramOverheadBytes = 48;

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_FRAME_FRAME_WRITER_H_
