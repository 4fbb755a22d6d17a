#!/usr/bin/env python3
"""Runs both OpenAI clients against the verifying proxy and against the gateway with its certificate trusted.

    tests/clients/setup.sh && target/clients/venv/bin/python tests/clients/run.py

Needs the programs in target/debug (or SEALGATE_PROGRAMS). The last line is `N passed, N failed`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from stack import MAX_BODY, ROOT, Stack

HERE = Path(__file__).resolve().parent
HOME = Path(os.environ.get("SEALGATE_CLIENTS", ROOT / "target" / "clients"))
FIGURES = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
# What would send loopback requests elsewhere, or trust something else.
FOREIGN = ("http_proxy", "https_proxy", "all_proxy", "openai_", "ssl_cert_", "node_extra_ca_certs", "requests_ca_bundle")


def environment(stack, base_url, trusted):
    clean = {name: value for name, value in os.environ.items() if not name.lower().startswith(FOREIGN)}
    clean |= {
        "BASE_URL": base_url,
        "API_KEY": stack.api_key,
        "REFUSING_URL": stack.refusing_url,
        "ENGINE_STATS": stack.engine_stats,
        "MAX_BODY": str(MAX_BODY),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    if trusted:
        clean |= {"SSL_CERT_FILE": str(stack.certificate), "NODE_EXTRA_CA_CERTS": str(stack.certificate)}
    return clean


def suite(name, command, settings):
    print(f"\n{name}", flush=True)
    try:
        done = subprocess.run(command, env=settings, cwd=HOME, text=True, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        print((late.output or b"").decode(errors="replace"))
        print(f"{name} took longer than {late.timeout} s")
        return 0, 1
    figures = FIGURES.findall(done.stdout)
    # The line of figures is for the end, where all suites are added up.
    print(FIGURES.sub("", done.stdout).rstrip(), flush=True)
    passed, failed = map(int, figures[-1]) if figures else (0, 0)
    if failed == 0 and (done.returncode != 0 or passed == 0):
        failed = 1
        print(f"{name} ended with {done.returncode}")
    return passed, failed


def main():
    node = shutil.which("node") or sys.exit("Node.js was not found")
    # Node looks for packages beside the script.
    shutil.copy(HERE / "suite.mjs", HOME / "suite.mjs")
    clients = {
        "openai for Python": [sys.executable, str(HERE / "suite.py")],
        "openai for Node.js": [node, str(HOME / "suite.mjs")],
    }
    passed = failed = 0
    with Stack() as stack:
        doors = {
            "the verifying proxy": (stack.proxy_url, False),
            "the gateway, its certificate trusted": (stack.gateway_url, True),
        }
        for door, (url, trusted) in doors.items():
            for client, command in clients.items():
                figures = suite(f"{client} against {door}", command, environment(stack, url, trusted))
                passed, failed = passed + figures[0], failed + figures[1]
        if failed:
            for name, _ in stack.processes:
                print(f"\nlast words of the {name}:\n{stack.last_words(name)}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
