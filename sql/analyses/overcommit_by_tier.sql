-- Question: How much of the cell's capacity is promised, by tier and in all (over 1: over-committed)?
-- Columns: tier ("all" for the sum); mean CPU and memory requests of what runs; cpu_allocation and
--   memory_allocation = requests / mean capacity.
-- Source: allocation against capacity, Tirmazi et al., EuroSys 2020; requests inside alloc
--   sets are not counted twice.
WITH size AS (
    SELECT
        avg(cpu_capacity_ncu) AS cpu_capacity_ncu,
        avg(memory_capacity_nmu) AS memory_capacity_nmu
    FROM capacity
),
windows AS (
    SELECT
        window_us,
        tier,
        sum(running_cpu_request_ncu) AS cpu,
        sum(running_memory_request_nmu) AS memory
    FROM demand_windows
    WHERE running_cpu_request_ncu IS NOT NULL
    GROUP BY window_us, tier
),
requests AS (
    SELECT
        CASE WHEN grouping(tier) = 1 THEN 'all' ELSE tier END AS tier,
        grouping(tier) AS is_total,
        sum(cpu) / count(DISTINCT window_us) AS cpu_request_ncu,
        sum(memory) / count(DISTINCT window_us) AS memory_request_nmu
    FROM windows
    GROUP BY GROUPING SETS ((tier), ())
    HAVING count(*) > 0
)
SELECT
    tier,
    cpu_request_ncu,
    cpu_request_ncu / nullif(cpu_capacity_ncu, 0) AS cpu_allocation,
    memory_request_nmu,
    memory_request_nmu / nullif(memory_capacity_nmu, 0) AS memory_allocation
FROM requests, size
ORDER BY is_total, tier_rank(tier) NULLS LAST;
