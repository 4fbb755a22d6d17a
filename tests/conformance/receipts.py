#!/usr/bin/env python3
"""Judges the receipts of the conformance kit with the second implementation of `tests/vectors`. Needs Python 3 alone."""

import base64
import json
import pathlib
import sys

sys.dont_write_bytecode = True

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vectors"))

from second import ed25519  # noqa: E402
from second.jcs import digest, jcs  # noqa: E402
from second.logged_receipt import Refused, check, signs_on_fetch  # noqa: E402

# The check that fails, by the group of the error.
CHECKS = {"receipt": "receipt.keyset", "signing_key": "receipt.signature", "signature": "receipt.signature"}


def findings(case):
    """The checks that fail, and those that are needed and cannot be made."""
    parts = {part["role"]: base64.b64decode(part["base64"]).decode() for part in case["evidence"]}
    document, keyset = json.loads(parts["receipt"]), json.loads(parts["keyset"])
    try:
        if "signature" in document:
            check_signed(document, keyset)
            return [], []
        check(document, keyset)
    except Refused as refusal:
        return [CHECKS.get(str(refusal).split(".")[0], "receipt.log")], []
    return [], [] if signs_on_fetch(keyset, parts["config"]) else ["receipt.log"]


def check_signed(document, keyset):
    signed = {name: value for name, value in document.items() if name != "signature"}
    if document["workload_keyset_digest"] != digest(jcs(keyset).encode()):
        raise Refused("receipt.keyset_digest_mismatch")
    keys = [key for key in keyset["receipt_signing_keys"] if key["key_id"] == document["key_id"]]
    if not keys or keys[0]["algo"] != "ed25519":
        raise Refused("signing_key.unknown")
    public, signature = bytes.fromhex(keys[0]["public_key"]), bytes.fromhex(document["signature"])
    if not ed25519.verify(public, jcs(signed).encode(), signature):
        raise Refused("signature")


def main():
    wrong = judged = 0
    for path in sorted((HERE / "cases").glob("receipt-*.json")):
        case = json.loads(path.read_text())
        expected = case["expected"]
        failing, missing = findings(case)
        judged += 1
        if (failing, missing) != (expected["failing"], expected.get("missing", [])):
            print(f"{case['name']}: expected {expected}, got {failing}, missing {missing}")
            wrong += 1
    print(f"{judged - wrong} receipts as expected, {wrong} otherwise")
    return 1 if wrong or not judged else 0


if __name__ == "__main__":
    sys.exit(main())
