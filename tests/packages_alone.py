#!/usr/bin/env python3
"""Checks each package outside tests/ by itself: `cargo check -p PACKAGE`.

Cargo unites the features that the packages of one build ask for. In a build of the whole workspace a package can
therefore use a feature of a dependency that only another package enables, and then fails to compile alone.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def packages():
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    for package in json.loads(metadata.stdout)["packages"]:
        folder = Path(package["manifest_path"]).parent.relative_to(ROOT)
        if folder.parts[0] != "tests":
            yield package["name"]


def main():
    started = time.monotonic()
    failed = []
    names = sorted(packages())
    for name in names:
        check = subprocess.run(["cargo", "check", "--quiet", "--locked", "-p", name], cwd=ROOT)
        if check.returncode != 0:
            failed.append(name)
    print(f"{len(names) - len(failed)} of {len(names)} packages compile alone, in {time.monotonic() - started:.0f} s")
    if failed:
        sys.exit(f"these do not: {', '.join(failed)}")


if __name__ == "__main__":
    main()
