#!/bin/sh
# Installs Debian's compiler for WebAssembly with the sources of Rust's standard library, and clang, which compiles
# ring's C for that target. Does nothing where they are there already, and nothing where they cannot be had: the check
# then skips by name.
std="$(rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32-unknown-unknown"
wanted="clang lld llvm"
[ -d "$std" ] || wanted="$wanted rustc-web rust-web-src"
command -v clang >/dev/null && command -v wasm-ld >/dev/null && command -v llvm-ar >/dev/null &&
    { [ -d "$std" ] || [ -d /usr/lib/rustlib/src/rust/library ]; } && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
export DEBIAN_FRONTEND=noninteractive
get() {
    apt-get -o DPkg::Lock::Timeout=30 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@" >/dev/null 2>&1
}
# An old list may name an old compiler, so it is renewed first.
get update
get install --yes --no-install-recommends $wanted ||
    echo "$wanted cannot be installed with apt-get; what needs them is skipped"
