// What is typed, from the bytes that a terminal sends.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_KEY_READER_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_KEY_READER_H_

#include <string>
#include <string_view>
#include <vector>

namespace transportd::ctl {

// Threading: a value.
struct Key {
  enum class Kind {
    kCharacter,
    kEnter,
    kEscape,
    kBackspace,
    kUp,
    kDown,
    kLeft,
    kRight,
    kPageUp,
    kPageDown,
    kHome,
    kEnd,
    kControl  // `text` has the letter: `c` for Ctrl-C.
  };
  Kind kind = Kind::kCharacter;
  std::string text = {};  // Of kCharacter and kControl: one character of UTF-8.

  bool Is(std::string_view character) const { return kind == Kind::kCharacter && text == character; }
  bool IsControl(std::string_view letter) const { return kind == Kind::kControl && text == letter; }
};

// Threading: a value.
class KeyReader final {
 public:
  // The keys that `bytes` complete. Sequences that nobody knows are dropped. An escape that ends `bytes` is the key: a
  // terminal sends sequences whole, and a sequence begun otherwise goes on in the next bytes.
  std::vector<Key> Feed(std::string_view bytes);

 private:
  std::string rest_;  // The beginning of a sequence or a character.
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_KEY_READER_H_
