// Completion of a program's command line by the shell, as a script made from the program's own tables.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SHELL_COMPLETION_H_
#define TRANSPORTD_TRANSPORTS_BASE_SHELL_COMPLETION_H_

#include <string>
#include <string_view>
#include <vector>

namespace transportd {

// What a value, or a word, may be. Threading: a value.
struct CompletionValue {
  enum class Kind { kText, kFile, kDirectory, kWords };  // kText: nothing can be said.
  Kind kind = Kind::kText;
  std::vector<std::string> words = {};
};

// `FILE` or `PATH`, `DIR`, or words with `|` between them, `4|6`; everything else is a text.
CompletionValue ParseCompletionValue(std::string_view text);

// Threading: a value.
struct CompletionOption {
  std::string name = {};  // With its dashes: `--listen`, `-k`.
  std::string text = {};  // A short sentence; may be empty.
  bool has_value = false;
  CompletionValue value = {};
  std::vector<std::string> commands = {};  // Those it belongs to; none: all of them, and the program without any.
};

// Threading: a value.
struct CompletionCommand {
  std::string name = {};
  std::string text = {};
  CompletionValue first = {};  // The word behind it.
  CompletionValue rest = {};   // Those behind that.
};

// Threading: a value.
struct CompletionTable {
  std::string program = {};
  std::vector<CompletionCommand> commands = {};  // None: it has options alone.
  std::vector<CompletionOption> options = {};
};

enum class Shell { kBash, kZsh, kFish };
inline constexpr std::string_view kShellNames[] = {"bash", "zsh", "fish"};

// Null: it is none of them. The value lives as long as the program.
const Shell* FindShell(std::string_view name);

// To be sourced by bash; for zsh, the file `_PROGRAM` of a folder of its fpath; for fish, `PROGRAM.fish`.
std::string CompletionScript(Shell shell, const CompletionTable& table);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SHELL_COMPLETION_H_
