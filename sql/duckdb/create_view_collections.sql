-- Life-cycle events of jobs and alloc sets.
CREATE OR REPLACE VIEW collections AS
SELECT * FROM $rows;
