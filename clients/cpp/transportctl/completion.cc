#include "clients/cpp/transportctl/completion.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/transportctl/arguments.h"

namespace transportd::ctl {
namespace {

// The next word of `text`, which is taken away.
std::string_view TakeWord(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

// `new`, `bash|zsh|fish`: to be written as it stands there, unlike `ADDRESS`.
CompletionValue FirstWord(std::string_view word) {
  const bool is_literal =
      !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '|'; });
  if (!is_literal || word.find('|') != word.npos) return ParseCompletionValue(word);
  return {.kind = CompletionValue::Kind::kWords, .words = {std::string(word)}};
}

// A usage is `policy check|test FILE | policy explain [OPTION]... QUESTION`.
CompletionCommand OfCommand(const CommandHelp& help) {
  constexpr std::string_view kOr = " | ";
  CompletionCommand command;
  command.text = std::string(help.text.substr(0, help.text.find_first_of("\n;:(")));
  std::string_view usage = help.usage;
  while (!usage.empty()) {
    std::string_view way = usage.substr(0, usage.find(kOr));
    usage.remove_prefix(std::min(way.size() + kOr.size(), usage.size()));
    command.name = std::string(TakeWord(way));
    CompletionValue first = FirstWord(TakeWord(way));
    if (first.kind == CompletionValue::Kind::kWords) {
      command.first.kind = first.kind;
      std::move(first.words.begin(), first.words.end(), std::back_inserter(command.first.words));
    }
    const CompletionValue rest = ParseCompletionValue(TakeWord(way));
    if (rest.kind != CompletionValue::Kind::kText) command.rest = rest;
  }
  return command;
}

}  // namespace

CompletionTable Completion() {
  CompletionTable table{.program = "transportctl"};
  CompletionValue names{.kind = CompletionValue::Kind::kWords};
  for (const CommandHelp& help : HelpOfCommands()) {
    table.commands.push_back(OfCommand(help));
    names.words.push_back(table.commands.back().name);
  }
  for (CompletionCommand& command : table.commands) {
    if (command.name == "help") command.first = names;
  }
  for (const OptionName& option : OptionNames()) {
    const OptionHelp help = HelpOfOption(option.name);
    CompletionOption completed{.name = std::string(option.name),
                               .text = std::string(help.text),
                               .has_value = option.has_value,
                               .value = ParseCompletionValue(help.placeholder)};
    for (const auto& [name, command] : kCommandNames) {
      if (Contains(option.commands, command)) completed.commands.emplace_back(name);
    }
    if (option.commands == kAll) completed.commands.clear();
    table.options.push_back(std::move(completed));
  }
  return table;
}

}  // namespace transportd::ctl
