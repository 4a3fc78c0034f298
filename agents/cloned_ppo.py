"""Reinforcement learning that starts from a clone.

From scratch, PPO hardly ever meets what pays on tasks of several parts: plan, solve each part and
join, five or six right steps before any reward, are completed in about one of a thousand such
episodes. The clone of good agents (`cloning.py`) plays them from the first rollout on. What is left
to gain is small beside the luck of an episode, so each is compared with the clone's own play of it.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent
from conductor_gym.agents.cloning import BehaviourCloningAgent
from conductor_gym.agents.ppo import ENVS, MaskablePPOAgent, Tuning, train_with
from conductor_gym.agents.training import TrainingRun
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.sb3 import ConductorVecEnv

TEACHER = "bc"
FROM_CLONE = Tuning(
    5e-4,
    0.003,
    0.0003,
    {"n_steps": 16, "batch_size": 2048, "n_epochs": 2, "gae_lambda": 0.95, "vf_coef": 0.5},
)
"""Chosen on the dev split of track standard."""


class ClonedPPOAgent(MaskablePPOAgent):
    """A policy that was cloned and then trained by MaskablePPO, acting greedily."""

    algorithm: ClassVar[str] = "bc-ppo"


class BesideTheClone(ConductorVecEnv):
    """The environment in which an episode pays what it earns beyond the clone's play of it.

    What workers would answer is fixed before anyone asks, so the clone can play the same episode
    under the same luck. Its utility depends on nothing that the learner does: taken off the last
    reward, it changes no gradient on average and takes most of the luck out of it.

    Args:
        num_envs: Slots.
        config: Settings of the environment.
        clone: Whose play is taken off.
    """

    def __init__(self, num_envs: int, config: EnvConfig, clone: Agent) -> None:
        super().__init__(num_envs, config)
        self._clone = clone
        self._beside = Engine(config, num_envs)
        self._earned: dict[int, npt.NDArray[np.float64]] = {}

    def step_wait(self) -> Any:
        """See `ConductorVecEnv.step_wait`; infos tell what was really earned."""
        playing = self.engine.episodes[["stream", "index"]].copy()
        observation, rewards, dones, infos = super().step_wait()
        for index in np.unique(playing["index"][dones]).tolist():
            if index not in self._earned:
                self._earned[index] = self._play(playing["stream"], index)
            ended = dones & (playing["index"] == index)
            rewards[ended] -= self._earned[index][ended]
        for index in [k for k in self._earned if k < playing["index"].min()]:
            del self._earned[index]
        return observation, rewards, dones, infos

    def _play(self, streams: npt.NDArray[np.int64], index: int) -> npt.NDArray[np.float64]:
        """What the clone earns in episode `index` of each slot's stream, float64 [n]."""
        engine, slots = self._beside, np.arange(self.num_envs, dtype=np.int64)
        observation, earned = engine.new_observation(), np.zeros(self.num_envs)
        engine.start(slots, streams, np.full(self.num_envs, index), observation)
        while len(live := np.flatnonzero(engine.episodes["over"] == 0)):
            table = np.zeros((self.num_envs, 3), np.int64)
            table[live] = self._clone.act({k: v[live] for k, v in observation._asdict().items()})
            earned[live] += engine.step(table, observation)["reward"][live]
        return earned


def train_cloned_ppo(run: TrainingRun) -> dict[str, Any]:
    """Train the clone of the same seed further and write the policy's folder.

    Returns:
        The card.

    Raises:
        ConfigError: There is no clone to start from.
    """
    start = run.models / TEACHER / f"seed-{run.seed}"
    if not (start / "card.json").is_file():
        raise ConfigError(
            f"{run.agent} goes on from {TEACHER}, and there is none in {start}: run `conductor-gym "
            f"train {TEACHER} --seed {run.seed}` on this track first, with the same --models."
        )
    clone = BehaviourCloningAgent(run.setting, start)
    env = BesideTheClone(ENVS, run.config, clone)

    def prepare(policy: Any) -> None:
        policy.load_state_dict(clone.policy.state_dict())
        # What there is to earn beyond the clone is nothing at first.
        policy.value_net.weight.data.zero_()
        policy.value_net.bias.data.zero_()

    return train_with(run, env, FROM_CLONE, True, prepare, clone_samples=clone.card["timesteps"])
