-- Question: How much of what running tasks request stays unused, by tier?
-- Columns: tier; requested_ncu_h, used_ncu_h and relative_cpu_slack = (request - usage) / request over
--   the whole trace; the same of memory. Only windows in which both are known.
-- Source: relative slack as Autopilot defines it, with usage in place of the peak that a limit must
--   clear: Rzadca et al., EuroSys 2020, doi:10.1145/3342195.3387524.
WITH hours AS (
    SELECT
        tier,
        sum(running_cpu_request_ncu) * 300 / 3600 AS requested_ncu_h,
        sum(cpu_usage_ncu) * 300 / 3600 AS used_ncu_h,
        sum(running_memory_request_nmu) * 300 / 3600 AS requested_nmu_h,
        sum(memory_usage_nmu) * 300 / 3600 AS used_nmu_h
    FROM demand_windows
    WHERE running_cpu_request_ncu IS NOT NULL AND cpu_usage_ncu IS NOT NULL
    GROUP BY tier
)
SELECT
    tier,
    requested_ncu_h,
    used_ncu_h,
    slack(requested_ncu_h, used_ncu_h) AS relative_cpu_slack,
    requested_nmu_h,
    used_nmu_h,
    slack(requested_nmu_h, used_nmu_h) AS relative_memory_slack
FROM hours
ORDER BY tier_rank(tier) NULLS LAST;
