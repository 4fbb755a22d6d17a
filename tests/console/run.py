#!/usr/bin/env python3
"""Drives the admin console in a headless browser: sign-in, roles, keys, and what the page and the browser refuse.

    tests/console/setup.sh && python3 tests/console/run.py

Needs the programs in target/debug (or SEALGATE_PROGRAMS). Screenshots go to target/console/shots. The last line is
`N passed, N failed`; where there is no browser, the suite says so and is skipped.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The programs under test are the same for the clients.
sys.path.insert(0, str(HERE.parent / "clients"))

from stack import ROOT, Stack, free_port  # noqa: E402

HOME = Path(os.environ.get("SEALGATE_CONSOLE", ROOT / "target" / "console"))
LIMIT_SECONDS = 600
FIGURES = re.compile(r"^\d+ passed, \d+ failed$", re.MULTILINE)
ROLES = ("read-only", "auditor", "operator")
# What would send loopback requests elsewhere, or trust something else.
FOREIGN = ("http_proxy", "https_proxy", "all_proxy", "ssl_cert_", "node_extra_ca_certs", "node_tls_")


class Administered(Stack):
    """A gateway with an admin listener, an enclave that it accepts, and one that it does not."""

    def start(self):
        self.admin_port = free_port()
        self.admin_url = f"https://localhost:{self.admin_port}"
        self.start_services()
        # The console asks for a key, so its address is verified first.
        self.admin_certificate = self.verify(self.admin_url, "admin.pem")
        self.admin_keys = {role: self.create_admin(role) for role in ROLES}
        self.write_next_policy()

    def gateway_options(self):
        self.write_stranger()
        public = self.gateway("retention", "keygen", "--out", str(self.path / "policy.key")).strip()
        self.write_policy("first.toml", 'epoch = 1\n\n[default]\nmode = "metadata"\nttl = "90d"\n')
        return f'''
[retention]
policy = "first.toml"
keys = ["{public}"]

[admin]
listen = "127.0.0.1:{self.admin_port}"

[attestation.stranger]
policy = "stranger.toml"
roots = "enclave-trust"

[[model]]
id = "wary-model"
confidential = true
attestation = "stranger"

[[model.upstream]]
name = "stranger"
url = "https://127.0.0.1:{self.enclave_port}"
model = "demo-model"
api_key_file = "enclave.key"
'''

    def write_stranger(self):
        """The policy that accepts the enclave, but for another image."""
        policy = (self.enclaves / "policy.toml").read_text()
        another, count = re.subn(r'(?m)^mrtd = .*$', f'mrtd = ["{"5a" * 48}"]', policy)
        if count != 1:
            raise SystemExit(f"the enclave's policy names no image:\n{policy}")
        (self.path / "stranger.toml").write_text(another)

    def write_policy(self, name, terms):
        """A retention policy, signed with the policy key."""
        file = self.path / name
        file.write_text(f'format = "sealgate/retention/2"\n{terms}')
        self.gateway("retention", "sign", "--key", str(self.path / "policy.key"), str(file))

    def write_next_policy(self):
        """The policy that may take the place of the first, and does so in one of the tests."""
        shown = self.gateway("retention", "history", str(self.path / "gateway.toml"))
        digest = re.search(r"sha256:[0-9a-f]{64}", shown)
        if digest is None:
            raise SystemExit(f"the history names no digest:\n{shown}")
        self.write_policy("next.toml", f'epoch = 2\npredecessor = "{digest[0]}"\n\n[default]\nmode = "zero"\n')

    def create_admin(self, role):
        return self.gateway("admin", "create", str(self.path / "gateway.toml"),
                            "--role", role, "--name", f"the-{role}").strip()

    def gateway(self, *arguments):
        """What the gateway's command line prints."""
        done = subprocess.run(self.soft("gateway", *arguments), capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


def environment(stack, browser):
    clean = {name: value for name, value in os.environ.items() if not name.lower().startswith(FOREIGN)}
    return clean | {
        "BROWSER": browser,
        "CONSOLE_HOME": str(HOME),
        "ADMIN_URL": stack.admin_url,
        "GATEWAY_URL": stack.gateway_url,
        "CERTIFICATE": str(stack.admin_certificate),
        "API_KEY": stack.api_key,
        "VIEWER": stack.admin_keys["read-only"],
        "AUDITOR": stack.admin_keys["auditor"],
        "OPERATOR": stack.admin_keys["operator"],
        "NEXT_POLICY": (stack.path / "next.toml").read_text(),
        "ITS_SIGNATURES": (stack.path / "next.toml.sig").read_text(),
    }


def installed_browser():
    named = HOME / "browser"
    browser = named.read_text().strip() if named.is_file() else ""
    return browser if browser and shutil.which(browser) else None


def main():
    browser = installed_browser()
    if browser is None:
        print("skipped: the console in a browser: there is no browser (tests/console/setup.sh says why)")
        print("0 passed, 0 failed, 1 skipped")
        return
    node = shutil.which("node") or sys.exit("Node.js was not found")
    with Administered() as stack:
        try:
            done = subprocess.run([node, str(HERE / "suite.mjs")], env=environment(stack, browser), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_SECONDS)
            said, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            said = (late.output or b"").decode(errors="replace") + f"\nit took longer than {LIMIT_SECONDS} s\n"
            status = 124
        if status != 0:
            for name, _ in stack.processes:
                print(f"\nlast words of the {name}:\n{stack.last_words(name)}")
    print(said.rstrip())
    if not FIGURES.search(said):
        print("0 passed, 1 failed")
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
