-- Gini coefficient of an aggregated column: 0 all equal, towards 1 one has all.
-- G = 2 * sum(i * x_i) / (n * sum(x)) - (n + 1) / n over x sorted ascending, i = 1..n.
CREATE OR REPLACE MACRO gini(x) AS
    2 * list_sum(list_transform(list_sort(list(x) FILTER (x IS NOT NULL)), lambda value, place: place * value))
    / nullif(count(x) * sum(x), 0) - (count(x) + 1) / count(x);
