"""Seeds that belong together yet share nothing: one number and a path of names make another."""

import hashlib


def derive_seed(seed: int, *path: int | str) -> int:
    """A seed for one purpose, e.g. `derive_seed(config.seed, "epoch", 3)`. In [0, 2⁶²).

    Hashing keeps streams of different purposes independent, which `seed + 1` does not: seed 1's
    second stream would be seed 2's first.
    """
    text = "/".join([str(int(seed)), *map(str, path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2
