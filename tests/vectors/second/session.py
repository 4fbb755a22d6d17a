"""Vectors for attested sessions."""

import base64
import json

from .common import refused
from .jcs import changed, digest, jcs, sha256

EVIDENCE = b'{"api_version":"aci/1"}'

SESSION = {
    "api_version": "aci/1",
    "upstream_name": "enclave-1",
    "endpoint": "https://127.0.0.1:9443",
    "verifier_id": "sealgate/1",
    "established_at": 1780000000,
    "expires_at": 1780003600,
    "identity": {"keyset_digest": digest(b"keyset"), "subject": None},
    "channel_binding": [
        {"type": "tls_spki_sha256", "origin": "https://127.0.0.1:9443", "spki_sha256": "4d" * 32},
        {
            "type": "e2ee_public_key_sha256",
            "provider": "p",
            "key_id": "k",
            "algorithm": "x25519",
            "public_key_sha256": "4e" * 32,
        },
        {"type": "quantum", "n": 1},
    ],
    "claims": {
        "tee_attested": {"status": "asserted", "source": "hardware_proven", "reason": "TDX quote"},
        "gpu_attested": {"status": "unknown"},
        "tcb_up_to_date": {"status": "refuted", "source": "verifier_derived", "reason": "OutOfDate"},
        "os_known_good": {"status": "asserted", "source": "operator_asserted"},
        "serving_software_known_good": {"status": "asserted", "source": "provider_asserted"},
        "model_weights_provenance": {"status": "unknown"},
        "extra": {"tcb_status": "OutOfDate", "svn": 3},
    },
    "evidence": {
        "digest": digest(EVIDENCE),
        "data": "data:application/json;base64," + base64.b64encode(EVIDENCE).decode(),
    },
}


def vectors():
    abbreviated = changed(SESSION, ["evidence", "data"], ...)
    abbreviated["session_id"] = _id(SESSION)
    smallest = {
        **SESSION,
        "endpoint": None,
        "channel_binding": [],
        "claims": {name: {"status": "unknown"} for name in SESSION["claims"] if name != "extra"},
        "evidence": {"digest": digest(b""), "data": "data:;base64,"},
    }
    del smallest["identity"]
    return {
        "made": [_made("everything", SESSION), _made("the least", smallest)],
        "abbreviated_jcs": jcs(abbreviated),
        "accepted": [
            _accepted("another encoding", SESSION, json.dumps(SESSION, indent=3)),
            _accepted("unknown member", {**SESSION, "note": 1}),
            _accepted("no claims at all", {**SESSION, "claims": {}}),
            _accepted(
                "a claim with an unknown source",
                changed(SESSION, ["claims", "tee_attested", "source"], "hearsay"),
            ),
        ],
        "refused": _refused(),
    }


def _id(session):
    return sha256(jcs(session).encode()).hex()


def _made(name, session):
    return {"name": name, "jcs": jcs(session), "session_id": _id(session)}


def _accepted(name, session, text=None):
    return {"name": name, "text": text or jcs(session), "session_id": _id(session)}


def _refused():
    def case(name, path, value, error):
        return refused(name, jcs(changed(SESSION, path, value)), error)

    data = ["evidence", "data"]
    needed = [name for name in SESSION if name != "identity"]
    return [case(f"no {name}", [name], ..., "document.missing") for name in needed] + [
        case("another API version", ["api_version"], "aci/2", "document.version"),
        case("no evidence.digest", ["evidence", "digest"], ..., "document.missing"),
        case("other evidence", data, "data:application/json;base64,YQ==", "session.evidence_digest"),
        case("no data URI", data, "aGk=", "session.data_uri"),
        case("data URI without base64", data, "data:text/plain,hi", "session.data_uri"),
        case("space in the media type", data, "data:text/ plain;base64,aGk=", "session.data_uri"),
        case("evidence without padding", data, "data:;base64,aGk", "encoding.base64_padding"),
        case("ends before it begins", ["expires_at"], 1779999999, "session.period"),
        case("prefixed SPKI digest", ["channel_binding", 0, "spki_sha256"], "sha256:" + "4d" * 32, "encoding.wrong_length"),
        case("claim is a string", ["claims", "tee_attested"], "asserted", "document.wrong_type"),
        case("claim without source", ["claims", "tee_attested", "source"], ..., "document.missing"),
        case("extra is a list", ["claims", "extra"], [], "document.wrong_type"),
        case("time is a string", ["established_at"], "now", "document.wrong_type"),
        refused("a fraction in extra", jcs(SESSION).replace('"svn":3', '"svn":3.5'), "json.not_an_integer"),
        refused("a member twice", jcs(SESSION)[:-1] + ',"expires_at":1}', "json.duplicate_name"),
    ]
