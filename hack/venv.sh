#!/usr/bin/env bash
# Makes or refreshes the virtual environment: hack/venv.sh DIR
#
# Every package comes from requirements/dev.txt and must match its hash. The project itself is linked, not copied.
# PYTHON names the interpreter; without it the first Python 3.11 or newer on PATH is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: hack/venv.sh DIR}

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "error: no Python 3.11 or newer on PATH; install one, or name it: make venv PYTHON=/path/to/python3" >&2
    return 1
}

# Some distributions ship Python without ensurepip; a pip elsewhere on the machine can still fill the environment.
create() {
    local python=$1
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$venv"
        "$python" -m pip --python "$venv/bin/python" install --quiet pip
    else
        echo "error: $python has neither ensurepip nor pip; on Debian or Ubuntu: apt-get install python3-venv" >&2
        return 1
    fi
}

# Two targets started side by side on a fresh clone must not fill the same folder.
mkdir -p .cache
exec 9>.cache/venv.lock
if command -v flock >/dev/null; then flock 9; fi

started=$SECONDS
# A finished environment is updated in place, so that commands running from it keep working.
if compgen -G "$venv/.ready-*" >/dev/null && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "[1/3] the virtual environment in $venv is there; bringing it up to date"
else
    python=$(find_python)
    echo "[1/3] virtual environment in $venv with $("$python" --version) ($python)"
    create "$python"
fi

# The lock file is complete, so there is nothing to resolve; bytecode is compiled at first import, which spares the
# thousands of modules of the Kubernetes client that nobody imports.
count=$(grep -c '^[a-zA-Z0-9].*==' requirements/dev.txt)
echo "[2/3] $count packages, each checked against its hash (the first time half a minute, 100 MB to download)"
"$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --no-compile --require-hashes \
    -r requirements/dev.txt |
    awk '/^Collecting / {n++; if (n % 20 == 0) print "      " n " packages fetched"; fflush()}
         /^Installing collected/ {print "      unpacking"; fflush()}'

echo "[3/3] linking sparkrelease into it"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
echo "      ready after $((SECONDS - started)) s"
