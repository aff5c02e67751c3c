"""The embedded trace: generated in Google's 2019 schema, calibrated to published statistics.

Reading order: `figures` (what was published), `laws` (distributions through those figures),
`arrivals`, `population` (jobs), `machines`, `room` (who waits for capacity), `lifecycle` (tasks,
attempts, evictions), `usage`, `events` and `tables` (the native tables), `generate` (all of it),
`calibration` (how near it comes).

What is put in, so that later stages have something to find:

* **web** services: production tier, latency-sensitive, hours to weeks long, CPU that follows the
  time of day; most live in alloc sets, some are scaled vertically (UPDATE_RUNNING).
* **batch**: mostly free and best-effort tiers, short, bursty arrivals, crash loops and evictions.
* **ml**: gangs of eight or more tasks that start together, half an hour to weeks long, steady use;
  they hold the largest part of the requests.
* **monitoring**: the highest priorities, long.

What is simplified, on purpose: a job waits until its whole request fits the cell (by tier, with
over-commitment); which machine a task gets is drawn in proportion to capacity, not packed;
evictions are drawn with a rate that rises with the cell's load and falls with the tier. Usage of
alloc instances and the tail percentiles of CPU usage are not generated.
"""
