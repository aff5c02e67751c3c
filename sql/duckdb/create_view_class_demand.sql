-- Demand of each workload class every five minutes.
CREATE OR REPLACE VIEW class_demand AS
SELECT * FROM $rows;
