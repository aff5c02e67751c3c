-- machines of one cell: the snapshot (time 0) and what happened in [@start_us, @last_us]
SELECT
  `time`,
  `machine_id`,
  `type`,
  `capacity`,
  `platform_id`,
  `missing_data_reason`
FROM `{table}`
WHERE (`time` = 0 OR (`time` >= @start_us AND `time` <= @last_us))
  AND {sample}
