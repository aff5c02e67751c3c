-- Which workload class each collection belongs to.
CREATE OR REPLACE VIEW workload_classes AS
SELECT * FROM $rows;
