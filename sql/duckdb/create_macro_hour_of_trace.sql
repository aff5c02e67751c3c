-- Hours since the trace's zero.
CREATE OR REPLACE MACRO hour_of_trace(time_us) AS
    time_us // 3600000000;
