#!/bin/sh
# Installs the OpenAI clients, pinned, below target/clients. Running it again changes nothing.
# The last line printed is the Python interpreter that has the client.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SEALGATE_CLIENTS:-$here/../../target/clients}
mkdir -p "$home"
home=$(cd "$home" && pwd)

python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "tests/clients needs Python 3 ($python was not found)" >&2; exit 1; }
command -v npm >/dev/null || { echo "tests/clients needs Node.js with npm (npm was not found)" >&2; exit 1; }

# A copy of what was installed from, written last: an interrupted installation is done again.
if ! cmp -s "$here/requirements.txt" "$home/python.installed" || [ ! -x "$home/venv/bin/python" ]; then
    rm -rf "$home/venv" "$home/python.installed"
    "$python" -m venv "$home/venv"
    "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$home/python.installed"
fi

if ! cmp -s "$here/package-lock.json" "$home/node.installed" || [ ! -d "$home/node_modules/openai" ]; then
    rm -f "$home/node.installed"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$home/"
    (cd "$home" && npm ci --silent --no-fund --no-audit) >&2
    cp "$here/package-lock.json" "$home/node.installed"
fi

echo "$home/venv/bin/python"
