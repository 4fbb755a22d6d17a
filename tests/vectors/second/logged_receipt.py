"""Receipts that the audit log proves instead of a signature: vectors, and a checker that has to give each its result.

`check` follows the four conditions of the profile (§7, a receipt with a log proof) by the definitions: it recomputes
roots from paths recursively and shares nothing with the functions that made the proofs but the hash.
"""

import base64
import json

from . import ed25519
from .common import KEYSET, OTHER_SEED, RECEIPT_SEED, refused, subject
from .jcs import changed, digest, jcs
from .log import ORIGIN, checkpoint, entry, hexes, key_id, path, root, sha256, split, tlog_proof
from .receipt import SERVED, sign

CONFIG = jcs({"receipts": {"keep": 86400, "sign": "on_fetch"}, "version": 1})
RETENTION = "retention"
ON_FETCH = {**KEYSET, "subject": subject(digest(CONFIG.encode()), digest(RETENTION.encode()))}
RECEIPT = {**SERVED, "workload_keyset_digest": digest(jcs(ON_FETCH).encode())}


class Refused(Exception):
    """The name of the first thing wrong."""


def demand(holds, error):
    if not holds:
        raise Refused(error)


# The checker.


def check(document, keyset):
    """The digest of a receipt with a log proof, the index of its batch and the size of the head, or `Refused`."""
    unsigned = {name: value for name, value in document.items() if name != "log_proof"}
    demand("signature" not in document and "log_proof" in document, "document.missing")
    proof = parse_proof(document["log_proof"])
    demand(document["workload_keyset_digest"] == digest(jcs(keyset).encode()), "receipt.keyset_digest_mismatch")
    key = next((key for key in keyset["receipt_signing_keys"] if key["key_id"] == document["key_id"]), None)
    demand(key, "signing_key.unknown")
    demand(key["algo"] == "ed25519", "signing_key.unsupported_algorithm")
    size, top = verify_head(proof["head"], bytes.fromhex(key["public_key"]))
    batch = proof["extra"]
    of_batch = json.loads(batch["entry"])
    leaf = sha256(b"\0" + sha256(jcs(unsigned).encode()))
    path_root(leaf, batch["index"], batch["size"], batch["path"], of_batch["root"], "proof.entry")
    leaf = sha256(b"\0" + batch["entry"].encode())
    path_root(leaf, proof["index"], size, proof["hashes"], top, "proof.path")
    return digest(jcs(unsigned).encode()), proof["index"], size


def signs_on_fetch(keyset, config):
    """Whether the attested configuration says that receipts are signed when they are fetched."""
    attested = keyset["subject"].split("config=")[1].split("&")[0]
    if digest(config.encode()) != attested:
        return False
    try:
        parsed = json.loads(config)
    except ValueError:
        return False
    receipts = parsed.get("receipts") if isinstance(parsed, dict) else None
    return isinstance(receipts, dict) and receipts.get("sign") == "on_fetch"


def parse_proof(text):
    proof, found, head = text.partition("\n\n")
    lines = proof.split("\n")
    demand(found and lines[0] == "c2sp.org/tlog-proof@v1" and len(lines) >= 3, "proof.text")
    demand(lines[1].startswith("extra ") and lines[2].startswith("index "), "proof.text")
    index = lines[2][6:]
    demand(index.isascii() and index.isdigit() and str(int(index)) == index, "proof.text")
    try:
        extra = json.loads(base64.b64decode(lines[1][6:], validate=True))
        hashes = [base64.b64decode(line, validate=True) for line in lines[3:]]
    except ValueError:
        raise Refused("proof.text") from None
    demand(all(len(hash_) == 32 for hash_ in hashes), "proof.text")
    demand(sorted(extra) == ["entry", "index", "path", "size"], "proof.text")
    batch = json.loads(extra["entry"])
    demand(batch.get("type") == "receipts", "proof.entry")
    demand(sorted(batch) == ["at", "root", "type"] and jcs(batch) == extra["entry"], "proof.text")
    return {"extra": extra, "index": int(index), "hashes": hexes(hashes), "head": head}


def verify_head(note, public):
    text, _, signatures = note.partition("\n\n")
    origin, size, top = text.split("\n")
    wanted = key_id(origin, public)
    lines = [line.split(" ") for line in signatures.strip("\n").split("\n")]
    signature = next((s for _, name, s in lines if name == origin and base64.b64decode(s)[:4] == wanted), None)
    demand(signature, "note.not_signed_by_key")
    demand(ed25519.verify(public, (text + "\n").encode(), base64.b64decode(signature)[4:]), "note.signature")
    return int(size), base64.b64decode(top).hex()


def path_root(leaf, index, size, hashes, wanted, other_root):
    """That the leaf is at `index` of the tree of `size` leaves with the root `wanted`."""
    demand(index < size, "proof.path")

    def climb(m, n, rest):
        if n == 1:
            demand(not rest, "proof.path")
            return leaf
        demand(rest, "proof.path")
        k, sibling = split(n), bytes.fromhex(rest[-1])
        if m < k:
            return sha256(b"\1" + climb(m, k, rest[:-1]) + sibling)
        return sha256(b"\1" + sibling + climb(m - k, n - k, rest[:-1]))

    demand(climb(index, size, hashes).hex() == wanted, other_root)


# The vectors.


def proven(receipt, place=2, batch_size=5, after=1, seed=RECEIPT_SEED, edit=lambda extra: extra, other=None):
    """The receipt with its log proof: place `place` of a batch, the third entry of its log."""
    batch = [sha256(bytes([n])) for n in range(batch_size)]
    batch[place] = sha256(jcs(other or receipt).encode())
    of_batch = jcs(entry("receipts", root=root(batch).hex()))
    log = [jcs(entry("log.began", origin=ORIGIN)), jcs(entry("receipts.lost", count=1)), of_batch]
    log += [jcs(entry("receipts.lost", count=n + 2)) for n in range(after)]
    leaves = [text.encode() for text in log]
    extra = edit({"entry": of_batch, "index": place, "path": hexes(path(place, batch)), "size": batch_size})
    head = checkpoint(len(leaves), root(leaves), seed=seed)
    return {**receipt, "log_proof": tlog_proof(jcs(extra).encode(), 2, path(2, leaves), head)}


def accepted():
    cases = [
        ("a batch of five, one entry after it", proven(RECEIPT)),
        ("alone in its batch, which is the last entry", proven(RECEIPT, place=0, batch_size=1, after=0)),
        ("the last of a batch, many entries after it", proven(RECEIPT, place=6, batch_size=7, after=14)),
        ("a member that the verifier does not know", proven({**RECEIPT, "note": {"x": 1}})),
    ]
    for name, document in cases:
        found, index, size = check(document, ON_FETCH)
        yield {"name": name, "text": jcs(document), "digest": found, "index": index, "size": size}


def _refused():
    good = proven(RECEIPT)
    proof = good["log_proof"]
    head = proof.index("\n\n") + 2
    later = {**RECEIPT, "receipt_id": "rcpt-1"}

    def of_another_size(extra):
        return {**extra, "size": extra["size"] + 4}

    def of_another_place(extra):
        return {**extra, "index": extra["index"] ^ 1}

    def of_another_entry(extra):
        return {**extra, "entry": jcs(entry("receipts.lost", count=1))}

    def of_another_batch(extra):
        batch = [sha256(bytes([n])) for n in range(4)] + [sha256(jcs(RECEIPT).encode())]
        of_batch = jcs(entry("receipts", root=root(batch).hex()))
        return {"entry": of_batch, "index": 4, "path": hexes(path(4, batch)), "size": 5}

    def with_proof(text):
        return {**good, "log_proof": text}

    another = proven(RECEIPT, after=2)["log_proof"]
    other_head = another[another.index("\n\n") + 2 :]
    documents = [
        ("neither signature nor proof", RECEIPT, "document.missing"),
        ("a proof that is no text", with_proof("x"), "proof.text"),
        ("a proof without a head", with_proof(proof[: head - 1]), "proof.text"),
        ("an index with a zero before it", with_proof(proof.replace("\nindex 2\n", "\nindex 02\n")), "proof.text"),
        ("a member more in the extra data", proven(RECEIPT, edit=lambda extra: {**extra, "x": 1}), "proof.text"),
        ("another receipt id", {**good, "receipt_id": "rcpt-1"}, "proof.entry"),
        ("another time", {**good, "served_at": 1780000001}, "proof.entry"),
        ("another response", changed(good, ["event_log", 4, "body_hash"], digest(b"")), "proof.entry"),
        ("a member more", {**good, "note": "x"}, "proof.entry"),
        ("the batch has another receipt", proven(RECEIPT, other=later), "proof.entry"),
        ("the batch has the receipt with its signature", proven(RECEIPT, other=sign(RECEIPT)), "proof.entry"),
        ("another place in the batch", proven(RECEIPT, edit=of_another_place), "proof.entry"),
        ("a batch of another size", proven(RECEIPT, edit=of_another_size), "proof.path"),
        ("a place beyond the batch", proven(RECEIPT, edit=lambda extra: {**extra, "index": 5}), "proof.path"),
        ("a hash less in the batch", proven(RECEIPT, edit=lambda extra: {**extra, "path": extra["path"][1:]}), "proof.path"),
        ("an entry that is no batch", proven(RECEIPT, edit=of_another_entry), "proof.entry"),
        ("a batch that the log does not have", proven(RECEIPT, edit=of_another_batch), "proof.path"),
        ("another index", with_proof(proof.replace("\nindex 2\n", "\nindex 3\n")), "proof.path"),
        ("an index beyond the log", with_proof(proof.replace("\nindex 2\n", "\nindex 4\n")), "proof.path"),
        ("the head of a later size", with_proof(proof[:head] + other_head), "proof.path"),
        ("a head that another key signed", proven(RECEIPT, seed=OTHER_SEED), "note.not_signed_by_key"),
        ("a head with another size", with_proof(proof.replace("\n4\n", "\n5\n")), "note.signature"),
        ("another keyset", proven({**RECEIPT, "workload_keyset_digest": digest(b"")}), "receipt.keyset_digest_mismatch"),
        ("a key not listed", proven({**RECEIPT, "key_id": "receipt-8"}), "signing_key.unknown"),
        ("a key of another algorithm", proven({**RECEIPT, "key_id": "receipt-pq"}), "signing_key.unsupported_algorithm"),
    ]
    for name, document, error in documents:
        try:
            check(document, ON_FETCH)
            found = None
        except Refused as refusal:
            found = str(refusal)
        assert found == error, (name, found, error)
        yield refused(name, jcs(document), error)


def configurations():
    texts = [
        CONFIG,
        jcs({"receipts": {"sign": "eager"}}),
        jcs({"receipts": {}}),
        jcs({"receipts": "on_fetch"}),
        jcs({"sign": "on_fetch"}),
        "on_fetch",
    ]
    for text in texts:
        keyset = {**ON_FETCH, "subject": subject(digest(text.encode()), digest(RETENTION.encode()))}
        yield {"keyset_jcs": jcs(keyset), "config": text, "signs_on_fetch": signs_on_fetch(keyset, text)}
    # A document that is not the attested one.
    yield {"keyset_jcs": jcs(KEYSET), "config": CONFIG, "signs_on_fetch": signs_on_fetch(KEYSET, CONFIG)}


def vectors():
    found = list(configurations())
    assert [case["signs_on_fetch"] for case in found] == [True] + [False] * 6
    return {
        "keyset_jcs": jcs(ON_FETCH),
        "configurations": found,
        "accepted": list(accepted()),
        "refused": list(_refused()),
    }
