#include "server/session/commands.h"

#include "absl/container/flat_hash_map.h"

namespace transportd {

const CommandRow* FindCommandRow(v1::Command::CommandCase variant) {
  static const auto& rows = *[] {
    auto* all = new absl::flat_hash_map<int, const CommandRow*>;
    for (const auto& of_one_file : {SessionCommands(), LoopCommands(), SocketCommands(), TlsCommands(),
                                    TransportCommands(), ServerCommands(), DatagramCommands(), SubprocessCommands()}) {
      for (const CommandRow& row : of_one_file) (*all)[row.variant] = &row;
    }
    return all;
  }();
  const auto found = rows.find(variant);
  return found == rows.end() ? nullptr : found->second;
}

}  // namespace transportd
