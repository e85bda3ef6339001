#include "server/policy/program_name.h"

#include "server/policy/real_paths.h"
#include "transports/base/str_cat.h"

namespace transportd {

bool IsNameOfProgram(std::string_view name, std::string_view program) {
  const std::string_view last = name.substr(name.rfind('/') + 1);
  const size_t slash = program.rfind('/');
  if (slash == std::string_view::npos || last.empty()) return false;
  if (last == program.substr(slash + 1)) return true;
  for (const std::string_view folder :
       {program.substr(0, slash), std::string_view("/usr/bin"), std::string_view("/bin")}) {
    if (RealPath(StrCat(folder, "/", last)) == program) return true;
  }
  return false;
}

}  // namespace transportd
