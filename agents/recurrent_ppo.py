"""Recurrent PPO: what happened is remembered by an LSTM instead of being read from the history.

sb3-contrib's RecurrentPPO with the settings of `ppo` where they fit, for one comparison: `ppo`
reads all past steps at once, this policy is shown the newest step alone and has to remember the
others (Hausknecht and Stone 2015 for the idea; RecurrentPPO is PPO with an LSTM). Query, workers
and budget are read beside the memory, as they are now, by actor and critic alike; the columns of
the workers sum up part of the history (calls, errors, last confidence, agreement with the current
answer), here as for `ppo`. It knows no masks while it learns; when it acts, invalid entries are
left out.

An agent has no state of its own, so the memory is rebuilt from the history at every decision: it
depends on nothing else. RecurrentPPO crashes on a `Dict` with a `MultiDiscrete` part (the width of
its features is then a numpy integer, which torch's LSTM refuses). Ours has none; rows are used
because a `Dict` would be padded part by part, in each minibatch.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.flat_env import NEWEST_WIDTH, FlatVecEnv, newest_step_first, row_space
from conductor_gym.agents.padded_buffer import PaddedRolloutBuffer
from conductor_gym.agents.reading import steps_taken
from conductor_gym.agents.sb3_training import Tensors, learn
from conductor_gym.agents.training import TrainingRun, keeps_random_state, read_card, read_weights
from conductor_gym.errors import MissingExtraError
from conductor_gym.spaces import action_space, observation_space

try:
    import torch
    from sb3_contrib import RecurrentPPO
    from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
    from sb3_contrib.common.recurrent.type_aliases import RNNStates
    from stable_baselines3.common.torch_layers import MlpExtractor
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None

ENVS = 256
POLICY: dict[str, Any] = {
    "net_arch": [64, 64],
    "lstm_hidden_size": 32,
    "shared_lstm": True,
    "enable_critic_lstm": False,
}
"""The critic reads the actor's memory: a second LSTM would take as long again."""
LEARNING_RATE = 3e-3
"""Falls linearly to 0."""
ENTROPY_START, ENTROPY_END = 0.03, 0.002
"""The entropy coefficient falls linearly, as for `ppo`."""
HYPERPARAMETERS: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 512,
    "n_epochs": 2,
    "gamma": 1.0,
    "gae_lambda": 0.6,
    "vf_coef": 0.5,
}
"""Chosen on the dev split of track paper: with the rollouts of `ppo`, four times as long, the few
hundred thousand steps that there is time for hold too few updates."""


class MemoryPolicy(RecurrentActorCriticPolicy):
    """Its LSTM reads the newest step; actor and critic read its memory beside all the rest.

    Args:
        observation_space: Of rows as `newest_step_first` makes them.
        action_space: Of the environment.
        lr_schedule: As for any policy of Stable-Baselines3.
        **options: Likewise.
    """

    def __init__(
        self, observation_space: Any, action_space: Any, lr_schedule: Any, **options: Any
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            observation_space, action_space, lr_schedule, **options
        )
        self.lstm_actor = torch.nn.LSTM(NEWEST_WIDTH, self.lstm_output_dim)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr_schedule(1.0), eps=1e-5)

    def logits(
        self, steps: torch.Tensor, taken: torch.Tensor, rest: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits of worker, subtask and level, with the memory rebuilt.

        Args:
            steps: [n, 1 + max_steps, `NEWEST_WIDTH`]: what was newest before each decision.
            taken: int64 [n], steps so far; later rows of `steps` are not read.
            rest: [n, width of all but the history].
        """
        remembered, _ = self.lstm_actor(steps.transpose(0, 1))
        now = remembered[taken, torch.arange(len(taken))]
        latent = self.mlp_extractor.forward_actor(torch.cat([now, rest], 1))
        return torch.split(self.action_net(latent), self.action_space.nvec.tolist(), dim=1)  # pyright: ignore

    def _build_mlp_extractor(self) -> None:
        width = self.lstm_output_dim + self.features_dim - NEWEST_WIDTH
        self.mlp_extractor = MlpExtractor(width, self.net_arch, self.activation_fn, self.device)

    @staticmethod
    def _process_sequence(
        features: torch.Tensor, lstm_states: Any, episode_starts: torch.Tensor, lstm: Any
    ) -> Any:
        remembered, states = RecurrentActorCriticPolicy._process_sequence(
            features[:, :NEWEST_WIDTH], lstm_states, episode_starts, lstm
        )
        return torch.cat([remembered, features[:, NEWEST_WIDTH:]], 1), states


class RecurrentPPOAgent:
    """A policy with a memory, acting greedily among valid entries.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another pool, suite or observation size.
    """

    @keeps_random_state
    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card("recurrent-ppo", setting, model)
        slots, steps = setting.train.max_workers, setting.train.max_steps
        self._policy = MemoryPolicy(
            row_space(observation_space(slots, steps), newest_step_first),
            action_space(slots),
            _no_learning,
            **POLICY,
        )
        read_weights(model, self._policy)
        self._policy.double()

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        mask, first, chosen = observation["action_mask"].astype(bool), 0, list[Any]()
        for part in self.logits(observation):
            allowed = mask[:, first : first + part.shape[1]]
            # Rounded: the last bits depend on how many rows there are.
            values: npt.NDArray[np.float64] = np.where(allowed, part.numpy().round(9), -np.inf)
            chosen.append(values.argmax(axis=1))
            first += part.shape[1]
        return np.stack(chosen, 1)

    def logits(self, observation: Observations) -> tuple[torch.Tensor, ...]:
        """Logits of worker, subtask and level, float64 [n, 8], [n, 8] and [n, 7], unmasked."""
        history = observation["history"].astype(np.float64)
        nothing_yet = np.full((len(history), 1, NEWEST_WIDTH), -1.0)
        rest = newest_step_first(observation)[:, NEWEST_WIDTH:].astype(np.float64)
        with torch.no_grad():
            return self._policy.logits(
                torch.as_tensor(np.concatenate([nothing_yet, history], 1)),
                torch.as_tensor(steps_taken(observation)),
                torch.as_tensor(rest),
            )


@keeps_random_state
def train_recurrent_ppo(run: TrainingRun) -> dict[str, Any]:
    """Train a policy and write its folder.

    Returns:
        The card.
    """
    env = FlatVecEnv(ENVS, run.config, newest_step_first)
    learner: Any = RecurrentPPO(
        MemoryPolicy,
        env,
        seed=run.first_stream,
        policy_kwargs=POLICY,
        device="cpu",
        learning_rate=_falling_learning_rate,
        **HYPERPARAMETERS,
    )
    learner.rollout_buffer = PaddedRolloutBuffer.like(learner.rollout_buffer)

    def before_rollout(left: float) -> None:
        learner.ent_coef = ENTROPY_END + (ENTROPY_START - ENTROPY_END) * left

    spent = learn(run, learner, env, before_rollout, _Memory(learner))
    return run.finish(
        learner.policy.state_dict(),
        learner.num_timesteps,
        {
            "envs": ENVS,
            **POLICY,
            "learning_rate": LEARNING_RATE,
            "ent_coef": [ENTROPY_START, ENTROPY_END],
            **HYPERPARAMETERS,
        },
        calls_usd=spent,
    )


class _Memory:
    """What the LSTM holds between two rollouts."""

    def __init__(self, learner: RecurrentPPO) -> None:
        self._learner: Any = learner

    def keep(self) -> tuple[Tensors, dict[str, Any]]:
        hidden, cell = self._learner._last_lstm_states.pi
        return {"hidden": hidden, "cell": cell}, {}

    def restore(self, tensors: Tensors, values: dict[str, Any]) -> None:
        del values
        states = tensors["hidden"], tensors["cell"]
        self._learner._last_lstm_states = RNNStates(states, states)  # the critic reads the same


def _no_learning(left: float) -> float:
    """A learning-rate schedule for policies that only act."""
    del left
    return 0.0


def _falling_learning_rate(left: float) -> float:
    return LEARNING_RATE * left
