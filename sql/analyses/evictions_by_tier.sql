-- Question: How often are running tasks evicted, or do they fail, by tier?
-- Columns: tier; task_hours run; evictions and failures; evictions and failures per 1,000 task-hours.
-- Source: events and running time of instances in demand_windows.
WITH totals AS (
    SELECT
        tier,
        sum(running_instances) * 300 / 3600 AS task_hours,
        sum(evictions) AS evictions,
        sum(failures) AS failures
    FROM demand_windows
    WHERE running_instances IS NOT NULL
    GROUP BY tier
)
SELECT
    *,
    1000 * evictions / nullif(task_hours, 0) AS evictions_per_1000_task_hours,
    1000 * failures / nullif(task_hours, 0) AS failures_per_1000_task_hours
FROM totals
ORDER BY tier_rank(tier) NULLS LAST;
