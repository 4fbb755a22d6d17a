#!/usr/bin/env python3
"""Checks the form of every conformance case and counts them by kind and decision. Needs Python 3 alone."""

import base64
import collections
import json
import pathlib
import re
import sys

CASES = pathlib.Path(__file__).resolve().parent / "cases"
KINDS = {"tdx_quote", "snp_report", "nvidia_devices", "report", "receipt"}
DECISIONS = {"accepted", "rejected", "unsupported", "malformed"}
ROLES = {"tdx", "sev_snp", "nvidia_gpu", "nvidia_switch", "report", "receipt", "keyset", "config"}
NEEDED = {"name", "says", "kind", "at", "policy", "roots", "evidence", "expected"}
OPTIONAL = {"collateral", "nonce", "channel_spki"}
HEX = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check(path, case):
    assert NEEDED <= case.keys() <= NEEDED | OPTIONAL, "members"
    assert case["name"] == path.stem, "name"
    assert case["kind"] in KINDS, "kind"
    assert TIME.fullmatch(case["at"]), "at"
    files = [case["policy"], *case["roots"].values()]
    if "collateral" in case:
        files.append(case["collateral"])
        json.loads((CASES / "files" / case["collateral"]).read_text())
    for name in files:
        assert (CASES / "files" / name).is_file(), name
    for name in case["roots"].values():
        base64.b64decode((CASES / "files" / name).read_text(), validate=True)
    for member in ("nonce", "channel_spki"):
        assert member not in case or HEX.fullmatch(case[member]), member
    assert case["evidence"] or case["kind"] == "nvidia_devices", "evidence"
    for one in case["evidence"]:
        assert one["role"] in ROLES, "role"
        base64.b64decode(one["base64"], validate=True)
        base64.b64decode(one.get("certificates", ""), validate=True)
    expected = case["expected"]
    assert {"decision", "failing"} <= expected.keys() <= {"decision", "failing", "missing"}, "expected"
    assert expected["decision"] in DECISIONS, "decision"
    refused_for = expected["failing"] + expected.get("missing", [])
    assert (expected["decision"] == "accepted") == (not refused_for), "an acceptance with failing checks, or the reverse"


def main():
    counts = collections.Counter()
    checks = set()
    wrong = 0
    for path in sorted(CASES.glob("*.json")):
        try:
            case = json.loads(path.read_text())
            check(path, case)
        except (AssertionError, KeyError, ValueError) as error:
            print(f"{path.name}: {error}")
            wrong += 1
            continue
        counts[case["kind"], case["expected"]["decision"]] += 1
        checks.update(case["expected"]["failing"], case["expected"].get("missing", []))
        if "--list" in sys.argv:
            print(f"{case['name']:44} {case['expected']['decision']:10} {' '.join(case['expected']['failing'])}")
    for (kind, decision), count in sorted(counts.items()):
        print(f"{kind:16} {decision:10} {count:4}")
    print(f"{sum(counts.values())} cases of the right form, {wrong} of another; {len(checks)} checks fail in one of them")
    return 1 if wrong or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
