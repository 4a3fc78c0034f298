"""Keyed pseudo-random draws: all luck is a function of a 128-bit key and of names.

The generator is Threefry-2x64 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011). Names are absorbed two words at a time into a subkey; the last counter is the
purpose of the draw, so draws for different purposes are independent and none depends on how many
others were made.
"""

import hashlib
from enum import IntEnum
from typing import Any

import numpy as np

from conductor_gym.dynamics.jit import njit

PUBLIC_KEY = "public"
"""The key of training environments. A season's secret key is another text."""

_U = np.uint64
_PARITY = _U(0x1BD11BDAA9FC1A22)
_ROTATIONS = np.array([16, 42, 12, 31, 16, 32, 24, 21], np.uint64)
_TO_UNIT = 2.0**-53


class Domain(IntEnum):
    """Separates uses of a key that would otherwise absorb the same names."""

    STREAM = 1
    ORDER = 2
    LUCK = 3
    COST_WEIGHT = 4
    QUERY = 5
    DIFFICULTY = 6
    TROUBLE = 7
    PERSISTENT_VERDICT = 8
    PERSISTENT_PICK = 9


class Purpose(IntEnum):
    """What a draw from a call's subkey decides."""

    LUCK = 1
    FORMAT = 2
    CLUSTER = 3
    TOKENS = 4
    CONFIDENCE = 5
    VERDICT = 6
    PICK = 7
    KEEP = 8
    PLAN = 9
    JOIN = 10
    EVIDENCE = 11


def key_from_text(text: str) -> tuple[int, int]:
    """The 128-bit key of a text, as two unsigned words (BLAKE2b)."""
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"conductor-key").digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:])


def uid_word(uid: str) -> int:
    """The unsigned 64-bit word that stands for a task's or worker's uid (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8, person=b"uid").digest())


@njit
def threefry(k0: Any, k1: Any, c0: Any, c1: Any) -> Any:
    """Encrypt the counter (c0, c1) under (k0, k1); all uint64, returns two uint64."""
    k2 = _PARITY ^ k0 ^ k1
    x0 = c0 + k0
    x1 = c1 + k1
    for i in range(5):
        for j in range(4):
            r = _ROTATIONS[(4 * i + j) % 8]
            x0 = x0 + x1
            x1 = ((x1 << r) | (x1 >> (_U(64) - r))) ^ x0
        s = i + 1
        if s % 3 == 0:
            x0 = x0 + k0
            x1 = x1 + k1
        elif s % 3 == 1:
            x0 = x0 + k1
            x1 = x1 + k2
        else:
            x0 = x0 + k2
            x1 = x1 + k0
        x1 = x1 + _U(s)
    return x0, x1


@njit
def absorb(k0: Any, k1: Any, a: Any, b: Any) -> Any:
    """The subkey of (k0, k1) for the names (a, b), any integers."""
    return threefry(k0, k1, _U(a), _U(b))


@njit
def unit(word: Any) -> float:
    """A float64 in [0, 1) from the upper 53 bits."""
    return np.float64(word >> _U(11)) * _TO_UNIT


@njit
def interpolate(table: Any, word: Any) -> float:
    """The quantile of `table` (1,025 equally spaced entries) at the uniform `word`."""
    position = unit(word) * 1024.0
    j = int(position)
    return table[j] + (position - j) * (table[j + 1] - table[j])
