"""Vectors for receipts, the profile's `policy.applied` event among them."""

import json

from . import ed25519
from .common import (
    KEYSET,
    KEYSET_DIGEST,
    OTHER_SEED,
    RECEIPT_KEY_ID,
    RECEIPT_SEED,
    RETENTION,
    refused,
)
from .jcs import changed, digest, jcs

REQUEST = b'{"model":"demo-model","messages":[]}'
FORWARDED = b'{"model":"upstream-model","messages":[]}'
RESPONSE = b'data: {"id":"chatcmpl-9"}\n\ndata: [DONE]\n\n'
SESSION_ID = "7e" * 32

SERVED = {
    "api_version": "aci/1",
    "receipt_id": "rcpt-0f0f",
    "chat_id": "chatcmpl-9",
    "model": 'demo-"model"\u20ac',
    "workload_keyset_digest": KEYSET_DIGEST,
    "endpoint": "/v1/chat/completions",
    "method": "POST",
    "served_at": 1780000000,
    "event_log": [
        {"type": "request.received", "body_hash": digest(REQUEST)},
        {
            "type": "policy.applied",
            "retention": digest(RETENTION.encode()),
            "mode": "metadata",
            "epoch": 7,
        },
        {"type": "request.forwarded", "body_hash": digest(FORWARDED)},
        {
            "type": "upstream.verified",
            "result": "verified",
            "required": True,
            "model_id": "upstream-model",
            "session_id": SESSION_ID,
        },
        {"type": "response.returned", "body_hash": digest(RESPONSE)},
    ],
    "key_id": RECEIPT_KEY_ID,
}

REFUSED = {
    **SERVED,
    "receipt_id": "rcpt-refused",
    "chat_id": None,
    "model": None,
    "event_log": [
        SERVED["event_log"][0],
        {
            "type": "upstream.verified",
            "result": "failed",
            "required": True,
            "model_id": "upstream-model",
            "reason": "tdx.measurement.mrtd",
            "upstream_name": "enclave-1",
        },
        {
            "type": "upstream.verified",
            "result": "failed",
            "required": False,
            "model_id": "upstream-model",
            "reason": "timeout",
        },
        {"type": "com.example.note", "z": [1, {"b": None, "a": True}]},
        SERVED["event_log"][4],
    ],
}


def sign(receipt, seed=RECEIPT_SEED, prefix=b""):
    signature = ed25519.sign(seed, prefix + jcs(receipt).encode())
    return {**receipt, "signature": signature.hex()}


def vectors():
    return {
        "seed": RECEIPT_SEED.hex(),
        "keyset_jcs": jcs(KEYSET),
        "request": REQUEST.decode(),
        "forwarded": FORWARDED.decode(),
        "response": RESPONSE.decode(),
        "session_id": SESSION_ID,
        "retention_document": RETENTION,
        "made": [_made("served", SERVED), _made("refused", REFUSED)],
        "accepted": [
            {"name": "another encoding", "text": json.dumps(sign(SERVED), indent=1)},
            {"name": "unknown members, signed", "text": jcs(sign({**SERVED, "note": {"x": 1}}))},
            {"name": "no chat id", "text": jcs(sign(changed(SERVED, ["chat_id"], ...)))},
        ],
        "refused": _refused(),
    }


def _made(name, receipt):
    return {"name": name, "signed_jcs": jcs(receipt), "text": jcs(sign(receipt))}


def _refused():
    signed = sign(SERVED)
    log = SERVED["event_log"]
    signature = bytes.fromhex(signed["signature"])

    def moved(name, path, value, error="receipt.signature"):
        return refused(name, jcs(changed(signed, path, value)), error)

    def resigned(name, path, value, error):
        return refused(name, jcs(sign(changed(SERVED, path, value))), error)

    missing = [n for n in SERVED if n not in ("chat_id", "model")]
    event_fields = [(i, n) for i, event in enumerate(log) for n in event]
    return (
        [resigned(f"no {n}", [n], ..., "document.missing") for n in missing]
        + [resigned(f"event {i} has no {n}", ["event_log", i, n], ..., "document.missing") for i, n in event_fields]
        + [
            moved("other receipt id", ["receipt_id"], "rcpt-1"),
            moved("other chat id", ["chat_id"], None),
            moved("other model", ["model"], "x"),
            moved("other endpoint", ["endpoint"], "/v1/completions"),
            moved("other method", ["method"], "GET"),
            moved("other time", ["served_at"], 1780000001),
            moved("other request", ["event_log", 0, "body_hash"], digest(b"")),
            moved("other retention", ["event_log", 1, "retention"], digest(b"")),
            moved("other mode", ["event_log", 1, "mode"], "zero"),
            moved("other epoch", ["event_log", 1, "epoch"], 8),
            moved("not required", ["event_log", 3, "required"], False),
            moved("other session", ["event_log", 3, "session_id"], "00" * 32),
            moved("other response", ["event_log", 4, "body_hash"], digest(b"")),
            moved("an event less", ["event_log"], [log[0], *log[2:]]),
            moved("events in another order", ["event_log"], [log[0], log[2], log[1], *log[3:]]),
            moved("another member", ["note"], "x"),
            moved("signature with S beyond the group order", ["signature"], ed25519.with_s_beyond_order(signature).hex()),
            moved("other keyset", ["workload_keyset_digest"], digest(b""), "receipt.keyset_digest_mismatch"),
            resigned("other keyset, signed", ["workload_keyset_digest"], digest(b""), "receipt.keyset_digest_mismatch"),
            resigned("a key not listed", ["key_id"], "receipt-8", "signing_key.unknown"),
            resigned("another algorithm", ["key_id"], "receipt-pq", "signing_key.unsupported_algorithm"),
            refused("signed by another key", jcs(sign(SERVED, seed=OTHER_SEED)), "receipt.signature"),
            refused("signed as a report is", jcs(sign(SERVED, prefix=b"sealgate/report/v1\0")), "receipt.signature"),
            refused("not signed", jcs(SERVED), "document.missing"),
            moved("short signature", ["signature"], signature[1:].hex(), "encoding.wrong_length"),
            moved("upper-case signature", ["signature"], signature.hex().upper(), "encoding.upper_case_hex"),
            resigned("another API version", ["api_version"], "aci/2", "document.version"),
            resigned("no events", ["event_log"], [], "receipt.first_event"),
            resigned("another event first", ["event_log"], log[1:], "receipt.first_event"),
            resigned("no response", ["event_log"], log[:-1], "receipt.missing_event"),
            resigned("the request twice", ["event_log"], [log[0], *log], "receipt.repeated_event"),
            resigned("forwarded twice", ["event_log"], [*log, log[2]], "receipt.repeated_event"),
            resigned("the response twice", ["event_log"], [*log, log[4]], "receipt.repeated_event"),
            resigned("a result that is none", ["event_log", 3, "result"], "skipped", "document.unknown_value"),
            resigned("required is a string", ["event_log", 3, "required"], "true", "document.wrong_type"),
            resigned("prefixed session id", ["event_log", 3, "session_id"], "sha256:" + SESSION_ID, "encoding.wrong_length"),
            resigned("bare body hash", ["event_log", 0, "body_hash"], digest(REQUEST)[7:], "encoding.missing_digest_prefix"),
            resigned("epoch is negative", ["event_log", 1, "epoch"], -1, "document.wrong_type"),
            refused("a member twice", jcs(signed)[:-1] + ',"method":"POST"}', "json.duplicate_name"),
        ]
    )
