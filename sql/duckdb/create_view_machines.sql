-- Machines added, removed and resized.
CREATE OR REPLACE VIEW machines AS
SELECT * FROM $rows;
