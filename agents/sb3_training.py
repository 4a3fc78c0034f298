"""Stable-Baselines3's learning loop with our log, and checkpoints from which a killed run goes on.

A checkpoint holds weights, optimizer, both generators that Stable-Baselines3 draws from, and the
episodes under way, so a run that was killed and resumed ends in the same weights as one that was
not. It is written between rollouts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from conductor_gym.agents.training import TrainingRun, bytes_of, put_bytes
from conductor_gym.sb3 import ConductorVecEnv

ROLLOUTS_PER_CHECKPOINT = 8


def learn(
    run: TrainingRun,
    learner: Any,
    env: ConductorVecEnv,
    before_rollout: Callable[[float], None],
) -> float:
    """Train an on-policy learner for `run.timesteps`, whole rollouts.

    The process's own random state is as before when it returns.

    Args:
        run: The training run.
        learner: PPO or one that is built like it.
        env: Its environment.
        before_rollout: Called before each rollout with the share of steps that is left.

    Returns:
        USD that the calls of all finished episodes cost.
    """
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    # A second thread gains a quarter on idle cores and loses twentyfold on shared ones (measured).
    torch.set_num_threads(1)
    try:
        learner.set_random_seed(run.first_stream)
        loop = _Loop(run, env, before_rollout)
        done = _resume(run, learner, env, loop)
        if done < run.timesteps:
            learner.learn(run.timesteps - done, callback=loop, reset_num_timesteps=done == 0)
    finally:
        torch.set_num_threads(threads)
        np.random.set_state(before[0])  # noqa: NPY002
        torch.set_rng_state(before[1])
    return loop.spent


class _Loop(BaseCallback):
    """Logs a point after each rollout, writes a checkpoint before every eighth."""

    def __init__(
        self, run: TrainingRun, env: ConductorVecEnv, before_rollout: Callable[[float], None]
    ) -> None:
        super().__init__()
        self.run = run
        self.env = env
        self.before_rollout = before_rollout
        self.spent = 0.0
        self.rollouts = 0
        self._returns: list[float] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if info:
                self._returns.append(info["episode"]["r"])
                self.spent += info["cost_usd"]
        return True

    def _on_rollout_start(self) -> None:
        if self.rollouts and self.rollouts % ROLLOUTS_PER_CHECKPOINT == 0:
            _save(self.run, self.model, self.env, self)
        self.before_rollout(max(0.0, 1.0 - self.num_timesteps / self.run.timesteps))

    def _on_rollout_end(self) -> None:
        mean = float(np.mean(self._returns)) if self._returns else 0.0
        told: dict[str, Any] = dict(self.model.logger.name_to_value)
        names = [name for name, value in told.items() if np.isscalar(value)]
        scalars = {name.replace("/", "_"): float(told[name]) for name in names}
        self.run.log(self.num_timesteps, mean, spent_usd=self.spent, **scalars)
        self._returns = []
        self.rollouts += 1


def _save(run: TrainingRun, learner: Any, env: ConductorVecEnv, loop: _Loop) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in learner.policy.state_dict().items():
        tensors[f"policy.{name}"] = tensor
    optimizer = learner.policy.optimizer.state_dict()
    for number, state in optimizer["state"].items():
        for name, tensor in state.items():
            tensors[f"optimizer.{number}.{name}"] = tensor
    for name, array in env.engine.state._asdict().items():
        tensors[f"episodes.{name}"] = bytes_of(array)
    tensors["starts"] = bytes_of(np.asarray(learner._last_episode_starts, np.uint8))
    tensors["torch"] = torch.get_rng_state()
    generator: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    twister = generator.pop("state")
    tensors["numpy"] = bytes_of(np.asarray(twister["key"], np.uint32))
    run.save_checkpoint(
        learner.num_timesteps,
        tensors,
        numpy=generator | {"pos": twister["pos"]},
        groups=optimizer["param_groups"],
        updates=learner._n_updates,
        spent=loop.spent,
        rollouts=loop.rollouts,
    )


def _resume(run: TrainingRun, learner: Any, env: ConductorVecEnv, loop: _Loop) -> int:
    """Put the last checkpoint into place; returns its steps, 0 where there is none."""
    found = run.load_checkpoint()
    if found is None:
        return 0
    steps, tensors, values = found
    learner.policy.load_state_dict(
        {k.removeprefix("policy."): v for k, v in tensors.items() if k.startswith("policy.")}
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensor
    learner.policy.optimizer.load_state_dict({"state": state, "param_groups": values["groups"]})
    learner._last_obs = env.reset()
    for name, array in env.engine.state._asdict().items():
        put_bytes(array, tensors[f"episodes.{name}"])
    learner._last_obs = env.look()
    learner._last_episode_starts = tensors["starts"].numpy().astype(bool)
    learner.num_timesteps = steps
    learner._n_updates = values["updates"]
    loop.spent, loop.rollouts = values["spent"], values["rollouts"]
    torch.set_rng_state(tensors["torch"])
    generator: dict[str, Any] = values["numpy"]
    key = np.frombuffer(tensors["numpy"].numpy().tobytes(), np.uint32)
    generator["state"] = {"key": key, "pos": generator.pop("pos")}
    np.random.set_state(generator)  # noqa: NPY002
    return steps
