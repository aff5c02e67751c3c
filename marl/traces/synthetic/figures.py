"""The published figures the embedded trace is calibrated to, each with its source.

Numbers only; distributions through them are in `laws`, the comparison in `calibration`.

Sources: [T] Tirmazi et al., "Borg: the Next Generation", EuroSys 2020, doi:10.1145/3342195.3387517;
[2011] Google clusterdata-2011-2, all 29 days of job events, first 4.3 h of task events; [2019] the
public sample of clusterdata-2019 (random event × usage pairs, cells a to d).
"""

from typing import Final

# Per job, 2019 [T, table of job resource consumption].
NCU_H_MEDIAN: Final = 0.00005
NCU_H_MEAN: Final = 1.19
NCU_H_P99: Final = 1.33
NCU_H_P999: Final = 69.7
NCU_H_TOP1_SHARE: Final = 0.992
NCU_H_SCV: Final = 23_312.0
NCU_H_TAIL_INDEX: Final = 0.69
NMU_H_MEDIAN: Final = 0.00003
NMU_H_P99: Final = 0.65
NMU_H_P999: Final = 36.6
NMU_H_TAIL_INDEX: Final = 0.72
CPU_MEMORY_CORRELATION: Final = 0.97
RESUBMITTED_PER_NEW_TASK: Final = 2.26
ALLOC_SET_CPU_SHARE: Final = 0.20

# Priorities of the 2019 tiers [T], with their shares of rows [2019].
TIER_PRIORITIES: Final = ((0, 25), (103, 105, 107, 115), (116, 119), (200, 205), (360, 450))
TIER_ROW_SHARES: Final = (0.14, 0.38, 0.05, 0.23, 0.19)

# Arrivals per five minutes [2011].
ARRIVALS_MEAN: Final = 80.0
ARRIVALS_QUANTILES: Final = ((0.05, 37.0), (0.50, 73.0), (0.95, 147.0), (0.99, 219.0))
ARRIVALS_VARIANCE_TO_MEAN: Final = 17.4
ARRIVALS_AUTOCORRELATION_LAG1: Final = 0.67
ARRIVALS_AUTOCORRELATION_DAY: Final = 0.25

# Jobs and tasks [2011].
TASKS_ONE_SHARE: Final = 0.79
TASKS_P99: Final = 1_050.0
TASKS_MAX: Final = 5_770.0
DURATION_S: Final = ((0.50, 180.0), (0.90, 1_666.0), (0.99, 29_968.0))
DURATION_MAX_S: Final = 2.2e6
DELAY_S: Final = ((0.50, 2.0), (0.99, 204.0))
TOP_TEN_USERS_SHARE: Final = 0.56

# Requests and usage [2019].
CPU_REQUEST: Final = ((0.50, 0.0081), (0.95, 0.057), (0.99, 0.141))
CPU_REQUEST_MAX: Final = 0.583
MEMORY_REQUEST: Final = ((0.50, 0.0036), (0.95, 0.039), (0.99, 0.105))
MEMORY_REQUEST_MAX: Final = 0.43
USAGE_TO_REQUEST: Final = ((0.50, 0.21), (0.95, 1.73))
NULL_REQUEST_SHARE: Final = 774 / 405_894
ZERO_CPU_REQUEST_SHARE: Final = 5_777 / 405_894
DEDICATED_MACHINE_SHARE: Final = 16 / 405_894
NULL_MAXIMUM_MEMORY_SHARE: Final = 4_313 / 405_894
NULL_CPI_SHARE: Final = 104_834 / 405_894
EMPTY_HISTOGRAM_SHARE: Final = 6_197 / 405_894

# Machines of cell a at time 0 (platform, CPU, memory, count) [2019, machine_events].
MACHINE_SHAPES: Final = (
    (3, 0.591796875, 0.333496, 3300),
    (1, 1.0, 0.5, 1663),
    (0, 0.708984375, 0.333496, 1343),
    (2, 0.38671875, 0.333496, 1089),
    (2, 0.38671875, 0.166748, 664),
    (0, 0.708984375, 0.666992, 480),
    (3, 0.591796875, 0.166748, 363),
    (1, 1.0, 1.0, 322),
    (1, 0.958984375, 0.5, 179),
    (1, 0.958984375, 1.0, 72),
    (1, 1.0, 0.25, 50),
)
MACHINE_OUTAGES_PER_DAY: Final = 17_941 / 10_001 / 31  # REMOVE events per machine and day
