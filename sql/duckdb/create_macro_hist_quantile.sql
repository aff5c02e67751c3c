-- Quantile of a 2019 usage histogram (its 0th, 10th, ... 100th percentiles), linear in between;
-- null for an empty one.
CREATE OR REPLACE MACRO hist_quantile(histogram, share) AS
    CASE WHEN len(histogram) = 11 THEN
        histogram[1 + floor(share * 10)::INTEGER]
        + (share * 10 - floor(share * 10))
        * (histogram[least(11, 2 + floor(share * 10)::INTEGER)] - histogram[1 + floor(share * 10)::INTEGER])
    END;
