#include "server/policy/message_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "server/policy/json_check.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"
#include "transports/base/utf8.h"

namespace transportd {
namespace {

constexpr size_t kMaxBytes = 4 << 20;
// No message of ours is half as deep.
constexpr int kMaxTextDepth = 32;

absl::Status Bad(std::string_view file_name, std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(StrCat(file_name, ": ", what)));
}

// Keeps the first errors. Threading: a value.
class Errors final : public google::protobuf::io::ErrorCollector {
 public:
  explicit Errors(std::string_view file_name) : file_name_(file_name) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (++count_ > kMaxCount) return;
    text_ += StrCat(text_.empty() ? "" : "\n", file_name_, ":", line + 1, ":", column + 1, ": ", message);
  }

  const std::string& text() const { return text_; }

 private:
  static constexpr int kMaxCount = 20;
  const std::string_view file_name_;
  std::string text_;
  int count_ = 0;
};

absl::Status ReadJson(std::string_view text, std::string_view file_name, google::protobuf::Message& message) {
  if (absl::Status status = CheckJson(text, file_name, *message.GetDescriptor()); !status.ok()) return status;
  const auto status = google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, &message);
  return status.ok() ? absl::OkStatus() : Bad(file_name, status.message().ToString());
}

absl::Status ReadText(std::string_view text, std::string_view file_name, google::protobuf::Message& message) {
  Errors errors(file_name);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.SetRecursionLimit(kMaxTextDepth);
  if (parser.ParseFromString(std::string(text), &message)) return absl::OkStatus();
  return errors.text().empty() ? Bad(file_name, "is not to be read") : absl::InvalidArgumentError(errors.text());
}

}  // namespace

absl::Status ReadMessage(std::string_view text, std::string_view file_name, google::protobuf::Message& message) {
  if (text.size() > kMaxBytes) return Bad(file_name, "has more than 4 MiB");
  message.Clear();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return Bad(file_name, "is empty");
  // Of a byte that is none the readers would say something else.
  if (!IsUtf8(text)) return Bad(file_name, "is not UTF-8");
  absl::Status status = text[first] == '{' ? ReadJson(text, file_name, message) : ReadText(text, file_name, message);
  if (!status.ok()) return status;
  if (message.ByteSizeLong() == 0) return Bad(file_name, "says nothing");
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  // Not to wait for the other end of a pipe.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    const int error_number = errno;
    return ErrnoToStatus(error_number, "open", path);
  }
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) {
    const int error_number = errno;
    return ErrnoToStatus(error_number, "fstat", path);
  }
  if (!S_ISREG(info.st_mode)) return Bad(path, "is not a regular file");
  std::string text;
  for (;;) {
    char buffer[16384];
    const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    if (count < 0) {
      const int error_number = errno;
      if (error_number == EINTR) continue;
      return ErrnoToStatus(error_number, "read", path);
    }
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kMaxBytes) return Bad(path, "has more than 4 MiB");
  }
}

}  // namespace transportd
