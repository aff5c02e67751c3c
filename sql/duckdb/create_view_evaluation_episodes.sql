-- One row per policy, scenario, training seed and episode.
CREATE OR REPLACE VIEW evaluation_episodes AS
SELECT * FROM $rows;
