-- instances of one cell: the snapshot (time 0) and what happened in [@start_us, @last_us]
SELECT
  `time`,
  `type`,
  `collection_id`,
  `scheduling_class`,
  `missing_type`,
  `collection_type`,
  `priority`,
  `alloc_collection_id`,
  `instance_index`,
  `machine_id`,
  `resource_request`
FROM `{table}`
WHERE (`time` = 0 OR (`time` >= @start_us AND `time` <= @last_us))
  AND {sample}
