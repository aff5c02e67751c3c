-- Question: When in the day does work arrive?
-- Columns: hour_of_day since the trace's zero (2011 begins at 19:00 local time, at 600 s); days seen;
--   jobs_per_hour and tasks_per_hour, means over them; share_of_jobs of the whole.
-- Source: submissions in demand_windows; the daily cycle of Tirmazi et al., EuroSys 2020.
WITH hours AS (
    SELECT
        hour_of_trace(window_us) AS hour,
        hour_of_day(window_us) AS hour_of_day,
        count(DISTINCT window_us) FILTER (collection_arrivals IS NOT NULL) AS job_windows,
        count(DISTINCT window_us) FILTER (instance_arrivals IS NOT NULL) AS task_windows,
        sum(collection_arrivals) AS jobs,
        sum(instance_arrivals) AS tasks
    FROM demand_windows
    GROUP BY ALL
)
SELECT
    hour_of_day,
    count(*) AS days,
    sum(jobs) / nullif(sum(job_windows) / 12, 0) AS jobs_per_hour,
    sum(tasks) / nullif(sum(task_windows) / 12, 0) AS tasks_per_hour,
    sum(jobs) / nullif(sum(sum(jobs)) OVER (), 0) AS share_of_jobs
FROM hours
GROUP BY hour_of_day
ORDER BY hour_of_day;
