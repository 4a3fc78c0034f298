"""Random: every part of the action drawn among its valid entries. The floor.

Draws are a hash of (seed, observation), so the same episode gets the same actions whatever the
batch, and no random state is kept.
"""

import hashlib

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.types import N_LEVELS, N_SUBTASKS


class RandomValid:
    """Uniform over valid workers, subtasks and levels."""

    def __init__(self, setting: Setting) -> None:
        self._salt = setting.seed.to_bytes(8, "big")

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        mask = observation["action_mask"].astype(bool)
        workers = mask.shape[1] - N_SUBTASKS - N_LEVELS
        bounds = (0, workers, workers + N_SUBTASKS, mask.shape[1])
        words = np.array(
            [
                np.frombuffer(self._draw(query, history, budget), ">u8")
                for query, history, budget in zip(
                    observation["query"],
                    observation["history"],
                    observation["budget"],
                    strict=True,
                )
            ]
        )
        table = np.empty((len(mask), 3), np.int64)
        for part in range(3):
            valid = mask[:, bounds[part] : bounds[part + 1]]
            number = valid.sum(axis=1)
            unit = (words[:, part] >> np.uint64(11)).astype(np.float64) * 2.0**-53
            rank = (unit * number).astype(np.int64)
            # The first position at which more than `rank` valid entries have been passed.
            table[:, part] = (valid.cumsum(axis=1) > rank[:, None]).argmax(axis=1)
        return table

    def _draw(self, *rows: np.ndarray) -> bytes:
        digest = hashlib.blake2b(digest_size=24, salt=self._salt)
        for row in rows:
            digest.update(row.tobytes())
        return digest.digest()
