-- Question: How much does CPU usage vary within five minutes, by tier?
-- Columns: tier; rows with a usage histogram; p90_to_median and max_to_mean, medians over rows of the
--   90th percentile over the median, and of the maximum over the mean, inside each usage window.
-- Source: the CPU usage histograms of the 2019 trace (none in 2011).
SELECT
    task_profiles.tier,
    count(*) AS rows,
    median(
        hist_quantile(cpu_usage_histogram_ncu, 0.9)
        / nullif(hist_quantile(cpu_usage_histogram_ncu, 0.5), 0)
    ) AS p90_to_median,
    median(cpu_usage_max_ncu / nullif(usage.cpu_usage_ncu, 0)) AS max_to_mean
FROM usage
LEFT JOIN (SELECT collection_id, tier FROM task_profiles) AS task_profiles USING (collection_id)
WHERE len(cpu_usage_histogram_ncu) = 11
GROUP BY task_profiles.tier
ORDER BY tier_rank(task_profiles.tier) NULLS LAST;
