-- Question: How many tasks does a job have, by tier?
-- Columns: tier; jobs with instance events; share_of_one, the share of jobs with a single task; mean,
--   percentiles and maximum of tasks per job.
-- Source: distinct instances in task_profiles.
SELECT
    tier,
    count(*) AS jobs,
    avg((instances = 1)::INTEGER) AS share_of_one,
    avg(instances) AS mean,
    quantile_cont(instances, 0.5) AS p50,
    quantile_cont(instances, 0.9) AS p90,
    quantile_cont(instances, 0.99) AS p99,
    max(instances) AS max
FROM task_profiles
WHERE instances IS NOT NULL AND collection_type IS DISTINCT FROM 'alloc_set'
GROUP BY tier
ORDER BY tier_rank(tier) NULLS LAST;
