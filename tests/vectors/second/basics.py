"""Vectors for JSON, the subject, the GPU nonce, the keyset and the statement."""

from .common import (
    CONFIG,
    KEYSET,
    KEYSET_DIGEST,
    NONCE,
    OTHER_SEED,
    RECEIPT_SEED,
    RETENTION,
    ed25519_entry,
    refused,
    statement,
    subject,
)
from . import ed25519
from .jcs import changed, digest, jcs, sha256


def json_vectors():
    canonical = {
        "members sort by UTF-16 code units": {"\U0001f600": 1, "\ufb01": 2, "a": 3, "Z": 4},
        "control characters take the shortest escape": "\x00\x08\t\n\x0b\x0c\r\x1f\x7f",
        "quote and backslash are escaped, slash is not": '"\\/',
        "other characters stand for themselves": "€ \u2028 \u00e9 \U0001f512",
        "nesting and literals": [None, True, False, [], {}, 0, -1, 2**53 - 1, 1 - 2**53],
    }
    return {
        "canonical": [
            {"name": name, "text": _ugly(value), "jcs": jcs(value)}
            for name, value in canonical.items()
        ]
        + [{"name": "minus zero is zero", "text": "-0", "jcs": "0"}],
        "refused": [
            refused("a name twice", '{"a":1,"a":1}', "json.duplicate_name"),
            refused("a name twice, once escaped", '{"a":1,"\\u0061":1}', "json.duplicate_name"),
            refused("a name twice, deep inside", '[{"x":{"a":1,"b":2,"a":3}}]', "json.duplicate_name"),
            refused("bytes behind the value", "{} {}", "json.trailing_bytes"),
            refused("a NUL behind the value", "{}\0", "json.trailing_bytes"),
            refused("too deep", "[" * 65 + "]" * 65, "json.too_deep"),
            refused("a fraction", '{"a":1.0}', "json.not_an_integer"),
            refused("an exponent", "1e3", "json.not_an_integer"),
            refused("2^53", str(2**53), "json.number_too_large"),
            refused("-2^53", str(-(2**53)), "json.number_too_large"),
            refused("2^64 + 1", str(2**64 + 1), "json.number_too_large"),
            refused("a high surrogate alone", '"\\ud83d"', "json.lone_surrogate"),
            refused("a low surrogate alone", '"\\ude00"', "json.lone_surrogate"),
            refused("a pair the wrong way round", '"\\ude00\\ud83d"', "json.lone_surrogate"),
            refused("a surrogate before a letter", '"\\ud83d\\u0061"', "json.lone_surrogate"),
            refused("a line feed in a string", '"a\nb"', "json.control_character"),
            refused("an escape that is none", '"\\x41"', "json.bad_escape"),
            refused("an escape with too few digits", '"\\u00g0"', "json.bad_escape"),
            refused("a leading zero", "01", "json.unexpected"),
            refused("a plus sign", "+1", "json.unexpected"),
            refused("a comma too many", '{"a":1,}', "json.unexpected"),
            refused("a comma too many in a list", "[1,]", "json.unexpected"),
            refused("single quotes", "{'a':1}", "json.unexpected"),
            refused("a comment", "/**/{}", "json.unexpected"),
            refused("NaN", "NaN", "json.unexpected"),
            refused("a byte order mark", "\ufeff{}", "json.unexpected"),
            refused("a no-break space", "\u00a01", "json.unexpected"),
            refused("nothing", "", "json.truncated"),
            refused("an open object", '{"a":1', "json.truncated"),
            refused("an open string", '"a', "json.truncated"),
            refused("half a literal", "tru", "json.truncated"),
            refused("a lone minus", "-", "json.truncated"),
        ],
    }


def _ugly(value):
    """A non-canonical encoding of the same value: members backwards, white space, every escape."""
    if isinstance(value, dict):
        members = [f"{_ugly(k)} : {_ugly(v)}" for k, v in reversed(value.items())]
        return "{\n" + " ,\t".join(members) + "\r\n}"
    if isinstance(value, list):
        return "[ " + " , ".join(_ugly(item) for item in value) + " ]"
    if isinstance(value, str):
        units = value.encode("utf-16-be")
        pairs = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
        return '"' + "".join(f"\\u{pair.upper()}" for pair in pairs) + '"'
    return jcs(value)


def subject_vectors():
    config, retention = digest(CONFIG.encode()), digest(RETENTION.encode())
    good = subject(config, retention)
    return {
        "config_document": CONFIG,
        "retention_document": RETENTION,
        "config": config,
        "retention": retention,
        "text": good,
        "refused": [
            refused("empty", "", "subject.scheme"),
            refused("another version", good.replace(":1?", ":2?"), "subject.scheme"),
            refused("upper-case scheme", good.replace("sealgate", "Sealgate"), "subject.scheme"),
            refused("leading space", " " + good, "subject.scheme"),
            refused("no query", "sealgate:1?", "subject.shape"),
            refused("the other way round", f"sealgate:1?retention={retention}&config={config}", "subject.shape"),
            refused("no retention", f"sealgate:1?config={config}", "subject.shape"),
            refused("another name", good.replace("retention=", "retained="), "subject.shape"),
            refused("bare hex", good.replace("config=sha256:", "config="), "subject.config"),
            refused("upper-case hex", good.replace(config, "sha256:" + config[7:].upper()), "subject.config"),
            refused("short digest", good.replace(config, config[:-2]), "subject.config"),
            refused("another member behind", good + "&x=1", "subject.retention"),
            refused("trailing space", good + " ", "subject.retention"),
        ],
    }


def gpu_nonce_vectors():
    cases = []
    for name, nonce, keyset in [
        ("our keyset", NONCE, bytes.fromhex(KEYSET_DIGEST[7:])),
        ("zero nonce", bytes(32), bytes.fromhex(KEYSET_DIGEST[7:])),
        ("zero keyset digest", NONCE, bytes(32)),
        ("nonce and digest exchanged", bytes.fromhex(KEYSET_DIGEST[7:]), NONCE),
    ]:
        message = b"sealgate/gpu-nonce/v1" + nonce + keyset
        cases.append(
            {
                "name": name,
                "nonce": nonce.hex(),
                "keyset_digest": "sha256:" + keyset.hex(),
                "message": message.hex(),
                "gpu_nonce": sha256(message).hex(),
            }
        )
    return {"cases": cases}


def statement_vectors():
    challenged = statement(KEYSET_DIGEST, NONCE)
    unchallenged = statement(KEYSET_DIGEST, None)
    return {
        "keyset_digest": KEYSET_DIGEST,
        "nonce": NONCE.hex(),
        "challenged": _statement_case(challenged),
        "unchallenged": _statement_case(unchallenged),
    }


def _statement_case(text):
    return {"bytes": text, "slot": (sha256(text.encode()) + bytes(32)).hex()}


def keyset_vectors():
    receipt, tls = KEYSET["receipt_signing_keys"], KEYSET["tls_public_keys"]
    entry = receipt[0]

    def case(name, path, value, error):
        return refused(name, jcs(changed(KEYSET, path, value)), error)

    def e2ee(public_key):
        return [{"key_id": "e", "algo": "x25519", "public_key": public_key}]

    def spki_of(oid, key):
        der = bytes.fromhex("302a300506032b65") + bytes([oid]) + bytes.fromhex("032100") + key
        return [{"spki_sha256": sha256(der).hex()}]

    public = ed25519.public_key(RECEIPT_SEED)
    other = ed25519.public_key(OTHER_SEED)
    refusals = [case(f"no {name}", [name], ..., "document.missing") for name in KEYSET]
    refusals += [
        case("another member", ["note"], "", "document.unknown_member"),
        case("another member in a key", ["receipt_signing_keys", 0, "use"], "sig", "document.unknown_member"),
        case("another member in a TLS key", ["tls_public_keys", 0, "note"], "", "document.unknown_member"),
        case("subject is a number", ["subject"], 1, "document.wrong_type"),
        case("not_after is a string", ["not_after"], "1790000000", "document.wrong_type"),
        case("not_after is negative", ["not_after"], -1, "document.wrong_type"),
        case("keys are an object", ["e2ee_public_keys"], {}, "document.wrong_type"),
        case("a key is a string", ["receipt_signing_keys"], ["k"], "document.wrong_type"),
        case("domain is null", ["tls_public_keys", 0, "domain"], None, "document.wrong_type"),
        case("an empty key id", ["receipt_signing_keys", 0, "key_id"], "", "document.empty"),
        case("upper-case key", ["receipt_signing_keys", 0, "public_key"], entry["public_key"].upper(), "encoding.upper_case_hex"),
        case("short key", ["receipt_signing_keys", 0, "public_key"], entry["public_key"][2:], "encoding.wrong_length"),
        case("prefixed key", ["receipt_signing_keys", 0, "public_key"], "0x" + entry["public_key"][2:], "encoding.not_hex"),
        case("prefixed SPKI digest", ["tls_public_keys", 0, "spki_sha256"], "sha256:" + tls[0]["spki_sha256"], "encoding.wrong_length"),
        case("a key id twice", ["receipt_signing_keys"], [entry, ed25519_entry(entry["key_id"], OTHER_SEED)], "keyset.duplicate_key_id"),
        case("a receipt key that encrypts", ["e2ee_public_keys"], e2ee(public.hex()), "keyset.shared_key"),
        case("a receipt key that serves TLS", ["tls_public_keys"], spki_of(0x70, public), "keyset.shared_key"),
        case("an encryption key that serves TLS", [], {**KEYSET, "e2ee_public_keys": e2ee(other.hex()), "tls_public_keys": spki_of(0x6E, other)}, "keyset.shared_key"),
        refused("a list", "[]", "document.wrong_type"),
        refused("a member twice", jcs(KEYSET)[:-1] + ',"not_after":1}', "json.duplicate_name"),
    ]
    return {
        "text": _ugly(KEYSET),
        "jcs": jcs(KEYSET),
        "digest": KEYSET_DIGEST,
        "refused": refusals,
    }
