#!/bin/sh
# Installs what drives a browser below target/console, pinned, and a browser from the distribution where there is none
# and apt-get may be used. Running it again changes nothing. The last line printed is the browser, or why there is none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SEALGATE_CONSOLE:-$here/../../target/console}
mkdir -p "$home"
home=$(cd "$home" && pwd)

command -v npm >/dev/null || { echo "tests/console needs Node.js with npm (npm was not found)" >&2; exit 1; }

# A copy of what was installed from, written last: an interrupted installation is done again.
if ! cmp -s "$here/package-lock.json" "$home/node.installed" || [ ! -d "$home/node_modules/playwright-core" ]; then
    rm -f "$home/node.installed"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$home/"
    (cd "$home" && npm ci --silent --no-fund --no-audit) >&2
    cp "$here/package-lock.json" "$home/node.installed"
fi

browser() {
    if [ -n "${SEALGATE_BROWSER:-}" ]; then
        command -v "$SEALGATE_BROWSER"
    else
        command -v chromium || command -v chromium-browser || command -v google-chrome
    fi
}

install_chromium() {
    apt-get -o DPkg::Lock::Timeout=300 install --yes --quiet --no-install-recommends chromium fonts-dejavu-core
}

if ! browser >/dev/null && [ -z "${SEALGATE_BROWSER:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    log=$home/apt.log
    install_chromium >"$log" 2>&1 \
        || { apt-get -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 && install_chromium >>"$log" 2>&1; } \
        || tail -n 5 "$log" >&2
fi

if found=$(browser); then
    echo "$found" | tee "$home/browser"
else
    rm -f "$home/browser"
    echo "skipped: no browser for the console: install chromium, or name one in SEALGATE_BROWSER"
fi
