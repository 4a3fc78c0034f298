"""What a worker would answer is fixed before anyone asks: nothing but names and attempts enter."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import paper_config, paper_env

from conductor_gym.engine import Engine
from conductor_gym.env import ConductorEnv
from conductor_gym.workers.pool import load_pool

PAPER = "workers/pools/paper.toml"
SOLVE, VERIFY, REVISE, AGGREGATE, VOTE = 0, 2, 3, 5, 6
TOLD = ("status", "answer", "confidence", "verdict", "tokens_out", "latency", "score", "luck")
ANY_ACTION = st.tuples(
    st.integers(0, 6), st.sampled_from([SOLVE, SOLVE, VERIFY, REVISE, AGGREGATE, VOTE]), st.just(0)
) | st.tuples(st.integers(0, 7), st.integers(0, 6), st.integers(0, 6))


@cache
def patient_env(pool: str = "paper") -> ConductorEnv:
    """No end in sight: 64 steps and 10 USD."""
    return paper_env(pool=pool, cost_weight=0.0, budget_usd=10.0, max_steps=64)


def outcomes(env: ConductorEnv, seed: int, actions: Any) -> list[Any]:
    env.reset(seed=seed)
    for action in actions:
        env.step(np.array(action))
    steps: Any = env.engine.state.steps[0, : len(actions)]
    return [tuple(step[name].item() for name in TOLD) for step in steps]


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**40),
    worker=st.integers(0, 6),
    prefix=st.lists(ANY_ACTION, max_size=25),
)
def test_an_attempt_gives_the_same_whatever_was_asked_before(seed: int, worker: int, prefix: Any):
    env = patient_env()
    mixed = outcomes(env, seed, [*prefix, (worker, SOLVE, 0)])[-1]
    made = env.engine.state.steps[0, : len(prefix)]
    same: Any = (made["worker"] == worker) & (made["subtask"] == SOLVE) & (made["status"] >= 0)
    attempt = int(same.sum())
    alone = outcomes(env, seed, [(worker, SOLVE, 0)] * (attempt + 1))[-1]
    assert mixed == alone


def in_other_order(text: str, order: list[int]) -> str:
    head, *cards = text.split("[[workers]]")
    last, tail = cards[-1].split("[accuracy]", 1)
    cards[-1] = last
    return "[[workers]]".join([head, *(cards[i] for i in order)]) + "[accuracy]" + tail


ORDER = [3, 6, 0, 5, 1, 4, 2]


@pytest.fixture(scope="module")
def shuffled_env(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> ConductorEnv:
    """The paper's pool with its workers in other slots."""
    text = (repository / PAPER).read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("pools") / "shuffled.toml"
    path.write_text(in_other_order(text, ORDER), encoding="utf-8")
    uids = [worker.uid for worker in load_pool("paper").workers]
    assert [w.uid for w in load_pool(str(path)).workers] == [uids[i] for i in ORDER]
    return patient_env(str(path))


@settings(max_examples=80)
@given(seed=st.integers(0, 2**40), actions=st.lists(ANY_ACTION, min_size=1, max_size=20))
def test_slots_never_enter_an_outcome(shuffled_env: ConductorEnv, seed: int, actions: Any):
    moved = [(ORDER.index(w) if w < 7 else w, s, level) for w, s, level in actions]
    assert outcomes(patient_env(), seed, actions) == outcomes(shuffled_env, seed, moved)


def test_names_never_enter_an_outcome(repository: Path, tmp_path: Path):
    text = (repository / PAPER).read_text(encoding="utf-8")
    for i, name in enumerate(load_pool("paper").worker_names):
        text = text.replace(f'"{name}"', f'"Model {i}"')
    path = tmp_path / "renamed.toml"
    path.write_text(text, encoding="utf-8")
    assert load_pool(str(path)).worker_names == tuple(f"Model {i}" for i in range(7))
    actions = [(w, s, 3) for s in (SOLVE, VERIFY, REVISE, AGGREGATE) for w in range(7)]
    renamed = patient_env(str(path))
    for seed in range(20):
        assert outcomes(renamed, seed, actions) == outcomes(patient_env(), seed, actions)


def test_a_uid_does_enter(edited: Callable[..., str]):
    other = edited(PAPER, ("constrained/gpt-5", "constrained/gpt-5-b"))
    rows: Any = [
        [outcomes(patient_env(pool), seed, [(0, SOLVE, 0), (1, SOLVE, 0)]) for seed in range(50)]
        for pool in ("paper", other)
    ]
    assert np.mean([a[0] == b[0] for a, b in zip(*rows, strict=True)]) < 0.1
    assert all(a[1] == b[1] for a, b in zip(*rows, strict=True))


def first_qualities(
    key: str, stream: int = 0, start: int = 0, pool: str = "paper"
) -> tuple[Any, Any]:
    """Public features, and each worker's first quality, by row of the split."""
    engine = Engine(paper_config(pool=pool, key=key, cost_weight=0.0), 8000)
    slots = np.arange(8000)
    engine.start(slots, np.full(8000, stream), start + slots, engine.new_observation())
    quality = np.empty((8000, 7))
    quality[engine.episodes["query"]] = engine.first_solves(slots).quality
    return engine.world.data.features, quality


def share_changed(one: Any, other: Any) -> float:
    return float((one != other).mean())


def test_another_key_brings_other_luck_to_the_same_public_queries():
    features, quality = first_qualities("public")
    other_features, other = first_qualities("season")
    assert np.array_equal(features, other_features)
    assert 0.2 < share_changed(quality, other) < 0.5
    assert float(quality.mean()) == pytest.approx(float(other.mean()), abs=0.02)


ELSEWHERE = ((1, 0), (0, 8000))
"""Another stream, and another pass of the same one: (stream, first index)."""


def by_domain(values: Any) -> Any:
    """Less the mean of the domain; rows of the suite take their domains in turn."""
    domain = np.arange(8000) % 7
    means: Any = np.bincount(domain, values) / np.bincount(domain)
    return values - means[domain]


def correlation(one: Any, other: Any) -> float:
    return float(np.corrcoef(by_domain(one), by_domain(other))[0, 1])


@pytest.mark.parametrize(("stream", "start"), ELSEWHERE)
def test_difficulty_outlasts_stream_and_pass_but_not_the_key(stream: int, start: int):
    here, there, season = (
        first_qualities(*place)[1].mean(axis=1)
        for place in (("public", 0, 0), ("public", stream, start), ("season", 0, 0))
    )
    assert correlation(here, there) > 0.75
    assert correlation(here, season) < 0.3


@pytest.mark.parametrize(("stream", "start"), ELSEWHERE)
def test_a_worker_s_own_trouble_outlasts_stream_and_pass_but_its_luck_does_not(
    edited: Callable[..., str], stream: int, start: int
):
    fickle = edited(PAPER, (r"kappa = \{ low = 0.7, mid = 0.5", "kappa = { low = 0.7, mid = 0.0"))
    repeats: list[float] = []
    for pool in ("paper", fickle):
        _, here = first_qualities("public", pool=pool)
        _, there = first_qualities("public", stream, start, pool=pool)
        # Where two workers differ, difficulty is not the cause.
        repeats.append(correlation(here[:, 4] - here[:, 5], there[:, 4] - there[:, 5]))
        assert share_changed(here, there) > 0.03
    assert repeats[0] > repeats[1] + 0.15


def test_first_solves_are_what_the_workers_then_do():
    engine = Engine(paper_config(cost_weight=0.0, budget_usd=1.0), 1000)
    observation = engine.new_observation()
    slots = np.arange(1000)
    engine.start(slots, np.zeros_like(slots), slots, observation)
    before = engine.state.episodes.tobytes(), engine.state.steps.tobytes()
    told = engine.first_solves(slots)
    assert (engine.state.episodes.tobytes(), engine.state.steps.tobytes()) == before
    for worker in range(7):
        engine.step(np.tile([worker, SOLVE, 0], (1000, 1)), observation)
    steps: Any = engine.state.steps[:, :7]
    assert np.array_equal(told.quality, steps["score"])
    assert np.array_equal(told.cost_usd, steps["cost"] / 1e9)
    assert np.array_equal(told.latency_s, steps["latency"] / 1e6)
