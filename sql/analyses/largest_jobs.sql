-- Question: Which jobs are the largest, and how do they behave?
-- Columns: collection_id, user, tier, instances; ncu_hours and its share of all; nmu_hours; hours_basis
--   (measured usage, or requests where nothing was measured); cpu_usage_to_request; resubmissions.
-- Source: task_profiles, the twenty with the most NCU-hours.
SELECT
    collection_id,
    user,
    tier,
    instances,
    ncu_hours,
    ncu_hours / nullif(sum(ncu_hours) OVER (), 0) AS share_of_all,
    nmu_hours,
    hours_basis,
    cpu_usage_to_request,
    resubmissions
FROM task_profiles
WHERE ncu_hours IS NOT NULL AND collection_type IS DISTINCT FROM 'alloc_set'
ORDER BY ncu_hours DESC, collection_id
LIMIT 20;
