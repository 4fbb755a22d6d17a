-- Budgets as operators define them. A number is never given twice, so that a removed budget leaves nothing to the next one
-- of its id.
CREATE TABLE budgets (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    definition  TEXT NOT NULL, -- JSON
    created_at  INTEGER NOT NULL
) STRICT;

-- Money that tenants and organisations have paid in advance.
CREATE TABLE credits (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    scope         TEXT NOT NULL,
    amount_nanos  INTEGER NOT NULL,
    granted_at    INTEGER NOT NULL,
    expires_at    INTEGER
) STRICT;

-- What was spent of them. Written in the transactions that write the rows of requests, and independent of what a
-- retention policy keeps of those.
CREATE TABLE budget_spent (
    kind          INTEGER NOT NULL, -- 0: of a budget, 1: of a credit
    account       INTEGER NOT NULL, -- the number of the budget or the credit
    window_start  INTEGER NOT NULL, -- 0 for a credit
    spent_nanos   INTEGER NOT NULL,
    spent_tokens  INTEGER NOT NULL,
    PRIMARY KEY (kind, account, window_start)
) STRICT, WITHOUT ROWID;

-- A running service reads budgets and credits when it reads keys.
CREATE TRIGGER budget_added AFTER INSERT ON budgets BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER budget_changed AFTER UPDATE ON budgets BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER budget_removed AFTER DELETE ON budgets BEGIN
    UPDATE key_changes SET generation = generation + 1;
    DELETE FROM budget_spent WHERE kind = 0 AND account = OLD.number;
END;
CREATE TRIGGER credit_added AFTER INSERT ON credits BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
