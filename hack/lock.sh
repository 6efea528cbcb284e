#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt: hack/lock.sh VENV [uv options, e.g. --upgrade]
#
# One universal resolution for every Python from 3.11 on and every platform, each file with its hash. The files name
# no package index: where packages come from is the business of the machine that installs them.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: hack/lock.sh VENV [uv options]}
shift
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r requirements/lock.txt

compile() {
    local output=$1
    shift
    "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
    echo "$output: $(grep -c '^[a-zA-Z0-9].*==' "$output") packages"
}

compile requirements/runtime.txt pyproject.toml "$@"
compile requirements/dev.txt pyproject.toml --group dev --constraint requirements/runtime.txt "$@"
compile requirements/lock.txt --group lock "$@"
