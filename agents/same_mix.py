"""Same mix: a random agent whose calls are as often as those of the best trained agent.

At each step it draws (subtask, worker, level) among the valid ones as often as the trained agent
chose them at that step on the dev split, ends included, and looks at nothing else. What the trained
agent gains over it is owed to choosing the right call for the right query. Its cost may differ: the
same calls made to other queries are billed differently.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import steps_taken
from conductor_gym.agents.shadow import best_trained, hashed, nearest_weight
from conductor_gym.agents.training import TrainingRun, read_card, read_weights
from conductor_gym.reward import COST_WEIGHTS
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Subtask


class SameMix:
    """Draws its actions from what another agent chose on the dev split, by step.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: Counts of another pool, suite or observation size.
    """

    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card("same-mix", setting, model)
        train = setting.train
        counts = _Counts(train.max_steps, train.max_workers)
        read_weights(model, counts)
        self._counts = counts.actions.numpy()[nearest_weight(setting)]
        self._seed = setting.seed

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = steps_taken(observation)
        unit = hashed(observation, ("query", "history", "budget"), self._seed)
        table = actions(len(taken), Subtask.SUBMIT)
        for step in np.unique(taken):
            rows = np.flatnonzero(taken == step)
            subtask, worker, level = np.nonzero(self._counts[step])
            mask = observation["action_mask"][rows].astype(bool)
            workers = self._counts.shape[2]
            valid = mask[:, worker] & mask[:, workers + subtask]
            valid &= mask[:, workers + N_SUBTASKS + level]
            passed = (valid * self._counts[step][subtask, worker, level]).cumsum(axis=1)
            if not passed.shape[1]:
                continue
            # The first action at which more than `rank` of the valid choices have been passed.
            rank = (unit[rows] * passed[:, -1]).astype(np.int64)
            drawn = (passed > rank[:, None]).argmax(axis=1)
            any_valid = passed[:, -1] > 0
            chosen = np.stack([worker, subtask, level], axis=1)[drawn]
            table[rows[any_valid]] = chosen[any_valid]
        return table


def train_same_mix(run: TrainingRun) -> dict[str, Any]:
    """Count what the best trained agents chose and write the folder.

    Returns:
        The card.

    Raises:
        ConfigError: No trained agent is found.
    """
    best = best_trained(run)
    counts = torch.tensor(np.stack([played.actions for played in best]))
    shares = [played.actions.sum(axis=(2, 3)) / played.actions[0].sum() for played in best]
    return run.finish(
        {"actions": counts},
        sum(played.steps for played in best),
        {},
        shadowed=[
            {
                "cost_weight": weight,
                "agent": played.agent,
                "utility": round(played.utility, 6),
                "quality": round(played.quality, 6),
                "cost_usd": played.cost_usd,
                "steps_per_episode": {
                    subtask.name.lower(): round(float(share[:, subtask].sum()), 4)
                    for subtask in Subtask
                },
            }
            for weight, played, share in zip(COST_WEIGHTS, best, shares, strict=True)
        ],
    )


class _Counts(torch.nn.Module):
    """int64 [weights, max_steps, subtasks, workers, levels]."""

    actions: torch.Tensor

    def __init__(self, max_steps: int, workers: int) -> None:
        super().__init__()
        shape = (len(COST_WEIGHTS), max_steps, N_SUBTASKS, workers, N_LEVELS)
        self.register_buffer("actions", torch.zeros(shape, dtype=torch.int64))
