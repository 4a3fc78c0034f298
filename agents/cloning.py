"""Behaviour cloning: a policy fitted to what others did.

The oldest way to learn a policy (Pomerleau 1988): take steps that good agents played, and raise the
likelihood of their actions given the observation. The teachers here are agents that learn no policy
of their own, each where it was best on dev (`teachers.py`); the cost weight is observed, so one
policy serves all of them. The same fit takes steps from anywhere: see `fit`.

Policy and weights have the form of `maskable-ppo`, the critic is fitted to the teachers' returns on
the side, so reinforcement learning can go on from here, as `cloned_ppo.py` does.
"""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations
from conductor_gym.agents.ppo import NET_ARCH, Greedy, MaskablePPOAgent, new_policy
from conductor_gym.agents.teachers import Steps, lessons, record
from conductor_gym.agents.training import TrainingRun
from conductor_gym.errors import ConfigError, MissingExtraError
from conductor_gym.traces.dataset import read_dataset
from conductor_gym.types import N_SUBTASKS, Subtask
from conductor_gym.world import make_world

try:
    import torch
except ModuleNotFoundError:
    raise MissingExtraError("behaviour cloning", "rl") from None

SAMPLES = 1_700_000
"""Steps that are shown, repetitions included, unless told otherwise."""
BATCH = 1024
LEARNING_RATE = 3e-3
"""Falls linearly to 0."""
CRITIC_WEIGHT = 0.5
PATIENCE = 3
"""Passes without a lower loss on held-out steps after which to stop."""

Tensors = dict[str, torch.Tensor]


class BehaviourCloningAgent(MaskablePPOAgent):
    """A policy that was fitted to others' actions, acting greedily among valid actions."""

    algorithm: ClassVar[str] = "bc"


def train_bc(run: TrainingRun) -> dict[str, Any]:
    """Clone the teachers, or the agent of `run.dataset`, and write the policy's folder.

    Returns:
        The card.
    """
    steps: dict[str, Any]
    if run.dataset is not None:
        config = run.config
        given = read_dataset(run.dataset, config.max_workers, config.max_steps)
        steps = {"steps": {"given": len(given.actions)}, "dataset": run.dataset}
        shown, held_out = Steps(given.observations, given.actions, given.returns), None
    else:
        lesson = lessons(run.setting)
        shown, held_out = lesson.train, lesson.dev
        steps = {
            "steps": {"train": len(shown.actions), "dev": len(held_out.actions)},
            "teachers": lesson.teachers,
        }
    policy = fit(*shown, held_out, run.timesteps, run.first_stream, run)
    return run.finish(
        policy.state_dict(),
        run.curve[-1][0],
        {
            "net_arch": list(NET_ARCH),
            "batch_size": BATCH,
            "learning_rate": LEARNING_RATE,
            "critic_weight": CRITIC_WEIGHT,
            "patience": PATIENCE,
        },
        **steps,
    )


def fit(
    observations: Observations,
    actions: Actions,
    returns: npt.NDArray[np.float64] | None = None,
    held_out: Steps | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    run: TrainingRun | None = None,
) -> Any:
    """Fit a policy to steps that somebody played, by negative log likelihood.

    Steps whose action was invalid are left out. The process's own random state stays as it is.

    Args:
        observations: What was observed before each step, [n, ...] each.
        actions: int64 [n, 3].
        returns: float64 [n], what the critic is fitted to; no critic is fitted where None.
        held_out: Steps to stop by; a tenth of the given ones, drawn, where None.
        samples: Steps to show at most, repetitions included; whole passes.
        seed: For initial weights and order.
        run: Where to log and to keep checkpoints, if anywhere.

    Returns:
        The policy of the lowest held-out loss, as `maskable-ppo` has it.

    Raises:
        ConfigError: Too few steps.
    """
    given = np.zeros(len(actions)) if returns is None else returns
    steps = _valid(Steps(observations, actions, given))
    n = len(steps.actions)
    if held_out is None:
        if n < 10:
            raise ConfigError(f"at least 10 valid steps are needed to clone from, got {n}.")
        order = np.random.default_rng(seed).permutation(n)
        held_out, steps = _rows(steps, order[: n // 10]), _rows(steps, order[n // 10 :])
    learner = _Cloner(steps, _valid(held_out), samples, seed, returns is not None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learner.learn(run)
    finally:
        torch.set_num_threads(threads)
    return learner.policy


class _Cloner:
    """The fit: a policy, its optimizer, the best weights so far."""

    def __init__(
        self, steps: Steps, held_out: Steps, samples: int, seed: int, critic: bool
    ) -> None:
        self.steps, self.held_out = _as_tensors(steps), _as_tensors(held_out)
        self.n = len(steps.actions)
        self.passes = max(1, samples // self.n)
        self.seed, self.critic = seed, critic
        with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
            self.policy: Any = new_policy(
                steps.observations["workers"].shape[1], steps.observations["history"].shape[1]
            )
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=LEARNING_RATE)
        self.best, self.best_loss, self.best_pass = self._weights(), float("inf"), 0

    def learn(self, run: TrainingRun | None) -> None:
        """Show all steps again and again, and end with the best weights."""
        done = self._resume(run)
        while done < self.passes and done - self.best_pass < PATIENCE:
            self._one_pass(done)
            done += 1
            with torch.no_grad():
                losses, values = self._losses(*self.held_out[:2])
            loss = float(losses.mean())
            if loss < self.best_loss:
                self.best, self.best_loss, self.best_pass = self._weights(), loss, done
            if run is not None:
                error = float(((values - self.held_out[2]) ** 2).mean())
                run.log(done * self.n, self._play(run), held_out_loss=loss, critic_error=error)
                self._save(run, done)
        self.policy.load_state_dict(self.best)

    def _one_pass(self, number: int) -> None:
        observations, actions, returns = self.steps
        order = np.random.default_rng([self.seed, number]).permutation(self.n)
        for first in range(0, self.n, BATCH):
            rows = torch.as_tensor(order[first : first + BATCH])
            left = 1.0 - (number + first / self.n) / self.passes
            self.optimizer.param_groups[0]["lr"] = LEARNING_RATE * left
            shown = {name: tensor[rows] for name, tensor in observations.items()}
            losses, values = self._losses(shown, actions[rows])
            loss = losses.mean()
            if self.critic:
                loss = loss + CRITIC_WEIGHT * ((values - returns[rows]) ** 2).mean()
            self.optimizer.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self.optimizer.step()  # pyright: ignore[reportUnknownMemberType]

    def _losses(
        self, observations: Tensors, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log likelihood of each action, and the critic's value: float32 [n] each.

        `vote` and `submit` ignore worker and level, so nothing is to be learnt from theirs.
        """
        masks = observations["action_mask"]
        distribution = self.policy.get_distribution(observations, masks)
        worker, subtask, level = (
            -part.log_prob(actions[:, k]) for k, part in enumerate(distribution.distributions)
        )
        calls = actions[:, 1] < Subtask.VOTE
        values = self.policy.predict_values(observations)[:, 0]
        return subtask + torch.where(calls, worker + level, 0.0), values

    def _play(self, run: TrainingRun) -> float:
        """Mean return of one pass over the dev split, cost weights drawn."""
        config = replace(run.config, split="dev")
        every = np.arange(len(make_world(config).data.uids), dtype=np.int64)
        return float(record(Greedy(self.policy), config, every).returns[: len(every)].mean())

    def _weights(self) -> Tensors:
        return {name: tensor.clone() for name, tensor in self.policy.state_dict().items()}

    def _save(self, run: TrainingRun, done: int) -> None:
        tensors = {f"policy.{name}": tensor for name, tensor in self.policy.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        best = [self.best_loss, self.best_pass]
        run.save_checkpoint(done * self.n, tensors, passes=done, best=best)

    def _resume(self, run: TrainingRun | None) -> int:
        """Put the last checkpoint into place; returns its passes, 0 where there is none."""
        found = None if run is None else run.load_checkpoint()
        if found is None:
            return 0
        _, tensors, values = found
        state: dict[int, Tensors] = {}
        parts: dict[str, Tensors] = {"policy": {}, "best": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            if part == "optimizer":
                number, name = name.split(".")
                state.setdefault(int(number), {})[name] = tensor
            else:
                parts[part][name] = tensor
        self.policy.load_state_dict(parts["policy"])
        self.best = parts["best"]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.best_loss, self.best_pass = values["best"]
        return int(values["passes"])


def _valid(steps: Steps) -> Steps:
    """Those steps whose action the mask allowed, as far as the action's parts matter."""
    mask, (worker, subtask, level) = steps.observations["action_mask"], steps.actions.T
    rows, slots = np.arange(len(mask)), steps.observations["workers"].shape[1]
    called = (mask[rows, worker] & mask[rows, slots + N_SUBTASKS + level]) == 1
    kept = (mask[rows, slots + subtask] == 1) & (called | (subtask >= Subtask.VOTE))
    return steps if kept.all() else _rows(steps, np.flatnonzero(kept))


def _rows(steps: Steps, rows: Any) -> Steps:
    observations = {name: array[rows] for name, array in steps.observations.items()}
    return Steps(observations, steps.actions[rows], steps.returns[rows])


def _as_tensors(steps: Steps) -> tuple[Tensors, torch.Tensor, torch.Tensor]:
    return (
        {name: torch.as_tensor(array) for name, array in steps.observations.items()},
        torch.as_tensor(steps.actions),
        torch.as_tensor(steps.returns.astype(np.float32)),
    )
