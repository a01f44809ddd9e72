# Sourced by ./go and ./check. prepare EXTRAS: .venv with the pinned packages; done again only when
# the pins, this package's requirements or its place have changed.

find_python() {
    for name in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "python3: Python 3.11 or newer is needed; install it, or name it: PYTHON=/path/to/python" >&2
    return 1
}

prepare() {
    venv=$PWD/.venv
    stamp=$venv/stamp-${1:-run}
    sum=$({ echo "$PWD $1"; cat constraints.txt pyproject.toml; } | cksum)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
        return
    fi
    python=$(find_python)
    echo "Setting up $venv (once; about 1 GB with PyTorch)"
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear "$venv" || {
            echo "$venv: Python's venv module does not work; on Debian: apt install python3-venv" >&2
            return 1
        }
    fi
    install setuptools
    install --no-build-isolation -e ".${1:+[$1]}"
    echo "$sum" >"$stamp"
}

# UNMIST_PIP_ARGS: options for pip, such as the place of PyTorch's builds for one kind of machine.
install() {
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check ${UNMIST_PIP_ARGS:-} \
        --constraint constraints.txt "$@" </dev/null
}
