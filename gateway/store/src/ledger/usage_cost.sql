-- What a request cost, in billionths of the price table's unit; NULL where there is no price. Tokens that the upstream
-- had in its cache are part of the prompt's, and tokens of reasoning part of the completion's.
ALTER TABLE usage ADD COLUMN cost_nanos INTEGER;
ALTER TABLE usage ADD COLUMN cached_tokens INTEGER;
ALTER TABLE usage ADD COLUMN reasoning_tokens INTEGER;
ALTER TABLE unfinished ADD COLUMN cost_nanos INTEGER;
ALTER TABLE unfinished ADD COLUMN cached_tokens INTEGER;
ALTER TABLE unfinished ADD COLUMN reasoning_tokens INTEGER;

-- Of the requests that have a cost: their number, and what they cost together. No row counts for more than 10^14
-- billionths, so that no sum leaves the range of an integer.
ALTER TABLE usage_sums ADD COLUMN cost_nanos INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_sums ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;

DROP VIEW usage_counted;
CREATE VIEW usage_counted AS
    SELECT at, tenant, coalesce(model, '') AS model, outcome <> 'completed' AS failed,
        min(coalesce(prompt_tokens, 0), 1000000000000) AS prompt_tokens,
        min(coalesce(completion_tokens, 0), 1000000000000) AS completion_tokens,
        min(coalesce(bytes_in, 0), 1000000000000) AS bytes_in,
        min(coalesce(bytes_out, 0), 1000000000000) AS bytes_out,
        min(coalesce(cost_nanos, 0), 100000000000000) AS cost_nanos,
        cost_nanos IS NOT NULL AS priced
    FROM usage;

DROP TRIGGER usage_added;
CREATE TRIGGER usage_added AFTER INSERT ON usage WHEN NEW.summed IS NULL BEGIN
    INSERT INTO usage_sums VALUES (
        60, NEW.at / 60, NEW.tenant, coalesce(NEW.model, ''), 1, NEW.outcome <> 'completed',
        min(coalesce(NEW.prompt_tokens, 0), 1000000000000), min(coalesce(NEW.completion_tokens, 0), 1000000000000),
        min(coalesce(NEW.bytes_in, 0), 1000000000000), min(coalesce(NEW.bytes_out, 0), 1000000000000),
        min(coalesce(NEW.cost_nanos, 0), 100000000000000), NEW.cost_nanos IS NOT NULL
    ) ON CONFLICT (width, period, tenant, model) DO UPDATE SET
        requests = requests + 1,
        failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        bytes_in = bytes_in + excluded.bytes_in,
        bytes_out = bytes_out + excluded.bytes_out,
        cost_nanos = cost_nanos + excluded.cost_nanos,
        priced = priced + excluded.priced;
    INSERT INTO usage_sums VALUES (
        3600, NEW.at / 3600, NEW.tenant, coalesce(NEW.model, ''), 1, NEW.outcome <> 'completed',
        min(coalesce(NEW.prompt_tokens, 0), 1000000000000), min(coalesce(NEW.completion_tokens, 0), 1000000000000),
        min(coalesce(NEW.bytes_in, 0), 1000000000000), min(coalesce(NEW.bytes_out, 0), 1000000000000),
        min(coalesce(NEW.cost_nanos, 0), 100000000000000), NEW.cost_nanos IS NOT NULL
    ) ON CONFLICT (width, period, tenant, model) DO UPDATE SET
        requests = requests + 1,
        failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        bytes_in = bytes_in + excluded.bytes_in,
        bytes_out = bytes_out + excluded.bytes_out,
        cost_nanos = cost_nanos + excluded.cost_nanos,
        priced = priced + excluded.priced;
END;

DROP TRIGGER usage_removed;
CREATE TRIGGER usage_removed AFTER DELETE ON usage BEGIN
    UPDATE usage_sums SET
        requests = requests - 1,
        failed = failed - (OLD.outcome <> 'completed'),
        prompt_tokens = prompt_tokens - min(coalesce(OLD.prompt_tokens, 0), 1000000000000),
        completion_tokens = completion_tokens - min(coalesce(OLD.completion_tokens, 0), 1000000000000),
        bytes_in = bytes_in - min(coalesce(OLD.bytes_in, 0), 1000000000000),
        bytes_out = bytes_out - min(coalesce(OLD.bytes_out, 0), 1000000000000),
        cost_nanos = cost_nanos - min(coalesce(OLD.cost_nanos, 0), 100000000000000),
        priced = priced - (OLD.cost_nanos IS NOT NULL)
    WHERE width = 60 AND period = OLD.at / 60 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '');
    DELETE FROM usage_sums
    WHERE width = 60 AND period = OLD.at / 60 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '')
        AND requests = 0;
    UPDATE usage_sums SET
        requests = requests - 1,
        failed = failed - (OLD.outcome <> 'completed'),
        prompt_tokens = prompt_tokens - min(coalesce(OLD.prompt_tokens, 0), 1000000000000),
        completion_tokens = completion_tokens - min(coalesce(OLD.completion_tokens, 0), 1000000000000),
        bytes_in = bytes_in - min(coalesce(OLD.bytes_in, 0), 1000000000000),
        bytes_out = bytes_out - min(coalesce(OLD.bytes_out, 0), 1000000000000),
        cost_nanos = cost_nanos - min(coalesce(OLD.cost_nanos, 0), 100000000000000),
        priced = priced - (OLD.cost_nanos IS NOT NULL)
    WHERE width = 3600 AND period = OLD.at / 3600 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '');
    DELETE FROM usage_sums
    WHERE width = 3600 AND period = OLD.at / 3600 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '')
        AND requests = 0;
END;
