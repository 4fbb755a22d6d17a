#!/usr/bin/env python3
"""Builds the libFuzzer binaries and runs each for a while. Needs a C++ compiler, no cargo-fuzz and no nightly toolchain.

    python3 tests/fuzz/libfuzzer.py [SECONDS] [TARGET ...]

Coverage comes from rustc's stable `-C passes` and `-C llvm-args`; sanitizers of memory, which need a nightly toolchain, are
left out: the parsers contain no `unsafe`. The corpus grows in target/fuzz/corpus and is kept between runs. The last line is

    N targets, N executions, N crashes
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORKSPACE = ROOT / "tests/fuzz/libfuzzer"
OUT = ROOT / "target/fuzz"
COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
DONE = re.compile(r"Done (\d+) runs in (\d+) second")
COVERED = re.compile(r"cov: (\d+)")
# An execution that takes longer than this many seconds counts as a fault.
TIMEOUT = 10


def host():
    version = subprocess.run(["rustc", "-vV"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.*)$", version, re.M).group(1)


def build(triple):
    # With a target named, build scripts and macros are built without the coverage that only libFuzzer can answer.
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--target", triple, "--target-dir", OUT / "build"],
        cwd=WORKSPACE, check=True, env=os.environ | {"RUSTFLAGS": " ".join(COVERAGE)},
    )


def run(binary, seconds):
    corpus, seeds, crashes = OUT / "corpus" / binary.name, OUT / "seeds" / binary.name, OUT / "crashes"
    for folder in (corpus, seeds, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        [binary, corpus, seeds, f"-max_total_time={seconds}", f"-timeout={TIMEOUT}",
         "-rss_limit_mb=2048", "-max_len=131072", f"-artifact_prefix={crashes}/{binary.name}-"],
        cwd=ROOT, capture_output=True, text=True, errors="replace",
    )
    done = DONE.search(result.stderr)
    covered = COVERED.findall(result.stderr)
    if result.returncode or not done:
        print(result.stderr[-4000:])
    return int(done.group(1)) if done else 0, int(covered[-1]) if covered else 0, result.returncode != 0 or not done


def main():
    arguments = sys.argv[1:]
    seconds = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 60
    wanted = arguments or sorted(path.stem for path in (WORKSPACE / "fuzz_targets").glob("*.rs"))
    triple = host()
    build(triple)
    subprocess.run(["cargo", "run", "--quiet", "--locked", "-p", "fuzz", "--bin", "fuzz-seeds", "--", OUT / "seeds"],
                   cwd=ROOT, check=True)
    executions = crashes = 0
    for name in wanted:
        runs, covered, crashed = run(OUT / "build" / triple / "release" / name, seconds)
        print(f"{name:24} {runs:>10} executions in {seconds} s, {covered:>6} edges, {'CRASHED' if crashed else 'no crash'}", flush=True)
        executions += runs
        crashes += crashed
    print(f"{len(wanted)} targets, {executions} executions, {crashes} crashes")
    sys.exit(1 if crashes or not executions else 0)


if __name__ == "__main__":
    main()
