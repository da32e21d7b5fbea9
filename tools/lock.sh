#!/bin/sh
# Renews requirements/*.txt from requirements/*.in: hashed, for every platform, without addresses.
set -eu
cd "$(dirname "$0")/../requirements"
command -v uv >/dev/null 2>&1 || { echo "lock: uv is missing (https://docs.astral.sh/uv/)" >&2; exit 1; }
for name in runtime dev localcloud; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
        --no-header "$@" --output-file "$name.txt" "$name.in"
done
