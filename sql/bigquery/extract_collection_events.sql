-- collections of one cell: the snapshot (time 0) and what happened in [@start_us, @last_us]
SELECT
  `time`,
  `type`,
  `collection_id`,
  `scheduling_class`,
  `missing_type`,
  `collection_type`,
  `priority`,
  `alloc_collection_id`,
  `user`,
  `collection_name`,
  `collection_logical_name`,
  `parent_collection_id`
FROM `{table}`
WHERE (`time` = 0 OR (`time` >= @start_us AND `time` <= @last_us))
  AND {sample}
