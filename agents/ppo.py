"""PPO over a thousand batched environments, one policy for all cost weights.

Two algorithms, both unchanged: Stable-Baselines3's PPO (Schulman et al. 2017) and sb3-contrib's
MaskablePPO (Huang and Ontanon 2022), which never tries invalid actions. The cost weight is drawn
per episode and observed, so one policy traces the whole frontier. A model is a folder with
`policy.safetensors` and `card.json`; loading it runs no code from the file.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.config import EnvConfig
from conductor_gym.data_files import make_folder, write_beside_and_rename
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError
from conductor_gym.spaces import action_space, observation_space

try:
    import torch
    from safetensors.torch import load, save
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None

STREAMS_PER_SEED = 2**20
"""Training seed j starts at stream j * 2^20."""
NET_ARCH = (64, 64)
ENVS = 1024
LEARNING_RATE = 3e-3
"""Falls linearly to 0."""
ENTROPY_START, ENTROPY_END = 0.03, 0.002
"""The entropy coefficient falls linearly: acting on answers pays only once both halves of it, the
second opinion and what to do with it, have been tried together."""
HYPERPARAMETERS: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 2048,
    "n_epochs": 4,
    "gamma": 1.0,
    "gae_lambda": 0.6,
    "vf_coef": 0.5,
}
"""Chosen on the dev split of track paper."""


class PPOAgent:
    """A policy that PPO trained, acting greedily.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another pool, suite or observation size.
    """

    algorithm: ClassVar[str] = "ppo"

    def __init__(self, setting: Setting, model: Path) -> None:
        try:
            card = json.loads((model / "card.json").read_text())
            algorithm, trained_on = card["algorithm"], card["environment"]
            net_arch = [int(width) for width in card["net_arch"]]
        except FileNotFoundError:
            raise DataFileError(
                f"{model}: no card.json. Run `conductor-gym train {self.algorithm}` or "
                "name the folder that it wrote."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{model}/card.json is not a model card: {error!r}.") from None
        if algorithm != self.algorithm:
            raise ConfigError(
                f"{model} was trained with {algorithm!r}: score it as agent {algorithm!r}, "
                f"not as {self.algorithm!r}."
            )
        here = setting.train.as_dict()
        for name in ("pool", "suite", "max_workers", "max_steps"):
            if trained_on.get(name) != here[name]:
                raise ConfigError(
                    f"{model} was trained with {name}={trained_on.get(name)!r}, here it is "
                    f"{here[name]!r}. Train a model for this track."
                )
        self.card: dict[str, Any] = {k: v for k, v in card.items() if k != "curve"}
        self._masked = algorithm == "maskable-ppo"
        self._policy: Any = _policy_class(algorithm)(
            observation_space(setting.train.max_workers, setting.train.max_steps),
            action_space(setting.train.max_workers),
            _no_learning,
            net_arch=net_arch,
        )
        try:
            self._policy.load_state_dict(load((model / "policy.safetensors").read_bytes()))
        except Exception as error:
            raise DataFileError(f"{model}/policy.safetensors cannot be loaded: {error}") from None
        self._policy.set_training_mode(False)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        options = {"action_masks": observation["action_mask"]} if self._masked else {}
        chosen, _ = self._policy.predict(observation, deterministic=True, **options)
        return np.asarray(chosen, np.int64)


class MaskablePPOAgent(PPOAgent):
    """A policy that MaskablePPO trained, acting greedily among valid actions."""

    algorithm: ClassVar[str] = "maskable-ppo"


def _no_learning(progress: float) -> float:
    """A learning-rate schedule for policies that only act."""
    del progress
    return 0.0


def _falling_learning_rate(left: float) -> float:
    return LEARNING_RATE * left


def _policy_class(algorithm: str) -> Any:
    if algorithm == "ppo":
        from stable_baselines3.common.policies import MultiInputActorCriticPolicy

        return MultiInputActorCriticPolicy
    from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy

    return MaskableMultiInputActorCriticPolicy


def _algorithm_class(algorithm: str) -> Any:
    if algorithm == "ppo":
        from stable_baselines3 import PPO

        return PPO
    from sb3_contrib import MaskablePPO

    return MaskablePPO


def train_ppo(
    algorithm: str,
    config: EnvConfig,
    folder: Path,
    timesteps: int,
    seed: int,
    report: Callable[[int, float], None],
) -> dict[str, Any]:
    """Train a policy and write its folder.

    Args:
        algorithm: ``"ppo"`` or ``"maskable-ppo"``.
        config: Training environment; its cost weight is drawn per episode unless fixed.
        folder: Where the model is written, complete or not at all.
        timesteps: Environment steps.
        seed: Training seed j; streams start at j * 2^20.
        report: Called after each rollout with the steps so far and the mean return of the
            episodes that ended in it.

    Returns:
        The card.
    """
    from stable_baselines3.common.callbacks import BaseCallback

    from conductor_gym.sb3 import ConductorVecEnv

    class Progress(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.curve: list[tuple[int, float]] = []
            self.returns: list[float] = []

        def _on_step(self) -> bool:
            self.returns += [info["episode"]["r"] for info in self.locals["infos"] if info]
            return True

        def _on_rollout_start(self) -> None:
            left = max(0.0, 1.0 - self.num_timesteps / timesteps)
            learner.ent_coef = ENTROPY_END + (ENTROPY_START - ENTROPY_END) * left

        def _on_rollout_end(self) -> None:
            mean = float(np.mean(self.returns)) if self.returns else 0.0
            self.curve.append((self.num_timesteps, round(mean, 6)))
            self.returns = []
            report(self.num_timesteps, mean)

    make_folder(folder)  # before the work, not after it
    began = time.perf_counter()
    progress = Progress()
    learner = _algorithm_class(algorithm)(
        "MultiInputPolicy",
        ConductorVecEnv(ENVS, config),
        seed=seed * STREAMS_PER_SEED,
        policy_kwargs={"net_arch": list(NET_ARCH)},
        device="cpu",
        learning_rate=_falling_learning_rate,
        **HYPERPARAMETERS,
    )
    # A second thread gains a quarter on idle cores and loses twentyfold on shared ones (measured).
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learner.learn(timesteps, callback=progress)
    finally:
        torch.set_num_threads(threads)
    card = {
        "algorithm": algorithm,
        "environment": config.as_dict(),
        "net_arch": list(NET_ARCH),
        "hyperparameters": {
            "envs": ENVS,
            "learning_rate": LEARNING_RATE,
            "ent_coef": [ENTROPY_START, ENTROPY_END],
            **HYPERPARAMETERS,
        },
        "seed": seed,
        "timesteps": learner.num_timesteps,
        "wall_s": round(time.perf_counter() - began, 1),
        "torch": torch.__version__,
        "curve": progress.curve,
    }
    weights = {name: tensor.contiguous() for name, tensor in learner.policy.state_dict().items()}
    write_beside_and_rename(folder / "policy.safetensors", save(weights))
    write_beside_and_rename(folder / "card.json", json.dumps(card, indent=1).encode())
    return card
