-- Administrators: a role, and the digest of an admin key.
CREATE TABLE admin_keys (
    id          TEXT PRIMARY KEY,
    role        TEXT NOT NULL,
    name        TEXT,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;
