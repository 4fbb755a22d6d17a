-- Rate limits: JSON, by an id that the operator chose.
CREATE TABLE limits (
    id          TEXT PRIMARY KEY,
    definition  TEXT NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;

-- A change of a limit is read like a change of a key.
CREATE TRIGGER limit_added AFTER INSERT ON limits BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER limit_changed AFTER UPDATE ON limits BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER limit_removed AFTER DELETE ON limits BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
