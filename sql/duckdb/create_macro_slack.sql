-- Relative slack, (request - usage) / request: the share of a request left unused. Negative when
-- usage exceeds it; null for a request of nothing. Rzadca et al., Autopilot, EuroSys 2020.
CREATE OR REPLACE MACRO slack(request, usage) AS
    (request - usage) / nullif(request, 0);
