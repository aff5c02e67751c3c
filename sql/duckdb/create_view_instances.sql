-- Life-cycle events of tasks and alloc instances, with their requests.
CREATE OR REPLACE VIEW instances AS
SELECT * FROM $rows;
