"""The recorded backend: exact replay of real outcomes, and only what the table holds.

A repeated `solve` returns the next recorded attempt, after the last one the first again, and is
billed again. Answer identity, confidence and latency are missing unless recorded.
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import price
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.types import MISSING, CallOutcome, Status

RECORDED_DTYPE = np.dtype(
    [
        ("score", np.float64),
        ("tokens_in", np.int64),  # -1: not recorded, counted from the prompt
        ("tokens_out", np.int64),
        ("cost", np.int64),  # nano-USD, -1: not recorded, priced from the tokens
        ("latency", np.int64),  # microseconds, 0 where not recorded
        ("answer", np.int64),  # -1: not recorded
        ("status", np.int64),
        ("attempts", np.int64),  # how many of this (query, worker) are recorded
    ],
    align=True,
)
"""One recorded outcome of (query, worker, attempt)."""

_OK = int(Status.OK)


@inner_njit
def recorded_call(recorded: Any, tables: Any, episode: Any, call: Any) -> CallOutcome:
    """The recorded outcome of this worker on this query.

    Args:
        recorded: `RECORDED_DTYPE` [queries, workers, attempts].
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, read only.
        call: `CALL_DTYPE` record whose fate is `Fate.CALL`.
    """
    attempt = call.attempt % recorded[episode.query, call.worker, 0].attempts
    row = recorded[episode.query, call.worker, attempt]
    tokens_in = row.tokens_in if row.tokens_in >= 0 else call.tokens_in
    cost = row.cost
    if cost < 0:
        cost = price(tables.workers[call.worker], tokens_in, row.tokens_out)
    return CallOutcome(
        row.status,
        call.part if row.status == _OK else MISSING,
        row.answer,
        -1.0,
        MISSING,
        tokens_in,
        row.tokens_out,
        cost,
        row.latency,
        row.score,
        0.0,
    )
