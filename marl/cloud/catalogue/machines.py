"""Machine types of the price catalogue: shapes, prices by region, power, GPUs, hosts. No logic.

Typed in from dated public sources. What is not a machine lies in `data` (regions, disks,
carbon) and `prices` (everything else with a price). A shape that a region's price list
does not have is missing from that region. A price does not say that a zone has stock.
"""

from typing import Final

COMPUTE_SOURCE: Final = "Cyclenerd/google-cloud-pricing-cost-calculator@fd66b26 pricing.yml"
COMPUTE_DATE: Final = "2026-07-30"
CCF_COEFFICIENTS: Final = "cloud-carbon-coefficients, output/coefficients-gcp-*.csv"
CCF_SOURCE: Final = "Cloud Carbon Footprint GcpFootprintEstimationConstants"
CCF_DATE: Final = "2023-05-08"

# name: (family, vcpu, memory_gib, is_arm)
MACHINES: Final[dict[str, tuple[str, int, float, bool]]] = {
    "e2-standard-2": ("e2", 2, 8.0, False),
    "e2-standard-4": ("e2", 4, 16.0, False),
    "e2-highmem-4": ("e2", 4, 32.0, False),
    "n2-standard-4": ("n2", 4, 16.0, False),
    "n2-standard-8": ("n2", 8, 32.0, False),
    "n2-highmem-4": ("n2", 4, 32.0, False),
    "n2d-standard-4": ("n2d", 4, 16.0, False),
    "n2d-highmem-4": ("n2d", 4, 32.0, False),
    "c3-standard-4": ("c3", 4, 16.0, False),
    "c4a-standard-4": ("c4a", 4, 16.0, True),
    "c4a-highmem-4": ("c4a", 4, 32.0, True),
    "n4a-standard-4": ("n4a", 4, 16.0, True),
    "g2-standard-4": ("g2", 4, 16.0, False),
    "g2-standard-8": ("g2", 8, 32.0, False),
    "a2-highgpu-1g": ("a2", 12, 85.0, False),
}

# region: name: USD per hour (on demand, spot, 1-year commitment, 3-year commitment), GPUs included
MACHINE_USD_PER_H: Final[dict[str, dict[str, tuple[float, float, float, float]]]] = {
    "us-central1": {
        "e2-standard-2": (0.06701142, 0.040212, 0.042217, 0.030155),
        "e2-standard-4": (0.13402284, 0.080424, 0.084434, 0.06031),
        "e2-highmem-4": (0.18079932, 0.108488, 0.113904, 0.08136),
        "n2-standard-4": (0.194236, 0.09212, 0.122364, 0.087412),
        "n2-standard-8": (0.388472, 0.18424, 0.244728, 0.174824),
        "n2-highmem-4": (0.262028, 0.12428, 0.165068, 0.117924),
        "n2d-standard-4": (0.168984, 0.048912, 0.106456, 0.076048),
        "n2d-highmem-4": (0.22796, 0.065984, 0.143608, 0.102592),
        "c3-standard-4": (0.201608, 0.0494, 0.127016, 0.090724),
        "c4a-standard-4": (0.1796, 0.077632, 0.11844, 0.08084),
        "c4a-highmem-4": (0.23576, 0.101904, 0.1554, 0.10612),
        "n4a-standard-4": (0.154, 0.064664, 0.101648, 0.069308),
        "g2-standard-4": (0.706832255, 0.397336, 0.445304, 0.318075),
        "g2-standard-8": (0.853624271, 0.479872, 0.537783, 0.384131),
        "a2-highgpu-1g": (3.673385, 1.92802, 2.314207, 1.285708),
    },
    "us-east1": {
        "e2-standard-2": (0.06701142, 0.040212, 0.042217, 0.030155),
        "e2-standard-4": (0.13402284, 0.080424, 0.084434, 0.06031),
        "e2-highmem-4": (0.18079932, 0.108488, 0.113904, 0.08136),
        "n2-standard-4": (0.194236, 0.09212, 0.122364, 0.087412),
        "n2-standard-8": (0.388472, 0.18424, 0.244728, 0.174824),
        "n2-highmem-4": (0.262028, 0.12428, 0.165068, 0.117924),
        "n2d-standard-4": (0.168984, 0.048912, 0.106456, 0.076048),
        "n2d-highmem-4": (0.22796, 0.065984, 0.143608, 0.102592),
        "c3-standard-4": (0.201608, 0.0494, 0.127016, 0.090724),
        "c4a-standard-4": (0.1796, 0.077632, 0.11844, 0.08084),
        "c4a-highmem-4": (0.23576, 0.101904, 0.1554, 0.10612),
        "n4a-standard-4": (0.154, 0.058544, 0.101648, 0.069308),
        "g2-standard-4": (0.706832255, 0.397336, 0.445304, 0.318075),
        "g2-standard-8": (0.853624271, 0.479872, 0.537783, 0.384131),
        "a2-highgpu-1g": (3.673385, 1.92802, 2.314207, 1.285708),
    },
    "us-west1": {
        "e2-standard-2": (0.06701142, 0.040212, 0.042217, 0.030155),
        "e2-standard-4": (0.13402284, 0.080424, 0.084434, 0.06031),
        "e2-highmem-4": (0.18079932, 0.108488, 0.113904, 0.08136),
        "n2-standard-4": (0.194236, 0.09212, 0.122364, 0.087412),
        "n2-standard-8": (0.388472, 0.18424, 0.244728, 0.174824),
        "n2-highmem-4": (0.262028, 0.12428, 0.165068, 0.117924),
        "n2d-standard-4": (0.168984, 0.048912, 0.106456, 0.076048),
        "n2d-highmem-4": (0.22796, 0.065984, 0.143608, 0.102592),
        "c3-standard-4": (0.201608, 0.0494, 0.127016, 0.090724),
        "c4a-standard-4": (0.1796, 0.077632, 0.11844, 0.08084),
        "c4a-highmem-4": (0.23576, 0.101904, 0.1554, 0.10612),
        "n4a-standard-4": (0.154, 0.058544, 0.101648, 0.069308),
        "g2-standard-4": (0.706832255, 0.397336, 0.445304, 0.318075),
        "g2-standard-8": (0.853624271, 0.479872, 0.537783, 0.384131),
        "a2-highgpu-1g": (3.673385, 1.92802, 2.314207, 1.285708),
    },
    "europe-west1": {
        "e2-standard-2": (0.07371546, 0.035704, 0.046441, 0.033172),
        "e2-standard-4": (0.14743092, 0.071408, 0.092881, 0.066344),
        "e2-highmem-4": (0.19888836, 0.096336, 0.1253, 0.0895),
        "n2-standard-4": (0.213668, 0.046888, 0.134604, 0.096144),
        "n2-standard-8": (0.427336, 0.093776, 0.269208, 0.192288),
        "n2-highmem-4": (0.288244, 0.063256, 0.18158, 0.129696),
        "n2d-standard-4": (0.185892, 0.08068, 0.1171, 0.08364),
        "n2d-highmem-4": (0.250772, 0.10884, 0.157964, 0.112824),
        "c3-standard-4": (0.22199056, 0.084776, 0.139857, 0.099896),
        "c4a-standard-4": (0.19775756, 0.071008, 0.130414, 0.089013),
        "c4a-highmem-4": (0.25959532, 0.093216, 0.171111, 0.116849),
        "n4a-standard-4": (0.16952, 0.07476, 0.111928, 0.076316),
        "g2-standard-4": (0.778293004, 0.357456, 0.490325, 0.350232),
        "g2-standard-8": (0.939925708, 0.431712, 0.592153, 0.422966),
        "a2-highgpu-1g": (3.747369, 0.9227, 2.360816, 1.311603),
    },
    "europe-west4": {
        "e2-standard-2": (0.07377204, 0.035264, 0.046476, 0.033197),
        "e2-standard-4": (0.14754408, 0.070528, 0.092953, 0.066395),
        "e2-highmem-4": (0.19903464, 0.095136, 0.125392, 0.089566),
        "n2-standard-4": (0.213832, 0.077736, 0.134708, 0.096228),
        "n2-standard-8": (0.427664, 0.155472, 0.269416, 0.192456),
        "n2-highmem-4": (0.288456, 0.104872, 0.181716, 0.129812),
        "n2d-standard-4": (0.18604, 0.06512, 0.117196, 0.083716),
        "n2d-highmem-4": (0.250968, 0.08784, 0.158092, 0.112932),
        "c3-standard-4": (0.2116884, 0.089376, 0.133367, 0.09526),
        "c4a-standard-4": (0.188576, 0.029736, 0.124372, 0.0849),
        "c4a-highmem-4": (0.247552, 0.039032, 0.163188, 0.11146),
        "n4a-standard-4": (0.16168, 0.067912, 0.106724, 0.072776),
        "g2-standard-4": (0.742916046, 0.38986, 0.468037, 0.334312),
        "g2-standard-8": (0.897201806, 0.47082, 0.565237, 0.403741),
        "a2-highgpu-1g": (3.747972, 1.692835, 2.361196, 1.311818),
    },
    "europe-north1": {
        "e2-standard-2": (0.07377756, 0.019628, 0.04648, 0.0332),
        "e2-standard-4": (0.14755512, 0.039256, 0.09296, 0.0664),
        "e2-highmem-4": (0.19904568, 0.052952, 0.125399, 0.089571),
        "n2-standard-4": (0.213848, 0.100656, 0.134708, 0.096228),
        "n2-standard-8": (0.427696, 0.201312, 0.269416, 0.192456),
        "n2-highmem-4": (0.288472, 0.135792, 0.181716, 0.129812),
        "n2d-standard-4": (0.186052, 0.062912, 0.117196, 0.083716),
        "n2d-highmem-4": (0.25098, 0.084864, 0.158092, 0.112932),
        "c3-standard-4": (0.22199056, 0.053296, 0.139857, 0.099896),
        "c4a-standard-4": (0.19775756, 0.046896, 0.130414, 0.089013),
        "c4a-highmem-4": (0.25959532, 0.061552, 0.171111, 0.116849),
        "g2-standard-4": (0.778293004, 0.07724, 0.490325, 0.350232),
        "g2-standard-8": (0.939925708, 0.09328, 0.592153, 0.422966),
        "a2-highgpu-1g": (3.74802, 0.33897, 2.361227, 1.311834),
    },
    "asia-east1": {
        "e2-standard-2": (0.07759188, 0.040552, 0.048883, 0.034916),
        "e2-standard-4": (0.15518376, 0.081104, 0.097766, 0.069833),
        "e2-highmem-4": (0.209346, 0.109408, 0.131888, 0.094206),
        "n2-standard-4": (0.224904, 0.083568, 0.141692, 0.101212),
        "n2-standard-8": (0.449808, 0.167136, 0.283384, 0.202424),
        "n2-highmem-4": (0.3034, 0.112736, 0.191148, 0.13654),
        "n2d-standard-4": (0.195664, 0.102624, 0.123268, 0.088056),
        "n2d-highmem-4": (0.263952, 0.138448, 0.166292, 0.118792),
        "c3-standard-4": (0.23344188, 0.056376, 0.147072, 0.105049),
        "c4a-standard-4": (0.20795884, 0.09108, 0.137142, 0.093605),
        "c4a-highmem-4": (0.27298652, 0.11956, 0.179938, 0.122876),
        "g2-standard-4": (0.818441088, 0.386852, 0.515618, 0.368299),
        "g2-standard-8": (0.988411576, 0.467204, 0.622699, 0.444785),
        "a2-highgpu-1g": (3.790142, 0.444055, 2.387758, 1.326577),
    },
    "asia-northeast1": {
        "e2-standard-2": (0.08596572, 0.051584, 0.054158, 0.038685),
        "e2-standard-4": (0.17193144, 0.103168, 0.108317, 0.077369),
        "e2-highmem-4": (0.2317572, 0.139056, 0.146007, 0.104291),
        "n2-standard-4": (0.249176, 0.065408, 0.15698, 0.11212),
        "n2-standard-8": (0.498352, 0.130816, 0.31396, 0.22424),
        "n2-highmem-4": (0.33588, 0.088176, 0.211604, 0.151128),
        "n2d-standard-4": (0.216792, 0.091408, 0.136568, 0.097544),
        "n2d-highmem-4": (0.292232, 0.123216, 0.184088, 0.13148),
        "c3-standard-4": (0.258905, 0.038808, 0.163114, 0.116508),
        "c4a-standard-4": (0.23064228, 0.12076, 0.152101, 0.103815),
        "c4a-highmem-4": (0.30276292, 0.15852, 0.199565, 0.136279),
        "g2-standard-4": (0.907714004, 0.544596, 0.57186, 0.408471),
        "g2-standard-8": (1.096224308, 0.657692, 0.690621, 0.493301),
        "a2-highgpu-1g": (4.049590926, 2.429675, 2.529607, 1.422898),
    },
    "asia-southeast1": {
        "e2-standard-2": (0.08266614, 0.043164, 0.05208, 0.0372),
        "e2-standard-4": (0.16533228, 0.086328, 0.104159, 0.0744),
        "e2-highmem-4": (0.22302732, 0.116456, 0.140507, 0.100362),
        "n2-standard-4": (0.239612, 0.09332, 0.15094, 0.107824),
        "n2-standard-8": (0.479224, 0.18664, 0.30188, 0.215648),
        "n2-highmem-4": (0.323228, 0.12588, 0.203612, 0.145456),
        "n2d-standard-4": (0.208468, 0.042768, 0.131316, 0.093804),
        "n2d-highmem-4": (0.28122, 0.057696, 0.17714, 0.12654),
        "c3-standard-4": (0.2487238, 0.117016, 0.1567, 0.111926),
        "c4a-standard-4": (0.22157256, 0.115584, 0.146119, 0.099732),
        "c4a-highmem-4": (0.2908572, 0.151728, 0.191717, 0.13092),
        "n4a-standard-4": (0.18992, 0.08368, 0.125396, 0.085512),
        "g2-standard-4": (0.872018928, 0.523272, 0.549372, 0.392408),
        "g2-standard-8": (1.053116256, 0.631944, 0.663463, 0.473902),
        "a2-highgpu-1g": (4.013757926, 2.40826, 2.507032, 1.410352),
    },
}

# family, us-central1: USD per hour of one vCPU and of one GiB of memory, by purchase type. Families
# with GPUs are priced whole.
FAMILY_USD_PER_H: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "e2": {
        "on_demand": (0.021812, 0.002924),
        "spot": (0.01309, 0.001754),
        "cud_1y": (0.013741, 0.001842),
        "cud_3y": (0.009815, 0.001316),
    },
    "n2": {
        "on_demand": (0.031611, 0.004237),
        "spot": (0.01499, 0.00201),
        "cud_1y": (0.019915, 0.002669),
        "cud_3y": (0.014225, 0.001907),
    },
    "n2d": {
        "on_demand": (0.027502, 0.003686),
        "spot": (0.00796, 0.001067),
        "cud_1y": (0.017326, 0.002322),
        "cud_3y": (0.012376, 0.001659),
    },
    "c3": {
        "on_demand": (0.03465, 0.003938),
        "spot": (0.00849, 0.000965),
        "cud_1y": (0.02183, 0.002481),
        "cud_3y": (0.015593, 0.001772),
    },
    "c4a": {
        "on_demand": (0.03086, 0.00351),
        "spot": (0.01334, 0.001517),
        "cud_1y": (0.02037, 0.00231),
        "cud_3y": (0.01389, 0.00158),
    },
    "n4a": {
        "on_demand": (0.02646, 0.00301),
        "spot": (0.01111, 0.001264),
        "cud_1y": (0.017464, 0.001987),
        "cud_3y": (0.011907, 0.001355),
    },
}

# family: lowest and highest spot price over on-demand price, us-central1, first price list of each
# month 2023-05 .. 2026-07. A family without a series is held at its region's ratio of today.
SPOT_RATIO_RANGE: Final[dict[str, tuple[float, float]]] = {
    "e2": (0.300, 0.600),
    "n2": (0.225, 0.474),
    "n2d": (0.151, 0.289),
    "c3": (0.091, 0.400),
}

# family: watts of one vCPU, idle and fully used, source.
FAMILY_WATTS: Final[dict[str, tuple[float, float, str]]] = {
    "e2": (0.68, 4.11, f"{CCF_SOURCE}: no fixed processor, average of Google's fleet"),
    "n2": (0.639, 3.642, f"{CCF_COEFFICIENTS}: Cascade Lake"),
    "n2d": (0.474, 1.575, f"{CCF_COEFFICIENTS}: EPYC 2nd Gen"),
    "c3": (0.639, 3.642, "assumed: Cascade Lake's; Sapphire Rapids has no published coefficient"),
    "c4a": (0.445, 1.872, "assumed: EPYC 3rd Gen's; Axion has no published coefficient"),
    "n4a": (0.445, 1.872, "assumed: EPYC 3rd Gen's; Axion has no published coefficient"),
    "g2": (0.639, 3.642, f"{CCF_COEFFICIENTS}: Cascade Lake"),
    "a2": (0.639, 3.642, f"{CCF_COEFFICIENTS}: Cascade Lake"),
}

# name: (number of GPUs, GPU)
MACHINE_GPUS: Final[dict[str, tuple[int, str]]] = {
    "g2-standard-4": (1, "NVIDIA L4"),
    "g2-standard-8": (1, "NVIDIA L4"),
    "a2-highgpu-1g": (1, "NVIDIA A100 40GB"),
}

# GPU: watts idle, source, watts at full load, source. Full load is the board's design power.
GPU_WATTS: Final[dict[str, tuple[float, str, float, str]]] = {
    "NVIDIA L4": (
        12.0,
        "assumed: nvidia-smi listings in public repositories show 12 to 18 W at rest",
        72.0,
        "NVIDIA L4 board power, as listed by aiwiki.ai (2026-06-03)",
    ),
    "NVIDIA A100 40GB": (
        46.0,
        "Cloud Carbon Footprint COMPUTE_PROCESSOR_TYPES, NVIDIA_TESLA_A100",
        400.0,
        "NVIDIA A100 SXM4 40 GB board power, as listed by TechPowerUp",
    ),
}

# shape without its size: kgCO2eq to make the host, vCPUs of the host, source. Cloud Carbon
# Footprint takes the series' largest shape for the whole host; so do we, and hosts may be larger.
_CCF_HOST: Final = f"{CCF_COEFFICIENTS}; assumed: a host is as large as the series' largest shape"
HOSTS: Final[dict[str, tuple[float, int, str]]] = {
    "e2-standard": (1230.46, 32, _CCF_HOST),
    "e2-highmem": (1230.46, 32, _CCF_HOST),
    "n2-standard": (1888.46, 128, _CCF_HOST),
    "n2-highmem": (2377.04, 128, _CCF_HOST),
    "n2d-standard": (2321.46, 224, _CCF_HOST),
    "n2d-highmem": (2143.79, 96, _CCF_HOST),
    "c3-standard": (1888.46, 128, "assumed: the n2-standard host's; no figure published"),
    "c4a-standard": (1888.46, 128, "assumed: the n2-standard host's; no figure published"),
    "c4a-highmem": (2377.04, 128, "assumed: the n2-highmem host's; no figure published"),
    "n4a-standard": (1888.46, 128, "assumed: the n2-standard host's; no figure published"),
    "g2-standard": (1888.46, 128, "assumed: the n2-standard host's; its L4s are not counted"),
    "a2-highgpu": (5465.5, 96, _CCF_HOST),
}
HOST_LIFE_H: Final = 35_040.0  # four years (CCF_SOURCE, SERVER_EXPECTED_LIFESPAN)
