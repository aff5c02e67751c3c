-- Capacity of the cell at the start of each hour that demand_windows covers.
-- A machine counts from ADD to REMOVE; a capacity missing in an event is the last one known.
CREATE OR REPLACE VIEW capacity AS
WITH known AS (
    SELECT
        time_us,
        machine_id,
        event,
        last_value(cpu_capacity_ncu IGNORE NULLS) OVER so_far AS cpu,
        last_value(memory_capacity_nmu IGNORE NULLS) OVER so_far AS memory,
        row_number() OVER so_far AS place
    FROM machines
    WINDOW so_far AS (
        PARTITION BY machine_id ORDER BY time_us, event <> 'REMOVE', event
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
states AS (
    SELECT
        time_us,
        machine_id,
        place,
        (event <> 'REMOVE')::INTEGER AS machines,
        CASE WHEN event = 'REMOVE' THEN 0 ELSE coalesce(cpu, 0) END AS cpu,
        CASE WHEN event = 'REMOVE' THEN 0 ELSE coalesce(memory, 0) END AS memory
    FROM known
),
changes AS (
    SELECT
        time_us,
        machines - lag(machines, 1, 0) OVER by_machine AS machines,
        cpu - lag(cpu, 1, 0) OVER by_machine AS cpu,
        memory - lag(memory, 1, 0) OVER by_machine AS memory
    FROM states
    WINDOW by_machine AS (PARTITION BY machine_id ORDER BY place)
),
hours AS (
    SELECT DISTINCT hour_of_trace(window_us) AS hour FROM demand_windows
)
SELECT
    hours.hour,
    coalesce(sum(changes.machines), 0)::BIGINT AS machines,
    round(sum(changes.cpu), 9) AS cpu_capacity_ncu,
    round(sum(changes.memory), 9) AS memory_capacity_nmu
FROM hours
LEFT JOIN changes ON changes.time_us <= hours.hour * 3600000000
GROUP BY hours.hour;
