-- Who holds API keys. An organisation has tenants, a tenant has users and service accounts, and a key belongs to a tenant
-- and may belong to one of its users. What is registered about each are names: no column has free text.
CREATE TABLE organisations (
    name         TEXT PRIMARY KEY,
    owner        TEXT,
    cost_centre  TEXT,
    created_at   INTEGER NOT NULL,
    disabled_at  INTEGER
) STRICT;

CREATE TABLE tenants (
    name          TEXT PRIMARY KEY,
    organisation  TEXT,
    owner         TEXT,
    cost_centre   TEXT,
    scenarios     TEXT NOT NULL DEFAULT '[]', -- JSON: the values that requests may name
    owners        TEXT NOT NULL DEFAULT '[]',
    required      TEXT NOT NULL DEFAULT '[]', -- JSON: the labels that requests must have
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER,
    removed_at    INTEGER -- its keys are revoked; a new key creates it again
) STRICT;
CREATE INDEX tenants_by_organisation ON tenants (organisation);

CREATE TABLE users (
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL,
    owner        TEXT,
    cost_centre  TEXT,
    created_at   INTEGER NOT NULL,
    disabled_at  INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE api_keys ADD COLUMN user_name TEXT;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant);

-- Tenants existed through their keys only.
INSERT INTO tenants (name, created_at) SELECT tenant, min(created_at) FROM api_keys GROUP BY tenant;

-- A change of any of these is a change of keys: a running service reads all of them again.
CREATE TRIGGER organisation_added AFTER INSERT ON organisations BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER organisation_changed AFTER UPDATE ON organisations BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER organisation_removed AFTER DELETE ON organisations BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER tenant_added AFTER INSERT ON tenants BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER tenant_changed AFTER UPDATE ON tenants BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER tenant_removed AFTER DELETE ON tenants BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER user_added AFTER INSERT ON users BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER user_changed AFTER UPDATE ON users BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
CREATE TRIGGER user_removed AFTER DELETE ON users BEGIN
    UPDATE key_changes SET generation = generation + 1;
END;
