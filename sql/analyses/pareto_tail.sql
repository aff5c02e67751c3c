-- Question: How heavy is the tail of job sizes, as a Pareto index (below 1: no finite mean)?
-- Columns: resource; jobs with any hours; tail_jobs, the largest five per cent; threshold, the size
--   just below them; hill_index; regression_index, minus the slope of log P(X >= x) over log x in the
--   tail, and its r_squared.
-- Source: Hill, Annals of Statistics 3 (1975) 1163: 1 / mean(log x_i - log threshold); the regression
--   is on the empirical tail P(X >= x_i) = i / n, as in Tirmazi et al., EuroSys 2020.
WITH jobs AS (
    UNPIVOT (
        SELECT collection_id, ncu_hours AS cpu_ncu_h, nmu_hours AS memory_nmu_h
        FROM task_profiles
        WHERE collection_type IS DISTINCT FROM 'alloc_set'
    ) ON cpu_ncu_h, memory_nmu_h INTO NAME resource VALUE hours
),
ranked AS (
    SELECT
        resource,
        hours,
        row_number() OVER (PARTITION BY resource ORDER BY hours DESC, collection_id) AS place,
        count(*) OVER (PARTITION BY resource) AS jobs
    FROM jobs
    WHERE hours > 0
),
sized AS (
    SELECT *, greatest(2, floor(jobs / 20)) AS tail_jobs FROM ranked
),
cut AS (
    SELECT resource, max(hours) FILTER (place = tail_jobs + 1) AS threshold
    FROM sized
    GROUP BY resource
)
SELECT
    resource,
    any_value(jobs) AS jobs,
    count(*) AS tail_jobs,
    any_value(threshold) AS threshold,
    1 / nullif(avg(ln(hours / threshold)), 0) AS hill_index,
    -regr_slope(ln(place / jobs), ln(hours)) AS regression_index,
    regr_r2(ln(place / jobs), ln(hours)) AS r_squared
FROM sized
JOIN cut USING (resource)
WHERE place <= tail_jobs AND threshold IS NOT NULL
GROUP BY resource
ORDER BY resource;
