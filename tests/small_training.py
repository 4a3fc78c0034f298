"""Training runs of seconds; as a script, `conductor-gym` with a signal in the middle of training.

`python small_training.py SIGKILL train dqn --track paper ...` sends itself the signal one logged
point after the first checkpoint, so that work which is in no checkpoint is lost.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conductor_gym.agents import sb3_training
from conductor_gym.agents.registry import agent_card, trainer
from conductor_gym.agents.training import CHECKPOINT, TrainingRun
from conductor_gym.leaderboard.tracks import find_track

ENVS = 128
STEPS = 10_240
"""Five rollouts of 16 steps in 128 slots."""


def shrink(name: str, set_attribute: Callable[[Any, str, Any], None]) -> None:
    """Fewer slots and a small buffer for a trainer; a checkpoint before every rollout but one."""
    module = importlib.import_module(str(agent_card(name).trainer).partition(":")[0])
    small = {"ENVS": ENVS, "POOLS": 4, "EPISODES": 64}
    often = dict.fromkeys(("ROLLOUTS_PER_CHECKPOINT", "GENERATIONS_PER_CHECKPOINT"), 1)
    for attribute, value in (small | often).items():
        if hasattr(module, attribute):
            set_attribute(module, attribute, value)
    given: dict[str, Any] = getattr(module, "HYPERPARAMETERS", {})
    if "buffer_size" in given:  # small enough to be full before the end
        set_attribute(module, "HYPERPARAMETERS", given | {"buffer_size": STEPS // 2})
    set_attribute(sb3_training, "ROLLOUTS_PER_CHECKPOINT", 1)


def training_run(name: str, folder: Path, seed: int = 0, steps: int = STEPS) -> TrainingRun:
    """A run on track paper."""
    return TrainingRun(name, find_track("paper").setting(0.05), folder, steps, seed)


def train(name: str, folder: Path, seed: int = 0, steps: int = STEPS) -> dict[str, Any]:
    """Train; the card."""
    return trainer(name)(training_run(name, folder, seed, steps))


def _signal_after_checkpoint(number: int) -> None:
    log = TrainingRun.log

    def log_and_stop(self: TrainingRun, steps: int, mean_return: float, **scalars: float) -> None:
        log(self, steps, mean_return, **scalars)
        if (self.folder / CHECKPOINT).exists():
            os.kill(os.getpid(), number)

    TrainingRun.log = log_and_stop


if __name__ == "__main__":
    from conductor_gym.cli import main

    _signal_after_checkpoint(signal.Signals[sys.argv.pop(1)])
    shrink(sys.argv[2], setattr)
    main()
