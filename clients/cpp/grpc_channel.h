// The stream of frames over gRPC.
#ifndef TRANSPORTD_CLIENTS_CPP_GRPC_CHANNEL_H_
#define TRANSPORTD_CLIENTS_CPP_GRPC_CHANNEL_H_

#include <memory>
#include <string>

#include "clients/cpp/frame_channel.h"
#include "grpcpp/channel.h"

namespace transportd {

// One EventLoop.Session stream on `channel`, with a completion queue of its own in which the loop's thread sleeps: a
// frame that comes wakes that thread and no other. Not the callback API: its threads sleep for 100 ms after an idle
// second. `token`, unless empty, is sent as `authorization: Bearer TOKEN`; it must be one that CheckToken takes.
std::unique_ptr<FrameChannel> CreateGrpcFrameChannel(std::shared_ptr<grpc::Channel> channel, const std::string& token);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_GRPC_CHANNEL_H_
