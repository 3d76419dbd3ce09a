# Sourced by the other scripts: a virtual environment with the product, made once and kept.
# NAPARI_WSSS_VENV chooses its folder (default .venv). Needs only sh, apt where it may, and python3 >= 3.11.
set -eu
cd "$(dirname "$0")/.."
venv=${NAPARI_WSSS_VENV:-.venv}

window_packages="xvfb xauth libgl1 libgl1-mesa-dri libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 \
libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libdbus-1-3 libfontconfig1 libglib2.0-0"

missing_packages() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
    done
}

# install_packages WHY PACKAGE...: by apt where that is allowed, else names them and fails.
install_packages() {
    why=$1
    shift
    command -v dpkg-query >/dev/null 2>&1 || return 0 # not Debian: pip's wheels and the system's own libraries must do
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    if [ -z "$as_root" ] || sudo -n true 2>/dev/null; then
        echo "installing by apt ($why): $missing"
        $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null && return 0
    fi
    echo "missing system packages ($why); install them with: sudo apt install $missing" >&2
    return 1
}

find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# make_environment EXTRAS: installs the product, editable, with these extras.
make_environment() {
    if [ ! -x "$venv/bin/python" ]; then
        python=$(find_python) || { install_packages "Python" python3 python3-venv && python=$(find_python); } || {
            echo "Python 3.11 or newer is needed" >&2
            return 1
        }
        "$python" -c 'import ensurepip' 2>/dev/null || install_packages "virtual environments" python3-venv || return 1
        "$python" -m venv "$venv" || return 1
    fi
    stamp="$venv/installed-$(cat pyproject.toml napari.yaml | cksum | tr ' ' -)-$(echo "$1" | tr , -)"
    if [ ! -e "$stamp" ]; then
        echo "installing into $venv (PyTorch is large; this takes some minutes the first time)"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$1]" || return 1
        touch "$stamp"
    fi
}
