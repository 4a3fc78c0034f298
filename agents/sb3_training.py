"""Stable-Baselines3's learning loop with our log, and checkpoints from which a killed run goes on.

A checkpoint holds weights, optimizer, both generators that Stable-Baselines3 draws from, the
episodes under way and what the algorithm itself remembers, so a run that was killed and resumed
ends in the same weights as one that was not. It is written between rollouts.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from conductor_gym.agents.training import TrainingRun, bytes_of, keeps_random_state, put_bytes
from conductor_gym.errors import DataFileError, MissingExtraError
from conductor_gym.sb3 import ConductorVecEnv

try:
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None

ROLLOUTS_PER_CHECKPOINT = 8

Tensors = dict[str, torch.Tensor]


class Memory(Protocol):
    """What an algorithm remembers from one rollout to the next, beside weights and optimizer."""

    def keep(self) -> tuple[Tensors, dict[str, Any]]:
        """Tensors by name, and the rest as JSON."""
        ...

    def restore(self, tensors: Tensors, values: dict[str, Any]) -> None:
        """Put back what `keep` gave."""
        ...


@keeps_random_state
def learn(
    run: TrainingRun,
    learner: Any,
    env: ConductorVecEnv,
    before_rollout: Callable[[float], None],
    memory: Memory | None = None,
) -> float:
    """Train a learner for `run.timesteps`, whole rollouts.

    The process's own random state and number of threads are as before when it returns.

    Args:
        run: The training run.
        learner: An algorithm of Stable-Baselines3.
        env: Its environment.
        before_rollout: Called before each rollout with the share of steps that is left.
        memory: What else a checkpoint must hold, for algorithms that remember more than PPO.

    Returns:
        USD that the calls of all finished episodes cost.
    """
    threads = torch.get_num_threads()
    checks: bool = vars(torch.distributions.Distribution)["_validate_args"]
    # A second thread gains a quarter on idle cores and loses twentyfold on shared ones (measured).
    torch.set_num_threads(1)
    # To check the numbers of every distribution takes a tenth of the time and changes no result.
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        learner.set_random_seed(run.first_stream)
        loop = _Loop(run, env, before_rollout, memory)
        done = _resume(run, learner, env, loop)
        if done < run.timesteps:
            learner.learn(
                run.timesteps - done,
                callback=loop,
                log_interval=None,  # the loop reads what is logged; there is no other output
                reset_num_timesteps=done == 0,
            )
    finally:
        torch.set_num_threads(threads)
        torch.distributions.Distribution.set_default_validate_args(checks)
    return loop.spent


class _Loop(BaseCallback):
    """Logs a point after each rollout, writes a checkpoint before every eighth."""

    def __init__(
        self,
        run: TrainingRun,
        env: ConductorVecEnv,
        before_rollout: Callable[[float], None],
        memory: Memory | None,
    ) -> None:
        super().__init__()
        self.run = run
        self.env = env
        self.before_rollout = before_rollout
        self.memory = memory
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
    tensors: Tensors = {}
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
    remembered: tuple[Tensors, dict[str, Any]] = ({}, {})
    if loop.memory is not None:
        remembered = loop.memory.keep()
    run.save_checkpoint(
        learner.num_timesteps,
        tensors | {f"memory.{name}": tensor for name, tensor in remembered[0].items()},
        numpy=generator | {"pos": twister["pos"]},
        groups=optimizer["param_groups"],
        updates=learner._n_updates,
        spent=loop.spent,
        rollouts=loop.rollouts,
        memory=remembered[1],
    )


def _resume(run: TrainingRun, learner: Any, env: ConductorVecEnv, loop: _Loop) -> int:
    """Put the last checkpoint into place; returns its steps, 0 where there is none."""
    found = run.load_checkpoint()
    if found is None:
        return 0
    steps, tensors, values = found
    try:
        _put_back(learner, env, loop, tensors, values)
    except (KeyError, ValueError, RuntimeError) as error:
        raise DataFileError(
            f"the checkpoint in {run.folder} does not fit this version of {run.agent!r}: {error}. "
            "Start anew with --fresh."
        ) from None
    learner.num_timesteps = steps
    return steps


def _put_back(
    learner: Any, env: ConductorVecEnv, loop: _Loop, tensors: Tensors, values: dict[str, Any]
) -> None:
    learner.policy.load_state_dict(_below("policy.", tensors))
    state: dict[int, Tensors] = {}
    for key, tensor in _below("optimizer.", tensors).items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = tensor
    learner.policy.optimizer.load_state_dict({"state": state, "param_groups": values["groups"]})
    env.reset()
    for name, array in env.engine.state._asdict().items():
        put_bytes(array, tensors[f"episodes.{name}"])
    learner._last_obs = env.look()
    learner._last_episode_starts = tensors["starts"].numpy().astype(bool)
    learner._n_updates = values["updates"]
    loop.spent, loop.rollouts = values["spent"], values["rollouts"]
    if loop.memory is not None:
        loop.memory.restore(_below("memory.", tensors), values["memory"])
    torch.set_rng_state(tensors["torch"])
    generator: dict[str, Any] = values["numpy"]
    key = np.frombuffer(tensors["numpy"].numpy().tobytes(), np.uint32)
    generator["state"] = {"key": key, "pos": generator.pop("pos")}
    np.random.set_state(generator)  # noqa: NPY002


def _below(prefix: str, tensors: Tensors) -> Tensors:
    """Those whose name starts with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
