ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE api_keys ADD COLUMN blocked_at INTEGER;
-- The key that this one was made to replace.
ALTER TABLE api_keys ADD COLUMN replaces TEXT;
-- JSON: what the key may be used for. An absent member restricts nothing.
ALTER TABLE api_keys ADD COLUMN restrictions TEXT NOT NULL DEFAULT '{}';
