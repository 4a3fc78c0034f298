"""DQN's list of actions, the LSTM's memory, and agents that act the same in every batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from safetensors.torch import load, save
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from small_training import shrink, train

from conductor_gym.agents.base import Observations
from conductor_gym.agents.dqn import DQNAgent
from conductor_gym.agents.flat_env import (
    NEWEST_WIDTH,
    FlatVecEnv,
    action_list,
    everything,
    newest_step_first,
    valid_actions,
)
from conductor_gym.agents.padded_buffer import PaddedRolloutBuffer
from conductor_gym.agents.random_valid import RandomValid
from conductor_gym.agents.reading import steps_taken
from conductor_gym.agents.recurrent_ppo import RecurrentPPOAgent
from conductor_gym.agents.training import WEIGHTS
from conductor_gym.config import EnvConfig
from conductor_gym.leaderboard.evaluate import Replay, play
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.sb3 import ConductorVecEnv
from conductor_gym.types import Subtask

NAMES = ("dqn", "recurrent-ppo")
TRACK = find_track("paper")
SETTING = TRACK.setting(0.05)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A barely trained model of each agent; the last layer is drawn, so that choices are varied."""
    with pytest.MonkeyPatch.context() as patch:
        made: dict[str, Path] = {}
        for name in NAMES:
            shrink(name, patch.setattr)
            made[name] = tmp_path_factory.mktemp(name)
            train(name, made[name], steps=6144)
            weights = load((made[name] / WEIGHTS).read_bytes())
            last = "action_net.weight" if name == "recurrent-ppo" else "q_net.q_net.4.weight"
            weights[last].normal_(generator=torch.Generator().manual_seed(4))
            (made[name] / WEIGHTS).write_bytes(save(weights))
        yield made


def loaded(name: str, models: dict[str, Path]) -> Any:
    return (DQNAgent if name == "dqn" else RecurrentPPOAgent)(SETTING, models[name])


def met(steps: int = 25, n: int = 64) -> Iterator[Observations]:
    """Observations on the way of the random agent, episodes at different steps."""
    env: Any = ConductorVecEnv(n, SETTING.train)
    env.seed(5)
    agent = RandomValid(SETTING)
    observation = env.reset()
    for _ in range(steps):
        yield observation
        observation, _, _, _ = env.step(agent.act(observation))


@pytest.mark.parametrize("name", NAMES)
def test_a_score_does_not_depend_on_the_batch_size(name: str, models: dict[str, Path]) -> None:
    config = TRACK.evaluation(0.05)
    whole = play(loaded(name, models), config, 150)
    pieces = play(loaded(name, models), config, 150, batch=37)
    assert whole.decisions == pieces.decisions
    assert max(len(row) for row in whole.decisions) > 1
    again = play(Replay(whole.decisions), config, 150, privileged=True)
    assert (again.quality == whole.quality).all()
    assert (again.cost == whole.cost).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_action_depends_on_its_own_row_alone(name: str, models: dict[str, Path]) -> None:
    agent = loaded(name, models)
    for observation in met():
        together = agent.act(observation)
        order = np.random.default_rng(0).permutation(len(together))[:11]
        apart = agent.act({key: value[order] for key, value in observation.items()})
        np.testing.assert_array_equal(apart, together[order])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_masked_actions_are_never_taken(name: str, weight: float, models: dict[str, Path]) -> None:
    played = play(loaded(name, models), TRACK.evaluation(weight), 400)
    assert played.invalid.sum() == 0
    assert len({code for row in played.decisions for code in row}) > 1


def test_the_list_holds_every_kind_of_action_once() -> None:
    listed = action_list(8)
    assert listed.shape == (74, 3)
    assert len({tuple(row) for row in listed.tolist()}) == 74
    assert set(listed[:, 1].tolist()) == set(range(8))
    for subtask in (Subtask.SUBMIT, Subtask.VOTE):
        assert (listed[:, 1] == subtask).sum() == 1
    for worker in range(8):
        used = set(listed[listed[:, 0] == worker, 1].tolist())
        assert used >= set(range(6)), "every worker can be asked for every paid subtask"


def test_a_listed_action_counts_as_valid_exactly_where_the_environment_charges_nothing() -> None:
    listed = action_list(8)
    env: Any = FlatVecEnv(len(listed), SETTING.train, everything, listed)
    env.seed(3)
    env.reset()
    agent = RandomValid(SETTING)
    for step in range(8):
        before = env.vector.engine.new_observation()
        env.engine.observe(before)
        allowed = valid_actions(before._asdict(), listed)
        invalid = env.engine.episodes["invalid"].copy()
        running = env.engine.episodes["index"].copy()
        # Slot i takes action i, every other time, so that episodes get past their first step.
        taken = agent.act(before._asdict())
        numbers = np.arange(len(listed))
        if step % 2:
            env.step(numbers)
        else:
            env.vector.step(taken)
            continue
        goes_on = env.engine.episodes["index"] == running
        charged = env.engine.episodes["invalid"] > invalid
        np.testing.assert_array_equal(charged[goes_on], ~allowed[numbers, numbers][goes_on])
        assert charged[goes_on].any()
        assert not charged[goes_on].all()


def test_rows_are_those_of_the_adapter_terminal_ones_too() -> None:
    config = EnvConfig(pool="paper", suite="paper-v1")
    plain: Any = ConductorVecEnv(16, config)
    for flatten in (everything, newest_step_first):
        flat: Any = FlatVecEnv(16, config, flatten)
        plain.seed(9)
        flat.seed(9)
        observation, rows = plain.reset(), flat.reset()
        ends = 0
        agent = RandomValid(SETTING)
        for _ in range(20):
            assert rows.dtype == np.float32
            assert flat.observation_space.contains(rows[0])
            np.testing.assert_array_equal(rows, flatten(observation))
            actions = agent.act(observation)
            observation, _, _, infos = plain.step(actions)
            rows, _, _, flat_infos = flat.step(actions)
            for info, flat_info in zip(infos, flat_infos, strict=True):
                assert info.keys() == flat_info.keys()
                if info:
                    ends += 1
                    last = {k: v[None] for k, v in info["terminal_observation"].items()}
                    row = flat_info["terminal_observation"]
                    np.testing.assert_array_equal(row, flatten(last)[0])
        assert ends > 5


def test_of_the_history_the_lstm_is_shown_the_newest_step_alone() -> None:
    observation = next(rows for rows in met() if (steps_taken(rows) > 2).sum() > 5)
    steps = steps_taken(observation)
    rows = newest_step_first(observation)
    deep = steps > 2
    newest = observation["history"][np.arange(len(steps)), steps - 1]
    np.testing.assert_array_equal(rows[deep, :NEWEST_WIDTH], newest[deep])
    older = {name: value.copy() for name, value in observation.items()}
    older["history"][deep, 0] = 0.5
    np.testing.assert_array_equal(newest_step_first(older)[deep], rows[deep])
    assert rows.shape[1] == everything(observation).shape[1] - 9 * NEWEST_WIDTH


def test_the_memory_rebuilt_from_the_history_is_the_one_that_training_carries_along(
    models: dict[str, Path],
) -> None:
    agent = loaded("recurrent-ppo", models)
    policy: Any = agent._policy
    hidden = torch.zeros((1, 64, policy.lstm_output_dim), dtype=torch.float64)
    states, starts, ages = (hidden, hidden), np.ones(64), set[int]()
    for observation in met():
        steps = steps_taken(observation)
        starts = (steps == 0).astype(np.float64)
        ages |= set(steps.tolist())
        row = torch.as_tensor(newest_step_first(observation).astype(np.float64))
        with torch.no_grad():
            latent, states = policy._process_sequence(
                row, states, torch.as_tensor(starts), policy.lstm_actor
            )
            carried = policy.action_net(policy.mlp_extractor.forward_actor(latent))
        rebuilt = torch.cat(agent.logits(observation), 1)
        torch.testing.assert_close(rebuilt, carried)
    assert ages >= set(range(5))


def test_what_happened_before_the_newest_step_changes_decisions(models: dict[str, Path]) -> None:
    agent = loaded("recurrent-ppo", models)
    changed = 0.0
    for observation in met():
        deep = steps_taken(observation) > 1
        other = {name: value.copy() for name, value in observation.items()}
        other["history"][deep, 0, 1:] = 1.0
        pairs = zip(agent.logits(observation), agent.logits(other), strict=True)
        changed = max(changed, *(float((a - b).abs().max()) for a, b in pairs))
    assert changed > 1e-3


def test_dqn_chooses_the_valid_action_with_the_highest_value(models: dict[str, Path]) -> None:
    agent = loaded("dqn", models)
    masked_out = 0
    for observation in met():
        values, valid = agent.values(observation), valid_actions(observation, agent.listed)
        for row, action in enumerate(agent.act(observation).tolist()):
            best = np.flatnonzero(valid[row])[values[row][valid[row]].argmax()]
            assert agent.listed[best].tolist() == action
            masked_out += int(not valid[row, values[row].argmax()])
    assert masked_out > 0, "somewhere the highest value should be that of a masked action"


def test_recurrent_ppo_takes_the_highest_valid_entry_of_each_part(models: dict[str, Path]) -> None:
    agent = loaded("recurrent-ppo", models)
    masked_out = 0
    for observation in met():
        logits = torch.cat(agent.logits(observation), 1).numpy()
        masks, taken = observation["action_mask"].astype(bool), agent.act(observation)
        for part, first, end in ((0, 0, 8), (1, 8, 16), (2, 16, 23)):
            own, mask = logits[:, first:end], masks[:, first:end]
            best = np.where(mask, own, -np.inf).argmax(axis=1)
            np.testing.assert_array_equal(taken[:, part], best)
            masked_out += int((own.argmax(axis=1) != best).sum())
    assert masked_out > 0, "somewhere the highest logit should be that of a masked entry"


def test_minibatches_are_those_of_sb3_contrib_to_the_last_number() -> None:
    space = gym.spaces.Box(-1.0, 1.0, (5,), np.float32)
    plain: Any = RecurrentRolloutBuffer(
        8, space, gym.spaces.MultiDiscrete([3, 4]), (8, 1, 6, 4), gae_lambda=0.6, n_envs=6
    )
    fast: Any = PaddedRolloutBuffer.like(plain)
    numbers = np.random.default_rng(2)
    for _ in range(8):
        states = [torch.as_tensor(numbers.normal(size=(1, 6, 4))) for _ in range(4)]
        given = (
            numbers.normal(size=(6, 5)),
            numbers.integers(0, 3, (6, 2)),
            numbers.normal(size=6),
            numbers.random(6) < 0.3,
            torch.as_tensor(numbers.normal(size=6)),
            torch.as_tensor(numbers.normal(size=6)),
        )
        for buffer in (plain, fast):
            lstm_states = RNNStates((states[0], states[1]), (states[2], states[3]))
            buffer.add(*given, lstm_states=lstm_states)
    values, over = torch.zeros(6), np.zeros(6, bool)
    made: list[list[Any]] = []
    for buffer in (plain, fast):
        buffer.compute_returns_and_advantage(values, over)
        state = np.random.get_state()  # noqa: NPY002
        made.append(list(buffer.get(10)))
        np.random.set_state(state)  # noqa: NPY002
    assert len(made[0]) == len(made[1]) == 5
    for ours, theirs in zip(made[1], made[0], strict=True):
        for name, value in theirs._asdict().items():
            pairs = [(getattr(ours, name), value)]
            if name == "lstm_states":
                pairs = list(zip((*ours[6].pi, *ours[6].vf), (*value.pi, *value.vf), strict=True))
            for one, other in pairs:
                assert one.dtype == other.dtype
                assert torch.equal(one, other), name
