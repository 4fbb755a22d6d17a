"""The audit log: RFC 6962 trees by their definitions, C2SP notes, checkpoints, tiles and proofs, our entries."""

import base64
import hashlib

from . import ed25519
from .common import KEYSET_DIGEST, OTHER_SEED, RECEIPT_SEED, refused
from .jcs import digest, jcs

ORIGIN = "sealgate.log/" + "a7" * 16

# The tree that implementations of Certificate Transparency test with, and its roots by size.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# From the tests of golang.org/x/mod/sumdb/note.
GO_NOTE = {
    "name": "PeterNeumann",
    "public_key": base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:].hex(),
    "key_id": "c74f20a3",
    "text": "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
    "line": "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
}


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    k = split(len(leaves))
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def subproof(m, leaves, known):
    if m == len(leaves):
        return [] if known else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], known) + [root(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [root(leaves[:k])]


def hexes(hashes):
    return [h.hex() for h in hashes]


def tree():
    published = [bytes.fromhex(leaf) for leaf in CT_LEAVES]
    for size, wanted in enumerate(CT_ROOTS, 1):
        assert root(published[:size]).hex() == wanted, size
    leaves = published + [bytes([n]) * n for n in range(8, 21)]
    inclusion = [
        {"index": m, "size": n, "path": hexes(path(m, leaves[:n]))} for n in range(1, len(leaves) + 1) for m in range(n)
    ]
    consistency = [
        {"old": m, "new": n, "path": hexes(subproof(m, leaves[:n], True))}
        for n in range(1, len(leaves) + 1)
        for m in range(1, n + 1)
    ]
    return {
        "leaves": hexes(leaves),
        "published_roots": CT_ROOTS,
        "roots": [root(leaves[:n]).hex() for n in range(len(leaves) + 1)],
        "inclusion": inclusion,
        "consistency": consistency,
    }


def key_id(name, public):
    return sha256(name.encode() + b"\n\1" + public)[:4]


def signed(text, name, seed):
    public = ed25519.public_key(seed)
    signature = key_id(name, public) + ed25519.sign(seed, text.encode())
    return f"{text}\n— {name} {b64(signature)}\n"


def checkpoint(size, root_hash, origin=ORIGIN, seed=RECEIPT_SEED):
    return signed(f"{origin}\n{size}\n{b64(root_hash)}\n", origin, seed)


def heads():
    size, top = 3, root([b"a", b"b", b"c"])
    good = checkpoint(size, top)
    text, line = good.split("\n\n")
    text += "\n"
    another = checkpoint(size, top, seed=OTHER_SEED).split("\n\n")[1]
    return {
        "origin": ORIGIN,
        "public_key": ed25519.public_key(RECEIPT_SEED).hex(),
        "size": size,
        "root": top.hex(),
        "note": good,
        "accepted": [
            {"name": "with a witness's signature beside ours", "text": good + another.replace(ORIGIN, "witness.example")},
            {"name": "with another key's signature of the same name", "text": good + another},
        ],
        "refused": [
            refused("empty", "", "note.malformed"),
            refused("no signature", text, "note.malformed"),
            refused("no empty line", good.replace("\n\n", "\n"), "note.malformed"),
            refused("no last newline", good[:-1], "note.malformed"),
            refused("carriage returns", good.replace("\n", "\r\n"), "note.malformed"),
            refused("a hyphen for the dash", good.replace("—", "-"), "note.malformed"),
            refused("another key's signature alone", f"{text}\n{another}", "note.not_signed_by_key"),
            refused("another size", good.replace("\n3\n", "\n4\n"), "note.signature"),
            refused("a signature that was cut", signed_cut(text), "note.signature"),
            refused("size with a zero before it", resigned(text.replace("\n3\n", "\n03\n")), "checkpoint.text"),
            refused("negative size", resigned(text.replace("\n3\n", "\n-3\n")), "checkpoint.text"),
            refused("short root", resigned(f"{ORIGIN}\n3\n{b64(top[:31])}\n"), "checkpoint.text"),
            refused("an extension line", resigned(text + "extension\n"), "checkpoint.text"),
            refused("two lines", resigned(f"{ORIGIN}\n3\n"), "checkpoint.text"),
            refused("another kind of origin", checkpoint(3, top, origin="example.com/log"), "checkpoint.text"),
        ],
    }


def resigned(text):
    return signed(text, ORIGIN, RECEIPT_SEED)


def signed_cut(text):
    public = ed25519.public_key(RECEIPT_SEED)
    signature = key_id(ORIGIN, public) + ed25519.sign(RECEIPT_SEED, text.encode())[:-1]
    return f"{text}\n— {ORIGIN} {b64(signature)}\n"


AT = 1767323045
EPOCH = {
    "at": AT,
    "type": "epoch.began",
    "config": digest(b"config"),
    "epoch": 1,
    "key": ed25519.public_key(RECEIPT_SEED).hex(),
    "keyset": KEYSET_DIGEST,
    "mode": "metadata",
    "not_after": 1790000000,
    "reason": "start",
    "retention": digest(b"retention"),
}


def commitment(salt, subject):
    return "sha256:" + sha256(b"sealgate/log-subject/v1\0" + salt + subject.encode()).hex()


def entry(of_type, **members):
    return {"at": AT, "type": of_type, **members}


def entries():
    salt, subject = bytes([9]) * 32, "key 3f9a of tenant acme"
    good = [
        entry("log.began", origin=ORIGIN),
        EPOCH,
        entry("epoch.ended", epoch=1, keyset=KEYSET_DIGEST, reason="replaced"),
        entry(
            "retention.changed",
            digest=digest(b"new"),
            mode="content",
            number=2,
            predecessor=digest(b"retention"),
            signers=[ed25519.public_key(OTHER_SEED).hex()],
        ),
        entry("retention.changed", digest=digest(b"new"), mode="zero", number=1, predecessor=None, signers=[]),
        entry("admin", action="key.created", subject=commitment(salt, subject)),
        entry("upstream.accepted", session="5e" * 32, upstream="enclave-1"),
        entry("upstream.rejected", check="tdx.tcb.status", upstream="enclave-1"),
        entry("upstream.rejected", check=None, upstream="enclave-1"),
        entry("refused", counts={"keyset_changed": 2, "retention_not_allowed": 1}),
        entry("purged", count=12, kind="receipts", reason="expired"),
        entry("receipts", root="c3" * 32),
        entry("receipts.lost", count=4),
        entry("rows.lost", count=7, kind="usage"),
    ]
    bad = [
        ("unknown type", entry("prompt.logged", text="hello"), "document.unknown_value"),
        ("member of another type", entry("receipts", root="c3" * 32, count=1), "document.unknown_member"),
        ("member missing", entry("receipts"), "document.missing"),
        ("free text for a word", entry("upstream.accepted", session="5e" * 32, upstream="hello there"), "document.unknown_value"),
        ("rows of no kind", entry("rows.lost", count=7), "document.missing"),
        ("unknown action", entry("admin", action="key.lost", subject=digest(b"x")), "document.unknown_value"),
        ("count of nothing", entry("refused", counts={"keyset_changed": 0}), "document.wrong_type"),
        ("origin of another kind", entry("log.began", origin="example.com"), "document.unknown_value"),
    ]
    spaced = jcs(good[-1]).replace(":", ": ", 1)
    return {
        "accepted": [jcs(document) for document in good],
        "refused": [refused(name, jcs(document), error) for name, document, error in bad]
        + [refused("white space", spaced, "entry.not_canonical"), refused("not JSON", "{", "json.truncated")],
        "commitment": {"salt": salt.hex(), "subject": subject, "digest": commitment(salt, subject)},
    }


def tlog_proof(extra, index, hashes, head):
    lines = ["c2sp.org/tlog-proof@v1", "extra " + b64(extra), f"index {index}", *map(b64, hashes)]
    return "\n".join(lines) + "\n\n" + head


def proofs():
    receipts = [sha256(bytes([n])) for n in range(5)]
    batch = entry("receipts", root=root(receipts).hex())
    log = [jcs(entry("log.began", origin=ORIGIN)), jcs(EPOCH), jcs(batch), jcs(entry("receipts.lost", count=4))]
    leaves = [text.encode() for text in log]
    head = checkpoint(len(leaves), root(leaves))
    extra = {"entry": jcs(batch), "index": 3, "path": hexes(path(3, receipts)), "size": len(receipts)}
    return {
        "log": log,
        "digests": ["sha256:" + receipt.hex() for receipt in receipts],
        "receipt": tlog_proof(jcs(extra).encode(), 2, path(2, leaves), head),
        "receipt_place": 3,
        "epoch": tlog_proof(leaves[1], 1, path(1, leaves), head),
    }


def encoded(index):
    groups = []
    while True:
        groups.insert(0, f"{index % 1000:03}")
        index //= 1000
        if not index:
            return "/".join([*("x" + group for group in groups[:-1]), groups[-1]])


def paths():
    cases = [("0", 0, 256), ("0", 5, 112), ("1", 999, 1), ("63", 0, 255), ("entries", 1234067, 256), ("entries", 1000, 9)]
    good = []
    for level, index, width in cases:
        partial = "" if width == 256 else f".p/{width}"
        good.append({"level": level, "index": index, "width": width, "path": f"tile/{level}/{encoded(index)}{partial}"})
    bad = ["tile/0/0", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/05"]
    bad += ["tile/0/001/234", "tile/0/x000/001", "tile/-1/000", "tile/0/x1/234", "tile/entries", "checkpoint", "tile/0/+01"]
    return {"accepted": good, "refused": bad}


def vectors():
    return {
        "tree": tree(),
        "published_note": GO_NOTE,
        "head": heads(),
        "entries": entries(),
        "proofs": proofs(),
        "paths": paths(),
    }
