-- usage windows of one cell that overlap [@start_us, @last_us]; a window ends just before `end_time`
SELECT
  `start_time`,
  `end_time`,
  `collection_id`,
  `instance_index`,
  `machine_id`,
  `alloc_collection_id`,
  `collection_type`,
  `average_usage`,
  `maximum_usage`,
  `assigned_memory`,
  `page_cache_memory`,
  `cycles_per_instruction`,
  `sample_rate`,
  `cpu_usage_distribution`
FROM `{table}`
WHERE `start_time` <= @last_us
  AND (`end_time` > @start_us OR `start_time` >= @start_us)
  AND {sample}
