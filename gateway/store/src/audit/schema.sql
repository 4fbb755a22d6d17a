-- Leaves of the tree, as they are hashed.
CREATE TABLE entries (
    idx    INTEGER PRIMARY KEY,
    entry  BLOB NOT NULL
) STRICT;

-- Hashes of all complete subtrees, in the order in which they are completed.
CREATE TABLE nodes (
    position  INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- The receipts of each batch, in order.
CREATE TABLE receipts (
    idx       INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (idx, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_digest ON receipts (digest);

-- What commitments are commitments to. Forgetting a row changes nothing in the log.
CREATE TABLE openings (
    idx      INTEGER PRIMARY KEY,
    salt     BLOB NOT NULL CHECK (length(salt) = 32),
    subject  TEXT NOT NULL
) STRICT;

-- The head signed last, committed together with the entries that it counts.
CREATE TABLE head (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    note  TEXT NOT NULL
) STRICT;
