#!/bin/sh
# ruff over the Python client, its tests, its benchmark, and the tests of the images: python_style.sh ENVIRONMENT [fix]. With `fix`, what can be repaired is.
set -eu
ruff=$(CDPATH='' cd -- "$1" && pwd)/bin/ruff
cd "$(dirname -- "$0")/../.."

# The rules must be in force: a module that breaks them is reported.
for sample in 'x = 1' '"""A sample."""

import os'; do
  if printf '%s\n' "$sample" | "$ruff" check --no-cache --quiet --stdin-filename clients/python/src/sample.py - >/dev/null; then
    echo "ruff accepted a bad sample"
    exit 1
  fi
done
if printf 'x=1\n' | "$ruff" format --no-cache --quiet --check --stdin-filename tests/python/sample.py - >/dev/null; then
  echo "ruff format accepted a bad sample"
  exit 1
fi

checked='clients/python tests/python tests/bench/python tests/python/environment tests/deploy/image'
# shellcheck disable=SC2086  # one word a path
if [ "${2-}" = fix ]; then
  "$ruff" check --no-cache --fix $checked || true
  "$ruff" format --no-cache $checked
else
  status=0
  "$ruff" check --no-cache $checked || status=1
  "$ruff" format --no-cache --check $checked || status=1
  [ $status = 0 ] || echo "What ruff can repair: tests/lint/python_style.sh ENVIRONMENT fix"
  exit $status
fi
