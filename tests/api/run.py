#!/usr/bin/env python3
"""Compares what the running programs answer with docs/schemas and docs/openapi.

    tests/api/setup.sh && python3 tests/api/run.py

Needs the programs in target/debug (or SEALGATE_PROGRAMS). The last line is `N passed, N failed` (`, N skipped`).
"""

import copy
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The programs under test are the same for the clients.
sys.path.insert(0, str(HERE.parent / "clients"))

from stack import ROOT, Stack, free_port, judged_by, program  # noqa: E402

HOME = Path(os.environ.get("SEALGATE_API", ROOT / "target" / "api"))
VENV = HOME / "venv" / "bin"
NONCE = "5a" * 32
# schemathesis runs for this long on each description at most.
SECONDS_EACH = 18
FOREIGN = ("http_proxy", "https_proxy", "all_proxy", "ssl_cert_", "requests_ca_bundle", "curl_ca_bundle")


class Described(Stack):
    """A gateway with an admin listener, and an enclave that it accepts."""

    def start(self):
        self.admin_port = free_port()
        self.admin_url = f"https://localhost:{self.admin_port}"
        self.start_services()
        self.admin_certificate = self.verify(self.admin_url, "admin.pem")
        created = subprocess.run(
            self.soft("gateway", "admin", "create", str(self.path / "gateway.toml"), "--role", "operator"),
            capture_output=True, text=True, timeout=60, check=True)
        self.admin_key = next(word for word in created.stdout.split() if word.startswith("sk-sealgate-admin-"))

    def gateway_options(self):
        return f'\n[admin]\nlisten = "127.0.0.1:{self.admin_port}"\n'

    def call(self, method, path, key=None, body=None):
        """Status, headers and bytes that the gateway answers, its certificate trusted because it was verified."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        url = self.gateway_url.removesuffix("/v1") + path
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()

    def get(self, path, key=None):
        status, _, body = self.call("GET", path, key)
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def chat(self, model, **members):
        """The id of the receipt of one request."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}).encode()
        status, headers, answer = self.call("POST", "/v1/chat/completions", self.api_key, body)
        assert headers["X-Receipt-Id"], f"{model}: {status} without a receipt: {answer!r}"
        return headers["X-Receipt-Id"]

    def receipt(self, receipt_id):
        return self.get(f"/v1/aci/receipts/{receipt_id}", self.api_key)

    def verdict(self, *arguments):
        done = subprocess.run([program("sealgate-verify"), *arguments, "--json"],
                              capture_output=True, text=True, timeout=60)
        assert done.stdout, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout)

    def saved(self, name, document):
        path = self.path / name
        path.write_text(json.dumps(document))
        return str(path)


def documents(stack):
    """By schema, what the running programs write: `name: document`."""
    report = stack.get(f"/v1/aci/attestation?collateral=1&nonce={NONCE}")
    receipts = {
        "a chat": stack.receipt(stack.chat("demo-model")),
        "a stream under an alias": stack.receipt(stack.chat("gpt-demo", stream=True)),
        "an engine that fails": stack.receipt(stack.chat("broken")),
    }
    listed = stack.get("/v1/aci/sessions")["sessions"]
    assert listed, "the chats went over a session"
    session = stack.get(f"/v1/aci/sessions/{listed[0]['session_id']}")
    service = stack.gateway_url.removesuffix("/v1")
    return {
        "report": {"challenged, with collateral": report, "unchallenged": stack.get("/v1/aci/attestation")},
        "receipt": receipts,
        "session": {"the gateway's": session},
        "verdict": {
            "accepted": stack.verdict("endpoint", service, *judged_by(stack.trusted)),
            "rejected": stack.verdict("endpoint", service, *judged_by(stack.enclaves)),
            "without a policy": stack.verdict("endpoint", service, "--roots", str(stack.trusted)),
        },
        "audit": {
            "a receipt": stack.verdict("receipt", stack.saved("receipt.json", receipts["a chat"]),
                                       "--endpoint", service, *judged_by(stack.trusted)),
            "a session": stack.verdict("session", stack.saved("session.json", session), *judged_by(stack.enclaves)),
        },
    }


def schemas():
    read = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs/schemas").glob("*.json")}
    # The audit is a part of the verdict's schema.
    read["audit"] = {**read["verdict"], "$id": "urn:sealgate:schema:audit", **read["verdict"]["$defs"]["audit"]}
    for member in set(read["verdict"]) - set(read["verdict"]["$defs"]["audit"]) - {"$schema", "$id", "$defs"}:
        del read["audit"][member]
    read["audit"]["properties"]["verdict"] = {"type": ["object", "null"]}
    return read


def closed(schema):
    """The schema, with members that it does not describe refused."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # These describe a part of an object that is described as a whole elsewhere.
    partial = ("if", "contains", "prefixItems")
    inner = {key: value if key in partial else closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema and "allOf" not in schema:
        inner.setdefault("additionalProperties", False)
    if "allOf" in schema and "properties" in schema:
        inner["unevaluatedProperties"] = False
    return inner


def changed(document):
    """The document with one change each: a member missing, a member of another type."""
    for member, value in document.items():
        without = {key: other for key, other in document.items() if key != member}
        yield f"without {member}", without
        other = copy.deepcopy(document)
        other[member] = 7.5 if not isinstance(value, float) else "7.5"
        yield f"{member} of another type", other


# Members that a document of the kind may lack.
OPTIONAL = {"report": set(), "receipt": {"chat_id", "model"}, "session": {"identity"}, "verdict": set(), "audit": set()}
# Members whose type is free.
FREE = {"session": {"identity"}}


def check_documents(stack):
    from jsonschema import Draft202012Validator

    for kind, found in documents(stack).items():
        schema = schemas()[kind]
        Draft202012Validator.check_schema(schema)
        validator, strict = Draft202012Validator(schema), Draft202012Validator(closed(schema))
        for name, document in found.items():
            problems = [f"{error.json_path}: {error.message[:200]}" for error in strict.iter_errors(document)]
            yield f"{kind}: {name}", problems
        problems = []
        for what, document in changed(next(iter(found.values()))):
            member = what.split()[1 if what.startswith("without") else 0]
            free = OPTIONAL if what.startswith("without") else FREE
            if member not in free.get(kind, set()) and validator.is_valid(document):
                problems.append(f"accepted {what}")
        yield f"{kind}: one change each is refused", problems


def check_interface(stack, name, url, certificate, key):
    environment = {name: value for name, value in os.environ.items() if not name.lower().startswith(FOREIGN)}
    command = [
        str(VENV / "st"), "run", str(ROOT / f"docs/openapi/{name}.json"), "--url", url,
        "--header", f"Authorization: Bearer {key}", "--tls-verify", str(certificate),
        "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--max-time", str(SECONDS_EACH),
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_headers_conformance,response_schema_conformance",
        "--seed", "1", "--generation-database", "none", "--warnings", "off", "--no-color",
        "--suppress-health-check", "all", "--request-timeout", "30",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_EACH * 6, env=environment, cwd=HOME)
    output = done.stdout + done.stderr
    if done.returncode == 0:
        summary = re.search(r"(\d+) generated", output)
        print(f"    {summary.group(0) if summary else 'done'}")
        return []
    return [line for line in output.splitlines() if line.strip()]


def checks(stack):
    yield from check_documents(stack)
    public = stack.gateway_url.removesuffix("/v1")
    yield "the public API", check_interface(stack, "public", public, stack.certificate, stack.api_key)
    yield "the admin API", check_interface(stack, "admin", stack.admin_url, stack.admin_certificate, stack.admin_key)


def main():
    if not (VENV / "st").is_file():
        print("skipped: tests/api/setup.sh installed no validators")
        print("0 passed, 0 failed, 1 skipped")
        return
    if Path(sys.executable).parent != VENV:
        os.execv(VENV / "python", [str(VENV / "python"), *sys.argv])
    passed = failed = 0
    with Described() as stack:
        for name, problems in checks(stack):
            print(f"{'FAILED' if problems else 'ok'}: {name}", flush=True)
            for problem in problems:
                print(f"    {problem}")
            passed, failed = passed + (not problems), failed + bool(problems)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
