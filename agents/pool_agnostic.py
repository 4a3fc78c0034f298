"""Pool-agnostic: one policy for pools of workers that it never saw, given their calibration.

What the weights know is how to conduct: when to ask, verify, revise, divide and stop. What a worker
is worth comes from outside: public columns (prices, window, speed), what the episode has shown, and
a calibration table of single calls on the train split of the pool at hand.

`train pool-agnostic --track TRACK` learns by PPO on 32 relatives of the track's pool (see
`pool_relatives`), on the track's suite. No shipped pool is played in training, not even the track's
own, so every pool it is scored on is new to it; a worker may recur under its name, but changed. It
may act on another track (`run --track OTHER --model FOLDER`): there it makes a calibration table,
and nothing is learned again.
"""

from pathlib import Path

import numpy as np
import torch

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.pool_calibration import calibrate, stack
from conductor_gym.agents.pool_features import features
from conductor_gym.agents.pool_policy import Inputs, PoolPolicy
from conductor_gym.agents.training import read_card, read_weights
from conductor_gym.world import make_world


class PoolAgnostic:
    """A policy over any pool, acting greedily.

    Args:
        setting: What the agent is built for; its train split calibrates the agent.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another observation size.
    """

    name = "pool-agnostic"

    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card(self.name, setting, model, same=("max_workers", "max_steps"))
        self._policy = PoolPolicy()
        read_weights(model, self._policy)
        self._policy.double()
        self._calibration = stack([calibrate(make_world(setting.train))])

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        n = len(observation["budget"])
        seen = features(observation, self._calibration, np.zeros(n, np.int64))
        inputs = Inputs.of(seen)
        inputs = inputs._replace(slots=inputs.slots.double(), common=inputs.common.double())
        with torch.no_grad():
            return self._policy(inputs, greedy=True).actions.numpy()
