// Between a transport and standard input and output: the heart of `connect` and `listen`.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_BRIDGE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_BRIDGE_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "clients/cpp/transportctl/stdio.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"
#include "transports/reactor/reactor.h"

namespace transportd::ctl {

class BridgeProtocol;

// Standard input and output, lent to one connection at a time. Threading: loop thread only.
class Console final : private StdinReader::Handler, private StdoutWriter::Handler {
 public:
  // `on_output_failed` is called once, when nobody reads the output any more.
  Console(Reactor& reactor, int input_fd, int output_fd,
          absl::AnyInvocable<void(const absl::Status&)> on_output_failed);

  // The input goes to `bridge` as soon as the connections before it have given it back; it is told by Begin.
  void Lend(std::shared_ptr<BridgeProtocol> bridge);
  void GiveBack(const BridgeProtocol& bridge);
  void PauseInput() { reader_.Pause(); }
  void ResumeInput();

  // Why the input could not be read to its end; OK otherwise.
  const absl::Status& input_status() const { return input_status_; }

  // False: the output is slow. Read no more until OnOutputDrained.
  bool Write(BridgeProtocol& bridge, std::string_view data);
  // Calls `done` when all is written; at once, or later.
  void WhenWritten(absl::AnyInvocable<void()> done);

 private:
  void OnInput(std::string_view data) override;
  void OnInputEnded(const absl::Status& status) override;
  void OnOutputDrained() override;
  void OnOutputFailed(const absl::Status& status) override;
  void BeginNext();

  StdinReader reader_;
  StdoutWriter writer_;
  absl::AnyInvocable<void(const absl::Status&)> on_output_failed_;
  absl::Status input_status_;
  absl::AnyInvocable<void()> when_written_;
  // The first has the input. shared_ptr: owned by the event loop, too, until the connection is lost.
  std::deque<std::shared_ptr<BridgeProtocol>> borrowers_;
  std::vector<std::weak_ptr<BridgeProtocol>> waiting_for_output_;
};

// One connection. Without `echo` its bytes come from the console and go there; with it they go back where they came
// from. With `json` what is printed are the callbacks. Threading: loop thread only.
class BridgeProtocol final : public Protocol, public std::enable_shared_from_this<BridgeProtocol> {
 public:
  struct Options {
    bool json = false;
    bool echo = false;
    bool half_close = true;
    bool close_at_eof = false;
    bool verbose = false;
  };

  // `console` must outlive the connection. `on_ended` is called after ConnectionLost.
  BridgeProtocol(Console& console, Options options, absl::AnyInvocable<void(const ConnectionEnd&)> on_ended);

  // Protocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override;
  void DataReceived(std::string_view data) override;
  bool EofReceived() override;
  void PauseWriting() override;
  void ResumeWriting() override;
  void ConnectionLost(const ConnectionEnd& end) override;

  // Of the console.
  void Begin();
  void OnInput(std::string_view data);
  // Not OK: what was sent is not all there is. The transport is reset, so that the peer takes it for no end.
  void OnInputEnded(const absl::Status& status);
  void OnOutputDrained();

 private:
  // A reason not to read, on or off.
  void SetHeld(bool& reason, bool on);
  void Print(std::string_view callback, std::string_view arguments);
  void Note(std::string_view text) const;

  Console& console_;
  const Options options_;
  absl::AnyInvocable<void(const ConnectionEnd&)> on_ended_;
  std::shared_ptr<Transport> transport_;
  uint32_t id_ = 0;
  bool waits_for_console_ = false;
  bool waits_for_output_ = false;
  bool waits_for_peer_ = false;  // echo: what went back is not taken.
  bool input_ended_ = false;
  bool eof_received_ = false;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_BRIDGE_H_
