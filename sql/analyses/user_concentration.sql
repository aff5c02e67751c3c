-- Question: How few users make most of the work?
-- Columns: measure (jobs submitted, NCU-hours); users; top_10_share, what the ten largest users make
--   of the whole; gini over users; unknown_share, what has no known user (in neither figure).
-- Source: Gini coefficient as in macro gini; 2011: ten users submit 56 % of jobs.
WITH per_user AS (
    SELECT
        user,
        count(*)::DOUBLE AS jobs,
        coalesce(sum(ncu_hours), 0) AS ncu_hours
    FROM task_profiles
    WHERE collection_type IS DISTINCT FROM 'alloc_set'
    GROUP BY user
),
measured AS (
    UNPIVOT per_user ON jobs, ncu_hours INTO NAME measure VALUE amount
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY measure, user IS NULL ORDER BY amount DESC, user) AS place
    FROM measured
)
SELECT
    measure,
    count(user) AS users,
    sum(amount) FILTER (user IS NOT NULL AND place <= 10)
        / nullif(sum(amount) FILTER (user IS NOT NULL), 0) AS top_10_share,
    gini(CASE WHEN user IS NOT NULL THEN amount END) AS gini,
    coalesce(sum(amount) FILTER (user IS NULL), 0) / nullif(sum(amount), 0) AS unknown_share
FROM ranked
GROUP BY measure
ORDER BY measure;
