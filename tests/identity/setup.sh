#!/bin/sh
# Installs the identity provider for tests/identity below target/identity, pinned. Running it again changes nothing. Where
# the packages cannot be had, the last line says that the suite is skipped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SEALGATE_IDENTITY:-$here/../../target/identity}
mkdir -p "$home"
home=$(cd "$home" && pwd)

command -v npm >/dev/null || { echo "skipped: the identity provider needs Node.js with npm (npm was not found)"; exit 0; }

# A copy of what was installed from, written last: an interrupted installation is done again.
if ! cmp -s "$here/package-lock.json" "$home/node.installed" || [ ! -d "$home/node_modules/oidc-provider" ]; then
    rm -f "$home/node.installed"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$home/"
    (cd "$home" && npm ci --silent --no-fund --no-audit) >&2
    cp "$here/package-lock.json" "$home/node.installed"
fi
# ES modules are looked for beside the file that imports them.
cp "$here/provider.mjs" "$home/"
