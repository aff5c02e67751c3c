-- Question: How much of the cell's capacity is used, hour by hour?
-- Columns: hour of the trace; machines in the cell; CPU and memory capacity; mean usage; cpu_utilisation
--   and memory_utilisation = usage / capacity. Null where usage is not covered.
-- Source: view capacity (ADD to REMOVE of each machine) and measured usage in demand_windows.
WITH used AS (
    SELECT
        hour_of_trace(window_us) AS hour,
        sum(cpu_usage_ncu) / count(DISTINCT window_us) AS cpu_usage_ncu,
        sum(memory_usage_nmu) / count(DISTINCT window_us) AS memory_usage_nmu
    FROM demand_windows
    WHERE cpu_usage_ncu IS NOT NULL
    GROUP BY hour
)
SELECT
    hour,
    machines,
    cpu_capacity_ncu,
    cpu_usage_ncu,
    cpu_usage_ncu / nullif(cpu_capacity_ncu, 0) AS cpu_utilisation,
    memory_capacity_nmu,
    memory_usage_nmu,
    memory_usage_nmu / nullif(memory_capacity_nmu, 0) AS memory_utilisation
FROM capacity
LEFT JOIN used USING (hour)
ORDER BY hour;
