-- Question: How is slack spread over jobs, and how many use more than they request?
-- Columns: tier; jobs with measured usage and a request; 10th, 50th and 90th percentile of their
--   relative CPU slack; share_above_request, the share of jobs whose mean usage exceeds the request.
-- Source: relative slack per job, Rzadca et al., Autopilot, EuroSys 2020.
SELECT
    tier,
    count(*) AS jobs,
    quantile_cont(slack(cpu_request_mean_ncu, cpu_usage_mean_ncu), 0.1) AS cpu_slack_p10,
    quantile_cont(slack(cpu_request_mean_ncu, cpu_usage_mean_ncu), 0.5) AS cpu_slack_p50,
    quantile_cont(slack(cpu_request_mean_ncu, cpu_usage_mean_ncu), 0.9) AS cpu_slack_p90,
    avg((cpu_usage_mean_ncu > cpu_request_mean_ncu)::INTEGER) AS share_above_request
FROM task_profiles
WHERE
    cpu_usage_mean_ncu IS NOT NULL
    AND cpu_request_mean_ncu > 0
    AND collection_type IS DISTINCT FROM 'alloc_set'
GROUP BY tier
ORDER BY tier_rank(tier) NULLS LAST;
