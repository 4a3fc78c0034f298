"""Simulated workers against what is published and assumed about them, through the engine.

Tolerances of the first block are the issue's; 200,000 queries make their sampling error small. What
is known about LLMs in general is in `test_stylized_facts.py`.
"""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monte_carlo import Steps, play
from paper_world import paper_config

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.tasks.suite import load_split
from conductor_gym.types import Status
from conductor_gym.workers.calibration import predicted_oracle, solve_rho
from conductor_gym.workers.pool import load_pool, resolve
from conductor_gym.world import make_world

N = 200_000
POOL = load_pool("paper")
NAMES = POOL.worker_names
DOMAINS = tuple(POOL.domains)
WITH_ORACLE = tuple(d for d in DOMAINS if POOL.domains[d].published_oracle is not None)
SOLVE, VERIFY, REVISE, AGGREGATE, VOTE = 0, 2, 3, 5, 6


def failure(worker: str, domain: str) -> float:
    table = POOL.format_failure
    assert table is not None
    return resolve(table.exceptions.get(worker, {}).get(domain, table.default), "mid")


def published_accuracy(worker: str, domain: str) -> float:
    assert POOL.accuracy is not None
    return POOL.accuracy.values[worker][domain]


# --- against the published table -----------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_benchmark_s_accuracies_oracle_and_tokens_are_the_published_ones(
    one_domain_suite: Callable[[str, int], str], domain: str
):
    config = paper_config(suite=one_domain_suite(domain, N), cost_weight=0.0, budget_usd=1.0)
    steps = play(config, N, [(w, SOLVE, 0) for w in range(len(NAMES))])
    assert steps["score"].shape == (N, 7)
    means = POOL.token_means()
    for w, name in enumerate(NAMES):
        accuracy = steps["score"][:, w].mean()
        assert accuracy == pytest.approx(published_accuracy(name, domain), abs=0.005), name
        malformed = (steps["status"][:, w] == Status.MALFORMED).mean()
        assert malformed == pytest.approx(failure(name, domain), abs=0.002), name
        # A mean of nearly the cap is met within 1 %.
        assert steps["tokens_out"][:, w].mean() == pytest.approx(means[name][domain], rel=0.012)
        assert steps["tokens_out"][:, w].max() <= 4096
    oracle = POOL.domains[domain].published_oracle
    if oracle is not None:
        assert steps["score"].max(axis=1).mean() == pytest.approx(oracle.value, abs=0.015)


def test_four_benchmarks_publish_an_oracle():
    assert WITH_ORACLE == ("MATH500", "MMLU", "RLPR", "LiveCodeBench")


def test_the_pool_file_holds_the_published_accuracies(repository: Path):
    path = repository.parent / "shared" / "reference" / "paper_accuracy.csv"
    if not path.is_file():
        pytest.skip(f"no reference figures at {path}")
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["regime"] == "constrained"]
    for name in NAMES:
        (row,) = (row for row in rows if row["method"] == name)
        for domain in DOMAINS:
            assert published_accuracy(name, domain) == pytest.approx(float(row[domain]) / 100)
    (row,) = (row for row in rows if row["method"] == "oracle-of-7-workers")
    for domain in WITH_ORACLE:
        oracle = POOL.domains[domain].published_oracle
        assert oracle is not None
        assert oracle.value == pytest.approx(float(row[domain]) / 100)


def accuracies(domain: str) -> tuple[list[float], list[float]]:
    return [published_accuracy(n, domain) for n in NAMES], [failure(n, domain) for n in NAMES]


@pytest.mark.parametrize("domain", WITH_ORACLE)
def test_rho_is_solved_from_the_published_oracle_and_its_rounding(domain: str):
    card = POOL.domains[domain]
    assert card.published_oracle is not None
    assert card.rho.source == "fitted"
    for rho, oracle in (
        (card.rho.value, card.published_oracle.value),
        (card.rho.low, card.published_oracle.high),
        (card.rho.high, card.published_oracle.low),
    ):
        assert oracle is not None
        assert rho is not None
        assert rho == solve_rho(oracle, *accuracies(domain))
        assert predicted_oracle(rho, *accuracies(domain)) == pytest.approx(oracle, abs=1e-4)


def test_rho_elsewhere_is_the_mean_and_range_of_the_solved_ones_and_says_assumed():
    solved = [resolve(POOL.domains[d].rho, "mid") for d in WITH_ORACLE]
    for domain in set(DOMAINS) - set(WITH_ORACLE):
        rho = POOL.domains[domain].rho
        assert rho.source == "assumed"
        # The larger rho, the less a second worker helps.
        assert (rho.low, rho.high) == (max(solved), min(solved))
        assert rho.mid == pytest.approx(np.mean(solved), abs=1e-4)


@pytest.mark.parametrize("assumptions", ["low", "mid", "high"])
def test_the_published_oracle_is_met_under_all_assumptions(assumptions: Any):
    config = paper_config(cost_weight=0.0, budget_usd=10.0, assumptions=assumptions)
    world = make_world(config)
    for d, domain in enumerate(world.data.domains):
        oracle = POOL.domains[domain].published_oracle
        if oracle is None:
            continue
        rows = world.simulated.abilities[:, d]
        rho = float(rows["on_shared"][0, 0]) ** 2
        failures = [float(f) / 2.0**64 for f in rows["format_failure"]]
        assert predicted_oracle(rho, accuracies(domain)[0], failures) == pytest.approx(
            oracle.value, abs=2e-4
        )


# --- acting on answers ---------------------------------------------------------------------------


def paper(**settings: Any) -> EnvConfig:
    return paper_config(cost_weight=0.0, budget_usd=10.0, **settings)


def phi(a: Any, b: Any) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def ok(steps: Steps, *columns: int) -> Any:
    return np.all([steps["status"][:, c] == Status.OK for c in columns], axis=0)


@pytest.fixture(scope="module")
def rlpr(one_domain_suite: Callable[[str, int], str]) -> EnvConfig:
    """60,000 queries of a hard benchmark: right and wrong are both frequent."""
    return paper(suite=one_domain_suite("RLPR", 60_000))


def test_asking_a_worker_again_brings_new_luck_but_keeps_its_trouble(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(1, SOLVE, 0), (1, SOLVE, 0), (2, SOLVE, 0)])
    steps = steps[ok(steps, 0, 1, 2)]
    assert np.mean(steps["luck"][:, 0] == steps["luck"][:, 1]) < 0.001
    assert abs(phi(steps["luck"][:, 0], steps["luck"][:, 1])) < 0.02
    again = phi(steps["score"][:, 0], steps["score"][:, 1])
    other = phi(steps["score"][:, 0], steps["score"][:, 2])
    assert again < 0.97
    assert again > other + 0.03
    assert other > 0.3
    # The retry is as good as the first attempt, and sometimes rescues it.
    assert steps["score"][:, 1].mean() == pytest.approx(steps["score"][:, 0].mean(), abs=0.01)
    assert steps["score"][steps["score"][:, 0] == 0][:, 1].mean() > 0.02


def test_a_malformed_answer_is_visible_and_a_retry_mends_it(one_domain_suite: Any):
    config = paper(suite=one_domain_suite("MATH500", 20_000))
    steps = play(config, 20_000, [(6, SOLVE, 0), (6, SOLVE, 0)])
    broken = steps[steps["status"][:, 0] == Status.MALFORMED]
    assert len(broken) / 20_000 == pytest.approx(0.35, abs=0.015)
    assert (broken["answer"][:, 0] == -1).all()
    assert (broken["cost"][:, 0] > 0).all()
    assert (broken["score"][:, 0] == 0).all()
    assert (broken["status"][:, 1] == Status.OK).mean() == pytest.approx(0.65, abs=0.03)
    mended = broken["score"][:, 1].mean()
    assert mended == pytest.approx(published_accuracy("gemma-3-27b-it", "MATH500"), abs=0.03)


def test_a_revision_starts_from_the_luck_of_what_it_revises(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(1, SOLVE, 0), (1, REVISE, 0)])
    steps = steps[ok(steps, 0, 1)]
    before, after = steps["score"][:, 0], steps["score"][:, 1]
    assert phi(before, after) > 0.8
    assert (after[before == 1] == 0).mean() > 0.01
    assert (after[before == 0] == 1).mean() > 0.005


def test_seeing_a_rejection_never_turns_a_right_revision_wrong(rlpr: EnvConfig):
    blind = play(rlpr, 60_000, [(1, SOLVE, 0), (2, VERIFY, 0), (1, REVISE, 0)])
    seeing = play(rlpr, 60_000, [(1, SOLVE, 0), (2, VERIFY, 0), (1, REVISE, 3)])
    rejected = ok(blind, 0, 1, 2) & (blind["verdict"][:, 1] == 0)
    # Luck is the same on both sides.
    assert (seeing["score"][rejected, 2] >= blind["score"][rejected, 2]).all()


def test_verdicts_tell_right_from_wrong_and_accept_too_much(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(3, SOLVE, 0), (2, VERIFY, 0)])
    steps = steps[ok(steps, 0, 1)]
    right = steps["score"][:, 0] == 1
    accepted = steps["verdict"][:, 1] == 1
    assert accepted[right].mean() > accepted[~right].mean() + 0.1
    assert accepted[~right].mean() > 0.4


def test_aggregating_seen_candidates_invents_no_answer(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(1, SOLVE, 0), (2, SOLVE, 0), (3, SOLVE, 0), (2, AGGREGATE, 6)])
    steps = steps[ok(steps, 0, 1, 2, 3)]
    picked = steps["answer"][:, 3:] == steps["answer"][:, :3]
    assert picked.any(axis=1).all()


def test_wrong_answers_coincide_as_often_as_the_attractor_says(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(1, SOLVE, 0), (2, SOLVE, 0)])
    wrong = steps[ok(steps, 0, 1) & (steps["score"].max(axis=1) == 0)]
    share = (wrong["answer"][:, 0] == wrong["answer"][:, 1]).mean()
    # Both in the common attractor; RLPR's tail never coincides.
    assert share == pytest.approx(resolve(POOL.domains["RLPR"].attractor, "mid") ** 2, abs=0.01)


def test_stated_confidence_tells_about_correctness_but_is_too_high(rlpr: EnvConfig):
    steps = play(rlpr, 60_000, [(2, SOLVE, 0)])
    steps = steps[ok(steps, 0)][:, 0]
    right = steps["score"] == 1
    assert steps["confidence"][right].mean() > steps["confidence"][~right].mean() + 0.1
    assert steps["confidence"].mean() > right.mean()


def test_reading_the_public_normals_tells_a_little_about_difficulty(rlpr: EnvConfig):
    told = load_split(rlpr.suite, "train").queries["normals"][:, 0]
    for key in ("public", "season"):
        config = replace(rlpr, key=key)
        engine = Engine(config, 60_000)
        slots = np.arange(60_000)
        engine.start(slots, np.zeros_like(slots), slots, engine.new_observation())
        quality = engine.first_solves(slots).quality.mean(axis=1)
        assert -0.45 < phi(told[engine.episodes["query"]], quality) < -0.15
