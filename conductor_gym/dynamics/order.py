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
def find_queries(walk: Any, found: Any, indices: Any, count: int, size: int) -> None:
    """Rows of the split that streams play at their indices, for a block of them side by side.

    Args:
        walk: uint64 [5, lanes]; rows 0 and 1 hold the stream's subkey, which becomes that of the
            order; the others will hold the halves of the value and the lane that it belongs to.
        found: int64 [lanes], written.
        indices: int64 [lanes], the query clock; `index // size` is the pass.
        count: Lanes in use.
        size: Queries in the split.
    """
    half = 1
    while (1 << (2 * half)) < size:
        half += 1
    mask = _U((1 << half) - 1)
    shift = _U(half)
    for i in range(count):
        walk[0, i], walk[1, i] = absorb(walk[0, i], walk[1, i], indices[i] // size, _ORDER)
        x = _U(indices[i] % size)
        walk[2, i] = x >> shift
        walk[3, i] = x & mask
        walk[4, i] = _U(i)
    while count > 0:
        for r in range(_ROUNDS):
            for i in range(count):
                right = walk[3, i]
                word, _ = threefry(walk[0, i], walk[1, i], _U(r), right)
                walk[3, i] = walk[2, i] ^ (word & mask)
                walk[2, i] = right
        # Those that fell outside move up and walk on.
        outside = 0
        for i in range(count):
            x = (walk[2, i] << shift) | walk[3, i]
            found[walk[4, i]] = x
            for row in range(5):
                walk[row, outside] = walk[row, i]
            outside += int(x >= _U(size))
        count = outside
