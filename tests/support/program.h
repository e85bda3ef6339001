// A program that nobody here wrote, run by a test.
#ifndef TRANSPORTD_TESTS_SUPPORT_PROGRAM_H_
#define TRANSPORTD_TESTS_SUPPORT_PROGRAM_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transports/base/unique_fd.h"

namespace transportd {

// Runs from construction to its own end, or is killed by the destructor. Nothing here waits but the destructor, and
// that only for a killed process. Threading: the test's thread.
class Program final {
 public:
  // The first of `arguments` is looked up on PATH. Standard input is a pipe; standard output and error are one.
  explicit Program(std::vector<std::string> arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Takes what it has said, and its end.
  void Poll();
  // All that it has said so far.
  const std::string& output() const { return output_; }
  bool Said(std::string_view text) const { return output_.find(text) != std::string::npos; }
  // Its exit status, 128 + the signal when one ended it; unset while it runs.
  const std::optional<int>& exit_status() const { return exit_status_; }

  // Must fit into a pipe.
  void Send(std::string_view text);
  // The end of its input.
  void CloseInput() { input_.Reset(); }

 private:
  pid_t pid_ = 0;
  UniqueFd input_;
  UniqueFd output_end_;
  std::string output_;
  std::optional<int> exit_status_;
};

// A new directory below the system's one for temporary files, removed with all that is in it.
class TemporaryDirectory final {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  // Writes a file of this name; returns its path.
  std::string Write(const std::string& name, std::string_view contents) const;

 private:
  std::string path_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_PROGRAM_H_
