// The other end of the connections: a server on an embedded event loop in a thread of its own.
#ifndef TRANSPORTD_TESTS_INTEGRATION_PEER_THREAD_H_
#define TRANSPORTD_TESTS_INTEGRATION_PEER_THREAD_H_

#include <cstdint>
#include <future>
#include <memory>
#include <thread>

#include "transports/api/event_loop.h"
#include "transports/api/protocol.h"

namespace transportd::load {

// Echoes, as fast as the other side reads. Threading: loop thread only.
class EchoProtocol : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override { transport_->Write(data).IgnoreError(); }
  void PauseWriting() override { transport_->PauseReading(); }
  void ResumeWriting() override { transport_->ResumeReading(); }
  void ConnectionLost(const ConnectionEnd&) override { transport_.reset(); }

 protected:
  std::shared_ptr<Transport> transport_;
};

// What a connection that begins with kFloodRequest is sent without end: byte N is FloodByte(N).
inline constexpr char kFloodRequest = '\xff';
inline char FloodByte(uint64_t position) { return static_cast<char>(position % 251); }

// Listens on 127.0.0.1 from construction to destruction. Threading: the thread that made it.
class PeerThread final {
 public:
  PeerThread();
  ~PeerThread();
  PeerThread(const PeerThread&) = delete;
  PeerThread& operator=(const PeerThread&) = delete;

  // How to get there.
  CreateConnectionOptions connect_options() const;

 private:
  struct Listening {
    EventLoop* loop;
    uint32_t port;
  };
  static void Run(std::promise<Listening> listening);

  Listening listening_;
  std::thread thread_;
};

}  // namespace transportd::load

#endif  // TRANSPORTD_TESTS_INTEGRATION_PEER_THREAD_H_
