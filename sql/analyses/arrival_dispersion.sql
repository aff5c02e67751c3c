-- Question: How bursty are arrivals, and on which time scale?
-- Columns: arrivals of jobs or tasks; bin_minutes; bins, only those seen whole; mean; variance;
--   index_of_dispersion = variance / mean (1 for Poisson arrivals); lag_1_autocorrelation.
-- Source: index of dispersion for counts, Cox and Lewis, The Statistical Analysis of Series of Events (1966).
WITH windows AS (
    SELECT
        window_us // 300000000 AS place,
        sum(collection_arrivals) AS jobs,
        sum(instance_arrivals) AS tasks
    FROM demand_windows
    GROUP BY window_us
),
series AS (
    UNPIVOT (SELECT place, jobs, tasks FROM windows)
    ON jobs, tasks INTO NAME arrivals VALUE count
),
bins AS (
    SELECT arrivals, size, place // size AS bin, sum(count) AS count
    FROM series, (VALUES (1), (3), (12)) AS scales (size)
    GROUP BY arrivals, size, bin
    HAVING count(*) = size
),
pairs AS (
    SELECT *, lag(count) OVER (PARTITION BY arrivals, size ORDER BY bin) AS before FROM bins
)
SELECT
    arrivals,
    size * 5 AS bin_minutes,
    count(*) AS bins,
    avg(count) AS mean,
    var_samp(count) AS variance,
    index_of_dispersion(count) AS index_of_dispersion,
    nullif(corr(count, before), 'NaN'::DOUBLE) AS lag_1_autocorrelation
FROM pairs
GROUP BY arrivals, size
ORDER BY arrivals, size;
