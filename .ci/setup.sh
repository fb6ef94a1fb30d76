#!/usr/bin/env bash
# Makes .venv with everything that the make targets need, on a bare Debian-like machine.
# Installs system packages only when something is missing; instant and offline when done.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer on the PATH; install one, or name it: PYTHON=/path/to/python make"
}

missing_system_packages() {
    "$python" -c 'import ensurepip' 2>/dev/null || echo python3-venv
    # hnswlib has no wheels: pip compiles it.
    "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || echo python3-dev
    command -v c++ >/dev/null || echo g++
    # sounddevice has no PortAudio of its own on Linux; ldconfig is not on every user's PATH.
    PATH="$PATH:/usr/sbin:/sbin" ldconfig -p | grep 'libportaudio\.so\.2' >/dev/null || echo libportaudio2
    # The tests of the MQTT output start a broker of their own, and make certificates for it.
    PATH="$PATH:/usr/sbin:/sbin" command -v mosquitto >/dev/null || echo mosquitto
    command -v openssl >/dev/null || echo openssl
}

install_system_packages() {
    local as_root=()
    command -v apt-get >/dev/null || fail "install these first (Debian's names): $*"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, run: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing system packages to build, run and test with: $*"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

python=$(find_python)
stamp=.venv/installed
wanted=$(cat pyproject.toml constraints.txt | sha256sum)
if [ -x .venv/bin/edge-asd ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

mapfile -t packages < <(missing_system_packages)
[ ${#packages[@]} -eq 0 ] || install_system_packages "${packages[@]}"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
say "installing Python packages; PyTorch is the large one, this takes a few minutes"
# Compiled here without the processor's extensions, and never from pip's cache: a wheel
# built for another processor dies with "Illegal instruction".
HNSWLIB_NO_NATIVE=1 .venv/bin/python -m pip install -q --no-cache-dir -c constraints.txt hnswlib
.venv/bin/python -m pip install -q -c constraints.txt -e '.[export,dev]'
printf '%s\n' "$wanted" >"$stamp"
say "done"
