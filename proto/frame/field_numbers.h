// The field numbers of the messages that are read and written by hand: those of
// proto/transportd/v1/event_loop.proto and datagram.proto.
#ifndef TRANSPORTD_PROTO_FRAME_FIELD_NUMBERS_H_
#define TRANSPORTD_PROTO_FRAME_FIELD_NUMBERS_H_

#include <cstdint>

namespace transportd {

// Of SessionRequest and SessionResponse.
inline constexpr uint32_t kOpening = 1;
inline constexpr uint32_t kSequence = 2;
inline constexpr uint32_t kAcknowledgedSequence = 3;
inline constexpr uint32_t kEntries = 4;
inline constexpr uint32_t kAcknowledgements = 5;
inline constexpr uint32_t kPromptWriteProgress = 6;
inline constexpr uint32_t kAllWritten = 7;
// Of Command.
inline constexpr uint32_t kCommandRequestId = 1;
inline constexpr uint32_t kCommandTransportId = 2;
inline constexpr uint32_t kCommandWrite = 3;
inline constexpr uint32_t kCommandSendto = 4;
// Of Callback.
inline constexpr uint32_t kCallbackTransportId = 1;
inline constexpr uint32_t kCallbackDataReceived = 2;
inline constexpr uint32_t kCallbackWriteProgress = 3;
inline constexpr uint32_t kCallbackDatagramReceived = 4;
// Of Datagram.
inline constexpr uint32_t kDatagramData = 1;
inline constexpr uint32_t kDatagramAddress = 2;

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_FRAME_FIELD_NUMBERS_H_
