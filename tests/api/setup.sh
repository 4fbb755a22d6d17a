#!/bin/sh
# Installs the validators for JSON Schema and OpenAPI, pinned, below target/api. Running it again changes nothing.
# The last line printed is the Python interpreter that has them, or why there is none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SEALGATE_API:-$here/../../target/api}
mkdir -p "$home"
home=$(cd "$home" && pwd)

python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "tests/api needs Python 3 ($python was not found)" >&2; exit 1; }

# A copy of the list that was installed, written last: an interrupted installation is repeated.
if ! cmp -s "$here/requirements.txt" "$home/python.installed" || [ ! -x "$home/venv/bin/python" ]; then
    rm -rf "$home/venv" "$home/python.installed"
    "$python" -m venv "$home/venv"
    if ! "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --requirement "$here/requirements.txt" >"$home/pip.log" 2>&1; then
        tail -n 3 "$home/pip.log" >&2
        rm -rf "$home/venv"
        echo "skipped: jsonschema and schemathesis could not be installed"
        exit 0
    fi
    cp "$here/requirements.txt" "$home/python.installed"
fi

echo "$home/venv/bin/python"
