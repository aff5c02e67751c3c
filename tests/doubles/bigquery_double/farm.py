"""FarmHash's Fingerprint64 (`farmhashna::Hash64`), which BigQuery calls FARM_FINGERPRINT.

Written from the published algorithm (G. Pike, github.com/google/farmhash, MIT) for strings up to 64
bytes: the double hashes ids, never documents. Known values in `test_bigquery_double.py`.
"""

_MASK = (1 << 64) - 1
_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F


def farm_fingerprint(text: str) -> int:
    """The signed 64-bit fingerprint of a string's UTF-8 bytes (at most 64 of them)."""
    data = text.encode()
    size = len(data)
    if size <= 16:
        value = _up_to_16(data, size)
    elif size <= 32:
        value = _up_to_32(data, size)
    elif size <= 64:
        value = _up_to_64(data, size)
    else:
        raise ValueError(f"this double hashes at most 64 bytes, not {size}")
    return value - (1 << 64) if value >> 63 else value


def _fetch64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _fetch32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _rotate(value: int, by: int) -> int:
    return ((value >> by) | (value << (64 - by))) & _MASK


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


def _mix(first: int, second: int, multiplier: int) -> int:
    a = ((first ^ second) * multiplier) & _MASK
    a ^= a >> 47
    b = ((second ^ a) * multiplier) & _MASK
    b ^= b >> 47
    return (b * multiplier) & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    if size >= 8:
        multiplier = (_K2 + size * 2) & _MASK
        a = (_fetch64(data, 0) + _K2) & _MASK
        b = _fetch64(data, size - 8)
        c = (_rotate(b, 37) * multiplier + a) & _MASK
        d = ((_rotate(a, 25) + b) * multiplier) & _MASK
        return _mix(c, d, multiplier)
    if size >= 4:
        multiplier = (_K2 + size * 2) & _MASK
        return _mix((size + (_fetch32(data, 0) << 3)) & _MASK, _fetch32(data, size - 4), multiplier)
    if size > 0:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[size - 1] << 2)
        return (_shift_mix(((y * _K2) & _MASK) ^ ((z * _K0) & _MASK)) * _K2) & _MASK
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    multiplier = (_K2 + size * 2) & _MASK
    a = (_fetch64(data, 0) * _K1) & _MASK
    b = _fetch64(data, 8)
    c = (_fetch64(data, size - 8) * multiplier) & _MASK
    d = (_fetch64(data, size - 16) * _K2) & _MASK
    return _mix(
        (_rotate((a + b) & _MASK, 43) + _rotate(c, 30) + d) & _MASK,
        (a + _rotate((b + _K2) & _MASK, 18) + c) & _MASK,
        multiplier,
    )


def _up_to_64(data: bytes, size: int) -> int:
    multiplier = (_K2 + size * 2) & _MASK
    a = (_fetch64(data, 0) * _K2) & _MASK
    b = _fetch64(data, 8)
    c = (_fetch64(data, size - 8) * multiplier) & _MASK
    d = (_fetch64(data, size - 16) * _K2) & _MASK
    y = (_rotate((a + b) & _MASK, 43) + _rotate(c, 30) + d) & _MASK
    z = _mix(y, (a + _rotate((b + _K2) & _MASK, 18) + c) & _MASK, multiplier)
    e = (_fetch64(data, 16) * multiplier) & _MASK
    f = _fetch64(data, 24)
    g = ((y + _fetch64(data, size - 32)) * multiplier) & _MASK
    h = ((z + _fetch64(data, size - 24)) * multiplier) & _MASK
    return _mix(
        (_rotate((e + f) & _MASK, 43) + _rotate(g, 30) + h) & _MASK,
        (e + _rotate((f + a) & _MASK, 18) + g) & _MASK,
        multiplier,
    )
