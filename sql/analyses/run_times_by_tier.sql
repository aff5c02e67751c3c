-- Question: How long do tasks run, by tier?
-- Columns: tier; runs whose beginning and end were both seen; mean and percentiles of their length in
--   seconds. Long runs are under-represented in a short trace.
-- Source: SCHEDULE to the next EVICT, FAIL, FINISH, KILL or LOST of the same instance.
WITH steps AS (
    SELECT
        collection_id,
        tier,
        event,
        time_us,
        is_snapshot,
        lead(event) OVER life AS event_after,
        lead(time_us) OVER life AS time_after
    FROM instances
    WHERE event IN ('SCHEDULE', 'EVICT', 'FAIL', 'FINISH', 'KILL', 'LOST')
    WINDOW life AS (
        PARTITION BY collection_id, instance_index
        ORDER BY time_us, event = 'SCHEDULE', event
    )
),
runs AS (
    SELECT
        coalesce(steps.tier, task_profiles.tier) AS tier,
        (time_after - time_us) / 1e6 AS run_s
    FROM steps
    LEFT JOIN task_profiles USING (collection_id)
    WHERE
        event = 'SCHEDULE'
        AND event_after IN ('EVICT', 'FAIL', 'FINISH', 'KILL', 'LOST')
        AND NOT coalesce(steps.is_snapshot, false)
)
SELECT
    tier,
    count(*) AS runs,
    avg(run_s) AS mean_s,
    quantile_cont(run_s, 0.5) AS p50_s,
    quantile_cont(run_s, 0.9) AS p90_s,
    quantile_cont(run_s, 0.99) AS p99_s,
    max(run_s) AS max_s
FROM runs
GROUP BY tier
ORDER BY tier_rank(tier) NULLS LAST;
