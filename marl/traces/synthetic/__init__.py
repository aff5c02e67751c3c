"""The embedded trace: generated in Google's 2019 schema, calibrated to published statistics.

Reading order: `figures` (what was published), `laws` (distributions through those figures), `arrivals`,
`population` (jobs), `machines`, `room` (who waits for capacity), `lifecycle` (tasks, attempts,
evictions), `usage`, `events` and `tables` (the native tables), `calibration` (how near it comes).

What is put in, so that later stages have something to find:

* **web** services: production tier, latency-sensitive, days long, several tasks, CPU that follows the
  time of day; some live in alloc sets, some are scaled vertically (UPDATE_RUNNING).
* **batch**: free, best-effort and mid tiers, short, bursty arrivals, crash loops and evictions.
* **ml**: gangs of many equal tasks that start together, hours to days long, large requests, steady use.
* **monitoring**: the highest priorities, long, small.

What is simplified, on purpose: a job waits until its whole request fits the cell (by tier, with
over-commitment); which machine a task gets is drawn in proportion to capacity, not packed; evictions
are drawn with a rate that rises with the cell's load and falls with the tier. Usage of alloc
instances and the tail percentiles of CPU usage are not generated.
"""
