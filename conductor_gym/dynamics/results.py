"""What a step came to, for rewards and `info`: one record a slot."""

from typing import Any

import numpy as np

from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.reward import WEIGHT_SCALE, weighed
from conductor_gym.types import INVALID_PENALTY, MICROSECONDS, NANO_USD, Rule, Status

RESULT_DTYPE = np.dtype(
    [
        ("reward", np.float64),
        ("cost_usd", np.float64),  # of the episode so far
        ("latency_s", np.float64),
        ("quality", np.float64),  # of the submitted answer, 0 before the end
        ("utility", np.float64),  # of quality, cost and latency so far
        ("episode_return", np.float64),  # sum of the rewards so far
        ("invalid_actions", np.int32),
        ("episode_length", np.int32),
        ("status", np.int8),  # of the newest step, -1 of an invalid one or without any
        ("rule", np.int8),
        ("over", np.bool_),
    ],
    align=True,
)

RULE_NAMES = [None, *(rule.name.lower() for rule in Rule if rule)]
"""What `info["invalid"]` says, by rule."""
STATUS_NAMES = [*(status.name.lower() for status in Status), None]
"""What `info["status"]` says, by status; the last is for -1."""

_weighed = inner_njit(weighed)


@inner_njit
def tell_result(episode: Any, steps: Any, result: Any) -> None:
    """Write all but the reward.

    Args:
        episode: `EPISODE_DTYPE` record.
        steps: `STEP_DTYPE` [max_steps] of the episode.
        result: `RESULT_DTYPE` record, written.
    """
    cost = episode.cost / NANO_USD
    latency = episode.latency / MICROSECONDS
    result.cost_usd = cost
    result.latency_s = latency
    result.quality = episode.quality
    result.utility = _weighed(
        episode.quality,
        cost,
        latency,
        episode.cost_weight / WEIGHT_SCALE,
        episode.latency_weight / WEIGHT_SCALE,
    )
    penalty = INVALID_PENALTY * episode.invalid
    result.episode_return = episode.quality - episode.charge * 1e-9 - penalty
    result.invalid_actions = episode.invalid
    result.episode_length = episode.steps
    result.status = -1
    result.rule = 0
    if episode.steps > 0:
        result.status = steps[episode.steps - 1].status
        result.rule = steps[episode.steps - 1].rule
    result.over = episode.over == 1
