#!/usr/bin/env python3
"""Writes the vectors of the wire profile sealgate/1, or checks that the files at hand are these.

    python3 tests/vectors/generate.py          # write
    python3 tests/vectors/generate.py --check  # compare; exit 1 and name what differs

Everything is deterministic. Needs nothing beyond the standard library.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True

from second import basics, ed25519, log, logged_receipt, receipt, report, retention, session  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "profile" / "1"

FILES = {
    "json": basics.json_vectors,
    "subject": basics.subject_vectors,
    "gpu-nonce": basics.gpu_nonce_vectors,
    "keyset": basics.keyset_vectors,
    "statement": basics.statement_vectors,
    "report": report.vectors,
    "receipt": receipt.vectors,
    "log": log.vectors,
    "logged-receipt": logged_receipt.vectors,
    "retention": retention.vectors,
    "session": session.vectors,
}


def rendered():
    return {
        f"{name}.json": json.dumps({"profile": "sealgate/1", **make()}, indent=1) + "\n"
        for name, make in FILES.items()
    }


def differences(wanted):
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*")}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} is not made by this script"
        elif wanted[name] != found[name]:
            yield f"{name} differs from what this script makes"


def main(arguments):
    ed25519.self_test()
    wanted = rendered()
    if arguments == ["--check"]:
        wrong = list(differences(wanted))
        print("\n".join(wrong) or f"{len(wanted)} files are as they should be")
        return 1 if wrong else 0
    if arguments:
        print(__doc__)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
