-- Question: How many submissions are tasks coming back, by tier?
-- Columns: tier; submissions of tasks; new_tasks; resubmissions; resubmissions_per_new_task.
-- Source: Tirmazi et al., EuroSys 2020: .66 per new task in 2011, 2.26 in 2019.
SELECT
    tier,
    sum(instance_arrivals) AS submissions,
    sum(instance_arrivals - resubmissions) AS new_tasks,
    sum(resubmissions) AS resubmissions,
    sum(resubmissions) / nullif(sum(instance_arrivals - resubmissions), 0)
        AS resubmissions_per_new_task
FROM demand_windows
WHERE instance_arrivals IS NOT NULL
GROUP BY tier
ORDER BY tier_rank(tier) NULLS LAST;
