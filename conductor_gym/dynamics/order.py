"""The order of queries: a keyed permutation per (stream, pass), in constant memory.

A four-round balanced Feistel network over the smallest even number of bits that holds the split,
walked until the value falls inside it (format-preserving encryption by cycle walking, Black and
Rogaway 2002).
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.jit import njit
from conductor_gym.dynamics.keyed import Domain, absorb, threefry

_ORDER = int(Domain.ORDER)
_ROUNDS = 4
_U = np.uint64


@njit
def query_at(k0: Any, k1: Any, index: int, size: int) -> int:
    """Row of the split that a stream plays at an index.

    Args:
        k0: First word of the stream's subkey.
        k1: Second word of the stream's subkey.
        index: Episode index, the query clock; `index // size` is the pass.
        size: Queries in the split.
    """
    half = 1
    while (1 << (2 * half)) < size:
        half += 1
    mask = _U((1 << half) - 1)
    shift = _U(half)
    s0, s1 = absorb(k0, k1, index // size, _ORDER)
    x = _U(index % size)
    while True:
        left = x >> shift
        right = x & mask
        for r in range(_ROUNDS):
            word, _ = threefry(s0, s1, _U(r), right)
            left, right = right, left ^ (word & mask)
        x = (left << shift) | right
        if x < _U(size):
            return int(x)
