-- Question: Which records of the source could not be used, and why?
-- Columns: table; reason; records; files they came from; an example: file, record number, text.
-- Source: the quarantine every canonical table keeps.
SELECT
    "table",
    reason,
    count(*) AS records,
    count(DISTINCT source_file) AS files,
    min_by(source_file, (source_file, row_number)) AS example_file,
    min_by(row_number, (source_file, row_number)) AS example_row,
    left(min_by(raw, (source_file, row_number)), 60) AS example
FROM quarantine
GROUP BY "table", reason
ORDER BY "table", records DESC, reason;
