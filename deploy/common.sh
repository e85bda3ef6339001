# shellcheck shell=bash
# What deploy/quickstart, tests/run, tests/bench/run and .ci/run share: messages, packages, build. To be sourced by bash.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%(%H:%M:%S)T %s\n' -1 "$*"; }
die() {
  printf '%(%H:%M:%S)T error: %s\n' -1 "$*" >&2
  exit 1
}

# install_packages LIST…: the lists are those of deploy/packages.
install_packages() {
  "$root/deploy/packages/install.sh" "$@" || die "set-up failed"
}

# As many compilers as there are cores, but no more than memory allows: gRPC's headers take up to a gigabyte each.
job_count() {
  local cores memory_kib
  cores=$(nproc)
  memory_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null || echo 0)
  local fitting=$((${memory_kib:-0} / 1000000))
  ((fitting >= 1)) || fitting=1
  echo $((fitting < cores ? fitting : cores))
}

# build_preset PRESET [TARGET…]: configures build/PRESET and builds it, or the targets only, with progress.
build_preset() {
  local preset=$1 targets=() log="$root/build/$1-configure.log"
  if (($# > 1)); then targets=(--target "${@:2}"); fi
  mkdir -p "$root/build"
  say "configuring preset $preset"
  (cd "$root" && cmake --preset "$preset" </dev/null) >"$log" 2>&1 || {
    cat "$log" >&2
    die "cmake could not configure preset $preset; see above"
  }
  # So that another checkout's objects serve this one, and this one's the image (deploy/docker/Dockerfile).
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true LANG=C.UTF-8
  say "building preset $preset"
  (cd "$root" && NINJA_STATUS='[%f/%t %p %es] ' cmake --build --preset "$preset" "${targets[@]}" --parallel "$(job_count)" \
    </dev/null) ||
    die "the build of preset $preset failed; see above"
}
