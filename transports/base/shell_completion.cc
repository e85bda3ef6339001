#include "transports/base/shell_completion.h"

#include <algorithm>
#include <iterator>

#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using Kind = CompletionValue::Kind;

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string Joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string out;
  for (const std::string& word : words) out += StrCat(out.empty() ? "" : separator, word);
  return out;
}

std::string Function(const CompletionTable& table) {
  std::string name = "_" + table.program;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

bool BelongsTo(const CompletionOption& option, std::string_view command) {
  return option.commands.empty() ||
         std::find(option.commands.begin(), option.commands.end(), command) != option.commands.end();
}

// The options of `command`; of the program alone when that is empty: all that may stand before a command.
std::vector<const CompletionOption*> OptionsOf(const CompletionTable& table, std::string_view command) {
  std::vector<const CompletionOption*> options;
  for (const CompletionOption& option : table.options) {
    if (command.empty() || BelongsTo(option, command)) options.push_back(&option);
  }
  return options;
}

// --- bash

std::string BashReply(const CompletionValue& value) {
  switch (value.kind) {
    case Kind::kText:
      return "COMPREPLY=()";
    case Kind::kFile:
      return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")";
    case Kind::kDirectory:
      return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\")";
    case Kind::kWords:
      break;
  }
  return StrCat("mapfile -t COMPREPLY < <(compgen -W ", Quoted(Joined(value.words, " ")), " -- \"$word\")");
}

std::string BashOptions(const std::vector<const CompletionOption*>& options) {
  CompletionValue names{.kind = Kind::kWords};
  for (const CompletionOption* const option : options) names.words.push_back(option->name);
  return BashReply(names);
}

// By hand, and not with the package bash-completion's functions: it may not be there.
std::string BashScript(const CompletionTable& table) {
  std::string with_value;
  for (const CompletionOption& option : table.options) {
    if (option.has_value) with_value += StrCat(with_value.empty() ? "" : "|", option.name);
  }
  const std::string function = Function(table);
  std::string out =
      StrCat("# ", table.program, " completion for bash: made by the program itself.\n", function, "() {\n",
             R"(  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' position=0 i
  COMPREPLY=()
  # Bash makes three words of --name=value.
  if [[ $word == '=' ]]; then
    word=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  # The command, and how many words stand behind it.
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) ;;
)");
  if (!with_value.empty()) {
    out +=
        StrCat("      ", with_value, ")\n        [[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i++))\n        ((i++)) ;;\n");
  }
  out += R"(      -*) ;;
      *)
        if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else ((position++)); fi ;;
    esac
  done
  case $previous in
)";
  for (const CompletionOption& option : table.options) {
    if (option.has_value)
      out += StrCat("    ", option.name, ")\n      ", BashReply(option.value), "\n      return ;;\n");
  }
  out += R"(    *) ;;
  esac
  if [[ $word == -* ]]; then
    case $command in
)";
  for (const CompletionCommand& command : table.commands) {
    out += StrCat("      ", command.name, ") ", BashOptions(OptionsOf(table, command.name)), " ;;\n");
  }
  out += StrCat("      *) ", BashOptions(OptionsOf(table, "")),
                " ;;\n    esac\n    return\n  fi\n  case $command:$position in\n");
  if (!table.commands.empty()) {
    CompletionValue names{.kind = Kind::kWords};
    for (const CompletionCommand& command : table.commands) names.words.push_back(command.name);
    out += StrCat("    :*) ", BashReply(names), " ;;\n");
  }
  for (const CompletionCommand& command : table.commands) {
    if (command.first.kind != Kind::kText)
      out += StrCat("    ", command.name, ":0) ", BashReply(command.first), " ;;\n");
    if (command.rest.kind != Kind::kText) out += StrCat("    ", command.name, ":*) ", BashReply(command.rest), " ;;\n");
  }
  return out + StrCat("    *) ;;\n  esac\n}\ncomplete -F ", function, " ", table.program, "\n");
}

// --- zsh

std::string ZshAction(const CompletionValue& value) {
  switch (value.kind) {
    case Kind::kText:
      return " ";
    case Kind::kFile:
      return "_files";
    case Kind::kDirectory:
      return "_files -/";
    case Kind::kWords:
      break;
  }
  return StrCat("(", Joined(value.words, " "), ")");
}

// For _arguments and _describe, where brackets and colons mean something.
std::string ZshText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string ZshArguments(const std::vector<const CompletionOption*>& options) {
  std::string out;
  for (const CompletionOption* const option : options) {
    const bool takes_equals = option->has_value && option->name.starts_with("--");
    std::string spec = StrCat("*", option->name, takes_equals ? "=" : "", "[", ZshText(option->text), "]");
    if (option->has_value) spec += StrCat(":value:", ZshAction(option->value));
    out += StrCat(" \\\n        ", Quoted(spec));
  }
  return out;
}

std::string ZshScript(const CompletionTable& table) {
  const std::string function = Function(table);
  std::string out = StrCat("#compdef ", table.program, "\n# Made by the program itself.\n", function, "() {\n");
  if (table.commands.empty()) {
    out += StrCat("  _arguments", ZshArguments(OptionsOf(table, "")), "\n");
  } else {
    out += StrCat("  local curcontext=$curcontext state line\n  local -a commands\n  commands=(\n");
    for (const CompletionCommand& command : table.commands) {
      out += StrCat("    ", Quoted(StrCat(command.name, ":", ZshText(command.text))), "\n");
    }
    out +=
        StrCat("  )\n  _arguments -C", ZshArguments(OptionsOf(table, "")),
               " \\\n        '1:command:->command' '*::word:->words'\n"
               "  case $state in\n    command) _describe command commands ;;\n    words)\n      case $words[1] in\n");
    for (const CompletionCommand& command : table.commands) {
      out += StrCat("        ", command.name, ") _arguments", ZshArguments(OptionsOf(table, command.name)),
                    " \\\n        ", Quoted(StrCat("1:word:", ZshAction(command.first))), " ",
                    Quoted(StrCat("*:word:", ZshAction(command.rest))), " ;;\n");
    }
    out += "      esac ;;\n  esac\n";
  }
  return out + StrCat("}\nif [[ $funcstack[1] == ", function, " ]]; then\n  ", function, " \"$@\"\nelse\n  compdef ",
                      function, " ", table.program, "\nfi\n");
}

// --- fish

std::string FishText(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string FishName(std::string_view option) {
  if (option.starts_with("--")) return StrCat("-l ", option.substr(2));
  return StrCat(option.size() == 2 ? "-s " : "-o ", option.substr(1));
}

// What may stand there, as arguments of fish's `complete`.
std::string FishValue(const CompletionValue& value) {
  switch (value.kind) {
    case Kind::kText:
      return "-f";
    case Kind::kFile:
      return "-F";
    case Kind::kDirectory:
      return "-f -a '(__fish_complete_directories)'";
    case Kind::kWords:
      break;
  }
  return StrCat("-f -a ", FishText(Joined(value.words, " ")));
}

std::string FishScript(const CompletionTable& table) {
  std::string out = StrCat("# ", table.program, " completion for fish: made by the program itself.\n");
  const std::string complete = StrCat("complete -c ", table.program, " ");
  out += complete + "-f\n";
  for (const CompletionCommand& command : table.commands) {
    out += StrCat(complete, "-n __fish_use_subcommand -a ", command.name, " -d ", FishText(command.text), "\n");
    // Words that are there already make it the next place.
    std::string seen = StrCat("__fish_seen_subcommand_from ", command.name);
    if (command.first.kind == Kind::kWords) {
      const std::string words = Joined(command.first.words, " ");
      out += StrCat(complete, "-n ", FishText(StrCat(seen, "; and not __fish_seen_subcommand_from ", words)), " ",
                    FishValue(command.first), "\n");
      seen += StrCat("; and __fish_seen_subcommand_from ", words);
    } else if (command.first.kind != Kind::kText) {
      out += StrCat(complete, "-n ", FishText(seen), " ", FishValue(command.first), "\n");
    }
    if (command.rest.kind != Kind::kText) {
      out += StrCat(complete, "-n ", FishText(seen), " ", FishValue(command.rest), "\n");
    }
  }
  for (const CompletionOption& option : table.options) {
    out += complete;
    if (!option.commands.empty()) {
      out += StrCat(
          "-n ",
          FishText(StrCat("__fish_use_subcommand; or __fish_seen_subcommand_from ", Joined(option.commands, " "))),
          " ");
    }
    out += FishName(option.name);
    if (option.has_value) out += StrCat(" -r ", FishValue(option.value));
    if (!option.text.empty()) out += StrCat(" -d ", FishText(option.text));
    out += "\n";
  }
  return out;
}

}  // namespace

CompletionValue ParseCompletionValue(std::string_view text) {
  if (text == "FILE" || text == "PATH") return {.kind = Kind::kFile};
  if (text == "DIR") return {.kind = Kind::kDirectory};
  const bool is_words = text.find('|') != text.npos && std::none_of(text.begin(), text.end(), [](char c) {
                          return (c >= 'A' && c <= 'Z') || c == ' ' || c == '[';
                        });
  if (!is_words) return {};
  CompletionValue value{.kind = Kind::kWords};
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('|', begin), text.size());
    value.words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return value;
}

const Shell* FindShell(std::string_view name) {
  static constexpr Shell kShells[] = {Shell::kBash, Shell::kZsh, Shell::kFish};
  const auto* const found = std::find(std::begin(kShellNames), std::end(kShellNames), name);
  return found == std::end(kShellNames) ? nullptr : &kShells[found - std::begin(kShellNames)];
}

std::string CompletionScript(Shell shell, const CompletionTable& table) {
  switch (shell) {
    case Shell::kBash:
      return BashScript(table);
    case Shell::kZsh:
      return ZshScript(table);
    case Shell::kFish:
      break;
  }
  return FishScript(table);
}

}  // namespace transportd
