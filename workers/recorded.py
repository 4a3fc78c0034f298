"""The recorded backend: exact replay of real outcomes, and only what the table holds.

A repeated `solve` returns the same row and is billed again. Answer identity, confidence and
latency are missing unless recorded.
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import price
from conductor_gym.dynamics.jit import njit
from conductor_gym.types import MISSING, CallOutcome, Status

RECORDED_DTYPE = np.dtype(
    [
        ("score", np.float64),
        ("tokens_out", np.int64),
    ],
    align=True,
)
"""One recorded outcome of (query, worker)."""

_OK = int(Status.OK)


@njit
def recorded_call(recorded: Any, tables: Any, episode: Any, call: Any) -> CallOutcome:
    """The recorded outcome of this worker on this query.

    Args:
        recorded: `RECORDED_DTYPE` [queries, workers].
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, read only.
        call: A `Call` whose fate is `Fate.CALL`.
    """
    row = recorded[episode.query, call.worker]
    cost = price(tables.workers[call.worker], call.tokens_in, row.tokens_out)
    return CallOutcome(
        _OK,
        call.part,
        MISSING,
        -1.0,
        MISSING,
        call.tokens_in,
        row.tokens_out,
        cost,
        0,
        row.score,
        0.0,
    )
