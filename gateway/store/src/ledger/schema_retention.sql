-- The chain of retention policies, in the order in which they were set.
CREATE TABLE retention_policies (
    epoch       INTEGER PRIMARY KEY,
    digest      TEXT NOT NULL UNIQUE,
    policy      TEXT NOT NULL,
    signatures  TEXT NOT NULL,
    set_at      INTEGER NOT NULL
) STRICT;

-- The time by which things expire, which neither jumps nor goes back.
CREATE TABLE retention_clock (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    now  INTEGER NOT NULL
) STRICT;

-- Sealed records. The files are beside the database, named after the receipt.
CREATE TABLE records (
    receipt_id  TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    key_digest  BLOB NOT NULL CHECK (length(key_digest) = 32),
    policy      TEXT NOT NULL,
    deletable   INTEGER NOT NULL,
    sealed_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    state       TEXT NOT NULL
) STRICT;
CREATE INDEX records_by_expiry ON records (expires_at);

-- Usage rows end some day, and leave out what the policy does.
CREATE TABLE usage_kept (
    receipt_id         TEXT,
    at                 INTEGER NOT NULL,
    key_id             TEXT,
    tenant             TEXT NOT NULL,
    model              TEXT,
    upstream           TEXT,
    endpoint           TEXT NOT NULL,
    stream             INTEGER NOT NULL,
    status             INTEGER NOT NULL,
    outcome            TEXT NOT NULL,
    prompt_tokens      INTEGER,
    completion_tokens  INTEGER,
    latency_us         INTEGER,
    first_byte_us      INTEGER,
    bytes_in           INTEGER,
    bytes_out          INTEGER,
    expires_at         INTEGER NOT NULL
) STRICT;
INSERT INTO usage_kept SELECT receipt_id, at, key_id, tenant, model, upstream, endpoint, stream, status, outcome,
    prompt_tokens, completion_tokens, latency_us, first_byte_us, bytes_in, bytes_out, at + 90 * 86400 FROM usage;
DROP TABLE usage;
ALTER TABLE usage_kept RENAME TO usage;
CREATE INDEX usage_by_time ON usage (at);
CREATE INDEX usage_by_expiry ON usage (expires_at);
