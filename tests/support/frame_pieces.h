// Frames in pieces, as gRPC hands them out.
#ifndef TRANSPORTD_TESTS_SUPPORT_FRAME_PIECES_H_
#define TRANSPORTD_TESTS_SUPPORT_FRAME_PIECES_H_

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace transportd {

// `bytes` in pieces of this size, the last one shorter or not.
inline std::vector<std::string_view> CutFrame(std::string_view bytes, size_t piece_bytes) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at < bytes.size(); at += piece_bytes) pieces.push_back(bytes.substr(at, piece_bytes));
  return pieces;
}

// Cuts every frame in another way than the one before; every other one it leaves whole. Threading: a value.
class FrameCutter final {
 public:
  std::vector<std::string_view> Cut(std::string_view bytes) {
    constexpr size_t kSizes[] = {1, 7, 30, 200};
    // A large one never into more than a hundred.
    const size_t least_bytes = bytes.size() / 100 + 1;
    const bool is_whole = count_++ % 2 == 0;
    return CutFrame(bytes, is_whole ? std::max<size_t>(bytes.size(), 1)
                                    : std::max(least_bytes, kSizes[count_ / 2 % std::size(kSizes)]));
  }

 private:
  size_t count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_FRAME_PIECES_H_
