// What happened to one object of a scenario, as lines to compare with the oracle's.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_TRACE_H_
#define TRANSPORTD_TESTS_CONFORMANCE_TRACE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace transportd::conformance {

// Bytes that tell where they belong: a block of prime length, repeated.
std::string Pattern(size_t size_bytes);

// As Python writes it.
inline std::string_view BoolText(bool value) { return value ? "True" : "False"; }

// Short data as it is, long data as its length and CRC-32.
std::string DataText(std::string_view data);

// Data that arrives in pieces is one line, for pieces are arbitrary. Threading: one thread at a time.
class Trace final {
 public:
  void Add(std::string line);
  void AddData(std::string_view kind, std::string_view data);
  void EndData();

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
  std::string kind_;  // Of the data being gathered; empty: none.
  std::string data_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_TRACE_H_
