// A fuzzer's input as a list of steps.
#ifndef TRANSPORTD_TESTS_FUZZ_INPUT_H_
#define TRANSPORTD_TESTS_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace transportd::fuzz {

// Steps are one byte that says what to do, two that say how many bytes belong to it (little endian), and those. What is
// cut short ends early; so every input means something. Threading: a value.
class Steps final {
 public:
  Steps(const uint8_t* data, size_t size_bytes) : rest_(reinterpret_cast<const char*>(data), size_bytes) {}

  // False at the end.
  bool Next(uint8_t& what, std::string_view& bytes) {
    if (rest_.size() < 3) return false;
    what = static_cast<uint8_t>(rest_[0]);
    const size_t size_bytes = static_cast<uint8_t>(rest_[1]) | static_cast<size_t>(static_cast<uint8_t>(rest_[2])) << 8;
    rest_.remove_prefix(3);
    bytes = rest_.substr(0, size_bytes);
    rest_.remove_prefix(bytes.size());
    return true;
  }

 private:
  std::string_view rest_;
};

// One step, for seeds.
inline std::string Step(uint8_t what, std::string_view bytes = "") {
  std::string step = {static_cast<char>(what), static_cast<char>(bytes.size() & 0xff),
                      static_cast<char>(bytes.size() >> 8)};
  return step.append(bytes);
}

// A small number out of a step's bytes: 0 when there are none.
inline uint8_t Small(std::string_view bytes) { return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]); }

}  // namespace transportd::fuzz

#endif  // TRANSPORTD_TESTS_FUZZ_INPUT_H_
