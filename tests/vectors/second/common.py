"""The keys, documents and keyset that all vectors share."""

from . import ed25519
from .jcs import digest, jcs

RECEIPT_SEED = bytes([0x11]) * 32
RECEIPT_KEY_ID = "receipt-7f3a"
OTHER_SEED = bytes([0x22]) * 32
NONCE = bytes(range(0x80, 0xA0))
SPKI = "5b" * 32

# Placeholder documents: what is tested is that their digests are in the subject.
CONFIG = '[server]\nmode = "direct"\n'
RETENTION = 'mode = "metadata"\n# hält nur Metadaten\n'


def subject(config, retention):
    return f"sealgate:1?config={config}&retention={retention}"


def ed25519_entry(key_id, seed):
    return {
        "key_id": key_id,
        "algo": "ed25519",
        "public_key": ed25519.public_key(seed).hex(),
    }


KEYSET = {
    "subject": subject(digest(CONFIG.encode()), digest(RETENTION.encode())),
    "not_after": 1790000000,
    "receipt_signing_keys": [
        ed25519_entry(RECEIPT_KEY_ID, RECEIPT_SEED),
        {"key_id": "receipt-pq", "algo": "ml-dsa-65", "public_key": "not/for:us"},
    ],
    "e2ee_public_keys": [],
    "tls_public_keys": [
        {"spki_sha256": SPKI},
        {"spki_sha256": "6c" * 32, "domain": "enclave.example.com"},
    ],
}
KEYSET_DIGEST = digest(jcs(KEYSET).encode())


def statement(keyset_digest, nonce):
    quoted = "null" if nonce is None else f'"{nonce.hex()}"'
    return f'{{"keyset_digest":"{keyset_digest}","nonce":{quoted},"purpose":"aci.report_data.v1"}}'


def refused(name, text, error):
    return {"name": name, "text": text, "error": error}
