# Sourced by the scripts beside it: what hive needs from Debian or Ubuntu, and a virtual environment in .venv.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON="${PYTHON:-python3}"

apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "note: please install ${missing[*]} (without bubblewrap nothing isolates a build)" >&2; return; }
        sudo="sudo"
    fi
    echo "installing ${missing[*]}" >&2
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# setup EXTRAS: bubblewrap, .venv, and hive in it with these extras, editable.
setup() {
    if command -v apt-get >/dev/null; then
        apt_install bubblewrap
        "$PYTHON" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    fi
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: hive needs Python 3.11 or newer, this is $("$PYTHON" -V)" >&2; exit 1; }
    [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
    # Once per state of pyproject.toml and set of extras.
    local stamp
    stamp="$(sha256sum pyproject.toml | cut -c1-16) $1"
    if [ "$(cat .venv/hive-setup 2>/dev/null)" != "$stamp" ]; then
        echo "installing hive[$1] into .venv" >&2
        .venv/bin/pip install --quiet --disable-pip-version-check -e ".[$1]"
        echo "$stamp" > .venv/hive-setup
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}
