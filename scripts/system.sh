#!/usr/bin/env bash
# What the Makefile needs of the system, on Debian and Ubuntu:
#   scripts/system.sh need base|test|fuzz|arm  installs the packages that are missing
#   scripts/system.sh python                   prints the interpreter to make .venv with
#
# Each package is looked for by what it gives, so that one from elsewhere will do.
set -euo pipefail

# The first Python that is new enough. It is run: pyenv has commands that only say "not installed".
python() {
  local name
  for name in python3.11 python3.12 python3.13 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' &>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

have() {
  case $1 in
    python3) python ;;
    python3*-venv) "$(python)" -c 'import ensurepip' ;;
    python3*-dev)
      "$(python)" -c 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h")' ;;
    libgtest-dev) [ -f /usr/include/gtest/gtest.h ] ;;
    libzmq3-dev) [ -f /usr/include/zmq.h ] ;;
    libportaudio2) "$(python)" -c '
import ctypes.util, sys
sys.exit(ctypes.util.find_library("portaudio") is None)' ;;
    libasound2-plugins) compgen -G '/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so' ;;
    pulseaudio-utils) command -v paplay ;;
    clang) command -v clang++ ;;
    g++-aarch64-linux-gnu) command -v aarch64-linux-gnu-g++ ;;
    qemu-user-static) command -v qemu-aarch64-static ;;
    libclang-rt-*-dev) compgen -G "$(clang++ -print-resource-dir)/lib/linux/libclang_rt.fuzzer-*" ;;
    *) command -v "$1" ;;
  esac &>/dev/null
}

# Those of the packages that are not there.
missing() {
  local package
  for package in "$@"; do have "$package" || echo "$package"; done
}

apt() {
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

# Installs what is missing of these packages. The lists are renewed only where that does not work.
install() {
  local packages
  packages=$(missing "$@" | tr '\n' ' ')
  if [ -z "$packages" ] || ! command -v apt-get >/dev/null; then return; fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then return; fi
  echo "installing system packages: $packages" >&2
  # shellcheck disable=SC2086  # a list of words
  apt install -y --no-install-recommends $packages 2>/dev/null ||
    { apt update && apt install -y --no-install-recommends $packages; } || true
}

essential() {
  install "$@"
  local packages
  packages=$(missing "$@" | tr '\n' ' ')
  if [ -n "$packages" ]; then
    echo "stopped: missing on this system, please install: $packages" >&2
    exit 1
  fi
}

optional() {
  local why=$1
  shift
  install "$@"
  local packages
  packages=$(missing "$@" | tr '\n' ' ')
  if [ -n "$packages" ]; then
    echo "going on without these system packages, $why: $packages" >&2
  fi
}

need() {
  case $1 in
    base)
      essential python3  # before its parts, which bear its version in their names
      local version
      version=$(basename "$(python)")
      essential "$version-venv" "$version-dev" g++
      optional "no microphones" libportaudio2
      ;;
    test)
      need base
      essential cmake libgtest-dev
      optional "no test with a subscriber in C" libzmq3-dev
      optional "no tests with virtual microphones" libasound2-plugins pulseaudio pulseaudio-utils
      optional "no test of the page in a browser" chromium
      ;;
    fuzz)
      essential cmake clang
      essential "libclang-rt-$(clang++ -dumpversion | cut -d. -f1)-dev"
      ;;
    arm) essential cmake g++-aarch64-linux-gnu qemu-user-static mmdebstrap ;;
  esac
}

"$@"
