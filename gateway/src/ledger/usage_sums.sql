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
    SELECT rowid AS id, at, tenant, coalesce(model, '') AS model, outcome <> 'completed' AS failed,
        min(coalesce(prompt_tokens, 0), 1000000000000) AS prompt_tokens,
        min(coalesce(completion_tokens, 0), 1000000000000) AS completion_tokens,
        min(coalesce(bytes_in, 0), 1000000000000) AS bytes_in,
        min(coalesce(bytes_out, 0), 1000000000000) AS bytes_out
    FROM usage;

CREATE TRIGGER usage_added AFTER INSERT ON usage BEGIN
    INSERT INTO usage_sums
        SELECT width, at / width, tenant, model, 1, failed, prompt_tokens, completion_tokens, bytes_in, bytes_out
        FROM usage_counted, (SELECT 60 AS width UNION ALL SELECT 3600) WHERE id = NEW.rowid
        ON CONFLICT (width, period, tenant, model) DO UPDATE SET
            requests = requests + 1,
            failed = failed + excluded.failed,
            prompt_tokens = prompt_tokens + excluded.prompt_tokens,
            completion_tokens = completion_tokens + excluded.completion_tokens,
            bytes_in = bytes_in + excluded.bytes_in,
            bytes_out = bytes_out + excluded.bytes_out;
END;

CREATE TRIGGER usage_removed BEFORE DELETE ON usage BEGIN
    UPDATE usage_sums SET
        requests = usage_sums.requests - 1,
        failed = usage_sums.failed - row.failed,
        prompt_tokens = usage_sums.prompt_tokens - row.prompt_tokens,
        completion_tokens = usage_sums.completion_tokens - row.completion_tokens,
        bytes_in = usage_sums.bytes_in - row.bytes_in,
        bytes_out = usage_sums.bytes_out - row.bytes_out
    FROM (SELECT * FROM usage_counted WHERE id = OLD.rowid) AS row
    WHERE (width, period) IN (VALUES (60, OLD.at / 60), (3600, OLD.at / 3600))
        AND usage_sums.tenant = OLD.tenant AND usage_sums.model = coalesce(OLD.model, '');
    DELETE FROM usage_sums
    WHERE (width, period) IN (VALUES (60, OLD.at / 60), (3600, OLD.at / 3600))
        AND tenant = OLD.tenant AND model = coalesce(OLD.model, '') AND requests = 0;
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
