"""The single calls of a recording."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Single calls, every array [queries, workers, attempts], NaN where there is no record.

    Attributes:
        workers: Names.
        score: float64 in [0, 1]; 0 for a malformed answer.
        tokens_in: float64 billed input tokens, or None where no column holds them.
        tokens_out: float64 billed output tokens.
        usd: float64 USD.
        seconds: float64 seconds.
        answer: int64, equal numbers are equal answers to the same query, -1 without one.
        malformed: bool, a visible format failure; None where the table cannot show any.
        ignored: Columns that are neither known nor hold scores.
        other_subtasks: Rows that are not single calls.
        status: int64 `Status` of each call; None where all came back ok, as far as is known.
    """

    workers: tuple[str, ...]
    score: Array
    tokens_in: Array | None = None
    tokens_out: Array | None = None
    usd: Array | None = None
    seconds: Array | None = None
    answer: npt.NDArray[np.int64] | None = None
    malformed: npt.NDArray[np.bool_] | None = None
    ignored: tuple[str, ...] = ()
    other_subtasks: int = 0
    status: npt.NDArray[np.int64] | None = None

    def latency_known(self, workers: tuple[str, ...]) -> bool:
        """Whether every recorded call of these workers has a latency."""
        if self.seconds is None:
            return False
        columns = [self.workers.index(name) for name in workers if name in self.workers]
        known = np.isfinite(self.seconds) | np.isnan(self.score)
        return bool(known[:, columns].all())
