#!/bin/sh
# Installs what is missing of the named lists of Debian 12 packages.
#
#   deploy/packages/install.sh LIST…     LIST.txt beside this script: one package a line, `#` begins a comment
#
# Needs root or sudo, but only when something is missing. Exit status: 0 all installed; 1 not possible, and why.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
log=${TMPDIR:-/tmp}/transportd-packages.$$.log
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }
die() { printf '%s error: %s\n' "$(date +%H:%M:%S)" "$*" >&2; exit 1; }

wanted() {
  for list; do sed 's/#.*//' "$here/$list.txt"; done | tr -s '[:space:]' '\n' | sed '/^$/d' | sort -u
}

# The packages of standard input that are not installed.
missing() {
  while read -r package; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
      installed*) ;;
      *) echo "$package" ;;
    esac
  done
}

require_debian_12() {
  id='' version=''
  if [ -r /etc/os-release ]; then
    id=$(sed -n 's/^ID=//p' /etc/os-release)
    version=$(sed -n 's/^VERSION_ID="\(.*\)"$/\1/p' /etc/os-release)
  fi
  [ "$id $version" = "debian 12" ] || die "these are packages of Debian 12, and this is ${id:-unknown} $version." \
    "Install their equivalents by hand ($here/*.txt) and pass --no-install."
}

# Runs apt-get with its output in the log; shows its progress, one line every few seconds.
apt() {
  status_file=$log.status
  {
    { $sudo apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o APT::Status-Fd=3 "$@" \
        3>&1 1>>"$log" 2>&1 </dev/null; echo $? >"$status_file"; } | {
      last=0
      while IFS=: read -r kind _ percent text; do
        now=$(date +%s)
        [ $((now - last)) -ge 3 ] || continue
        last=$now
        case $kind in
          dlstatus) say "  fetching    ${percent%%.*} %" ;;
          pmstatus) say "  installing  ${percent%%.*} %  $text" ;;
        esac
      done
    }
  }
  result=$(cat "$status_file")
  rm -f "$status_file"
  return "$result"
}

[ $# -gt 0 ] || die "usage: $0 LIST…"
for list; do [ -r "$here/$list.txt" ] || die "no list of packages named '$list' in $here"; done
command -v dpkg-query >/dev/null || require_debian_12
packages=$(wanted "$@")
lacking=$(printf '%s\n' "$packages" | missing | tr '\n' ' ')
if [ -z "$lacking" ]; then
  say "packages ($*): all installed"
  exit 0
fi

require_debian_12
if [ "$(id -u)" = 0 ]; then
  sudo=''
elif command -v sudo >/dev/null; then
  sudo='sudo --preserve-env=DEBIAN_FRONTEND,LC_ALL'
  sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } ||
    die "sudo asks for a password and there is no terminal to ask on. Run this as root: apt-get install $lacking"
else
  die "packages are missing, and this is neither root nor is there sudo. As root: apt-get install $lacking"
fi

trap 'rm -f "$log"' EXIT
say "packages ($*): to install: $lacking"
say "  fetching the lists of packages"
apt update || { tail -n 20 "$log" >&2; die "apt-get update failed: is the network there?"; }
# shellcheck disable=SC2086  # one word a package
apt install --no-install-recommends $lacking || { tail -n 20 "$log" >&2; die "apt-get install failed; see above"; }
say "packages ($*): installed"
