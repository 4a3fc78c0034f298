"""Effects through the engine with their Monte-Carlo standard error over queries.

Queries are independent. Scripts that are compared share queries and luck, so differences are taken
query by query.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.leaderboard.metrics import resample_weights
from conductor_gym.types import Status, Subtask
from conductor_gym.workers.simulated import CORRECT

Z = 3.0
"""Standard errors by which an effect must be on one side of a bound to be *clearly* there."""
BATCH = 1000
SETTINGS = ("low", "mid", "high")
ANSWERING = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE, Subtask.VOTE)

Floats = npt.NDArray[np.float64]
Steps = Any
"""Record array [episodes, steps] of `STEP_DTYPE`."""


def play(config: EnvConfig, n: int, script: Sequence[tuple[int, int, int]]) -> Steps:
    """What n consecutive episodes of stream 0 recorded at each step of a fixed script.

    A script is a sequence of (worker, subtask, context level); n is a multiple of `BATCH` or below.
    """
    engine = Engine(config, min(BATCH, n))
    observation = engine.new_observation()
    slots = np.arange(engine.n, dtype=np.int64)
    parts: list[Any] = []
    for start in range(0, n, engine.n):
        engine.start(slots, np.zeros_like(slots), start + slots, observation)
        for action in script:
            engine.step(np.tile(np.array(action, np.int64), (engine.n, 1)), observation)
        parts.append(engine.state.steps[:, : len(script)].copy())
    return np.concatenate(parts)


def under(**reasons: str) -> Any:
    """Parametrize over the settings; those with a reason contradict the fact."""
    marked = [
        pytest.param(
            s, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reasons[s])
        )
        if s in reasons
        else s
        for s in SETTINGS
    ]
    return pytest.mark.parametrize("assumptions", marked)


@dataclass(frozen=True)
class Effect:
    """A number with its Monte-Carlo standard error."""

    value: float
    error: float

    def clearly_above(self, bound: float) -> bool:
        return self.value > bound + Z * self.error

    def clearly_below(self, bound: float) -> bool:
        return self.value < bound - Z * self.error


def shown(label: str, effect: Effect) -> Effect:
    print(f"{label}: {effect.value:+.4f} +- {effect.error:.4f}")
    return effect


def mean(label: str, values: Any) -> Effect:
    """Mean of one value a query."""
    values = np.asarray(values, np.float64)
    return shown(label, Effect(values.mean(), values.std(ddof=1) / len(values) ** 0.5))


def of_means(label: str, columns: Any, compute: Callable[[Floats], Floats]) -> Effect:
    """A function of the means of columns [queries, k], its error from a bootstrap over queries."""
    columns = np.asarray(columns, np.float64)
    spread = compute(resample_weights(len(columns), 200).astype(np.float64) @ columns)
    return shown(label, Effect(float(compute(columns.mean(axis=0))), float(spread.std(ddof=1))))


def right(steps: Steps) -> npt.NDArray[np.bool_]:
    """Whether the answer that is current after each step is right, bool [queries, steps]."""
    after = np.zeros(steps.shape, np.bool_)
    current = np.zeros(len(steps), np.bool_)
    for t in range(steps.shape[1]):
        step = steps[:, t]
        answers = np.isin(step["subtask"], ANSWERING)
        ok = answers & (step["status"] == Status.OK)
        current = np.where(ok, step["answer"] == CORRECT, current)
        after[:, t] = current
    return after


def accepted_or(steps: Any, other: int) -> npt.NDArray[np.bool_]:
    """Solve, verify, `other`: right if the answer of `other` replaces a rejected first one."""
    after = right(steps)
    rejected = steps["verdict"][:, 1] == 0
    return np.where(rejected, after[:, other], after[:, 0])


def auc(cells: Floats) -> Floats:
    """Area under the ROC of a count 0..k, from shares [..., 2, k + 1] of (wrong, right) x count."""
    wrong = cells[..., 0, :] / cells[..., 0, :].sum(axis=-1, keepdims=True)
    correct = cells[..., 1, :] / cells[..., 1, :].sum(axis=-1, keepdims=True)
    return (correct * (np.cumsum(wrong, axis=-1) - 0.5 * wrong)).sum(axis=-1)


def cells(score: Any, count: Any, k: int) -> Floats:
    """Indicators [queries, 2 * (k + 1)] of (wrong, right) x count."""
    return np.eye(2 * (k + 1))[(score.astype(int) * (k + 1) + count).astype(int)]


def verdict_cells(steps: Steps) -> Floats:
    """`cells` of one verdict on the first answer; 0 where a call came back without one."""
    fine = (steps["status"][:, :2] == Status.OK).all(axis=1)
    return cells(steps["score"][:, 0], np.maximum(steps["verdict"][:, 1], 0), 1) * fine[:, None]
