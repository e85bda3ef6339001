#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/transportctl/admin_call.h"
#include "clients/cpp/transportctl/admin_client.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/full_screen.h"
#include "clients/cpp/transportctl/key_reader.h"
#include "clients/cpp/transportctl/signal_watch.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "clients/cpp/transportctl/status_history.h"
#include "clients/cpp/transportctl/stdio.h"
#include "clients/cpp/transportctl/terminal.h"
#include "clients/cpp/transportctl/top_screen.h"
#include "clients/cpp/transportctl/top_view.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/reactor/reactor.h"

namespace transportd::ctl {
namespace {

// As much as the service tells.
constexpr uint32_t kMaxRowCount = 10000;
constexpr WindowSize kUnknownSize = {.rows = 24, .columns = 80};
constexpr int kWatchedSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

constexpr std::string_view kInstead =
    "`transportctl status` prints how the service is, `transportctl top --once` all that top shows";

std::string_view Environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it.
  return value != nullptr ? value : "";
}

// https://no-color.org.
bool WantsColor() { return Environment("NO_COLOR").empty(); }
bool IsDumb() { return Environment("TERM").empty() || Environment("TERM") == "dumb"; }

// For --once, where there may be no terminal.
int PaperWidth() {
  if (const auto size = TerminalSize(); size && IsTerminal(STDOUT_FILENO)) return static_cast<int>(size->columns);
  const std::string_view columns = Environment("COLUMNS");
  int width = 0;
  const auto [end, error] = std::from_chars(columns.data(), columns.data() + columns.size(), width);
  const bool is_width = error == std::errc() && end == columns.data() + columns.size() && width > 0;
  return is_width ? std::min(width, 10000) : int{kUnknownSize.columns};
}

v1::GetStatusRequest Question() {
  v1::GetStatusRequest request;
  request.set_max_row_count(kMaxRowCount);
  return request;
}

// Threading: loop thread only.
class TopCommand final : public StdinReader::Handler, public StdoutWriter::Handler {
 public:
  // All must outlive it.
  TopCommand(const Arguments& arguments, const ConnectOptions& service, Reactor& reactor,
             std::shared_ptr<grpc::Channel> channel)
      : arguments_(arguments),
        service_(service),
        reactor_(reactor),
        client_(reactor, service, std::move(channel)),
        connection_({.target = service.target}) {}
  ~TopCommand() override {
    reactor_.CancelTimer(timer_);
    reactor_.CancelTimer(clock_timer_);
  }
  TopCommand(const TopCommand&) = delete;
  TopCommand& operator=(const TopCommand&) = delete;

  // `first`: what the service said already.
  int RunOnTerminal(v1::GetStatusResponse first) {
    OnAnswer(std::move(first));
    absl::Status status = TakeTerminal();
    if (status.ok()) {
      input_ = std::make_unique<StdinReader>(reactor_, InheritedFd(STDIN_FILENO), *this);
      input_->Resume();
      LookLater();
      Tick();
      reactor_.RunForever();
    } else {
      last_words_ = Explain(status, service_.target, "GetStatus", service_.timeout);
      exit_code_ = kFailed;
    }
    // The terminal first: what is said now is to be read.
    input_.reset();
    screen_.reset();
    output_.reset();
    signals_.reset();
    if (!last_words_.empty()) PrintLinesToStderr(last_words_);
    return exit_code_;
  }

  int RunOnce(v1::GetStatusResponse first) {
    history_.Add(std::move(first));
    timer_ = reactor_.CallLater(arguments_.top.interval, [this] {
      client_.GetStatus(Question(), [this](absl::StatusOr<v1::GetStatusResponse> status) {
        if (status.ok()) {
          history_.Add(*std::move(status));
        } else {
          exit_code_ = ctl::Fail(status.status(), "GetStatus", service_);
        }
        reactor_.Stop();
      });
    });
    reactor_.RunForever();
    if (exit_code_ != kOk) return exit_code_;
    const bool is_plain = IsDumb() || !IsTerminal(STDOUT_FILENO);
    std::string text;
    for (const Line& line : TopReport(history_, connection_, PaperWidth())) {
      std::string one = is_plain ? line.text() : AnsiText(line, WantsColor());
      one.erase(one.find_last_not_of(' ') + 1);
      text += one + "\n";
    }
    return Print(text);
  }

 private:
  // --- The terminal

  absl::Status TakeTerminal() {
    auto signals =
        SignalWatch::Create(reactor_, kWatchedSignals, [this](int signal_number) { OnSignal(signal_number); });
    if (!signals.ok()) return signals.status();
    signals_ = *std::move(signals);
    output_ = std::make_unique<StdoutWriter>(reactor_, InheritedFd(STDOUT_FILENO), *this);
    auto screen = FullScreen::Enter(*output_, WantsColor());
    if (!screen.ok()) return screen.status();
    screen_ = *std::move(screen);
    Draw();
    return absl::OkStatus();
  }

  void Suspend() {
    // In a turn of its own: the watch may be what called.
    reactor_.CallSoon([this] {
      screen_.reset();
      output_.reset();
      signals_.reset();
      // Stops here, unless nobody could let it go on; then it goes on at once.
      ::raise(SIGTSTP);
      if (absl::Status status = TakeTerminal(); !status.ok()) Fail(status);
    });
  }

  void OnSignal(int signal_number) {
    switch (signal_number) {
      case SIGWINCH:
        return Draw();
      case SIGTSTP:
        return Suspend();
      case SIGCONT:
        if (absl::Status status = screen_->Resume(); !status.ok()) return Fail(status);
        return Draw();
      default:
        return Quit(kSignalBase + signal_number);
    }
  }

  void Draw() {
    if (screen_ == nullptr) return;
    const WindowSize size = TerminalSize().value_or(kUnknownSize);
    connection_.silent_seconds = std::chrono::duration<double>(reactor_.Time() - last_answer_).count();
    screen_->Draw(TopScreen(view_, connection_, size), size);
  }

  // For how long nobody has answered is told while nothing else changes.
  void Tick() {
    clock_timer_ = reactor_.CallLater(std::chrono::seconds(1), [this] {
      if (!connection_.trouble.empty()) Draw();
      Tick();
    });
  }

  void OnInput(std::string_view data) override {
    for (const Key& key : keys_.Feed(data)) {
      switch (view_.OnKey(key)) {
        case TopView::Wish::kNone:
          break;
        case TopView::Wish::kQuit:
          return Quit(kOk);
        case TopView::Wish::kInterrupt:
          return Quit(kSignalBase + SIGINT);
        case TopView::Wish::kSuspend:
          Suspend();
          break;
        case TopView::Wish::kRepaint:
          screen_->Forget();
          break;
        case TopView::Wish::kEnd:
          End();
          break;
      }
    }
    Draw();
  }

  void OnInputEnded(const absl::Status& status) override {
    Fail(status.ok() ? absl::UnavailableError("the terminal is gone: standard input has ended") : status);
  }
  // What has changed while it was full.
  void OnOutputDrained() override { Draw(); }
  void OnOutputFailed(const absl::Status& status) override { Fail(status); }

  // --- The service

  void LookLater() {
    timer_ = reactor_.CallLater(arguments_.top.interval, [this] { Look(); });
  }

  void Look() {
    if (!connection_.trouble.empty()) client_.ConnectAtOnce();
    client_.GetStatus(Question(), [this](absl::StatusOr<v1::GetStatusResponse> status) {
      if (status.ok()) {
        OnAnswer(*std::move(status));
      } else {
        connection_.trouble = Explain(status.status(), service_.target, "GetStatus", service_.timeout).front();
      }
      Draw();
      LookLater();
    });
  }

  void OnAnswer(v1::GetStatusResponse status) {
    connection_.trouble.clear();
    last_answer_ = reactor_.Time();
    history_.Add(std::move(status));
    view_.SetHistory(history_);
  }

  void End() {
    const TopView::Target& target = view_.target();
    if (target.transport_id == 0) {
      v1::EndSessionRequest request;
      request.set_session_prefix(target.session_prefix);
      return client_.EndSession(request,
                                [this, text = target.text](const auto& response) { OnEnded(response.status(), text); });
    }
    v1::EndTransportRequest request;
    request.set_session_prefix(target.session_prefix);
    request.set_transport_id(target.transport_id);
    client_.EndTransport(request,
                         [this, text = target.text](const auto& response) { OnEnded(response.status(), text); });
  }

  void OnEnded(const absl::Status& status, std::string_view what) {
    view_.SetMessage(status.ok()
                         ? StrCat("Ended: ", what)
                         : StrCat("Not ended: ", Explain(status, service_.target, "End", service_.timeout).front()));
    Draw();
  }

  // --- The end

  void Quit(int exit_code) {
    exit_code_ = exit_code;
    reactor_.Stop();
  }

  void Fail(const absl::Status& status) {
    last_words_ = {ToTransportError(status).message};
    Quit(kFailed);
  }

  const Arguments& arguments_;
  const ConnectOptions& service_;
  Reactor& reactor_;
  AdminClient client_;
  StatusHistory history_;
  TopView view_;
  TopConnection connection_;
  TimePoint last_answer_;
  TimerId timer_ = 0;
  TimerId clock_timer_ = 0;
  KeyReader keys_;
  // They go in the opposite order.
  std::unique_ptr<SignalWatch> signals_;
  std::unique_ptr<StdoutWriter> output_;
  std::unique_ptr<FullScreen> screen_;
  std::unique_ptr<StdinReader> input_;
  int exit_code_ = kOk;
  Lines last_words_;  // For standard error, when the terminal is as it was.
};

}  // namespace

int RunTop(const Arguments& arguments, const ConnectOptions& service) {
  if (!arguments.top.once) {
    for (const auto& [fd, name] : {std::pair(STDOUT_FILENO, "output"), std::pair(STDIN_FILENO, "input")}) {
      if (IsTerminal(fd)) continue;
      PrintLinesToStderr({StrCat("top: standard ", name, " is no terminal"), std::string(kInstead)});
      return kUsage;
    }
    if (IsDumb()) {
      PrintLinesToStderr({StrCat("top: a terminal with TERM=", Environment("TERM"), " has no screen to draw on"),
                          std::string(kInstead)});
      return kUsage;
    }
  }
  // A service that is not there is told of before the screen is taken.
  auto first = AskAdmin(service, Question(), &v1::Admin::Stub::GetStatus);
  if (!first.ok()) return Fail(first.status(), "GetStatus", service);
  const auto reactor = Reactor::Create();
  const auto channel = CreateServiceChannel(service);
  for (const absl::Status& status : {reactor.status(), channel.status()}) {
    if (!status.ok()) return Fail(status, "GetStatus", service);
  }
  TopCommand command(arguments, service, **reactor, *channel);
  return arguments.top.once ? command.RunOnce(*std::move(first)) : command.RunOnTerminal(*std::move(first));
}

}  // namespace transportd::ctl
