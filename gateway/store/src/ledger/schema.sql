CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

-- Counts changes to api_keys, so that a running service need not read them to know that nothing changed.
CREATE TABLE key_changes (
    generation  INTEGER NOT NULL
) STRICT;
INSERT INTO key_changes (generation) VALUES (0);
CREATE TRIGGER api_key_added AFTER INSERT ON api_keys BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER api_key_changed AFTER UPDATE ON api_keys BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER api_key_removed AFTER DELETE ON api_keys BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;

CREATE TABLE usage (
    receipt_id         TEXT NOT NULL,
    at                 INTEGER NOT NULL,
    key_id             TEXT NOT NULL,
    tenant             TEXT NOT NULL,
    model              TEXT,
    upstream           TEXT,
    endpoint           TEXT NOT NULL,
    stream             INTEGER NOT NULL,
    status             INTEGER NOT NULL,
    outcome            TEXT NOT NULL,
    prompt_tokens      INTEGER,
    completion_tokens  INTEGER,
    latency_us         INTEGER NOT NULL,
    first_byte_us      INTEGER,
    bytes_in           INTEGER NOT NULL,
    bytes_out          INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage (at);

CREATE TABLE receipts (
    receipt_id  TEXT PRIMARY KEY,
    chat_id     TEXT,
    key_digest  BLOB NOT NULL CHECK (length(key_digest) = 32),
    json        BLOB NOT NULL,
    served_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX receipts_by_chat ON receipts (chat_id, key_digest) WHERE chat_id IS NOT NULL;
CREATE INDEX receipts_by_expiry ON receipts (expires_at);

CREATE TABLE sessions (
    id          BLOB PRIMARY KEY CHECK (length(id) = 32),
    json        BLOB NOT NULL,
    keep_until  INTEGER NOT NULL
) STRICT;

CREATE TABLE epochs (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    keyset_digest  TEXT NOT NULL,
    keyset         TEXT NOT NULL,
    config         TEXT NOT NULL,
    retention      TEXT NOT NULL,
    began_at       INTEGER NOT NULL
) STRICT;
