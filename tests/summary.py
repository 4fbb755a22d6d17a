#!/usr/bin/env python3
"""Runs the suites one after another and adds up their figures.

Each suite prints its own figures: cargo's `test result:` lines, or `N passed, N failed` from the client suites.
A test that prints `skipped: …` is counted as skipped, not as passed. The last line printed is

    N passed, N failed, N skipped

and the exit status is non-zero when a suite failed, when a test failed, or when a suite ran no test at all.

    python3 tests/summary.py            everything
    python3 tests/summary.py --check    formatting, lints, packages by themselves and dependency rules before it
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE_LIMIT_SECONDS = 60 * 60

CARGO_FAILED = re.compile(r"^test (.+) \.\.\. FAILED$")
CARGO_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
PLAIN_RESULT = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
SKIPPED = re.compile(r"^(?:test .* \.\.\. )?skipped: (.*)$")
# What `--show-output` repeats for every passing test; only the skips in it are of interest.
OUTPUT_OF_PASSING = re.compile(r"^successes:$")


@dataclass
class Suite:
    """One command; without one, something that cannot be done here and says why in `skips`.

    A `gate` has no figures: it counts as one test, passed when it exits with 0 and has not said that it is
    skipped.
    """

    name: str
    command: list | None = None
    gate: bool = False
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    skips: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    figures: int = 0
    status: int = 0

    def read(self, line):
        if cargo := CARGO_RESULT.match(line):
            passed, failed, ignored = map(int, cargo.groups())
            self.add(passed, failed, ignored)
        elif plain := PLAIN_RESULT.match(line):
            self.add(*(int(figure or 0) for figure in plain.groups()))
        elif skip := SKIPPED.match(line):
            self.skips.append(skip.group(1))
        elif failed := CARGO_FAILED.match(line):
            self.failures.append(failed.group(1))

    def add(self, passed, failed, skipped):
        self.figures += 1
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def finish(self):
        """Computes the figures once the command has ended."""
        # Rust's tests cannot be skipped while they run: such a test prints it and passes.
        moved = min(len(self.skips), self.passed)
        self.passed -= moved
        self.skipped += moved
        if self.gate:
            self.failed = int(self.status != 0)
            self.skipped = int(bool(self.skips) and not self.failed)
            self.passed = 1 - self.failed - self.skipped
        elif self.failed == 0 and (self.status != 0 or self.figures == 0 or self.passed + self.skipped == 0):
            # The command failed before or beside its tests: that is a failure too.
            self.failed = 1


def run(suite):
    if suite.command is None:
        print(f"\n== {suite.name}\nskipped: {suite.skips[0]}", flush=True)
        return suite
    print(f"\n== {suite.name}: {' '.join(map(str, suite.command))}", flush=True)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            suite.command, cwd=ROOT, text=True, errors="replace", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
    except OSError as error:
        print(f"{suite.name} does not start: {error}")
        suite.status = 127
        suite.finish()
        return suite
    watchdog = threading.Timer(SUITE_LIMIT_SECONDS, stop, (process, suite.name))
    watchdog.start()
    quiet = False
    for line in process.stdout:
        line = line.rstrip("\n")
        if OUTPUT_OF_PASSING.match(line):
            quiet = True
        elif line.startswith(("test result:", "failures:", "     Running", "   Doc-tests", "error:")):
            quiet = False
        suite.read(line)
        if not quiet or SKIPPED.match(line):
            print(line, flush=True)
    suite.status = process.wait()
    watchdog.cancel()
    suite.finish()
    print(f"-- {suite.name}: {suite.passed} passed, {suite.failed} failed, {suite.skipped} skipped"
          f" in {time.monotonic() - started:.0f} s", flush=True)
    return suite


def stop(process, name):
    print(f"{name} took longer than {SUITE_LIMIT_SECONDS} s and is stopped", flush=True)
    os.killpg(process.pid, signal.SIGKILL)


def preparations():
    # cargo-deny and tests/layering read the dependency graph offline, with the crates of other targets in it.
    yield Suite("dependencies fetched", ["cargo", "fetch", "--locked"], gate=True)


def install_age():
    """Not a suite: where age cannot be had, the tests that need it are skipped by name."""
    try:
        subprocess.run([ROOT / "tests/blackbox/age.sh"], stdin=subprocess.DEVNULL, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"age is not installed: {error}")


def checks():
    yield Suite("formatting", ["cargo", "fmt", "--all", "--", "--check"], gate=True)
    yield Suite("lints", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
                gate=True)
    yield Suite("packages alone", [sys.executable, "tests/packages_alone.py"], gate=True)
    if shutil.which("cargo-deny"):
        yield Suite("dependency rules",
                    ["cargo", "deny", "check", "bans", "licenses", "sources"], gate=True)
    else:
        yield Suite("dependency rules", skipped=1,
                    skips=["cargo-deny is not installed: tests/layering holds the bans, licences are not checked"])


def tests():
    yield Suite("vectors of the profile", [sys.executable, "tests/vectors/generate.py", "--check"], gate=True)
    # Some suites start the programs; cargo builds those only when asked.
    yield Suite("programs", ["cargo", "build", "--workspace", "--bins", "--locked"], gate=True)
    yield Suite("OpenAI clients installed", ["tests/clients/setup.sh"], gate=True)
    yield Suite("real engine and model downloaded", ["target/debug/engine-setup"], gate=True)
    yield Suite("Rust", ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"])
    yield Suite("soak, a minute of it", ["target/debug/soak", "60"], gate=True)
    yield Suite("OpenAI clients", ["target/clients/venv/bin/python", "tests/clients/run.py"])
    yield Suite("WebAssembly", [sys.executable, "tests/wasm/run.py"])
    yield Suite("image made twice", [sys.executable, "tests/image_twice.py"], gate=True)
    yield Suite("console installed", ["tests/console/setup.sh"], gate=True)
    yield Suite("console", [sys.executable, "tests/console/run.py"])
    yield Suite("identity provider installed", ["tests/identity/setup.sh"], gate=True)
    yield Suite("identity provider", [sys.executable, "tests/identity/run.py"])
    yield Suite("API validators installed", ["tests/api/setup.sh"], gate=True)
    yield Suite("API as described", [sys.executable, "tests/api/run.py"])


def main():
    started = time.monotonic()
    install_age()
    suites = [run(suite) for suite in preparations()]
    if "--check" in sys.argv[1:]:
        suites += [run(suite) for suite in checks()]
    suites += [run(suite) for suite in tests()]

    skips = [skip for suite in suites for skip in suite.skips]
    if skips:
        print("\nskipped:")
        for skip in dict.fromkeys(skips):
            print(f"  {skip}" + (f" ({skips.count(skip)} tests)" if skips.count(skip) > 1 else ""))
    broken = [suite.name for suite in suites if suite.failed or suite.status]
    if broken:
        print(f"\nfailed: {', '.join(broken)}")
        for name in [name for suite in suites for name in suite.failures]:
            print(f"  {name}")
    print(f"\nin {time.monotonic() - started:.0f} s")
    figures = [sum(getattr(suite, what) for suite in suites) for what in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*figures), flush=True)
    sys.exit(1 if broken or figures[0] == 0 else 0)


if __name__ == "__main__":
    main()
