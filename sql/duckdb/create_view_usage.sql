-- Measured usage of instances, in windows of up to five minutes.
CREATE OR REPLACE VIEW usage AS
SELECT * FROM $rows;
