-- What the rows of usage add up to, by minute and by hour: so that a day of them is answered without reading them.
-- Triggers keep it in the transactions that add and delete rows; what expires is taken out of the sums with its row. No
-- value of a row counts for more than 10^12, so that no sum leaves the range of an integer.
CREATE TABLE usage_sums (
    width              INTEGER NOT NULL, -- seconds: 60 or 3600
    period             INTEGER NOT NULL, -- which minute or hour: at / width
    tenant             TEXT NOT NULL,
    model              TEXT NOT NULL, -- '' where the row has none
    requests           INTEGER NOT NULL,
    failed             INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    bytes_in           INTEGER NOT NULL,
    bytes_out          INTEGER NOT NULL,
    PRIMARY KEY (width, period, tenant, model)
) STRICT, WITHOUT ROWID;

-- What a row counts for.
CREATE VIEW usage_counted AS
    SELECT at, tenant, coalesce(model, '') AS model, outcome <> 'completed' AS failed,
        min(coalesce(prompt_tokens, 0), 1000000000000) AS prompt_tokens,
        min(coalesce(completion_tokens, 0), 1000000000000) AS completion_tokens,
        min(coalesce(bytes_in, 0), 1000000000000) AS bytes_in,
        min(coalesce(bytes_out, 0), 1000000000000) AS bytes_out
    FROM usage;

-- Each statement names one whole key: a condition over several of them would read the whole table for each row.
CREATE TRIGGER usage_added AFTER INSERT ON usage BEGIN
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

CREATE TRIGGER usage_removed AFTER DELETE ON usage BEGIN
    UPDATE usage_sums SET
        requests = requests - 1,
        failed = failed - (OLD.outcome <> 'completed'),
        prompt_tokens = prompt_tokens - min(coalesce(OLD.prompt_tokens, 0), 1000000000000),
        completion_tokens = completion_tokens - min(coalesce(OLD.completion_tokens, 0), 1000000000000),
        bytes_in = bytes_in - min(coalesce(OLD.bytes_in, 0), 1000000000000),
        bytes_out = bytes_out - min(coalesce(OLD.bytes_out, 0), 1000000000000)
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
        bytes_out = bytes_out - min(coalesce(OLD.bytes_out, 0), 1000000000000)
    WHERE width = 3600 AND period = OLD.at / 3600 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '');
    DELETE FROM usage_sums
    WHERE width = 3600 AND period = OLD.at / 3600 AND tenant = OLD.tenant AND model = coalesce(OLD.model, '')
        AND requests = 0;
END;

INSERT INTO usage_sums
    SELECT 60, at / 60, tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out
    FROM usage_counted WHERE true
    ON CONFLICT (width, period, tenant, model) DO UPDATE SET
        requests = requests + 1,
        failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        bytes_in = bytes_in + excluded.bytes_in,
        bytes_out = bytes_out + excluded.bytes_out;
INSERT INTO usage_sums
    SELECT 3600, period / 60, tenant, model, sum(requests), sum(failed), sum(prompt_tokens), sum(completion_tokens),
        sum(bytes_in), sum(bytes_out)
    FROM usage_sums WHERE width = 60 GROUP BY period / 60, tenant, model;
