"""Assumed parameters held against recordings: estimators that read both sides tell the truth."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.held_assumptions import ENDS, MEAN, Held, compared, held, measures
from conductor_gym.leaderboard.held_page import by_parameter, by_worker, picture, section, table
from conductor_gym.leaderboard.query_sums import around, common_correlation, shared_variance
from conductor_gym.leaderboard.scripted_calls import Played, merged, play_simulated
from conductor_gym.live.scripts import acts, solves
from conductor_gym.tasks.suite import Split, load_split
from conductor_gym.types import Assumptions
from conductor_gym.workers.pool import Pool, load_pool

WORKERS = ("gpt-5", "claude-sonnet-4", "gemini-2.5-pro")
SCRIPTS = (*solves(3, 4), *acts(3))


@cache
def queries() -> Split:
    """The 2,000 queries of a split."""
    return load_split("paper-v1", "dev")


def three(**model: float) -> Pool:
    """Three workers of the paper's pool, with some parameters known to a number."""
    values: dict[str, Any] = load_pool("paper").model_dump(exclude_none=True)
    values["workers"] = [w for w in values["workers"] if w["name"] in WORKERS]
    tables = [values["accuracy"], *values["output_tokens"]]
    for one in tables:
        one["values"] = {w: row for w, row in one["values"].items() if w in WORKERS}
    for one in (values["format_failure"], values["confidence_bias"]):
        given = one.get("exceptions", {})
        one["exceptions"] = {w: row for w, row in given.items() if w in WORKERS}
    for name, value in model.items():
        number = {"value": value, "source": "fitted"}
        if name in values["model"]:
            values["model"][name] = number
        else:
            for domain in values["domains"].values():
                domain[name] = number
    return Pool.model_validate(values)


@cache
def played(end: Assumptions = "mid", **model: float) -> Played:
    """All scripts under one end of what is assumed."""
    return play_simulated(three(**model), [queries()], SCRIPTS, end, least=2000)


def mean(world: Played, name: str) -> float:
    """A measure's mean over workers."""
    (found,) = (m for m in measures(world) if m.name == name)
    return float(np.nanmean(found.values()))


def some(world: Played, number: int, seed: int) -> Played:
    """A recording of fewer queries, drawn without replacement."""
    rows = np.random.default_rng(seed).permutation(len(world.domain))[:number]
    steps = {script: steps[rows] for script, steps in world.steps.items()}
    return world._replace(domain=world.domain[rows], steps=steps)


STAYS = "share of a worker's own luck that stays at every attempt"
PICKS = "aggregate of the workers' answers right where {} of three is"
BEYOND = "aggregate of the workers' answers, accuracy beyond their plurality"
TWICE = "correlation of two verdicts on the same answer"


@pytest.mark.parametrize("kappa", [0.2, 0.8])
def test_kappa_is_recovered(kappa: float):
    assert mean(played(kappa=kappa), STAYS) == pytest.approx(kappa, abs=0.08)


@pytest.mark.parametrize("persistent", [0.3, 0.9])
def test_persistence_of_verdicts_is_recovered(persistent: float):
    world = played(verify_persistent=persistent, verify_slope=0.0)
    assert mean(world, TWICE) == pytest.approx(persistent, abs=0.06)


def test_sensitivity_and_criterion_of_verifiers_are_recovered():
    model = {"verify_gap": 1.5, "verify_slope": 0.0, "verify_blind_spot": 0.0}
    world = played(**model, verify_criterion=-0.5)
    assert mean(world, "d' on others' answers") == pytest.approx(1.5, abs=0.1)
    assert mean(world, "criterion on others' answers") == pytest.approx(-0.5, abs=0.06)
    assert mean(world, "d' on one's own answers") == pytest.approx(0.0, abs=0.12)


def test_attractors_are_recovered():
    world = played(attractor=0.6)
    assert mean(world, "attractor that these imply, by domain") == pytest.approx(0.6, abs=0.05)
    three_same = mean(world, "three workers' wrong answers that are all the same")
    assert three_same == pytest.approx(0.6**3, abs=0.06)


@pytest.mark.parametrize(
    ("parameter", "low", "high", "name"),
    [
        ("kappa", 0.9, 0.1, "wrong first attempts that a fresh second one repairs"),
        ("verify_blind_spot", 3.0, 0.0, "d' on others' answers"),
        ("verify_format_failure", 0.0, 0.3, "malformed verdicts"),
        ("revise_same_luck", 0.95, 0.1, "one's own wrong answers that revising repairs"),
        ("revise_keep", 0.1, 0.9, "wrong answers that stay wrong and stay the same"),
        (
            "revise_critique",
            0.0,
            1.0,
            "revising one's own rejected answer: gain by seeing output and rejection",
        ),
        ("aggregate_votes", 0.0, 3.0, PICKS.format("two")),
        ("verify_gap", 0.0, 2.0, PICKS.format("one")),
        ("verify_gap", 0.0, 2.0, BEYOND),
        ("attractor", 0.1, 0.8, "two wrong attempts of one worker that are the same"),
        ("confidence_noise", 3.0, 0.3, "area under the curve of confidence, right against wrong"),
    ],
)  # fmt: skip
def test_an_estimate_rises_with_its_parameter(parameter: str, low: float, high: float, name: str):
    (measure,) = (m for m in measures(played()) if m.name == name)
    assert parameter in measure.parameters
    assert mean(played(**{parameter: high}), name) > mean(played(**{parameter: low}), name) + 0.05


@pytest.mark.parametrize("subtask", ["verify", "revise", "aggregate"])
def test_relative_lengths_are_recovered(subtask: str):
    words = {"verify": "verdict", "revise": "revision", "aggregate": "aggregate"}
    name = f"output tokens of a {words[subtask]} relative to a solve"
    for factor in (0.3, 0.6):  # the cap cuts longer ones
        assert mean(played(**{f"{subtask}_tokens": factor}), name) == pytest.approx(factor, rel=0.2)


@cache
def ends() -> dict[Assumptions, Played]:
    """The simulated side, in blocks that can be divided."""
    return {end: some(played(end), 2000, 7) for end in ENDS}


def test_a_recording_of_the_assumed_world_agrees_with_it():
    off: list[str] = []
    number = 0
    for seed in range(3):
        for row in compared(some(played(), 250, seed), ends()):
            if row.who == MEAN and row.holds is not None:
                number += 1
                off += [] if row.holds else [row.name]
    assert number > 100
    assert len(off) <= 0.04 * number, off


def test_a_recording_of_another_world_does_not_and_the_side_is_named():
    other = played(kappa=0.02, verify_persistent=0.99, attractor=0.95, verify_criterion=0.6)
    rows = {row.name: row for row in compared(some(other, 500, 0), ends()) if row.who == MEAN}
    assert rows[STAYS].verdict == "below"
    assert rows[TWICE].verdict == "above"
    assert rows["two workers' wrong answers that are the same"].verdict == "above"
    assert rows["criterion on others' answers"].verdict == "above"
    assert rows["d' on one's own answers"].holds


@pytest.mark.parametrize("name", [STAYS, TWICE, "d' on others' answers"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(name: str):
    truth, met, tried = mean(played(), name), 0, 12
    place = [m.name for m in measures(played())].index(name)
    for seed in range(tried):
        measure = measures(some(played(), 200, seed))[place]
        low, high = around(
            float(np.nanmean(measure.values())), measure.resampled().mean(axis=1), 0.0
        )
        met += low <= truth <= high
    assert met >= 9


@given(
    st.floats(-0.9, 0.9),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=4),
    st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_a_correlation_that_all_strata_share_is_found_whatever_their_thresholds(
    correlation: float, thresholds: list[tuple[float, float]], seed: int
):
    generator = np.random.default_rng(seed)
    cells: list[list[float]] = []
    for h, k in thresholds:
        x = generator.normal(size=(20_000, 2))
        one = x[:, 0] < h
        other = correlation * x[:, 0] + np.sqrt(1 - correlation**2) * x[:, 1] < k
        both = float((one & other).sum())
        cells.append([20_000.0, float(one.sum()), float(other.sum()), both, both])
    assert common_correlation(np.array(cells)) == pytest.approx(correlation, abs=0.06)


def test_small_strata_do_not_pull_a_correlation_away():
    generator = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(60):
        x = generator.normal(size=(20, 12, 2))  # twenty strata of a dozen queries
        one, other = x[..., 0] < 0.3, 0.6 * x[..., 0] + 0.8 * x[..., 1] < 0.3
        both = (one & other).sum(axis=1)
        size = np.full(20, 12.0)
        cells = np.stack([size, one.sum(axis=1), other.sum(axis=1), both, both], axis=1)
        found.append(float(common_correlation(cells)))
    assert np.mean(found) == pytest.approx(0.6, abs=0.07)


def test_what_workers_share_follows_from_their_pairs():
    loadings = np.array([0.9, 0.5, 0.7])
    table = np.outer(loadings, loadings)
    np.testing.assert_allclose(shared_variance(table), loadings**2, atol=0.1)
    np.testing.assert_allclose(shared_variance(table[:2, :2]), [0.45, 0.45])


def test_too_few_calls_are_told_as_unknown_not_as_agreement():
    rows = compared(some(played(), 8, 0), ends())
    kappa = next(row for row in rows if row.name == STAYS)
    assert kappa.holds is None
    assert kappa.as_dict()["recorded"] is None
    assert Held.from_dict(kappa.as_dict()).verdict == "unknown"
    assert "too few calls" in table(rows)


def test_what_never_happened_in_a_few_cases_may_still_happen():
    rows = compared(some(played(), 100, 1), ends())
    rare = next(row for row in rows if row.name.endswith("right where none of three is"))
    assert rare.recorded == 0.0
    assert rare.high > 0.01


def test_other_workers_are_refused_and_splits_are_put_together():
    pool = load_pool("paper")
    with pytest.raises(ConfigError, match="a whole number of times"):
        compared(some(played(), 300, 0), ends())
    with pytest.raises(ConfigError, match="must be the same, in the same order"):
        held(played(), pool, [queries()], least=10)
    twice = merged([played(), played()])
    assert len(twice.domain) == 4000
    assert mean(twice, STAYS) == pytest.approx(mean(played(), STAYS), abs=0.02)
    with pytest.raises(ConfigError, match="no query is left"):
        play_simulated(three(), [queries()], SCRIPTS, uids=())


def test_the_section_shows_every_number_and_the_picture_is_drawn(tmp_path: Any):
    rows = compared(some(played(), 125, 3), ends())
    means = [row for row in rows if row.who == MEAN]
    told = {
        "rows": [row.as_dict() for row in rows],
        "workers": list(WORKERS),
        "suite": "paper-v1",
        "queries": 125,
        "attempts": 4,
        "simulated_queries": 2000,
    }
    text = "\n".join(section(told, "held.png"))
    assert all(f"| {row.name} |" in text for row in means)
    known = [row for row in means if row.holds is not None]
    agree = sum(bool(row.holds) for row in known)
    assert f"**{agree} of {len(known)} numbers agree with the assumed range.**" in text
    assert "![recorded beside simulated](held.png)" in text
    assert by_parameter(rows).count("\n") > 10
    assert by_worker(rows, WORKERS).splitlines()[0].count("|") == 5
    picture(rows, tmp_path / "held.png")
    assert (tmp_path / "held.png").read_bytes()[:4] == b"\x89PNG"
