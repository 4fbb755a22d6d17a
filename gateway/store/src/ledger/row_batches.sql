-- Rows of requests that are durable and not in their tables yet: encoded, many in one blob, so that a request costs
-- neither a statement nor a change of an index. Moved to the tables in large transactions.
CREATE TABLE row_batches (
    id    INTEGER PRIMARY KEY,
    rows  INTEGER NOT NULL,
    body  BLOB NOT NULL
) STRICT;

-- The ids of responses are random. In an index over all of them each would change another page. Here they are in groups
-- of some 65536 receipts, in order of arrival: each change is made in the pages of the last group, and whoever looks for
-- an id asks each group.
ALTER TABLE receipts ADD COLUMN chat_group INTEGER;
UPDATE receipts SET chat_group = rowid >> 16 WHERE chat_id IS NOT NULL;
DROP INDEX receipts_by_chat;
CREATE INDEX receipts_by_chat ON receipts (chat_group, chat_id) WHERE chat_group IS NOT NULL;

-- 1 where the writer added the row to the sums itself, many rows at a time.
ALTER TABLE usage ADD COLUMN summed INTEGER;
DROP TRIGGER usage_added;
CREATE TRIGGER usage_added AFTER INSERT ON usage WHEN NEW.summed IS NULL BEGIN
    INSERT INTO usage_sums VALUES (
        60, NEW.at / 60, NEW.tenant, coalesce(NEW.model, ''), 1, NEW.outcome <> 'completed',
        min(coalesce(NEW.prompt_tokens, 0), 1000000000000), min(coalesce(NEW.completion_tokens, 0), 1000000000000),
        min(coalesce(NEW.bytes_in, 0), 1000000000000), min(coalesce(NEW.bytes_out, 0), 1000000000000)
    ) ON CONFLICT (width, period, tenant, model) DO UPDATE SET
        requests = requests + 1,
        failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        bytes_in = bytes_in + excluded.bytes_in,
        bytes_out = bytes_out + excluded.bytes_out;
    INSERT INTO usage_sums VALUES (
        3600, NEW.at / 3600, NEW.tenant, coalesce(NEW.model, ''), 1, NEW.outcome <> 'completed',
        min(coalesce(NEW.prompt_tokens, 0), 1000000000000), min(coalesce(NEW.completion_tokens, 0), 1000000000000),
        min(coalesce(NEW.bytes_in, 0), 1000000000000), min(coalesce(NEW.bytes_out, 0), 1000000000000)
    ) ON CONFLICT (width, period, tenant, model) DO UPDATE SET
        requests = requests + 1,
        failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        bytes_in = bytes_in + excluded.bytes_in,
        bytes_out = bytes_out + excluded.bytes_out;
END;
