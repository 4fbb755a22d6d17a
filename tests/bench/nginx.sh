#!/bin/sh
# Unpacks Debian's nginx into target/nginx for `make bench`; nothing is installed. If that is not possible here, the
# bench skips nginx by name.
set -eu
cd "$(dirname "$0")/../.."
if command -v nginx >/dev/null 2>&1 || [ -x target/nginx/usr/sbin/nginx ] || [ -x /usr/sbin/nginx ]; then
  exit 0
fi
command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if (cd "$folder" && apt-get download -qq nginx >/dev/null 2>&1); then
  mkdir -p target/nginx
  dpkg-deb -x "$folder"/nginx_*.deb target/nginx
fi
