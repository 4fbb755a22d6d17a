"""Retention policies: format 2 with its commitments and openings, and format 1 beside it."""

import hashlib
import hmac
import json

from . import ed25519
from .common import OTHER_SEED, refused
from .jcs import changed, digest, jcs, sha256

SALT = sha256(b"the salt of a retention policy")
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
FORMAT_1 = "sealgate/retention/1"
FORMAT_2 = "sealgate/retention/2"
FIELDS = ["key", "model", "upstream", "tokens", "timing", "sizes", "receipt"]


def metadata(ttl, fields=FIELDS):
    return {"mode": "metadata", "ttl": ttl, "fields": fields, "on_failure": "serve"}


def rule(terms, tenants=None, models=None):
    return {**terms, "tenants": tenants, "models": models}


def document(format, rules, predecessor=None):
    return {
        "format": format,
        "epoch": 2 if predecessor else 1,
        "predecessor": predecessor,
        "description": "What the vectors keep.",
        "default": metadata("30d"),
        "rule": rules,
    }


CONTENT = {
    "mode": "content",
    "ttl": "3650d",
    "fields": FIELDS,
    "on_failure": "refuse",
    "recipients": [RECIPIENT],
    "deletion": "operator",
}
RULES = [
    rule({"mode": "zero"}, ["clinic", "lab", "archive"]),
    rule({"mode": "zero"}, None, ["private-model"]),
    rule(CONTENT, ["bank"], ["demo-model"]),
    rule(metadata("7d", ["tokens"]), ["lab"]),
]


def name_salt(kind, name):
    return hmac.new(SALT, kind.encode() + b"\0" + name.encode(), hashlib.sha256).digest()


def commitment(kind, name):
    return digest(b"sealgate/log-subject/v1\0" + name_salt(kind, name) + f"{kind} {name}".encode())


def published(document):
    def hidden(terms):
        terms = dict(terms)
        for member, kind in [("tenants", "tenant"), ("recipients", "recipient")]:
            if terms.get(member) is not None:
                terms[member] = sorted(commitment(kind, name) for name in terms[member])
        return terms

    rules = sorted((hidden(terms) for terms in document["rule"]), key=lambda terms: jcs(terms).encode())
    return {**document, "default": hidden(document["default"]), "rule": rules}


def stored(document):
    return jcs({**document, "salt": SALT.hex()})


def opening(kind, name, named):
    return {
        "kind": kind,
        "name": name,
        "salt": name_salt(kind, name).hex(),
        "commitment": commitment(kind, name),
        "in_policy": named,
    }


def case(name, stored_text, published_text):
    document_digest = digest(published_text.encode())
    message = b"sealgate/retention/v1\0" + bytes.fromhex(document_digest[7:])
    key, signature = ed25519.public_key(OTHER_SEED).hex(), ed25519.sign(OTHER_SEED, message).hex()
    return {
        "name": name,
        "stored": stored_text,
        "published": published_text,
        "digest": document_digest,
        "message": message.hex(),
        "signatures": f"ed25519 {key} {signature}\n",
    }


def vectors():
    one = document(FORMAT_1, RULES)
    two = document(FORMAT_2, RULES, digest(jcs(one).encode()))
    nameless = document(FORMAT_2, RULES[1:2])
    shown = published(two)
    tenants = next(i for i, terms in enumerate(shown["rule"]) if len(terms["tenants"] or []) == 3)
    sealed = next(i for i, terms in enumerate(shown["rule"]) if "recipients" in terms)
    listed = shown["rule"][tenants]["tenants"]

    def other(path, value):
        return jcs(changed(json.loads(jcs(shown)), path, value))

    text = jcs(shown)
    return {
        "seed": OTHER_SEED.hex(),
        "salt": SALT.hex(),
        "accepted": [
            case("format 1 publishes the names", jcs(one), jcs(one)),
            case("format 2 publishes commitments", stored(two), text),
            case("format 2 without names needs no salt", jcs(nameless), jcs(nameless)),
        ],
        "openings": [opening("tenant", name, True) for name in ["clinic", "lab", "archive", "bank"]]
        + [opening("recipient", RECIPIENT, True), opening("tenant", "elsewhere", False)],
        "refused_published": [
            refused("the stored form", stored(two), "retention.not_published"),
            refused("another format", other(["format"], "sealgate/retention/3"), "retention.format"),
            refused("commitments in format 1", other(["format"], FORMAT_1), "retention.terms"),
            refused("a name among commitments", other(["rule", tenants, "tenants", 0], "clinic"), "retention.commitments"),
            refused("bare hex", other(["rule", tenants, "tenants", 0], listed[0][7:]), "retention.commitments"),
            refused("upper-case hex", other(["rule", tenants, "tenants", 0], "sha256:" + listed[0][7:].upper()), "retention.commitments"),
            refused("a commitment twice", other(["rule", tenants, "tenants"], [listed[0], *listed[:2]]), "retention.commitments"),
            refused("no commitment", other(["rule", tenants, "tenants"], []), "retention.commitments"),
            refused("commitments out of order", other(["rule", tenants, "tenants"], listed[::-1]), "retention.not_canonical"),
            refused("rules out of order", other(["rule"], shown["rule"][::-1]), "retention.not_canonical"),
            refused("a recipient by name", other(["rule", sealed, "recipients"], [RECIPIENT]), "retention.terms"),
            refused("a space", text.replace(":", ": ", 1), "retention.not_canonical"),
            refused("no predecessor", other(["predecessor"], None), "retention.predecessor_misplaced"),
            refused("another member", other(["salts"], []), "retention.shape"),
            refused("a format that is no text", other(["format"], 2), "retention.shape"),
            refused("a name twice", text.replace("{", '{"epoch":2,', 1), "json.duplicate_name"),
        ],
        "refused_stored": [
            refused("the published form", text, "retention.names_missing"),
            refused("no salt", jcs(two), "retention.salt_missing"),
            refused("a salt in format 1", jcs({**one, "salt": SALT.hex()}), "retention.salt_in_format_one"),
            refused("a placeholder for the salt", jcs({**two, "salt": "00" * 32}), "retention.salt"),
            refused("a short salt", jcs({**two, "salt": SALT.hex()[2:]}), "retention.salt"),
            refused("an upper-case salt", jcs({**two, "salt": SALT.hex().upper()}), "retention.salt"),
            refused("no salt where there is a null", jcs({**nameless, "salt": None}), "retention.not_canonical"),
        ],
    }
