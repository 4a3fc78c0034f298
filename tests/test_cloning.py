"""Cloning: it learns what it is shown, teachers are the best on dev, kills change no weights."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib")
pytest.importorskip("sklearn", reason="pip install 'conductor-gym[routers]'")

import torch

from conductor_gym.agents import cloning, sb3_training
from conductor_gym.agents.base import Setting
from conductor_gym.agents.cloned_ppo import BesideTheClone, ClonedPPOAgent, train_cloned_ppo
from conductor_gym.agents.cloning import BehaviourCloningAgent, fit, train_bc
from conductor_gym.agents.ppo import Greedy, MaskablePPOAgent
from conductor_gym.agents.registry import agents, make_agent
from conductor_gym.agents.teachers import Lessons, Steps, lessons, record
from conductor_gym.agents.training import CHECKPOINT, WEIGHTS, TrainingRun, read_weights
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.evaluate import play
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import COST_WEIGHTS, utility
from conductor_gym.types import Subtask

WEIGHT = 0.05
SAMPLES = 40_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """What an agent is told on the paper's benchmarks, with 280 train and 140 dev queries."""
    import tomli_w

    from conductor_gym.tasks.suite import load_suite_card

    card = load_suite_card("paper-v1").model_dump(exclude_none=True)
    card["name"] = "small"
    card["statistical"]["sizes"] = {"train": 280, "dev": 140, "test": 140}
    path = tmp_path_factory.mktemp("suites") / "small.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    setting = find_track("paper").setting(WEIGHT)
    return replace(setting, train=replace(setting.train, suite=str(path)))


@cache
def shown(name: str, split: str = "train", episodes: int = 2000) -> Steps:
    """Steps of an agent on track paper."""
    track = find_track("paper")
    config = replace(track.training(), split=split, cost_weight=WEIGHT)
    return record(make_agent(name, track.setting(WEIGHT)), config, np.arange(episodes))


def agreement(policy: Any, steps: Steps) -> float:
    """Share of steps at which a policy does what was done, as far as it matters."""
    done = Greedy(policy).act(steps.observations)
    same = done == steps.actions
    calls = steps.actions[:, 1] < Subtask.VOTE
    return float((same[:, 1] & (~calls | (same[:, 0] & same[:, 2]))).mean())


@pytest.mark.parametrize("name", ["cost-accuracy", "self-consistency"])
def test_a_clone_does_what_it_was_shown_on_queries_it_was_not(name: str):
    steps, fresh = shown(name), shown(name, "dev", 500)
    policy = fit(steps.observations, steps.actions, samples=400_000)
    assert agreement(policy, fresh) > 0.9
    assert agreement(policy, shown("rules", "dev", 500)) < 0.7, "it tells agents apart"


def test_a_clones_critic_is_fitted_to_the_returns_it_is_shown():
    steps, fresh = shown("verify-revise"), shown("verify-revise", "dev", 500)
    policy = fit(*steps, samples=150_000)
    observations = {k: torch.as_tensor(v) for k, v in fresh.observations.items()}
    with torch.no_grad():
        values = policy.predict_values(observations)[:, 0].numpy()
    assert ((values - fresh.returns) ** 2).mean() < 0.85 * fresh.returns.var()


def test_invalid_steps_are_not_cloned():
    steps = shown("best-by-domain", "dev", 300)
    wrong = {name: array[:100] for name, array in steps.observations.items()}
    actions = steps.actions[:100].copy()
    actions[:, :2] = (0, Subtask.VOTE)  # nothing has been answered yet
    assert (wrong["action_mask"][:, wrong["workers"].shape[1] + Subtask.VOTE] == 0).all()
    both = {k: np.concatenate([wrong[k], v]) for k, v in steps.observations.items()}
    held_out = shown("best-by-domain", "dev", 200)
    clean = fit(*steps, held_out, 2000).state_dict()
    mixed = fit(
        both,
        np.concatenate([actions, steps.actions]),
        np.concatenate([np.zeros(100), steps.returns]),
        held_out,
        2000,
    ).state_dict()
    assert all(torch.equal(clean[name], mixed[name]) for name in clean)


def test_cloning_leaves_the_random_state_alone_and_needs_steps():
    steps = shown("best-by-domain", "dev", 300)
    before = torch.get_rng_state()
    fit(*steps, samples=2000)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ConfigError, match="at least 10"):
        fit({k: v[:5] for k, v in steps.observations.items()}, steps.actions[:5])


def test_recorded_returns_are_the_utility_still_to_come():
    config = replace(find_track("paper").training(), split="dev", cost_weight=WEIGHT)
    agent = make_agent("verify-revise", find_track("paper").setting(WEIGHT))
    played, steps = play(agent, config, 500), shown("verify-revise", "dev", 500)
    expected = utility(played.quality, played.cost / 1e9, 0.0, WEIGHT)
    np.testing.assert_allclose(steps.returns[:500], expected, atol=1e-8)
    assert len(steps.actions) == sum(len(codes) for codes in played.decisions)


NAMES = ("best-by-domain", "rules", "verify-revise", "divide")
"""Fewer teachers than `bc` has; tasks here have no parts, so `divide` cannot teach."""


@pytest.fixture(scope="module")
def lesson(small: Setting) -> Iterator[Lessons]:
    """What three teachers play, also for `train_bc`."""
    made = lessons(small, NAMES)

    def same(setting: Setting) -> Lessons:
        assert setting == small
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloning, "lessons", same)
        yield made


def test_each_teacher_is_the_best_on_dev_in_its_domain(small: Setting, lesson: Lessons):
    assert set(lesson.teachers) == set(COST_WEIGHTS)
    for weight in (0.0, 1.0):
        config = replace(small.train, split="dev", cost_weight=weight)
        told = replace(small, cost_weight=weight)
        for d, domain in enumerate(small.domains):
            means: dict[str, float] = {}
            for name in NAMES[:3]:
                steps = record(make_agent(name, told), config, np.arange(140))
                first = steps.observations["query"][:140, 32:48].argmax(axis=1)
                means[name] = float(steps.returns[:140][first == d].mean())
            best = lesson.teachers[weight][domain]
            assert means[best] == pytest.approx(max(means.values()), abs=1e-9)
    chosen = {name for by_domain in lesson.teachers.values() for name in by_domain.values()}
    assert len(chosen) > 1
    weights = np.unique(lesson.train.observations["budget"][:, 3])
    assert len(weights) == len(COST_WEIGHTS)


class KilledError(Exception):
    pass


def clone(small: Setting, models: Path, kill_after: int = 0) -> Path:
    """Train `bc` as the command does; optionally stop it at a report, as a kill would."""
    folder, reports = models / "bc" / "seed-0", [0]

    def report(done: int, mean_return: float) -> None:
        reports[0] += 1
        if reports[0] == kill_after:
            raise KilledError

    run = TrainingRun("bc", small, folder, SAMPLES, report=report, models=models)
    train_bc(run)
    return folder


@pytest.fixture(scope="module")
def cloned(small: Setting, lesson: Lessons, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del lesson
    return clone(small, tmp_path_factory.mktemp("models"))


def test_a_killed_clone_resumed_ends_in_the_same_weights(
    small: Setting, cloned: Path, tmp_path: Path
):
    with pytest.raises(KilledError):
        clone(small, tmp_path, kill_after=3)
    assert (tmp_path / "bc" / "seed-0" / CHECKPOINT).is_file()
    resumed = clone(small, tmp_path)
    assert (resumed / WEIGHTS).read_bytes() == (cloned / WEIGHTS).read_bytes()
    assert not (resumed / CHECKPOINT).exists()
    card = json.loads((resumed / "card.json").read_text())
    assert card["curve"] == json.loads((cloned / "card.json").read_text())["curve"]
    assert len(card["curve"]) >= 3


def go_on(
    small: Setting, models: Path, folder: Path, kill_after: int = 0, steps: int = 4 * 16 * 1024
) -> Path:
    """Train `bc-ppo` from the clone in `models`."""
    reports = [0]

    def report(done: int, mean_return: float) -> None:
        reports[0] += 1
        if reports[0] == kill_after:
            raise KilledError

    run = TrainingRun("bc-ppo", small, folder, steps, report=report, models=models)
    train_cloned_ppo(run)
    return folder


def test_a_killed_bc_ppo_resumed_ends_in_the_same_weights(
    small: Setting, cloned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sb3_training, "ROLLOUTS_PER_CHECKPOINT", 1)
    models = cloned.parent.parent
    whole = go_on(small, models, tmp_path / "whole")
    with pytest.raises(KilledError):
        go_on(small, models, tmp_path / "killed", kill_after=3)
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    resumed = go_on(small, models, tmp_path / "killed")
    assert (whole / WEIGHTS).read_bytes() == (resumed / WEIGHTS).read_bytes()
    assert (whole / WEIGHTS).read_bytes() != (cloned / WEIGHTS).read_bytes()


def test_reinforcement_learning_starts_from_the_clones_actor(
    small: Setting, cloned: Path, tmp_path: Path
):
    folder = go_on(small, cloned.parent.parent, tmp_path, steps=0)
    start = BehaviourCloningAgent(small, cloned).policy.state_dict()
    learned = ClonedPPOAgent(small, folder).policy.state_dict()
    critic = [name for name in start if name.startswith("value_net")]
    assert all(not learned[name].any() for name in critic)
    others = [name for name in start if name not in critic]
    assert others
    assert all(torch.equal(start[name], learned[name]) for name in others)


def test_beside_the_clone_only_what_differs_from_its_play_pays(small: Setting, cloned: Path):
    clone = BehaviourCloningAgent(small, cloned)
    paid: dict[str, list[float]] = {"clone": [], "another": []}
    earned: list[float] = []
    for player, agent in (("clone", clone), ("another", make_agent("rules", small))):
        env: Any = BesideTheClone(64, small.train, clone)
        env.seed(5)
        observation, total = env.reset(), np.zeros(64)
        for _ in range(40):
            observation, rewards, dones, infos = env.step(agent.act(observation))
            total += rewards
            paid[player] += total[dones].tolist()
            total[dones] = 0.0
            if player == "clone":
                earned += [info["episode"]["r"] for info in infos if info]
    assert len(earned) > 200
    assert np.std(earned) > 0.2, "the infos tell what was really earned"
    assert np.abs(paid["clone"]).max() < 1e-6
    assert np.std(paid["another"]) > 0.1


def test_without_a_clone_it_says_what_to_run(small: Setting, tmp_path: Path):
    with pytest.raises(ConfigError, match="conductor-gym train bc --seed 0"):
        go_on(small, tmp_path, tmp_path / "bc-ppo")


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_clone_never_chooses_an_invalid_action(small: Setting, cloned: Path, weight: float):
    agent = make_agent("bc", small, cloned)
    played = play(agent, replace(small.train, split="test", cost_weight=weight), 400)
    assert played.invalid.sum() == 0
    assert len({len(codes) for codes in played.decisions}) > 1 or weight == 1.0


def test_weights_of_a_clone_fit_maskable_ppo(small: Setting, cloned: Path):
    agent = BehaviourCloningAgent(small, cloned)
    assert isinstance(agent, MaskablePPOAgent)
    read_weights(cloned, agent.policy)
    assert {"bc", "bc-ppo"} <= set(agents())
