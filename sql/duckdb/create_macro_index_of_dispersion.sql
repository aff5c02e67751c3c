-- Variance over mean of an aggregated column of counts: 1 for Poisson arrivals, more for bursts.
CREATE OR REPLACE MACRO index_of_dispersion(x) AS
    var_samp(x) / nullif(avg(x), 0);
