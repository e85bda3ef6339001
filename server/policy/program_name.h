// What a program may be called by those who run it.
#ifndef TRANSPORTD_SERVER_POLICY_PROGRAM_NAME_H_
#define TRANSPORTD_SERVER_POLICY_PROGRAM_NAME_H_

#include <string_view>

namespace transportd {

// Whether argv[0] `name` names `program`, an absolute path without symbolic links: its last component is the program's,
// or that of a link to it beside it, in /usr/bin or in /bin, as the host has them (`sh`, `python3`). A link elsewhere
// may be a client's own, who must not choose so which one of several in a file it runs. Blocks as disks do. Threading:
// any thread.
bool IsNameOfProgram(std::string_view name, std::string_view program);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PROGRAM_NAME_H_
