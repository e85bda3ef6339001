#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "transports/base/check.h"

namespace transportd {

Program::Program(std::vector<std::string> arguments) {
  int in[2], out[2];
  CHECK(pipe2(in, O_CLOEXEC) == 0);
  CHECK(pipe2(out, O_CLOEXEC) == 0);
  const UniqueFd child_in(in[0]), child_out(out[1]);
  input_.Reset(in[1]);
  output_end_.Reset(out[0]);
  CHECK(fcntl(output_end_.get(), F_SETFL, O_NONBLOCK) == 0);

  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  CHECK(posix_spawn_file_actions_init(&actions) == 0);
  CHECK(posix_spawn_file_actions_adddup2(&actions, child_in.get(), STDIN_FILENO) == 0);
  CHECK(posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO) == 0);
  CHECK(posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDERR_FILENO) == 0);
  CHECK(posix_spawnp(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ) == 0);
  CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
}

Program::~Program() {
  if (exit_status_) return;
  kill(pid_, SIGKILL);
  CHECK(waitpid(pid_, nullptr, 0) == pid_);
}

void Program::Poll() {
  char buffer[65536];
  while (true) {
    const ssize_t size = read(output_end_.get(), buffer, sizeof(buffer));
    if (size <= 0) break;
    output_.append(buffer, static_cast<size_t>(size));
  }
  int status = 0;
  if (exit_status_ || waitpid(pid_, &status, WNOHANG) != pid_) return;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Program::Send(std::string_view text) {
  CHECK(write(input_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) || errno == EPIPE);
}

TemporaryDirectory::TemporaryDirectory() : path_(std::filesystem::temp_directory_path() / "transportd-test-XXXXXX") {
  CHECK(mkdtemp(path_.data()) != nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::Write(const std::string& name, std::string_view contents) const {
  std::string path = path_ + "/" + name;
  std::ofstream file(path, std::ios::binary);
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  file.close();
  CHECK(file.good());
  return path;
}

}  // namespace transportd
