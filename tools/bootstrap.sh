#!/bin/sh
# Prepares a checkout: two Python environments from hashed locks and the pinned CDK command line. Idempotent and quick
# when nothing changed: a stamp in each environment holds the hash of the lock file and of the Python that built it.
#
#   .venv        synthesising, checking, testing (requirements/dev.txt)
#   .venv-cloud  the local cloud's emulator, in whose interpreter the handlers run (requirements/localcloud.txt)
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

works() { "$1" -c "import sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; }

# The version Lambda runs is preferred. A shim that names a version it does not have does not count as one, and an
# environment's interpreter (which an activated .venv puts first) is followed to the one it was made from.
find_python() {
    for candidate in python3.13 python3 python3.14 python3.12 python3.11; do
        if works "$candidate"; then
            "$candidate" -c "import os, sys; print(os.path.realpath(sys.executable))"
            return
        fi
    done
    fail "Python 3.11 or newer is missing (looked for python3.13, python3, python3.14, python3.12, python3.11)"
}

digest() { "$1" -c "import hashlib, sys; print(hashlib.sha256(b''.join(open(f, 'rb').read() for f in sys.argv[1:])).hexdigest())" "$2"; }

environment() { # folder, lock file
    stamp="$1/.stamp"
    wanted="$("$python" -VV) $(digest "$python" "$2")"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && works "$1/bin/python"; then
        return
    fi
    echo "setup: $1 from $2 ($("$python" -V))"
    rm -rf "$1"
    "$python" -m venv "$1" || fail "python's venv module is missing (on Debian and Ubuntu: apt install python3-venv)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$2" ||
        fail "$2 could not be installed (see above)"
    printf '%s' "$wanted" >"$stamp"
}

command_line() {
    command -v node >/dev/null 2>&1 || fail "Node.js 20 or newer is missing (node)"
    command -v npm >/dev/null 2>&1 || fail "npm is missing (it comes with Node.js 20 or newer)"
    [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" = true ] ||
        fail "Node.js 20 or newer is missing (node is $(node --version))"
    stamp=node_modules/.stamp
    wanted="$(node --version) $(digest "$python" package-lock.json)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x node_modules/.bin/cdk ]; then
        return
    fi
    echo "setup: node_modules from package-lock.json (node $(node --version))"
    npm ci --loglevel=error --no-audit --no-fund --no-progress || fail "package-lock.json could not be installed (see above)"
    printf '%s' "$wanted" >"$stamp"
}

python="$(find_python)" || exit 1
environment .venv requirements/dev.txt &
first=$!
environment .venv-cloud requirements/localcloud.txt &
second=$!
command_line &
third=$!
status=0
for job in "$first" "$second" "$third"; do
    wait "$job" || status=1
done
[ "$status" = 0 ] || exit "$status"

# The tools import the platform's own packages; the emulator's environment must not, it has the layers.
.venv/bin/python -c "
import pathlib, sysconfig
here = pathlib.Path.cwd()
path = pathlib.Path(sysconfig.get_path('purelib')) / 'commerce-platform.pth'
wanted = ''.join(f'{here / part}\\n' for part in ('layers/commerce/python', 'functions', ''))
path.exists() and path.read_text() == wanted or path.write_text(wanted)
"
