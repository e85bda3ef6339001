#!/bin/sh
# mypy --strict over the Python client, its examples, tests and benchmark: python_types.sh ENVIRONMENT
# The generated messages are those of the package that is installed in ENVIRONMENT.
set -eu
environment=$(CDPATH='' cd -- "$1" && pwd)
cd "$(dirname -- "$0")/../.."

# check SEARCH_PATH FILE…
check() {
  MYPYPATH=$1
  export MYPYPATH
  shift
  "$environment/bin/mypy" --strict --config-file clients/python/pyproject.toml --cache-dir "$environment/mypy" \
    --no-error-summary "$@"
}

sample=$(mktemp -d)
trap 'rm -rf "$sample"' EXIT
printf 'from transportd.v1 import event_loop_pb2\n\nevent_loop_pb2.Open(revision="one")\n' >"$sample/sample.py"
if check clients/python/src "$sample/sample.py" >"$sample/output" || ! grep -q arg-type "$sample/output"; then
  echo "mypy accepted a bad sample, or found something else in it:"
  cat "$sample/output"
  exit 1
fi

status=0
check clients/python/src clients/python/src clients/python/hatch_build.py || status=1
check clients/python/src:clients/python/examples clients/python/examples || status=1
check clients/python/src:tests/bench/python tests/bench/python || status=1
check clients/python/src:tests/python:tests/integration --exclude tests/python/cpython/ tests/python tests/python/environment ||
  status=1
check clients/python/src:tests/python/cpython:tests/integration tests/python/cpython || status=1
exit $status
