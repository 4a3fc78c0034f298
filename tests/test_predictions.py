"""Predictions of the paper's multi-call methods: from single calls alone, as honest ranges."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.leaderboard.assumed_cases import (
    ALL,
    GROUPS,
    MID,
    ONE_AT_A_TIME,
    TOGETHER,
    Case,
    pool_in,
)
from conductor_gym.leaderboard.prediction_runs import AGENT_OF, ONE_WORKER, Player, intercept
from conductor_gym.leaderboard.predictions import (
    TRACK_OF,
    coverage,
    draw_predictions,
    paper_predictions,
)
from conductor_gym.leaderboard.published import PUBLISHED_FILE
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.tasks.suite import load_split
from conductor_gym.workers.calibration import MAX_PROBIT_ACCURACY, predicted_oracle
from conductor_gym.workers.pool import end_points, load_pool, resolve
from conductor_gym.workers.tables import simulated_tables
from conductor_gym.world import suite_tables

CASES = (MID, *TOGETHER, *ONE_AT_A_TIME)
POOLS = {regime: load_pool(find_track(track).pool) for regime, track in TRACK_OF.items()}
HEADER = "regime,method,worker,benchmark,accuracy,note\n"
SMALL: Any = {"keys": 1, "queries": 700, "regimes": ("constrained",)}


@pytest.fixture(scope="module")
def reference(repository: Path) -> list[dict[str, str]]:
    path = repository.parent / "shared" / "reference" / "paper_accuracy.csv"
    if not path.is_file():
        pytest.skip(f"no reference figures at {path}")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return paper_predictions(**SMALL)


# --- the unconstrained pool ----------------------------------------------------------------------


def test_the_unconstrained_pool_holds_the_published_accuracies(reference: Any) -> None:
    pool = POOLS["unconstrained"]
    assert pool.accuracy is not None
    rows = {r["method"]: r for r in reference if r["regime"] == "unconstrained"}
    for worker, by_domain in pool.accuracy.values.items():
        for domain, accuracy in by_domain.items():
            assert accuracy == pytest.approx(float(rows[worker][domain]) / 100), (worker, domain)
    assert pool.accuracy.source == "published"


def test_what_the_unconstrained_regime_does_not_publish_says_assumed() -> None:
    pool = POOLS["unconstrained"]
    assert pool.output_cap.source == "assumed"
    assert {table.source for table in pool.output_tokens} == {"assumed"}
    for domain, card in pool.domains.items():
        assert card.published_oracle is None
        assert card.rho.source == "assumed", domain
        assert card.rho.low > card.rho.mid > card.rho.high, "a high rho helps acting least"
        for worker in pool.worker_names:
            number = pool.failure(worker, domain)
            assert number is not None
            assert number.source == "assumed"


@pytest.mark.parametrize("regime", TRACK_OF)
def test_no_published_accuracy_is_cut_by_format_failures_at_any_end(regime: str) -> None:
    pool = POOLS[regime]
    assert pool.accuracy is not None
    for worker, by_domain in pool.accuracy.values.items():
        for domain, accuracy in by_domain.items():
            number = pool.failure(worker, domain)
            assert number is not None
            most = max(end_points(number))
            assert accuracy / (1.0 - most) <= MAX_PROBIT_ACCURACY, (worker, domain)


SUITE = suite_tables(load_split("paper-v1", "test"))


# --- the cases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", TRACK_OF)
def test_the_case_mid_is_the_pool_as_its_file_has_it(regime: str) -> None:
    pool = POOLS[regime]
    same = simulated_tables(pool_in(pool, MID), SUITE, "mid")
    for one, other in zip(same, simulated_tables(pool, SUITE, "mid"), strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_cases_together_take_every_assumed_parameter_to_its_end() -> None:
    pool = POOLS["unconstrained"]
    domains = tuple(pool.domains)
    for case, end in zip(TOGETHER, ("low", "high"), strict=True):
        moved = pool_in(pool, case)
        back = {
            d: moved.domains[d].model_copy(update={"tail": pool.domains[d].tail}) for d in domains
        }
        moved = moved.model_copy(update={"domains": back})
        told = simulated_tables(moved, SUITE, "mid")
        expected = simulated_tables(pool, SUITE, end)  # pyright: ignore[reportArgumentType]
        for name in ("abilities", "domains", "traits", "model"):
            one, other = getattr(told, name), getattr(expected, name)
            if name == "abilities":  # the output cap stays at mid
                one, other = (a[["z", "on_shared", "format_failure"]] for a in (one, other))
            assert (one == other).all(), (case.name, name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_keeps_the_published_oracle_within_its_rounding(case: Case) -> None:
    pool = pool_in(POOLS["constrained"], case)
    assert pool.accuracy is not None
    with_oracle = 0
    for domain, card in pool.domains.items():
        if card.published_oracle is None:
            continue
        with_oracle += 1
        numbers = [pool.failure(worker, domain) for worker in pool.worker_names]
        failures = [0.0 if number is None else resolve(number, "mid") for number in numbers]
        accuracies = [pool.accuracy.values[worker][domain] for worker in pool.worker_names]
        oracle = predicted_oracle(resolve(card.rho, "mid"), accuracies, failures)
        assert oracle == pytest.approx(card.published_oracle.value, abs=0.0051)
    assert with_oracle == 4


def test_a_group_moves_no_method_that_it_is_not_said_to_touch() -> None:
    player = Player(find_track("paper"), 1400, lambda _: None)
    worker = "deepseek-r1-distill-qwen-32b"
    methods: Any = [(m, worker if ONE_WORKER[m] else None) for m in AGENT_OF]
    mid = player.play(MID, 1, methods)
    for case in ONE_AT_A_TIME:
        (group,) = case.ends
        if GROUPS[group].touches == ALL:
            continue
        moved = player.play(case, 1, methods)
        for method in methods:
            change = moved.scores[method] - mid.scores[method]
            if method[0] in GROUPS[group].touches:
                continue
            # Some draws hang on which wrong answer is revised: the same law, not the same luck.
            noise = float(change.std()) / np.sqrt(len(change))
            assert abs(float(change.mean())) <= 3.5 * noise, (case.name, method)


# --- the estimate --------------------------------------------------------------------------------


def test_control_variates_take_noise_out_and_leave_the_mean_where_it_was() -> None:
    draws = np.random.default_rng(5)
    ends: list[tuple[float, float]] = []
    for _ in range(300):
        x = draws.normal(size=(200, 2))
        y = 0.4 + x @ np.array([0.3, -0.1]) + 0.05 * draws.normal(size=200)
        ends.append(intercept(y, x, np.arange(200)))
    values, errors = np.array(ends).T
    assert values.mean() == pytest.approx(0.4, abs=0.001)
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)
    assert errors.mean() < 0.3 * np.hypot(0.3, 0.1) / np.sqrt(200)


def test_rows_of_one_query_are_not_taken_for_independent_ones() -> None:
    y = np.repeat(np.random.default_rng(6).normal(size=100), 4)
    nothing, query = np.empty((400, 0)), np.repeat(np.arange(100), 4)
    assert intercept(y, nothing, query).error == pytest.approx(
        2.0 * intercept(y, nothing, np.arange(400)).error, rel=0.05
    )


# --- the predictions -----------------------------------------------------------------------------


def test_every_method_worker_and_benchmark_is_predicted_as_a_range(found: Any) -> None:
    rows = found["predicted_rows"]
    assert len(rows) == (2 + 3 * 7) * 7
    assert {row["method"] for row in rows} == set(AGENT_OF)
    names = {case.name for case in CASES}
    for row in rows:
        assert 0.0 <= row["low"] <= row["mid"] <= row["high"] <= 100.0
        assert {row["low_case"], row["high_case"]} <= names
        assert 0.0 < row["standard_error"] <= row["largest_standard_error"]
        assert (row["worker"] is not None) == ONE_WORKER[row["method"]]
    assert json.loads(json.dumps(found)) == found


def test_simulated_inputs_are_the_published_ones(found: Any) -> None:
    assert len(found["input_rows"]) == 7 * 7 + 4
    for row in found["input_rows"]:
        # 100 queries a benchmark here; the oracle is printed to 1 %.
        allowed = 4.0 * row["standard_error"] + 0.6
        assert row["simulated"] == pytest.approx(row["published"], abs=allowed), row


def test_what_trained_policies_reached_stands_between_the_references(found: Any) -> None:
    rows = {(row["method"], row["benchmark"]): row for row in found["trained_rows"]}
    assert {method for method, _ in rows} == {
        "routerdc",
        "trinity",
        "conductor-7b",
        "conductor-7b-recursive",
    }
    row = rows["conductor-7b", "LiveCodeBench"]
    assert row["published"] == 64.29
    assert row["best_single"] < row["informed"]["mid"] < row["clairvoyant"]["mid"]
    gap = row["clairvoyant"]["mid"] - row["best_single"]
    assert row["position"] == pytest.approx((64.29 - row["best_single"]) / gap, abs=1e-3)


def test_coverage_counts_what_lies_inside_and_does_not_hide_what_lies_outside(found: Any) -> None:
    told = found["coverage"]
    known = [row for row in found["predicted_rows"] if row["published"] is not None]
    assert {(row["method"], row["benchmark"]) for row in known} == {
        ("moa-8-calls", name) for name in ("MATH500", "MMLU", "RLPR", "LiveCodeBench")
    }
    assert told["published_cells"] == 4
    assert told["inside"] == 4 - len(told["outside"])
    invented = [row | {"published": 99.9} for row in known]
    worse = coverage(invented, lambda _: 99.9)
    assert (worse["inside"], worse["share_inside"]) == (0, 0.0)
    assert len(worse["outside"]) == 4
    assert worse["mean_absolute_error_of_single_call"] == 0.0
    assert worse["mean_error_of_mid"] == pytest.approx(-worse["mean_absolute_error_of_mid"])


def test_published_rows_are_shown_beside_predictions_and_never_change_them(tmp_path: Path) -> None:
    small: Any = {"keys": 1, "queries": 210, "regimes": ("constrained",)}
    own = tmp_path / "own.csv"
    own.write_text(
        HEADER
        + "constrained,consensus-5,gpt-5,MATH500,80.5,figure 3\n"
        + "constrained,moa-8-calls,,MMLU,88,read again\n"
        + "constrained,my-router,,AIME25,50,ours\n",
        encoding="utf-8",
    )
    seen: list[tuple[int, int]] = []
    plain = paper_predictions(**small)
    with_own = paper_predictions(own, progress=lambda a, b: seen.append((a, b)), **small)
    for one, other in zip(plain["predicted_rows"], with_own["predicted_rows"], strict=True):
        for name in ("low", "mid", "high", "low_case", "high_case", "standard_error"):
            assert one[name] == other[name]
    shown = {
        (row["method"], row["worker"], row["benchmark"]): (row["published"], row["published_note"])
        for row in with_own["predicted_rows"] + with_own["trained_rows"]
        if row["own_row"]
    }
    assert shown == {
        ("consensus-5", "gpt-5", "MATH500"): (80.5, "figure 3"),
        ("moa-8-calls", None, "MMLU"): (88.0, "read again; in place of 88.46"),
        ("my-router", None, "AIME25"): (50.0, "ours"),
    }
    assert with_own["coverage"]["published_cells"] == 5
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ("line 1", "columns must be")),
        ("regime,method\n", ("line 1", "columns must be")),
        (HEADER + "free,moa-8-calls,,MMLU,88,\n", ("line 2", "unknown regime 'free'")),
        (HEADER + "\nconstrained,x,,MMLUU,88,\n", ("line 3", "Did you mean 'MMLU'?")),
        (HEADER + "constrained,x,gpt5,MMLU,88,\n", ("line 2", "'gpt-5'")),
        (HEADER + "constrained,,,MMLU,88,\n", ("line 2", "empty 'method'")),
        (HEADER + "constrained,consensus-5,,MMLU,88,\n", ("line 2", "one worker")),
        (HEADER + "constrained,moa-8-calls,gpt-5,MMLU,88,\n", ("line 2", "the whole pool")),
        (HEADER + "constrained,x,,MMLU,many,\n", ("line 2", "'many'", "[0, 100]")),
        (HEADER + "constrained,x,,MMLU,nan,\n", ("line 2", "'nan'")),
        (HEADER + "constrained,x,,MMLU,101,\n", ("line 2", "'101'")),
        (HEADER + "constrained,x,,MMLU,1,a,b\n", ("line 2", "more than 6 cells")),
        (HEADER + "constrained,x,,MMLU,1,a\n" * 2, ("line 3", "same cell as line 2")),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, text: str, said: Any) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError) as caught:
        paper_predictions(path)
    for part in ("own.csv", *said):
        assert part in str(caught.value)


def test_files_that_cannot_be_read_and_settings_out_of_range_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"none\.csv: cannot be read"):
        paper_predictions(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\xff\xfe\n")
    with pytest.raises(DataFileError, match="not UTF-8"):
        paper_predictions(tmp_path / "latin.csv")
    with pytest.raises(UnknownNameError, match="'constrained'"):
        paper_predictions(regimes=("constraint",))
    with pytest.raises(ConfigError, match="keys"):
        paper_predictions(keys=0)
    with pytest.raises(ConfigError, match="queries"):
        paper_predictions(queries=10**6)


def test_published_values_are_those_of_the_reference_figures(reference: Any) -> None:
    with PUBLISHED_FILE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {(r["regime"], r["method"]): r for r in reference}
    for row in rows:
        cell = known[row["regime"], row["method"]][row["benchmark"]]
        assert float(row["accuracy"]) == float(cell)
        assert row["note"]
    workers = set(POOLS["constrained"].worker_names)
    expected = sum(
        bool(r[domain])
        for r in reference
        if r["method"] not in workers
        for domain in POOLS["constrained"].domains
    )
    assert len(rows) == expected


def test_the_figure_of_predictions_is_drawn(found: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the figure needs the `report` extra")
    path = tmp_path / "figures" / "paper.png"
    draw_predictions(found, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 30_000
