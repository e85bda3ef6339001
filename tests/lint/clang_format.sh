#!/bin/sh
# The tracked C++ sources are formatted as .clang-format says: clang_format.sh [fix]. With `fix`, they are made so.
set -eu
cd "$(dirname -- "$0")/../.."

if printf 'int  a;\n' | clang-format-14 --style=file --dry-run -Werror 2>/dev/null; then
  echo "clang-format accepted a bad sample"
  exit 1
fi

sources() {
  if [ -e .git ]; then
    git -c safe.directory="$PWD" ls-files -z -- '*.h' '*.cc'
  else
    find proto transports server clients tests \( -name '*.h' -o -name '*.cc' \) -print0
  fi
}

if [ "${1-}" = fix ]; then
  sources | xargs -0 clang-format-14 -i
  exit
fi
if ! offences=$(sources | xargs -0 clang-format-14 --dry-run -Werror 2>&1); then
  echo "These are not formatted; tests/lint/clang_format.sh fix does it:"
  printf '%s\n' "$offences" | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort | uniq -c
  exit 1
fi
