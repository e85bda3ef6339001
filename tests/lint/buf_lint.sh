#!/bin/sh
# buf's style rules over the contract: buf_lint.sh TOOLS. buf comes from npm, once, into TOOLS.
# Exit status: 0 clean; 1 an offence, or buf could not be had; 77 there is no npm here (the test counts as skipped).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
mkdir -p "$1"
tools=$(CDPATH='' cd -- "$1" && pwd)
version=1.75.0
buf=$tools/node_modules/.bin/buf

if [ "$("$buf" --version 2>/dev/null || true)" != "$version" ]; then
  command -v npm >/dev/null || { echo "skipped: there is no npm here to get buf with"; exit 77; }
  npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version"
fi

# The rules must be in force: a contract that breaks them is reported.
sample=$(mktemp -d)
trap 'rm -rf "$sample"' EXIT
cp "$root/proto/buf.yaml" "$sample/"
printf 'syntax = "proto3";\npackage sample;\nenum badName { zero = 0; }\n' >"$sample/bad.proto"
if (cd "$sample" && "$buf" lint >/dev/null 2>&1); then
  echo "buf lint accepted a bad sample"
  exit 1
fi

cd "$root/proto"
"$buf" lint
