#!/usr/bin/env bash
# Makes .venv with everything that the make targets need, on a bare Debian-like machine:
#   .ci/setup.sh [tests]    "tests" adds the system packages that only the tests need
# Installs only what is missing; instant and offline when nothing is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The documented place of PyTorch's builds without CUDA. On the ordinary index, PyTorch for
# x86-64 is the build with CUDA.
torch_cpu_index=https://download.pytorch.org/whl/cpu
pci_devices=/sys/bus/pci/devices
system_folders=/usr/sbin:/sbin # not on every user's PATH
call_it="call it as .venv/bin/edge-asd, or first type: . .venv/bin/activate"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The first Python that is new enough; empty when there is none at all.
find_python() {
    local candidate old=
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        ! command -v "$candidate" >/dev/null || old=$candidate
    done
    [ -z "$old" ] ||
        fail "$old is older than Python 3.11; install a newer one, or name it: PYTHON=/path/to/python make"
}

# What has to be there for .venv to be made.
missing_build_packages() {
    if [ -z "$1" ]; then
        printf '%s\n' python3 python3-venv python3-dev
    else
        "$1" -c 'import ensurepip' 2>/dev/null || echo python3-venv
        # hnswlib has no wheels: pip compiles it.
        "$1" -c 'import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || echo python3-dev
    fi
    command -v c++ >/dev/null || echo g++
    # sounddevice has no PortAudio of its own on Linux.
    PATH="$PATH:$system_folders" ldconfig -p | grep 'libportaudio\.so\.2' >/dev/null || echo libportaudio2
}

# The tests of the MQTT output start brokers of their own, and make certificates for them;
# strace shows that a monitor talks to nobody.
missing_test_packages() {
    PATH="$PATH:$system_folders" command -v mosquitto >/dev/null || echo mosquitto
    command -v openssl >/dev/null || echo openssl
    command -v strace >/dev/null || echo strace
}

# Run by root. No package starts a service while it is installed (policy-rc.d is asked before),
# and the broker's stays off: the tests start their own.
# shellcheck disable=SC2016
install_as_root='
set -e
policy=/usr/sbin/policy-rc.d ours=
finish() {
    [ -z "$ours" ] || rm -f "$policy"
    case " $* " in *" mosquitto "*)
        if command -v systemctl >/dev/null; then
            systemctl disable --quiet mosquitto || true
        else
            update-rc.d mosquitto disable || true
        fi
    esac
}
trap "finish $*" EXIT
trap "exit 130" INT TERM
if [ ! -e "$policy" ]; then
    ours=yes
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
'

install_system_packages() {
    local by_hand="apt-get update && apt-get install --no-install-recommends $*" as_root=()
    case " $* " in *" mosquitto "*)
        by_hand+=" && systemctl disable --now mosquitto  # the tests start their own" ;;
    esac
    command -v apt-get >/dev/null || fail "install these first (Debian's names): $*"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "system packages are missing; let root run this, then run make again:
    $by_hand"
        as_root=(sudo)
    fi
    say "installing system packages${as_root[*]:+ with sudo}: $*"
    "${as_root[@]}" sh -c "$install_as_root" setup "$@" >&2 ||
        fail "the system packages could not be installed (is there a network?); let root run this, then run make again:
    $by_hand"
}

has_nvidia_card() {
    local device
    nvidia-smi -L 2>/dev/null | grep '^GPU' >/dev/null && return
    for device in "$pci_devices"/*; do
        [[ $(cat "$device/vendor" 2>/dev/null) == 0x10de &&
            $(cat "$device/class" 2>/dev/null) == 0x03* ]] && return
    done
    return 1
}

pip_install() {
    .venv/bin/python -m pip --disable-pip-version-check install "$@" >&2
}

install_python_packages() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $("$1" --version)"
        "$1" -m venv --clear .venv || return
    fi
    if [ "${TORCH:-}" = cuda ] || { [ "${TORCH:-}" != cpu ] && has_nvidia_card; }; then
        say "PyTorch with CUDA, for the NVIDIA card: 2.7 GB to download (without CUDA: TORCH=cpu make)"
    else
        say "PyTorch without CUDA, since there is no NVIDIA card: 190 MB to download (with CUDA: TORCH=cuda make)"
        pip_install --retries 1 --no-deps --index-url "$torch_cpu_index" \
            "$(grep '^torch==' constraints.txt)" ||
            say "there is none at $torch_cpu_index; PyTorch comes from the ordinary index:" \
                "on x86-64 the build with CUDA, 2.7 GB to download with its parts"
    fi
    say "hnswlib, which is compiled here: a minute"
    # Without the processor's extensions, and never from pip's cache: a wheel built for
    # another processor dies with "Illegal instruction".
    HNSWLIB_NO_NATIVE=1 pip_install --no-cache-dir -c constraints.txt hnswlib || return
    say "all other Python packages: 170 MB to download"
    pip_install -c constraints.txt -e '.[export,dev]'
}

# What .venv was made from; another Python or place makes it useless, too.
fingerprint() {
    { cat pyproject.toml constraints.txt; pwd; .venv/bin/python --version 2>&1; } | sha256sum
}

is_complete() {
    [ -x .venv/bin/edge-asd ] && [ "$(cat .venv/installed 2>/dev/null)" = "$(fingerprint)" ]
}

main() {
    local python packages=()
    if ! is_complete; then
        python=$(find_python)
        mapfile -t packages < <(missing_build_packages "$python")
    fi
    [ "${1:-}" != tests ] || mapfile -t -O "${#packages[@]}" packages < <(missing_test_packages)
    [ ${#packages[@]} -eq 0 ] || install_system_packages "${packages[@]}"
    if is_complete; then
        say "nothing to install; $call_it"
        return
    fi
    python=$(find_python)
    install_python_packages "$python" ||
        fail "pip could not install everything (is there a network?); make tries again"
    fingerprint >.venv/installed
    say "done; $call_it"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main "$@"
fi
