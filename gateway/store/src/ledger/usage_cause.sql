-- What the upstream did wrong, and how the token counts are known.
ALTER TABLE usage ADD COLUMN cause TEXT;
ALTER TABLE usage ADD COLUMN token_source TEXT;
ALTER TABLE unfinished ADD COLUMN cause TEXT;
ALTER TABLE unfinished ADD COLUMN token_source TEXT;
