"""PPO over a thousand batched environments, one policy for all cost weights.

Two algorithms, both unchanged: Stable-Baselines3's PPO (Schulman et al. 2017) and sb3-contrib's
MaskablePPO (Huang and Ontanon 2022), which never tries invalid actions. The cost weight is drawn
per episode and observed, so one policy traces the whole frontier.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.sb3_training import learn
from conductor_gym.agents.training import (
    TrainingRun,
    keeps_random_state,
    read_card,
    read_weights,
)
from conductor_gym.spaces import action_space, observation_space

if TYPE_CHECKING:
    from conductor_gym.sb3 import ConductorVecEnv

NET_ARCH = (64, 64)
ENVS = 1024


class Tuning(NamedTuple):
    """Hyperparameters of a run; gamma is 1, so that the return is the utility.

    Attributes:
        learning_rate: At the start; it falls linearly to 0.
        entropy_start: Entropy coefficient at the start.
        entropy_end: At the end; it falls linearly. Acting on answers pays only once both halves of
            it, the second opinion and what to do with it, have been tried together.
        sb3: The rest, as Stable-Baselines3 names it.
    """

    learning_rate: float
    entropy_start: float
    entropy_end: float
    sb3: dict[str, Any]


FROM_SCRATCH = Tuning(
    3e-3,
    0.03,
    0.002,
    {"n_steps": 16, "batch_size": 2048, "n_epochs": 4, "gae_lambda": 0.6, "vf_coef": 0.5},
)
"""Chosen on the dev split of track paper."""


class Greedy:
    """An agent that takes a policy's most likely actions.

    Args:
        policy: As `new_policy` makes it.
        masked: Whether it chooses among valid actions only.
    """

    def __init__(self, policy: Any, masked: bool = True) -> None:
        self.policy = policy
        self.masked = masked

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        options = {"action_masks": observation["action_mask"]} if self.masked else {}
        chosen, _ = self.policy.predict(observation, deterministic=True, **options)
        return np.asarray(chosen, np.int64)


class PPOAgent(Greedy):
    """A policy that PPO trained, acting greedily.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another pool, suite or observation size.
    """

    algorithm: ClassVar[str] = "ppo"

    @keeps_random_state
    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card(self.algorithm, setting, model)
        masked, train = self.algorithm != "ppo", setting.train
        super().__init__(new_policy(train.max_workers, train.max_steps, masked), masked)
        read_weights(model, self.policy)


class MaskablePPOAgent(PPOAgent):
    """A policy that MaskablePPO trained, acting greedily among valid actions."""

    algorithm: ClassVar[str] = "maskable-ppo"


def train_ppo(run: TrainingRun) -> dict[str, Any]:
    """Train a policy from scratch and write its folder.

    Returns:
        The card.
    """
    from conductor_gym.sb3 import ConductorVecEnv

    masked = run.agent == "maskable-ppo"
    return train_with(run, ConductorVecEnv(ENVS, run.config), FROM_SCRATCH, masked)


@keeps_random_state
def train_with(
    run: TrainingRun,
    env: "ConductorVecEnv",
    tuning: Tuning,
    masked: bool,
    prepare: Callable[[Any], None] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Train a policy under some hyperparameters and write its folder.

    Args:
        run: The training run.
        env: What is played.
        tuning: The hyperparameters.
        masked: Whether the algorithm is MaskablePPO.
        prepare: Called with the fresh policy.
        **more: What else belongs on the card.

    Returns:
        The card.
    """

    def falling(left: float) -> float:
        return tuning.learning_rate * left

    learner = _algorithm_class(masked)(
        "MultiInputPolicy",
        env,
        seed=run.first_stream,
        policy_kwargs={"net_arch": list(NET_ARCH)},
        device="cpu",
        learning_rate=falling,
        gamma=1.0,
        **tuning.sb3,
    )
    if prepare is not None:
        prepare(learner.policy)

    def before_rollout(left: float) -> None:
        end = tuning.entropy_end
        learner.ent_coef = end + (tuning.entropy_start - end) * left

    spent = learn(run, learner, env, before_rollout)
    return run.finish(
        learner.policy.state_dict(),
        learner.num_timesteps,
        {
            "envs": env.num_envs,
            "net_arch": list(NET_ARCH),
            "learning_rate": tuning.learning_rate,
            "ent_coef": [tuning.entropy_start, tuning.entropy_end],
            "gamma": 1.0,
            **tuning.sb3,
        },
        calls_usd=spent,
        **more,
    )


def new_policy(max_workers: int, max_steps: int, masked: bool = True) -> Any:
    """A policy of the shape that is trained here, which only acts.

    Args:
        max_workers: Worker slots.
        max_steps: Steps of an episode.
        masked: Whether it is one of MaskablePPO.
    """
    if masked:
        from sb3_contrib.common.maskable.policies import (
            MaskableMultiInputActorCriticPolicy as Policy,
        )
    else:
        from stable_baselines3.common.policies import MultiInputActorCriticPolicy as Policy
    return Policy(
        observation_space(max_workers, max_steps),
        action_space(max_workers),
        _no_learning,
        net_arch=list(NET_ARCH),
    )


def _no_learning(progress: float) -> float:
    """A learning-rate schedule for policies that only act."""
    del progress
    return 0.0


def _algorithm_class(masked: bool) -> Any:
    if masked:
        from sb3_contrib import MaskablePPO

        return MaskablePPO
    from stable_baselines3 import PPO

    return PPO
