-- One row per collection: requests, runs, usage, how it ended.
CREATE OR REPLACE VIEW task_profiles AS
SELECT * FROM $rows;
