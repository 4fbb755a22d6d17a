-- What a request is counted to beside its tenant and model. Organisations are kept like tenants; user, scenario and owner
-- where the policy keeps the key.
ALTER TABLE usage ADD COLUMN organisation TEXT;
ALTER TABLE usage ADD COLUMN user_name TEXT;
ALTER TABLE usage ADD COLUMN scenario TEXT;
ALTER TABLE usage ADD COLUMN owner TEXT;
ALTER TABLE unfinished ADD COLUMN organisation TEXT;
ALTER TABLE unfinished ADD COLUMN user_name TEXT;
ALTER TABLE unfinished ADD COLUMN scenario TEXT;
ALTER TABLE unfinished ADD COLUMN owner TEXT;

-- What the rows of usage add up to by hour and by everything that they can be grouped by, so that months of them are
-- grouped without reading them. '' where the rows have none. Kept like usage_sums: a row counts for as much, and what
-- expires is taken out with its row.
CREATE TABLE usage_groups (
    hour               INTEGER NOT NULL, -- at / 3600
    tenant             TEXT NOT NULL,
    organisation       TEXT NOT NULL,
    user_name          TEXT NOT NULL,
    key_id             TEXT NOT NULL,
    model              TEXT NOT NULL,
    upstream           TEXT NOT NULL,
    endpoint           TEXT NOT NULL,
    scenario           TEXT NOT NULL,
    owner              TEXT NOT NULL,
    requests           INTEGER NOT NULL,
    failed             INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    bytes_in           INTEGER NOT NULL,
    bytes_out          INTEGER NOT NULL,
    cost_nanos         INTEGER NOT NULL,
    priced             INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant, organisation, user_name, key_id, model, upstream, endpoint, scenario, owner)
) STRICT, WITHOUT ROWID;

-- What each row adds to its group.
CREATE VIEW usage_as_groups AS
    SELECT rowid AS id, at, summed, tenant, coalesce(organisation, '') AS organisation, coalesce(user_name, '') AS user_name,
        coalesce(key_id, '') AS key_id, coalesce(model, '') AS model, coalesce(upstream, '') AS upstream, endpoint,
        coalesce(scenario, '') AS scenario, coalesce(owner, '') AS owner, 1 AS requests, outcome <> 'completed' AS failed,
        min(coalesce(prompt_tokens, 0), 1000000000000) AS prompt_tokens,
        min(coalesce(completion_tokens, 0), 1000000000000) AS completion_tokens,
        min(coalesce(bytes_in, 0), 1000000000000) AS bytes_in,
        min(coalesce(bytes_out, 0), 1000000000000) AS bytes_out,
        min(coalesce(cost_nanos, 0), 100000000000000) AS cost_nanos,
        cost_nanos IS NOT NULL AS priced
    FROM usage;

INSERT INTO usage_groups
    SELECT at / 3600, tenant, organisation, user_name, key_id, model, upstream, endpoint, scenario, owner, sum(requests),
        sum(failed), sum(prompt_tokens), sum(completion_tokens), sum(bytes_in), sum(bytes_out), sum(cost_nanos), sum(priced)
    FROM usage_as_groups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- The writer adds rows of batches itself.
CREATE TRIGGER usage_grouped AFTER INSERT ON usage WHEN NEW.summed IS NULL BEGIN
    INSERT INTO usage_groups
        SELECT at / 3600, tenant, organisation, user_name, key_id, model, upstream, endpoint, scenario, owner, requests,
            failed, prompt_tokens, completion_tokens, bytes_in, bytes_out, cost_nanos, priced
        FROM usage_as_groups WHERE id = NEW.rowid
        ON CONFLICT (hour, tenant, organisation, user_name, key_id, model, upstream, endpoint, scenario, owner)
        DO UPDATE SET
            requests = requests + 1,
            failed = failed + excluded.failed,
            prompt_tokens = prompt_tokens + excluded.prompt_tokens,
            completion_tokens = completion_tokens + excluded.completion_tokens,
            bytes_in = bytes_in + excluded.bytes_in,
            bytes_out = bytes_out + excluded.bytes_out,
            cost_nanos = cost_nanos + excluded.cost_nanos,
            priced = priced + excluded.priced;
END;

CREATE TRIGGER usage_ungrouped AFTER DELETE ON usage BEGIN
    UPDATE usage_groups SET
        requests = requests - 1,
        failed = failed - (OLD.outcome <> 'completed'),
        prompt_tokens = prompt_tokens - min(coalesce(OLD.prompt_tokens, 0), 1000000000000),
        completion_tokens = completion_tokens - min(coalesce(OLD.completion_tokens, 0), 1000000000000),
        bytes_in = bytes_in - min(coalesce(OLD.bytes_in, 0), 1000000000000),
        bytes_out = bytes_out - min(coalesce(OLD.bytes_out, 0), 1000000000000),
        cost_nanos = cost_nanos - min(coalesce(OLD.cost_nanos, 0), 100000000000000),
        priced = priced - (OLD.cost_nanos IS NOT NULL)
    WHERE hour = OLD.at / 3600 AND tenant = OLD.tenant AND organisation = coalesce(OLD.organisation, '')
        AND user_name = coalesce(OLD.user_name, '') AND key_id = coalesce(OLD.key_id, '')
        AND model = coalesce(OLD.model, '') AND upstream = coalesce(OLD.upstream, '') AND endpoint = OLD.endpoint
        AND scenario = coalesce(OLD.scenario, '') AND owner = coalesce(OLD.owner, '');
    DELETE FROM usage_groups
    WHERE hour = OLD.at / 3600 AND tenant = OLD.tenant AND organisation = coalesce(OLD.organisation, '')
        AND user_name = coalesce(OLD.user_name, '') AND key_id = coalesce(OLD.key_id, '')
        AND model = coalesce(OLD.model, '') AND upstream = coalesce(OLD.upstream, '') AND endpoint = OLD.endpoint
        AND scenario = coalesce(OLD.scenario, '') AND owner = coalesce(OLD.owner, '') AND requests = 0;
END;
