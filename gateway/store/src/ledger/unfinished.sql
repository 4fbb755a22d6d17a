-- Requests on their way whose policy would rather have them refused than not kept: here before they are forwarded,
-- gone when their usage row is there. What a process leaves behind becomes usage rows at the next start.
CREATE TABLE unfinished (
    id                 INTEGER PRIMARY KEY,
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
