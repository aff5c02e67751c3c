-- machines of one cell up to @last_us: what happened before the window says which machines exist
SELECT
  `time`,
  `machine_id`,
  `type`,
  `capacity`,
  `platform_id`,
  `missing_data_reason`
FROM `{table}`
WHERE `time` <= @last_us
  AND {sample}
