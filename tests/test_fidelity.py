"""Simulated beside real: the measures are the plain ones, and they tell good from bad."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.errors import ConfigError
from conductor_gym.fit import find_source, fit_source, write_pool
from conductor_gym.leaderboard.carry_over import (
    LEAST_AGENTS,
    Learned,
    Part,
    Queries,
    carry_over,
    make_agents,
)
from conductor_gym.leaderboard.fidelity import compare, measures, single_calls
from conductor_gym.leaderboard.statistics import Calls, cascade_order, differences, statistics
from conductor_gym.workers.pool import Pool

NAMED = ("accuracy_mae", "oracle_error", "phi_mae", "majority_error", "rank_tau")


def calls(scores: Any, domain: Any, cost: Any = None) -> Calls:
    scores = np.array(scores, float)
    cost = np.ones_like(scores) if cost is None else np.array(cost, float)
    return Calls(scores, cost * 10, cost, np.array(domain))


def test_statistics_are_the_plain_ones() -> None:
    given = calls([[1, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 1]], [0, 0, 1, 1], [[3, 1, 2]] * 4)
    order = cascade_order(given)
    assert order.tolist() == [1, 2, 0]
    found = statistics(given, 2, order)
    assert found.oracle == 0.75
    assert found.majority == 0.75
    assert found.best_by_domain == 0.75
    assert found.how_many.tolist() == [0.25, 0.0, 0.5, 0.25]
    correlation: Any = np.corrcoef(given.quality.T)
    np.testing.assert_allclose(found.phi[0], correlation[0, 1])
    # Worker 1 alone, then 2 where 1 was wrong, then 0 where both were.
    assert found.cascade.tolist() == [0.5, 0.75, 0.75]
    assert found.cascade_cost.tolist() == [1.0, 2.0, 2.75]
    assert all(value == 0.0 for value in differences(found, found).values())


def test_tables_without_costs_are_not_compared_by_cost() -> None:
    bare = calls([[1, 0], [0, 1]], [0, 0], np.zeros((2, 2)))
    found = statistics(bare, 1, np.array([0, 1]))
    assert not {"cost_error", "tokens_error"} & set(differences(found, found))


def made_table(folder: Path, queries: int = 4000, workers: int = 5) -> Path:
    """A wide table with two domains in which workers differ, and share a difficulty."""
    generator = np.random.default_rng(7)
    domain = generator.integers(0, 2, queries)
    border = np.linspace(-0.6, 1.0, workers)
    border = np.stack([border, border + np.arange(workers) % 2])[domain]
    lack = 0.8 * generator.standard_normal((queries, 1))
    lack = lack + 0.6 * generator.standard_normal((queries, workers))
    lines = [",".join(["query", "domain", "question", *(f"w{w}" for w in range(workers))])]
    for q, row in enumerate((lack < border).astype(int)):
        lines.append(f"q{q},d{domain[q]},text {q}," + ",".join(map(str, row)))
    path = folder / "made.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that the model describes exactly."""
    return made_table(tmp_path_factory.mktemp("made"))


def test_a_table_from_the_model_itself_is_met_within_the_noise_floor(made: Path) -> None:
    found = compare(find_source(str(made)))
    assert set(NAMED) <= set(measures(found))
    outside = {name: m for name, m in measures(found).items() if not m["within"]}
    assert outside == {}
    assert found["rank_tau"]["agents"] >= LEAST_AGENTS
    assert found["rank_tau"]["value"] > 0.8
    low, high = found["rank_tau"]["interval"]
    assert low <= high


def changed(source: Any, **domains: Any) -> Pool:
    """The fitted pool of a source with other parameters in every domain."""
    values = fit_source(source, "train", "changed")[0].model_dump(exclude_none=True)
    for card in values["domains"].values():
        card |= domains
    return Pool.model_validate(values)


def test_a_pool_without_shared_difficulty_is_told_apart(made: Path) -> None:
    source = find_source(str(made))
    independent = changed(source, rho={"value": 0.0, "source": "fitted"})
    found = compare(source, independent, ranks=False)
    for name in ("oracle_error", "phi_mae", "majority_error", "how_many_distance"):
        assert not found[name]["within"], name
    assert found["accuracy_mae"]["within"]


def test_a_pool_with_swapped_workers_ranks_agents_wrongly(made: Path) -> None:
    source = find_source(str(made))
    values = fit_source(source, "train", "swapped")[0].model_dump(exclude_none=True)
    accuracy = values["accuracy"]["values"]
    names = list(accuracy)
    values["accuracy"]["values"] = dict(
        zip(names, [accuracy[name] for name in reversed(names)], strict=True)
    )
    found = compare(source, Pool.model_validate(values))
    assert not found["rank_tau"]["within"]
    assert not found["accuracy_mae"]["within"]


def test_a_fit_is_not_held_against_the_queries_it_saw_nor_against_other_workers(
    made: Path,
) -> None:
    source = find_source(str(made))
    pool, _ = fit_source(source, "train", "made")
    with pytest.raises(ConfigError, match="hold it against another"):
        compare(source, pool, "train")
    with pytest.raises(ConfigError, match="must be simulated and have the workers"):
        compare(find_source(str(made), ("w0", "w1")), pool)


def test_a_table_that_is_not_the_fitted_one_is_told(made: Path, tmp_path: Path) -> None:
    pool, _ = fit_source(find_source(str(made)), "train", "made")
    other = tmp_path / "other.csv"
    other.write_text(made.read_text(encoding="utf-8") + "\nq-new,d0,new text,1,0,1,0,1")
    said: list[str] = []
    compare(find_source(str(other)), pool, ranks=False, report=said.append)
    assert any(line.startswith("WARNING") and "have been fitted" in line for line in said)
    said.clear()
    compare(find_source(str(made)), pool, ranks=False, report=said.append)
    assert not any(line.startswith("WARNING") for line in said)


def test_recorded_calls_are_the_tables_own(made: Path) -> None:
    source = find_source(str(made))
    data = source.split("test")
    assert np.array_equal(single_calls(source.pool, data).quality, source.scores(data))


def test_bills_without_tokens_are_met_in_the_simulation(tmp_path: Path) -> None:
    path = made_table(tmp_path)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    generator = np.random.default_rng(5)
    mean = np.array([1e-4, 2e-4, 5e-4, 1e-3, 2e-3])
    bills = mean * np.exp(generator.normal(-0.125, 0.5, (len(rows), 5)))
    lines = [header + "".join(f",w{w}|total_cost" for w in range(5))]
    lines += [r + "".join(f",{b:.8f}" for b in bill) for r, bill in zip(rows, bills, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = compare(find_source(str(path)), ranks=False)
    assert found["costs_are_recorded"]
    assert found["cost_error"]["within"]
    simulated = list(found["simulated"]["usd"].values())
    np.testing.assert_allclose(simulated, mean, rtol=0.06)


def test_graded_domains_are_left_out_and_named(tmp_path: Path) -> None:
    path = made_table(tmp_path)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    graded = [r.rpartition(",")[0] + ",0.5" if ",d1," in r else r for r in rows]
    path.write_text("\n".join([header, *graded]), encoding="utf-8")
    found = compare(find_source(str(path)), ranks=False)
    assert found["graded_domains_left_out"] == ["d1"]
    assert found["held_out"]["queries"] < 0.6 * 0.4 * 4000


# --- ranking agents ------------------------------------------------------------------------------


def part(queries: int, seed: int) -> Part:
    """Real queries on which the third of four workers is best."""
    generator = np.random.default_rng(seed)
    right = generator.random((queries, 4)) < np.array([0.3, 0.5, 0.7, 0.6])
    return Part(Queries(np.zeros(queries, np.int64), None), right.astype(float))


def test_agents_are_a_dozen_at_least_and_differ() -> None:
    for workers in (2, 4, 9):
        utility = np.random.default_rng(0).random((200, workers))
        queries = Queries(np.arange(200) % 3, np.random.default_rng(1).random((200, 6)))
        agents = make_agents(Learned(queries, utility, tuple(f"w{w}" for w in range(workers))))
        assert len(agents) >= LEAST_AGENTS
        for _, policy in agents:
            shares = policy(queries)
            np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_a_true_ranking_carries_over_and_a_reversed_one_does_not() -> None:
    held, before = part(2000, 1), part(2000, 2)
    learned = Learned(before.queries, before.utility, ("a", "b", "c", "d"))
    good = carry_over(learned, part(2000, 3).utility, held, before, 0.0)
    assert good["rank_tau"]["within"]
    assert good["rank_regret"]["within"]
    wrong = carry_over(learned, 1.0 - part(2000, 3).utility, held, before, 0.0)
    assert wrong["rank_tau"]["value"] < 0
    assert not wrong["rank_tau"]["within"]
    assert wrong["rank_regret"]["value"] == pytest.approx(0.4, abs=0.05)


# --- the command ---------------------------------------------------------------------------------


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conductor_gym", *words],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_fit_and_fidelity_work_as_documented_on_a_table_of_one_s_own(tmp_path: Path) -> None:
    made_table(tmp_path)
    fitted = command(tmp_path, "fit", "made.csv", "--out", "pool.toml")
    assert fitted.returncode == 0, fitted.stderr
    assert "no prices for w0" in fitted.stderr
    assert "conductor-gym fidelity pool.toml" in fitted.stderr
    shown = command(tmp_path, "fidelity", "pool.toml", "--json", "--page", "page/fidelity.md")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["tables"]["made.csv"]
    for name in NAMED:
        assert {"value", "noise_floor", "within"} <= set(found[name])
    page = (tmp_path / "page/fidelity.md").read_text(encoding="utf-8")
    assert "made.csv" in page
    assert (tmp_path / "page/fidelity-tables.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fit", "made.csv", "--out", "pool.txt"), "must end in .toml"),
        (("fit", "made.csv", "--out", "p.toml", "--workers", "w0"), "at least two"),
        (("fit", "made.csv", "--out", "p.toml", "--workers", "w0,x"), "unknown worker 'x'"),
        (("fit", "none.csv", "--out", "p.toml"), "does not exist"),
        (("fit", "made.csv", "--out", "p.toml", "--split", "all"), "unknown split"),
        (("fidelity", "paper.toml"), "does not exist"),
        (("fidelity", "--table", "made.csv", "--page", "x.html"), "must end in .md"),
        (("fidelity", "--table", "made.csv", "--page", "made.csv/x.md"), "cannot be made"),
        (("fidelity", "--table", "made.csv", "--held-out", "tset"), "Did you mean 'test'"),
        (("fidelity", "--table", "made.csv", "--held-out", "train"), "hold the fit against"),
        (("fidelity", "--table", "made.csv", "--random-pools", "-1"), "random-pools"),
    ],
    ids=[
        "suffix",
        "one worker",
        "stranger",
        "no file",
        "split",
        "no pool",
        "page",
        "no folder",
        "no split",
        "seen",
        "negative",
    ],
)
def test_a_mistake_on_the_command_line_ends_in_one_clear_line(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    made_table(tmp_path, 400)
    done = command(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# --- real outcomes -------------------------------------------------------------------------------


@pytest.mark.recorded
@pytest.mark.parametrize("table", ["gsm8k", "llmrouter_9"])
def test_a_fit_agrees_with_unseen_real_queries_within_the_noise_floor(
    recorded_folder: Path, table: str
) -> None:
    assert recorded_folder
    found = compare(find_source(table))
    assert {name: m for name, m in measures(found).items() if not m["within"]} == {}


@pytest.mark.recorded
@pytest.mark.parametrize("table", ["zeroeval_crux", "routellm_mmlu", "routellm_gsm8k"])
def test_every_recording_can_be_fitted_and_compared(recorded_folder: Path, table: str) -> None:
    assert recorded_folder
    workers = None
    if table == "zeroeval_crux":
        workers = ("gpt-4o-2024-08-06", "Qwen2.5-72B-Instruct", "Yi-1.5-9B-Chat", "Athene-70B")
    found = compare(find_source(table, workers))
    assert set(NAMED) <= set(measures(found))


@pytest.mark.recorded
def test_wrong_answers_of_real_workers_coincide_at_a_share_that_is_fitted(
    recorded_folder: Path, tmp_path: Path
) -> None:
    assert recorded_folder
    pool, _ = fit_source(find_source("routellm_gsm8k"), "train", "routellm")
    write_pool(pool, tmp_path / "routellm.toml")
    attractor = pool.domains["grade school math"].attractor
    assert attractor.source == "fitted"
