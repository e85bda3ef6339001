#!/bin/sh
# Every Python file of the project compiles.
set -eu
cd "$(dirname -- "$0")/../.."

files() {
  if [ -e .git ]; then
    git -c safe.directory="$PWD" ls-files -z -- '*.py'
  else
    find . -path ./build -prune -o -name '*.py' -print0
  fi
}
# Not compileall: it would leave __pycache__ beside the sources.
files | xargs -0 /usr/bin/python3 -W error -c '
import sys
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        compile(file.read(), name, "exec", dont_inherit=True)'
