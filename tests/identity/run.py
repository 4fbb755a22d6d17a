#!/usr/bin/env python3
"""Tokens of a real OpenID provider at a gateway: algorithms, audiences, expiry, rotation, outage, administrators.

    tests/identity/setup.sh && python3 tests/identity/run.py

Needs the programs in target/debug (or SEALGATE_PROGRAMS). The last line is `N passed, N failed`; where the provider is not
installed, the suite says so and is skipped.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import ssl
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The programs under test are the same for the clients.
sys.path.insert(0, str(HERE.parent / "clients"))

from stack import ROOT, Stack, free_port  # noqa: E402

HOME = Path(os.environ.get("SEALGATE_IDENTITY", ROOT / "target" / "identity"))
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
QUESTION = {"model": "demo-model", "messages": [{"role": "user", "content": "What is an enclave?"}]}


class Federated(Stack):
    """A gateway with callers and administrators of one provider."""

    def start(self):
        self.provider_port = free_port()
        self.admin_port = free_port()
        self.issuer = f"http://127.0.0.1:{self.provider_port}"
        self.start_provider("keys.json")
        self.start_services()
        self.admin_url = f"https://localhost:{self.admin_port}"
        self.admin_certificate = self.verify(self.admin_url, "admin.pem")

    def start_provider(self, keys):
        node = shutil.which("node") or sys.exit("Node.js was not found")
        command = [node, str(HOME / "provider.mjs"), str(self.provider_port), str(self.path / keys)]
        self.spawn("provider", command, self.provider_port)

    def stop_provider(self):
        for index, (name, process) in enumerate(self.processes):
            if name == "provider":
                process.terminate()
                process.wait(10)
                del self.processes[index]
                return

    def gateway_options(self):
        return f'''
[admin]
listen = "127.0.0.1:{self.admin_port}"

[[identity.issuers]]
name = "corporate"
issuer = "{self.issuer}"
for = "callers"
audiences = ["sealgate"]
clock_skew = "0s"

[[identity.issuers.rules]]
claim = ["org"]
tenant_one_of = ["acme"]

[[identity.issuers]]
name = "staff"
issuer = "{self.issuer}"
for = "administrators"
audiences = ["sealgate-admin"]

[[identity.issuers.rules]]
claim = ["realm", "roles"]
equals = "sealgate-auditors"
role = "auditor"
'''

    def token(self, audience="sealgate", algorithm="ES256", seconds=300, client="service"):
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials",
            "resource": f"https://sealgate.example/{audience}/{algorithm}/{seconds}",
        })
        credentials = base64.b64encode(f"{client}:a-secret-of-the-tests".encode()).decode()
        request = urllib.request.Request(f"{self.issuer}/token", form.encode(),
                                         {"authorization": f"Basic {credentials}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["access_token"]

    def ask(self, url, certificate, token, body=None):
        """Status, headers and JSON of one request."""
        headers = {"authorization": f"Bearer {token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers)
        context = ssl.create_default_context(cafile=certificate)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, json.load(refused)

    def chat(self, token):
        return self.ask(f"{self.gateway_url}/chat/completions", self.certificate, token, QUESTION)

    def outcome(self, token):
        status, _, body = self.chat(token)
        return status if status == 200 else (status, body["error"]["code"])

    def admin(self, path, token):
        return self.ask(f"{self.admin_url}/admin/v1/{path}", self.admin_certificate, token)


def eventually(wanted, found, seconds=30):
    deadline = time.monotonic() + seconds
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, f"{last} and not {wanted}"
        time.sleep(0.2)


def expect(wanted, found):
    assert found == wanted, f"{found} and not {wanted}"


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def every_algorithm_is_accepted(stack):
    for algorithm in ALGORITHMS:
        eventually(200, lambda: stack.outcome(stack.token(algorithm=algorithm)))


def another_audience_is_refused(stack):
    expect((401, "token_audience"), stack.outcome(stack.token(audience="another")))


def an_expired_token_is_refused(stack):
    token = stack.token(seconds=2)
    expect(200, stack.outcome(token))
    time.sleep(3)
    expect((401, "token_expired"), stack.outcome(token))


def forged_tokens_are_refused(stack):
    token = stack.token(algorithm="RS256")
    header, payload, signature = token.split(".")
    none = part({"alg": "none", "typ": "at+jwt"})
    expect((401, "token_algorithm"), stack.outcome(f"{none}.{payload}."))
    # The public key as the secret of an HMAC, with the id of the RSA key.
    with urllib.request.urlopen(f"{stack.issuer}/jwks", timeout=30) as answer:
        assert answer.headers["cache-control"] is None, "the provider states no lifetime"
        key = next(key for key in json.load(answer)["keys"] if key["kty"] == "RSA")
    signed = f"{part({'alg': 'HS256', 'kid': key['kid'], 'typ': 'at+jwt'})}.{payload}"
    for secret in (key["n"], json.dumps(key)):
        tag = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        forged = f"{signed}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"
        expect((401, "token_algorithm"), stack.outcome(forged))
    richer = part(claims(token) | {"sub": "administrator"})
    expect((401, "token_signature"), stack.outcome(f"{header}.{richer}.{signature}"))


def a_receipt_belongs_to_the_subject(stack):
    status, headers, _ = stack.chat(stack.token())
    expect(200, status)
    url = f"{stack.gateway_url}/aci/receipts/{headers['x-receipt-id']}"
    fetch = lambda token: stack.ask(url, stack.certificate, token)[0]
    eventually(200, lambda: fetch(stack.token(algorithm="RS256")))
    expect(404, fetch(stack.token(client="other-service")))


def an_auditor_signs_in_with_a_token(stack):
    token = stack.token(audience="sealgate-admin")
    eventually(200, lambda: stack.admin("whoami", token)[0])
    _, _, shown = stack.admin("whoami", token)
    expect(("auditor", "staff"), (shown["role"], shown["name"]))
    expect(200, stack.admin("keys", token)[0])
    expect(401, stack.admin("whoami", stack.token())[0])


def an_outage_and_a_restart_of_the_provider_refuse_no_token(stack):
    token, fresh = stack.token(), stack.token(algorithm="RS256")
    stack.stop_provider()
    expect(200, stack.outcome(token))
    # One that was not verified before.
    expect(200, stack.outcome(fresh))
    stack.start_provider("keys.json")
    expect(200, stack.outcome(stack.token()))


def new_keys_of_the_provider_are_fetched_and_old_ones_refused(stack):
    old = stack.token()
    expect(200, stack.outcome(old))
    stack.stop_provider()
    stack.start_provider("other-keys.json")
    # At most one fetch in ten seconds for unknown keys.
    eventually(200, lambda: stack.outcome(stack.token()))
    expect((401, "token_key_unknown"), stack.outcome(old))


TESTS = (
    every_algorithm_is_accepted,
    another_audience_is_refused,
    an_expired_token_is_refused,
    forged_tokens_are_refused,
    a_receipt_belongs_to_the_subject,
    an_auditor_signs_in_with_a_token,
    an_outage_and_a_restart_of_the_provider_refuse_no_token,
    new_keys_of_the_provider_are_fetched_and_old_ones_refused,
)


def main():
    if not (HOME / "node_modules" / "oidc-provider").is_dir():
        print("skipped: tokens of a real provider: it is not installed (tests/identity/setup.sh)")
        print("0 passed, 0 failed, 1 skipped")
        return
    passed = failed = 0
    with Federated() as stack:
        for test in TESTS:
            name = test.__name__.replace("_", " ")
            try:
                test(stack)
                passed += 1
                print(f"ok      {name}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
        if failed:
            for name, _ in stack.processes:
                print(f"\nlast words of the {name}:\n{stack.last_words(name)}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
