"""The pool-agnostic policy: slots are a set, other pools are played, killed runs go on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from conductor_gym.agents import pool_agnostic_training as training
from conductor_gym.agents.base import Observations, Setting
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.pool_agnostic import PoolAgnostic
from conductor_gym.agents.pool_calibration import Calibration, calibrate, stack
from conductor_gym.agents.pool_features import features
from conductor_gym.agents.pool_policy import Inputs, PoolPolicy
from conductor_gym.agents.pool_relatives import draw_relative
from conductor_gym.agents.training import CHECKPOINT, WEIGHTS, TrainingRun
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.evaluate import Episodes, play
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.spaces import HISTORY_COLUMNS
from conductor_gym.types import Subtask
from conductor_gym.workers.pool import Pool, load_pool
from conductor_gym.world import make_world

PAPER, STANDARD = find_track("paper"), find_track("standard")
WORKER = HISTORY_COLUMNS.index("worker")
SLOTS = 8


def run_in(folder: Path, timesteps: int = 6000, **more: Any) -> TrainingRun:
    return TrainingRun("pool-agnostic", PAPER.setting(0.05), folder, timesteps, **more)


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """Training of this file is on 4 pools of 8 slots, with a checkpoint every other rollout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "POOLS", 4)
        patch.setattr(training, "SLOTS", 8)
        patch.setattr(training, "MINIBATCH", 128)
        patch.setattr(training, "ROLLOUTS_PER_CHECKPOINT", 2)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool-agnostic")
    training.train_pool_agnostic(run_in(folder))
    return folder


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return stack([calibrate(make_world(PAPER.training()))])


def drawn_policy(seed: int) -> PoolPolicy:
    """Weights large enough that choices differ from row to row."""
    generator = torch.Generator().manual_seed(seed)
    policy = PoolPolicy(generator).double()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return policy


def inputs_of(observation: Observations, table: Calibration) -> Inputs:
    seen = features(observation, table, np.zeros(len(observation["budget"]), np.int64))
    inputs = Inputs.of(seen)
    return inputs._replace(slots=inputs.slots.double(), common=inputs.common.double())


def met(steps: int, n: int = 300) -> Observations:
    """Observations after some steps of varied actions on pool `paper`, slots over left out."""
    engine = Engine(PAPER.training(), n)
    observation, slots = engine.new_observation(), np.arange(n)
    engine.start(slots, slots, np.zeros_like(slots), observation)
    rng = np.random.default_rng(steps)
    kinds = [Subtask.SOLVE, Subtask.VERIFY, Subtask.REVISE, Subtask.VOTE, Subtask.AGGREGATE]
    for step in range(steps):
        subtask = rng.choice(kinds, n) if step else np.zeros(n, np.int64)
        table = np.stack([rng.integers(7, size=n), subtask, rng.integers(7, size=n)], axis=1)
        engine.step(table.astype(np.int64), observation)
    running = engine.episodes["over"] == 0
    return {name: array[running] for name, array in observation._asdict().items()}


def permuted(observation: Observations, order: Any) -> Observations:
    """The same episodes with worker `order[s]` in slot s."""
    place = np.argsort(order)
    history = observation["history"].copy()
    slot = np.rint(history[:, :, WORKER] * SLOTS).astype(np.int64) - 1
    moved = ((place[np.maximum(slot, 0)] + 1) / SLOTS).astype(np.float32)
    history[:, :, WORKER] = np.where(slot >= 0, moved, history[:, :, WORKER])
    mask = observation["action_mask"].copy()
    mask[:, :SLOTS] = mask[:, order]
    workers = observation["workers"][:, order]
    return observation | {"history": history, "workers": workers, "action_mask": mask}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_permuting_the_slots_permutes_the_choice(
    seed: int, steps: int, calibration: Calibration
) -> None:
    order = np.random.default_rng([seed, steps]).permutation(SLOTS)
    policy, observation = drawn_policy(seed), met(steps)
    observation["action_mask"][:, SLOTS + Subtask.VOTE :][:, :2] = 0  # these name no worker
    moved = Calibration(*(array[:, :, :, order] for array in calibration))
    with torch.no_grad():
        here = policy(inputs_of(observation, calibration), greedy=True)
        there = policy(inputs_of(permuted(observation, order), moved), greedy=True)
    chosen, again = here.actions.numpy(), there.actions.numpy()
    assert (chosen[:, 1:] == again[:, 1:]).all()
    assert (order[again[:, 0]] == chosen[:, 0]).all()
    assert len(chosen) > 200
    assert torch.allclose(here.value, there.value, atol=1e-9)
    assert torch.allclose(here.log_prob, there.log_prob, atol=1e-9)


def test_a_drawn_action_is_judged_as_it_was_drawn(calibration: Calibration) -> None:
    policy = PoolPolicy(torch.Generator().manual_seed(1)).double()
    inputs = inputs_of(met(2), calibration)
    drawn = policy(inputs, generator=torch.Generator().manual_seed(0))
    judged = policy(inputs, drawn.actions)
    calls = ~np.isin(drawn.actions[:, 1].numpy(), (Subtask.VOTE, Subtask.SUBMIT))
    assert calls.sum() > 20
    assert torch.allclose(drawn.log_prob, judged.log_prob, atol=1e-12)


def test_calibration_is_the_mean_of_single_calls() -> None:
    for track in (PAPER, STANDARD):
        calls = collect_single_calls(track.training())
        table = calibrate(make_world(track.training()))
        workers, levels = calls.quality.shape[1:]
        for d in np.unique(calls.domain):
            these = calls.domain == d
            sizes, counts = np.unique(calls.documents[these], return_counts=True)
            mean = calls.quality[these].mean(axis=0)
            for size, count in zip(sizes, counts, strict=True):
                cell = calls.quality[these & (calls.documents == size)].mean(axis=0)
                expected = (count * cell + 8 * mean) / (count + 8)
                found = table.quality[d, size, :workers, :levels]
                np.testing.assert_allclose(found, expected, atol=1e-5)
            cents = 100 * calls.cost_usd[these].mean(axis=0)
            if len(sizes) == 1:
                np.testing.assert_allclose(
                    table.cents[d, sizes[0], :workers, :levels], cents, rtol=1e-4
                )
        assert (table.quality[:, :, workers:] == 0).all()


def test_relatives_are_pools_of_three_to_eight_changed_workers() -> None:
    base = load_pool("mixed")
    made = [draw_relative(base, np.random.default_rng(k), k) for k in range(40)]
    again = draw_relative(base, np.random.default_rng(0), 0)
    assert again == made[0]
    assert {len(pool.workers) for pool in made} == set(range(3, 9))
    uids = [worker.uid for pool in made for worker in pool.workers]
    assert len(set(uids)) == len(uids)
    assert not set(uids) & {worker.uid for worker in base.workers}
    assert base.accuracy is not None
    shifts = [
        row["code"] - max(known["code"] for known in base.accuracy.values.values())
        for pool in made
        if pool.accuracy is not None
        for row in pool.accuracy.values.values()
    ]
    assert max(shifts) > 0.05, "some are abler than any of the pool's own"


def scored(
    model: Path, setting: Setting, batch: int = 4096, episodes: int = 200, weight: float = 0.05
) -> Episodes:
    config = replace(setting.train, split="dev", cost_weight=weight)
    return play(PoolAgnostic(setting, model), config, episodes, batch)


def written(pool: Pool, path: Path) -> str:
    path.write_text(tomli_w.dumps(pool.model_dump(exclude_none=True)), encoding="utf-8")
    return str(path)


def test_shuffled_slots_give_the_same_score(trained: Path, tmp_path: Path) -> None:
    pool = load_pool("paper")
    shuffled = pool.model_copy(
        update={"workers": tuple(pool.workers[w] for w in (3, 0, 6, 2, 5, 1, 4))}
    )
    here = PAPER.setting(0.05)
    there = replace(here, train=replace(here.train, pool=written(shuffled, tmp_path / "p.toml")))
    first, second = scored(trained, here), scored(trained, there)
    assert (first.quality == second.quality).all()
    assert (first.cost == second.cost).all()
    assert first.decisions != second.decisions


def test_its_score_does_not_depend_on_the_batch_size(trained: Path) -> None:
    setting = PAPER.setting(0.05)
    assert scored(trained, setting).decisions == scored(trained, setting, 37).decisions


@pytest.mark.parametrize("track", ["frontier", "standard", "paper-unconstrained"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_it_plays_pools_it_was_not_trained_on_and_never_an_invalid_action(
    trained: Path, track: str, weight: float
) -> None:
    played = scored(trained, find_track(track).setting(weight), weight=weight)
    assert played.invalid.sum() == 0
    assert played.quality.mean() > (0.2 if weight == 0.0 else 0.0)


def test_it_plays_a_recorded_pool(trained: Path, recorded_folder: Path) -> None:
    played = scored(trained, find_track("mmlu-pro").setting(0.05))
    assert played.invalid.sum() == 0
    assert played.quality.mean() > 0.2


def test_it_trains_on_sub_pools_of_a_recorded_pool(recorded_folder: Path, tmp_path: Path) -> None:
    setting = find_track("mmlu-pro").setting(0.05)
    training.train_pool_agnostic(TrainingRun("pool-agnostic", setting, tmp_path, 1000))
    assert scored(tmp_path, setting).invalid.sum() == 0


def test_a_killed_run_goes_on_to_the_same_weights(trained: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(steps: int, mean_return: float) -> None:
        if steps > 3000:
            raise KilledError

    with pytest.raises(KilledError):
        training.train_pool_agnostic(run_in(tmp_path, report=kill))
    assert (tmp_path / CHECKPOINT).exists()
    resumed: list[int] = []

    def note(steps: int, mean_return: float) -> None:
        resumed.append(steps)

    card = training.train_pool_agnostic(run_in(tmp_path, report=note))
    assert 512 < resumed[0] <= 3584
    assert (tmp_path / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    assert card["timesteps"] >= 6000


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    training.train_pool_agnostic(run_in(tmp_path, 500))
    assert (torch.get_rng_state() == before).all()
    assert torch.get_num_threads() == threads


def test_a_policy_of_another_observation_size_is_refused(trained: Path) -> None:
    here = PAPER.setting(0.05)
    with pytest.raises(ConfigError, match="max_steps"):
        PoolAgnostic(replace(here, train=replace(here.train, max_steps=6)), trained)
