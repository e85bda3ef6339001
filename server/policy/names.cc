#include "server/policy/names.h"

#include <algorithm>
#include <cstddef>

namespace transportd {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsFolded(std::string_view lower, std::string_view text) {
  return std::equal(lower.begin(), lower.end(), text.begin(), text.end(), [](char a, char b) { return a == Lower(b); });
}

std::string_view WithoutLastSlash(std::string_view path) {
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return path;
}

}  // namespace

bool IsCanonicalPath(std::string_view path) { return path == "/" || (IsCanonicalFolder(path) && path.back() != '/'); }

bool IsCanonicalFolder(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos) return false;
  for (size_t begin = 1; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

bool MatchesPath(std::string_view pattern, std::string_view path) {
  if (pattern.empty() || pattern.back() != '/') return pattern == path;
  return path.size() > pattern.size() && path.substr(0, pattern.size()) == pattern;
}

bool IsInFolder(std::string_view folder, std::string_view path) {
  folder = WithoutLastSlash(folder);
  path = WithoutLastSlash(path);
  if (path.substr(0, folder.size()) != folder) return false;
  return path.size() == folder.size() || path[folder.size()] == '/';
}

bool MatchesPrefix(std::string_view pattern, std::string_view text) {
  if (pattern.empty() || pattern.back() != '*') return pattern == text;
  pattern.remove_suffix(1);
  return text.substr(0, pattern.size()) == pattern;
}

bool MatchesHost(std::string_view pattern, std::string_view host) {
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (pattern.substr(0, 2) != "*.") return EqualsFolded(pattern, host);
  pattern.remove_prefix(1);
  return host.size() > pattern.size() && EqualsFolded(pattern, host.substr(host.size() - pattern.size()));
}

bool EndsInNumber(std::string_view host) {
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  const size_t dot = host.rfind('.');
  std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.empty()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::all_of(last.begin(), last.end(), is_digit)) return true;
  if (last.size() < 2 || last[0] != '0' || Lower(last[1]) != 'x') return false;
  last.remove_prefix(2);
  return std::all_of(last.begin(), last.end(),
                     [&](char c) { return is_digit(c) || (Lower(c) >= 'a' && Lower(c) <= 'f'); });
}

}  // namespace transportd
