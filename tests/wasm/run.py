#!/usr/bin/env python3
"""Compiles attest-core for wasm32-unknown-unknown, and verifies a recorded quote in the module with Node.js.

    python3 tests/wasm/run.py [--installed]

The standard library for that target comes with the toolchain (`rustup target add wasm32-unknown-unknown`), or is built
from the sources of Debian's rust-web-src by its rustc-web. Without `--installed`, what is missing is installed with
apt-get, where that is possible. Where it is not, and where there is no recording, what needs it is skipped by name. The
last line is `N passed, N failed, N skipped`.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = "wasm32-unknown-unknown"
DEBIAN_RUSTC = Path("/usr/bin/rustc")
DEBIAN_SOURCES = Path("/usr/lib/rustlib/src/rust/library")
RECORDING = "tdx-v4-phala-b0c06f"
INSTALL_SECONDS, BUILD_SECONDS, RUN_SECONDS = 600, 1800, 120


def rust_version(rustc):
    version = subprocess.run([rustc, "--version"], cwd=ROOT, capture_output=True, text=True)
    return tuple(map(int, version.stdout.split()[1].split(".")[:2])) if version.returncode == 0 else (0, 0)


def build_options():
    """Arguments and environment for cargo, or why there are none."""
    for tool in ("clang", "wasm-ld", "llvm-ar"):
        if not shutil.which(tool):
            return None, f"there is no {tool}"
    environment = {
        "CC_wasm32_unknown_unknown": "clang",
        "AR_wasm32_unknown_unknown": "llvm-ar",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER": "wasm-ld",
    }
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, capture_output=True, text=True)
    if (Path(sysroot.stdout.strip()) / "lib/rustlib" / TARGET).is_dir():
        return ([], environment), None
    needed = rust_version("rustc")
    if not DEBIAN_RUSTC.exists() or not DEBIAN_SOURCES.is_dir():
        return None, f"there is no standard library for {TARGET}, and no rustc-web to build it with"
    if rust_version(DEBIAN_RUSTC) < needed:
        return None, f"Debian's rustc is older than {needed[0]}.{needed[1]}"
    # The compiler is a released one that takes unstable options all the same.
    environment |= {"RUSTC": str(DEBIAN_RUSTC), "RUSTC_BOOTSTRAP": "1"}
    return (["-Z", "build-std=std,panic_abort"], environment), None


def vectors():
    named = os.environ.get("SEALGATE_VECTORS")
    folder = Path(named) if named else ROOT.parent / "shared/vectors"
    return folder if (folder / "index.json").is_file() else None


def recorded(folder):
    """Quote, collateral and the time at which they were verified."""
    index = json.loads((folder / "index.json").read_text())
    vector = next(it for it in index["vectors"] if it["id"] == RECORDING)
    case = vector["cases"][0]
    at = datetime.fromisoformat(case["at"].replace("Z", "+00:00"))
    return folder / vector["files"]["evidence"], folder / case["collateral"], int(at.timestamp())


def install():
    """What cannot be installed in time is missing, and what needs it is skipped."""
    try:
        subprocess.run([HERE / "install.sh"], stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"not installed: {error}")


def fetch(options):
    """Downloads the crates, those of the standard library too if it is built. Returns whether they are there."""
    arguments, environment = options
    # Without --locked: this lock follows attest-core's dependencies, and is no reason to fail where it is behind them.
    command = ["cargo", "fetch", "--target", TARGET, *arguments]
    try:
        fetched = subprocess.run(command, cwd=HERE, env=os.environ | environment, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return fetched.returncode == 0


def build(options):
    arguments, environment = options
    command = ["cargo", "build", "--release", "--offline", "--target", TARGET,
               "--target-dir", ROOT / "target/wasm", *arguments]
    try:
        built = subprocess.run(command, cwd=HERE, env=os.environ | environment, timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"the build takes longer than {BUILD_SECONDS} s")
        return None
    return ROOT / "target/wasm" / TARGET / "release/sealgate_wasm.wasm" if built.returncode == 0 else None


def verify(module):
    """Runs the module. Gives how many checks passed, failed and were skipped."""
    folder = vectors()
    node = shutil.which("node")
    if not folder or not node:
        missing = "recorded vectors not found (set SEALGATE_VECTORS)" if node else "there is no node"
        print(f"verification in WebAssembly: {missing}")
        return 0, 0, 1
    command = [node, HERE / "verify.mjs", module, *map(str, recorded(folder))]
    run = subprocess.run(command, timeout=RUN_SECONDS, capture_output=True, text=True)
    *lines, last = run.stdout.splitlines() or [""]
    print("\n".join(lines))
    words = last.split()
    if len(words) != 4:
        print(last, run.stderr[-2000:])
        return 0, 1, 0
    return int(words[0]), int(words[2]), 0


def main():
    if "--installed" not in sys.argv[1:]:
        install()
    options, reason = build_options()
    if options is not None and not fetch(options):
        options, reason = None, "its crates cannot be fetched"
    if options is None:
        print(f"skipped: attest-core for {TARGET}: {reason}")
        print("0 passed, 0 failed, 1 skipped")
        return
    module = build(options)
    if module is None:
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)
    print(f"attest-core compiles for {TARGET}: {module.stat().st_size} bytes")
    passed, failed, skipped = verify(module)
    print(f"{passed + 1} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
