#!/usr/bin/env python3
"""Makes the gateway's image twice, from the programs in target/debug, and compares every byte.

Only the making of images is compared: `make image-repro` builds the programs twice, too. Says `skipped: …` and ends
with 0 where the image's locked packages cannot be had: Debian keeps no old versions in its pools.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"
IMAGE = ["cargo", "run", "--quiet", "--locked", "-p", "enclave-image", "--bin", "image", "--"]


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, **more)


def pid_1():
    """PID 1 has no loader to be started by, so it is linked statically, in a separate folder."""
    folder = ROOT / "target/static"
    flags = dict(os.environ, RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static")
    run(["cargo", "build", "--locked", "--target", TARGET, "--target-dir", folder, "-p", "enclave-init", "--bin", "init"],
        env=flags, check=True)
    return folder / TARGET / "debug/init"


def main():
    # Whether it compiles is no question of packages.
    run(IMAGE + ["--version"], check=True)
    fetch = run(IMAGE + ["fetch", "--group", "boot", "--group", "root", "--group", "firmware"])
    if fetch.returncode != 0:
        print("skipped: the image made twice: its locked packages cannot be had here")
        return 0
    programs = ROOT / "target/image-twice"
    programs.mkdir(parents=True, exist_ok=True)
    for program in [pid_1(), ROOT / "target/debug/sealgate", ROOT / "target/debug/sealgate-verify"]:
        shutil.copy2(program, programs / program.name)
    return run(IMAGE + ["repro", "--profile", "gateway", "--binaries", programs]).returncode


if __name__ == "__main__":
    sys.exit(main())
