"""Vectors for the signed attestation report."""

import base64
import json

from . import ed25519
from .common import (
    CONFIG,
    KEYSET,
    KEYSET_DIGEST,
    NONCE,
    OTHER_SEED,
    RECEIPT_KEY_ID,
    RECEIPT_SEED,
    RETENTION,
    refused,
    statement,
)
from .jcs import changed, jcs, sha256

PREFIX = b"sealgate/report/v1\0"

# Bytes that are no quote: these vectors are about the report, not about the hardware.
PLACEHOLDER_QUOTE = bytes(range(256)) + b"\xfb\xff"

COLLATERAL = {
    "tdx": {
        "pck_crl_issuer_chain": "-----BEGIN CERTIFICATE-----\nplaceholder\n",
        "root_ca_crl": "30820000",
        "pck_crl": "30820001",
        "tcb_info_issuer_chain": "placeholder",
        "tcb_info": '{"id":"TDX"}',
        "tcb_info_signature": "01" * 64,
        "qe_identity_issuer_chain": "placeholder",
        "qe_identity": '{"id":"TD_QE"}',
        "qe_identity_signature": "02" * 64,
    }
}


def b64(data):
    return base64.b64encode(data).decode()


TDX_REPORT = {
    "api_version": "aci/1",
    "workload_keyset_digest": KEYSET_DIGEST,
    "attestation": {
        "tee_type": "tdx",
        "workload_keyset": KEYSET,
        "report_data": sha256(statement(KEYSET_DIGEST, NONCE).encode()).hex(),
        "source_provenance": {
            "repo_url": "https://example.com/sealgate",
            "repo_commit": "0123456789abcdef0123456789abcdef01234567",
            "image_digest": None,
            "image_provenance": None,
        },
        "evidence": {
            "profile": "sealgate/1",
            "cpu": {"type": "tdx", "quote_b64": b64(PLACEHOLDER_QUOTE)},
            "event_log": b64(b"event log"),
            "devices": [{"type": "nvidia", "index": 0}],
            "documents": {"config": CONFIG, "retention": RETENTION},
            "collateral": COLLATERAL,
        },
    },
    "service_capabilities": {"supported_e2ee_versions": [], "serving": "direct"},
}

SNP_REPORT = changed(
    changed(TDX_REPORT, ["attestation", "tee_type"], "sev_snp"),
    ["attestation", "evidence"],
    {
        "profile": "sealgate/1",
        "cpu": {"type": "sev_snp", "report_b64": b64(b"report"), "certs_b64": ""},
        "devices": [],
        "documents": {},
    },
)


def sign(report, seed=RECEIPT_SEED, key_id=RECEIPT_KEY_ID, prefix=PREFIX):
    signature = ed25519.sign(seed, prefix + jcs(report).encode())
    return {**report, "key_id": key_id, "signature": signature.hex()}


def vectors():
    return {
        "seed": RECEIPT_SEED.hex(),
        "key_id": RECEIPT_KEY_ID,
        "made": [_made("TDX, direct", TDX_REPORT), _made("SEV-SNP", SNP_REPORT)],
        "accepted": _accepted(),
        "refused": _refused_as_documents() + _refused_as_forgeries(),
    }


def _made(name, report):
    message = PREFIX + jcs(report).encode()
    return {
        "name": name,
        "unsigned_jcs": jcs(report),
        "message_sha256": sha256(message).hex(),
        "signature": ed25519.sign(RECEIPT_SEED, message).hex(),
        "text": jcs(sign(report)),
    }


def _accepted():
    signed = sign(TDX_REPORT)
    larger = changed(TDX_REPORT, ["attestation", "evidence", "note"], "not read")
    larger = changed(larger, ["service_capabilities", "billing"], {"per": "token"})
    return [
        {"name": "another encoding", "text": json.dumps(signed, indent=2)},
        {"name": "members backwards", "text": json.dumps(dict(reversed(signed.items())))},
        {"name": "unknown members, signed", "text": jcs(sign(larger))},
    ]


def _refused_as_documents():
    """Refused while reading. Signed again after the change, so that only the change can be at fault."""

    def case(name, path, value, error):
        return refused(name, jcs(sign(changed(TDX_REPORT, path, value))), error)

    attestation, evidence = ["attestation"], ["attestation", "evidence"]
    quote = [*evidence, "cpu", "quote_b64"]
    text = b64(PLACEHOLDER_QUOTE)
    signed = sign(TDX_REPORT)
    cases = [case(f"no {name}", [name], ..., "document.missing") for name in TDX_REPORT]
    for name in ["tee_type", "workload_keyset", "report_data", "evidence"]:
        cases.append(case(f"no attestation.{name}", [*attestation, name], ..., "document.missing"))
    for name in ["cpu", "devices", "documents"]:
        cases.append(case(f"no evidence.{name}", [*evidence, name], ..., "document.missing"))
    return cases + [
        case("another API version", ["api_version"], "aci/2", "document.version"),
        case("another TEE", [*attestation, "tee_type"], "cca", "report.unsupported_tee"),
        case("evidence of another TEE", [*evidence, "cpu", "type"], "cca", "report.unsupported_tee"),
        case("TEE and evidence differ", [*attestation, "tee_type"], "sev_snp", "report.tee_mismatch"),
        case("another profile", [*evidence, "profile"], "sealgate/2", "report.unsupported_profile"),
        case("no profile", [*evidence, "profile"], ..., "report.unsupported_profile"),
        case("short report_data", [*attestation, "report_data"], "00", "encoding.wrong_length"),
        case("upper-case digest", ["workload_keyset_digest"], KEYSET_DIGEST.upper(), "encoding.missing_digest_prefix"),
        case("bare digest", ["workload_keyset_digest"], KEYSET_DIGEST[7:], "encoding.missing_digest_prefix"),
        case("quote without padding", quote, b64(b"abcd").rstrip("="), "encoding.base64_padding"),
        case("quote with padding inside", quote, "YQ==YQ==", "encoding.base64_padding"),
        case("quote with trailing bits", quote, "YR==", "encoding.base64_trailing_bits"),
        case("quote in lines", quote, text[:64] + "\n" + text[64:], "encoding.base64_white_space"),
        case("URL-safe quote", quote, base64.urlsafe_b64encode(PLACEHOLDER_QUOTE).decode(), "encoding.base64_url_safe"),
        case("quote of other characters", quote, "a*==", "encoding.not_base64"),
        case("a document that is no text", [*evidence, "documents", "config"], {}, "document.wrong_type"),
        case("a device that is no object", [*evidence, "devices"], ["gpu"], "document.wrong_type"),
        case("keyset with an unknown member", [*attestation, "workload_keyset", "x"], 1, "document.unknown_member"),
        case("collateral with an unknown member", [*evidence, "collateral", "x"], {}, "report.collateral"),
        refused("signature without key id", jcs(changed(signed, ["key_id"], ...)), "document.missing"),
        refused("key id without signature", jcs(changed(signed, ["signature"], ...)), "document.missing"),
        refused("upper-case signature", jcs(changed(signed, ["signature"], signed["signature"].upper())), "encoding.upper_case_hex"),
        refused("a member twice", jcs(signed)[:-1] + ',"api_version":"aci/1"}', "json.duplicate_name"),
        refused("bytes behind it", jcs(signed) + "\n{}", "json.trailing_bytes"),
    ]


def _refused_as_forgeries():
    """Well-formed, but the signature, the key or a restated value is wrong."""
    signed = sign(TDX_REPORT)
    signature = bytes.fromhex(signed["signature"])
    attestation, evidence = ["attestation"], ["attestation", "evidence"]

    def moved(name, path, value):
        return refused(name, jcs(changed(signed, path, value)), "report.signature")

    def resigned(name, document, error):
        return refused(name, jcs(document), error)

    beyond = ed25519.with_s_beyond_order(signature).hex()
    return [
        moved("other keyset digest", ["workload_keyset_digest"], "sha256:" + "00" * 32),
        moved("other expiry", [*attestation, "workload_keyset", "not_after"], 1790000001),
        moved("no subject", [*attestation, "workload_keyset", "subject"], None),
        moved("other TLS key", [*attestation, "workload_keyset", "tls_public_keys", 0, "spki_sha256"], "00" * 32),
        moved("other report data", [*attestation, "report_data"], "00" * 32),
        moved("other commit", [*attestation, "source_provenance", "repo_commit"], "0" * 40),
        moved("other build material", [*attestation, "source_provenance", "image_provenance"], "x"),
        moved("other quote", [*evidence, "cpu", "quote_b64"], "YQ=="),
        moved("other event log", [*evidence, "event_log"], "YQ=="),
        moved("no event log", [*evidence, "event_log"], ...),
        moved("another machine's device", [*evidence, "devices", 0, "index"], 1),
        moved("other document", [*evidence, "documents", "retention"], 'mode = "zero"\n'),
        moved("other collateral", [*evidence, "collateral", "tdx", "tcb_info"], "{}"),
        moved("no collateral", [*evidence, "collateral"], ...),
        moved("other serving mode", ["service_capabilities", "serving"], "aggregator"),
        moved("another member", ["note"], "x"),
        moved("signature of zeros", ["signature"], "00" * 64),
        moved("signature with S beyond the group order", ["signature"], beyond),
        moved("signature halves exchanged", ["signature"], (signature[32:] + signature[:32]).hex()),
        resigned("signed by another key", sign(TDX_REPORT, seed=OTHER_SEED), "report.signature"),
        resigned("signed as a receipt is", sign(TDX_REPORT, prefix=b""), "report.signature"),
        resigned("signed under another version", sign(TDX_REPORT, prefix=b"sealgate/report/v2\0"), "report.signature"),
        resigned("signed without the prefix's NUL", sign(TDX_REPORT, prefix=PREFIX[:-1]), "report.signature"),
        resigned("signed by a key not listed", sign(TDX_REPORT, key_id="receipt-8"), "signing_key.unknown"),
        resigned("signed with another algorithm", sign(TDX_REPORT, key_id="receipt-pq"), "signing_key.unsupported_algorithm"),
        resigned("not signed", TDX_REPORT, "report.unsigned"),
        resigned(
            "restated digest is wrong, signed all the same",
            sign(changed(TDX_REPORT, ["workload_keyset_digest"], "sha256:" + "00" * 32)),
            "report.keyset_digest_mismatch",
        ),
    ]
