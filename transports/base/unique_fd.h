// The only owner of a file descriptor.
#ifndef TRANSPORTD_TRANSPORTS_BASE_UNIQUE_FD_H_
#define TRANSPORTD_TRANSPORTS_BASE_UNIQUE_FD_H_

#include <utility>

namespace transportd {

// Closes what it holds. Leaves errno as it was. Threading: as an int: one thread at a time.
class UniqueFd final {
 public:
  UniqueFd() = default;
  // Takes over `fd`; a negative one is none.
  explicit UniqueFd(int fd) : fd_(fd < 0 ? -1 : fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  // -1: none.
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Hands the descriptor to the caller.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  // Closes what is held and takes over `fd`.
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_UNIQUE_FD_H_
