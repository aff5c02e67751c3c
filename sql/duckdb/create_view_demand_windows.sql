-- Demand every five minutes by tier and scheduling class.
CREATE OR REPLACE VIEW demand_windows AS
SELECT * FROM $rows;
