"""Training of `pool-agnostic`: PPO in one file, each part of the batch on a pool of its own.

`POOLS` relatives of the track's pool are drawn and calibrated as a user would calibrate a new pool,
and an equal share of the slots is played on each. The cost weight is drawn per episode and
observed. Schulman et al. 2017, arXiv 1707.06347.

A checkpoint holds weights, optimizer, generator and the episodes under way, so a run that was
killed and resumed ends in the same weights as one that was not.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from conductor_gym.agents.pool_calibration import calibrate, stack
from conductor_gym.agents.pool_features import features
from conductor_gym.agents.pool_policy import Inputs, PoolPolicy
from conductor_gym.agents.pool_relatives import draw_relative
from conductor_gym.agents.training import TrainingRun, bytes_of, put_bytes
from conductor_gym.dynamics.state import Observation
from conductor_gym.engine import Engine
from conductor_gym.tasks.suite import load_split
from conductor_gym.types import NANO_USD
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import join

POOLS, SLOTS = 32, 16
"""Training pools, and episodes side by side on each."""
STEPS, MINIBATCH, EPOCHS = 16, 1024, 4
LEARNING_RATE = 3e-3
"""Falls linearly to 0."""
ENTROPY_START, ENTROPY_END = 0.03, 0.002
"""The entropy coefficient falls linearly."""
GAE_LAMBDA, CLIP, VALUE_WEIGHT, MAX_NORM = 0.6, 0.2, 0.5, 0.5
ROLLOUTS_PER_CHECKPOINT = 16


class Playground:
    """Episodes on many pools side by side, one engine a pool, restarted in the step that ends them.

    Args:
        run: The training run.
    """

    def __init__(self, run: TrainingRun) -> None:
        config = run.config
        pool, data = load_pool(config.pool), load_split(config.suite, config.split)
        rng = np.random.default_rng(run.first_stream)
        worlds = [join(config, draw_relative(pool, rng, k), data) for k in range(POOLS)]
        self.engines = [Engine(config, SLOTS, world) for world in worlds]
        self.calibration = stack([calibrate(world) for world in worlds])
        self.pool = np.repeat(np.arange(POOLS), SLOTS)
        self.spent = 0.0
        self.returns: list[float] = []
        large = Engine(config, POOLS * SLOTS, worlds[0]).new_observation()
        self._observation = large
        self._views = [
            Observation(*(array[k * SLOTS : (k + 1) * SLOTS] for array in large))
            for k in range(POOLS)
        ]
        slots = np.arange(SLOTS, dtype=np.int64)
        for k, (engine, view) in enumerate(zip(self.engines, self._views, strict=True)):
            streams = run.first_stream + k * SLOTS + slots
            engine.start(slots, streams, np.zeros_like(slots), view)

    def look(self) -> Inputs:
        """What the policy sees now."""
        return Inputs.of(features(self._observation._asdict(), self.calibration, self.pool))

    def step(self, actions: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """One decision in every slot: rewards float32 [n] and whether episodes ended, float32."""
        rewards, ended = np.empty(len(actions), np.float32), np.empty(len(actions), np.float32)
        for k, (engine, view) in enumerate(zip(self.engines, self._views, strict=True)):
            here = slice(k * SLOTS, (k + 1) * SLOTS)
            results = engine.step(actions[here], view)
            rewards[here], ended[here] = results["reward"], results["over"]
            slots = np.flatnonzero(results["over"])
            if len(slots):
                done = engine.episodes[slots]
                self.returns += (done["quality"] - done["charge"] * 1e-9).tolist()
                self.spent += float(done["cost"].sum()) / NANO_USD
                engine.start(slots, done["stream"], done["index"] + 1, view)
        return torch.as_tensor(rewards), torch.as_tensor(ended)

    def tensors(self) -> dict[str, Tensor]:
        """The episodes under way, for a checkpoint."""
        return {
            f"episodes.{k}.{name}": bytes_of(array)
            for k, engine in enumerate(self.engines)
            for name, array in engine.state._asdict().items()
        }

    def put(self, tensors: dict[str, Tensor]) -> None:
        """Go on with the episodes of a checkpoint."""
        for k, (engine, view) in enumerate(zip(self.engines, self._views, strict=True)):
            for name, array in engine.state._asdict().items():
                put_bytes(array, tensors[f"episodes.{k}.{name}"])
            engine.observe(view)


class Learner:
    """Policy, optimizer and generator.

    Args:
        seed: Of weights, drawn actions and minibatches.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.policy = PoolPolicy(self.generator)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), LEARNING_RATE, eps=1e-5)

    def roll(self, playground: Playground) -> tuple[Inputs, Tensor, Tensor, Tensor, Tensor]:
        """Play `STEPS` steps: inputs, actions, log-probabilities, advantages, returns; flat."""
        seen: list[Inputs] = []
        kept: list[tuple[Tensor, ...]] = []
        with torch.no_grad():
            for _ in range(STEPS):
                inputs = playground.look()
                judged = self.policy(inputs, generator=self.generator)
                rewards, ended = playground.step(judged.actions.numpy())
                seen.append(inputs)
                kept.append((judged.actions, judged.log_prob, judged.value, rewards, ended))
            ahead = self.policy(playground.look(), greedy=True).value
        actions, log_prob, value, rewards, ended = (torch.stack(x) for x in zip(*kept, strict=True))
        advantage = torch.empty_like(value)
        running = torch.zeros_like(ahead)
        for t in reversed(range(STEPS)):
            going = 1.0 - ended[t]
            running = rewards[t] + going * (ahead + GAE_LAMBDA * running) - value[t]
            advantage[t], ahead = running, value[t]
        inputs = Inputs(*(torch.cat(parts) for parts in zip(*seen, strict=True)))
        flat = (x.flatten(0, 1) for x in (actions, log_prob, advantage, advantage + value))
        return inputs, *flat  # pyright: ignore[reportReturnType]

    def learn(
        self,
        inputs: Inputs,
        actions: Tensor,
        log_prob: Tensor,
        advantage: Tensor,
        returns: Tensor,
        left: float,
    ) -> dict[str, float]:
        """Some epochs over one rollout.

        Args:
            inputs: What was seen.
            actions: int64 [n, 3].
            log_prob: float [n], when they were chosen.
            advantage: float [n].
            returns: float [n], what the critic learns.
            left: Share of the training that is left.

        Returns:
            Losses of the last minibatch.
        """
        self.optimizer.param_groups[0]["lr"] = LEARNING_RATE * left
        entropy_weight = ENTROPY_END + (ENTROPY_START - ENTROPY_END) * left
        told: dict[str, float] = {}
        for _ in range(EPOCHS):
            order = torch.randperm(len(actions), generator=self.generator)
            for rows in torch.split(order, MINIBATCH):
                judged = self.policy(inputs.rows(rows), actions[rows])
                gain = advantage[rows]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                ratio = (judged.log_prob - log_prob[rows]).exp()
                clipped = ratio.clamp(1.0 - CLIP, 1.0 + CLIP)
                policy_loss = -torch.minimum(ratio * gain, clipped * gain).mean()
                value_loss = (judged.value - returns[rows]).square().mean()
                entropy = judged.entropy.mean()
                loss = policy_loss + VALUE_WEIGHT * value_loss - entropy_weight * entropy
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_NORM)
                self.optimizer.step()  # pyright: ignore[reportUnknownMemberType]
                told = {
                    "policy_loss": policy_loss.item(),
                    "value_loss": value_loss.item(),
                    "entropy": entropy.item(),
                }
        return told

    def tensors(self) -> dict[str, Tensor]:
        """Everything that going on needs, for a checkpoint."""
        kept = {f"policy.{name}": tensor for name, tensor in self.policy.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            kept |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
        return kept | {"generator": self.generator.get_state()}

    def put(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        names = self.policy.state_dict()
        self.policy.load_state_dict({name: tensors[f"policy.{name}"] for name in names})
        held = self.optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith("optimizer."):
                _, number, name = key.split(".")
                state.setdefault(int(number), {})[name] = tensor
        self.optimizer.load_state_dict(held | {"state": state})
        self.generator.set_state(tensors["generator"])


def train_pool_agnostic(run: TrainingRun) -> dict[str, Any]:
    """Train a policy on relatives of the track's pool and write its folder.

    Returns:
        The card.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(run)
    finally:
        torch.set_num_threads(threads)


def _train(run: TrainingRun) -> dict[str, Any]:
    playground, learner = Playground(run), Learner(run.first_stream)
    done, rollouts = 0, 0
    found = run.load_checkpoint()
    if found is not None:
        done, tensors, values = found
        learner.put(tensors)
        playground.put(tensors)
        rollouts, playground.spent = values["rollouts"], values["spent"]
    while done < run.timesteps:
        if rollouts and rollouts % ROLLOUTS_PER_CHECKPOINT == 0:
            tensors = learner.tensors() | playground.tensors()
            run.save_checkpoint(done, tensors, rollouts=rollouts, spent=playground.spent)
        rollout = learner.roll(playground)
        told = learner.learn(*rollout, left=1.0 - done / run.timesteps)
        done += STEPS * POOLS * SLOTS
        rollouts += 1
        mean = float(np.mean(playground.returns)) if playground.returns else 0.0
        playground.returns = []
        run.log(done, mean, spent_usd=playground.spent, **told)
    return run.finish(
        learner.policy.state_dict(),
        done,
        {
            "pools": POOLS,
            "slots_per_pool": SLOTS,
            "n_steps": STEPS,
            "batch_size": MINIBATCH,
            "n_epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "ent_coef": [ENTROPY_START, ENTROPY_END],
            "gamma": 1.0,
            "gae_lambda": GAE_LAMBDA,
            "clip_range": CLIP,
            "vf_coef": VALUE_WEIGHT,
            "max_grad_norm": MAX_NORM,
        },
        calls_usd=playground.spent,
    )
