-- Hour 0-23, counted from the trace's zero (which is seldom midnight).
CREATE OR REPLACE MACRO hour_of_day(time_us) AS
    (time_us // 3600000000) % 24;
