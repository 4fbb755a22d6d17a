#!/bin/sh
# Installs Debian's age, with which tests open what was sealed. Does nothing where it is there already, and nothing
# where it cannot be had: those tests then skip by name.
command -v age >/dev/null && command -v age-keygen >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
export DEBIAN_FRONTEND=noninteractive
get() {
    apt-get -o DPkg::Lock::Timeout=30 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@" >/dev/null 2>&1
}
get install --yes --no-install-recommends age || { get update && get install --yes --no-install-recommends age; } ||
    echo "age cannot be installed with apt-get; what needs it is skipped"
