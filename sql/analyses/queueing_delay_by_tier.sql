-- Question: How long do tasks wait from submission to start, by tier?
-- Columns: tier; starts that answer a submission within the trace; mean and percentiles of the delay
--   in seconds.
-- Source: SUBMIT to the SCHEDULE that follows it, per instance; submissions before the trace began
--   have no known time and are left out.
WITH steps AS (
    SELECT
        collection_id,
        tier,
        event,
        time_us,
        lag(event) OVER life AS event_before,
        lag(time_us) OVER life AS time_before,
        lag(is_snapshot) OVER life AS is_snapshot_before
    FROM instances
    WHERE event IN ('SUBMIT', 'SCHEDULE')
    WINDOW life AS (
        PARTITION BY collection_id, instance_index
        ORDER BY time_us, event = 'SCHEDULE'
    )
),
delays AS (
    SELECT
        coalesce(steps.tier, task_profiles.tier) AS tier,
        (time_us - time_before) / 1e6 AS delay_s
    FROM steps
    LEFT JOIN task_profiles USING (collection_id)
    WHERE event = 'SCHEDULE' AND event_before = 'SUBMIT' AND NOT coalesce(is_snapshot_before, false)
)
SELECT
    tier,
    count(*) AS starts,
    avg(delay_s) AS mean_s,
    quantile_cont(delay_s, 0.5) AS p50_s,
    quantile_cont(delay_s, 0.9) AS p90_s,
    quantile_cont(delay_s, 0.95) AS p95_s,
    quantile_cont(delay_s, 0.99) AS p99_s
FROM delays
GROUP BY tier
ORDER BY tier_rank(tier) NULLS LAST;
