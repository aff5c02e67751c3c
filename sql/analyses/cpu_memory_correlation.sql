-- Question: Do jobs that take much CPU also take much memory?
-- Columns: hours_basis ("all" for both together); jobs; correlation of NCU-hours and NMU-hours;
--   rank_correlation (Spearman's); log_correlation over jobs with both above zero.
-- Source: Tirmazi et al., EuroSys 2020: .97 between job totals.
WITH jobs AS (
    SELECT hours_basis, ncu_hours, nmu_hours
    FROM task_profiles
    WHERE
        ncu_hours IS NOT NULL
        AND nmu_hours IS NOT NULL
        AND collection_type IS DISTINCT FROM 'alloc_set'
),
both_ways AS (
    SELECT * FROM jobs
    UNION ALL
    SELECT 'all', ncu_hours, nmu_hours FROM jobs
),
ranked AS (
    SELECT
        *,
        -- Ties share the mean of their places.
        rank() OVER cpu + (count(*) OVER same_cpu - 1) / 2 AS cpu_rank,
        rank() OVER memory + (count(*) OVER same_memory - 1) / 2 AS memory_rank
    FROM both_ways
    WINDOW
        cpu AS (PARTITION BY hours_basis ORDER BY ncu_hours),
        same_cpu AS (PARTITION BY hours_basis, ncu_hours),
        memory AS (PARTITION BY hours_basis ORDER BY nmu_hours),
        same_memory AS (PARTITION BY hours_basis, nmu_hours)
)
SELECT
    hours_basis,
    count(*) AS jobs,
    nullif(corr(ncu_hours, nmu_hours), 'NaN'::DOUBLE) AS correlation,
    nullif(corr(cpu_rank, memory_rank), 'NaN'::DOUBLE) AS rank_correlation,
    nullif(
        corr(ln(ncu_hours), ln(nmu_hours)) FILTER (ncu_hours > 0 AND nmu_hours > 0),
        'NaN'::DOUBLE
    ) AS log_correlation
FROM ranked
GROUP BY hours_basis
ORDER BY hours_basis = 'all', hours_basis;
