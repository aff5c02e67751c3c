-- Question: How unequal are jobs: what do the largest one per cent hold?
-- Columns: resource; jobs; mean, median, p99 and p99.9 of hours per job; top_1_percent_share of all
--   hours; squared_cv, the squared coefficient of variation.
-- Source: Tirmazi et al., Borg: the Next Generation, EuroSys 2020, doi:10.1145/3342195.3387517.
--   The top one per cent are at least one job.
WITH jobs AS (
    UNPIVOT (
        SELECT collection_id, ncu_hours AS cpu_ncu_h, nmu_hours AS memory_nmu_h
        FROM task_profiles
        WHERE collection_type IS DISTINCT FROM 'alloc_set'
    ) ON cpu_ncu_h, memory_nmu_h INTO NAME resource VALUE hours
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY resource ORDER BY hours DESC, collection_id) AS place,
        count(*) OVER (PARTITION BY resource) AS jobs
    FROM jobs
)
SELECT
    resource,
    count(*) AS jobs,
    avg(hours) AS mean,
    quantile_cont(hours, 0.5) AS median,
    quantile_cont(hours, 0.99) AS p99,
    quantile_cont(hours, 0.999) AS p999,
    sum(hours) FILTER (place <= greatest(1, floor(jobs / 100))) / nullif(sum(hours), 0)
        AS top_1_percent_share,
    var_pop(hours) / nullif(avg(hours) ** 2, 0) AS squared_cv
FROM ranked
GROUP BY resource
ORDER BY resource;
