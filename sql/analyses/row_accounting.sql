-- Question: Where did every record of the source go?
-- Columns: table; rows_in = rows_kept + rows_quarantined + rows_filtered (outside the window or sample
--   asked for); unaccounted, which must be 0; is_missing and is_synthetic.
-- Source: accounting.json beside each table, counted while it was written.
SELECT
    "table",
    rows_in,
    rows_kept,
    coalesce(list_sum(map_values(quarantined)), 0)::BIGINT AS rows_quarantined,
    coalesce(list_sum(map_values(filtered)), 0)::BIGINT AS rows_filtered,
    (
        rows_in
        - rows_kept
        - coalesce(list_sum(map_values(quarantined)), 0)
        - coalesce(list_sum(map_values(filtered)), 0)
    )::BIGINT AS unaccounted,
    is_missing,
    is_synthetic
FROM accounting
ORDER BY "table";
