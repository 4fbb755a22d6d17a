-- The receipts of each batch as one blob: a byte with the version of the form, 1, then 32 bytes for each digest.
CREATE TABLE batches (
    idx      INTEGER PRIMARY KEY,
    digests  BLOB NOT NULL CHECK (length(digests) > 1 AND length(digests) % 32 = 1)
) STRICT;
INSERT INTO batches
    SELECT idx, CAST(x'01' || group_concat(digest, '' ORDER BY position) AS BLOB) FROM receipts GROUP BY idx;
DROP TABLE receipts;

-- In which batch a receipt is, for receipts in sorted runs. A row has the receipts of one run whose digest begins with
-- the byte `bucket`: for each its next 4 bytes, and the index of its batch in 8 bytes. `last` is the index of the last
-- batch of the run.
CREATE TABLE receipt_runs (
    bucket  INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    places  BLOB NOT NULL CHECK (length(places) % 12 = 0),
    PRIMARY KEY (bucket, last)
) STRICT, WITHOUT ROWID;

-- The receipts in rows, for people and for programs that read the first schema.
CREATE VIEW receipts (idx, position, digest) AS
    WITH RECURSIVE place (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM place WHERE n < 4095)
    SELECT idx, n, substr(digests, 32 * n + 2, 32) FROM batches JOIN place ON n < length(digests) / 32;
