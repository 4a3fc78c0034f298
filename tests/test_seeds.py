"""Training seeds: a learned agent's row is their mean, its interval knows how much they differ."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.leaderboard.metrics import estimate, seed_deviations
from conductor_gym.leaderboard.results import Result, evaluate, read_result, utilities, write_result
from conductor_gym.leaderboard.seeds import merge_seeds, seed_table
from conductor_gym.leaderboard.table import read_boards

EPISODES = 120


@pytest.fixture(scope="module")
def seeds() -> list[Result]:
    """Three agents that differ, as if they were three training seeds of one."""
    made = [
        evaluate(name, "paper", EPISODES, (0.05, 0.2))
        for name in ("single:gpt-5", "single:gemini-2.5-pro", "random")
    ]
    return [
        result.model_copy(
            update={"agent": "ppo", "training_seed": j, "model": {"seed": j, "wall_s": 1.0}}
        )
        for j, result in enumerate(made)
    ]


def test_a_row_is_the_mean_over_training_seeds_at_every_cost_weight(seeds: list[Result]) -> None:
    (merged,) = merge_seeds(seeds)
    for k, at in enumerate(merged.at):
        each = [result.at[k] for result in seeds]
        assert at.utility.mean == pytest.approx(np.mean([one.utility.mean for one in each]))
        assert at.quality.mean == pytest.approx(np.mean([one.quality.mean for one in each]))
        assert at.cost_usd.mean == pytest.approx(np.mean([one.cost_usd.mean for one in each]))
        mean = np.mean([utilities(one) for one in each], axis=0)
        assert utilities(at) == pytest.approx(mean, abs=1e-6)
        assert at.seed_utilities == pytest.approx([one.utility.mean for one in each])


def test_the_interval_is_wider_where_training_seeds_differ(seeds: list[Result]) -> None:
    (merged,) = merge_seeds(seeds)
    queries_alone = estimate(utilities(merged.at[0]))
    both = merged.at[0].utility
    assert both.high - both.low > 1.5 * (queries_alone.high - queries_alone.low)
    same = merge_seeds([seeds[0], seeds[0].model_copy(update={"training_seed": 1})])[0].at[0]
    assert same.utility == seeds[0].at[0].utility


def test_one_training_seed_is_left_as_it_is(seeds: list[Result]) -> None:
    assert merge_seeds(seeds[:1]) == seeds[:1]


def test_a_cost_weight_that_one_seed_lacks_is_left_out(seeds: list[Result]) -> None:
    short = seeds[2].model_copy(update={"at": seeds[2].at[:1]})
    (merged,) = merge_seeds([*seeds[:2], short])
    assert [at.cost_weight for at in merged.at] == [0.05]


def test_seed_deviations_have_the_spread_of_a_mean_of_seeds() -> None:
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    spread = seed_deviations(values)
    assert spread.mean() == pytest.approx(0.0, abs=0.005)
    assert spread.std() == pytest.approx(np.std(values) / np.sqrt(5), rel=0.05)
    assert (seed_deviations([0.3]) == 0).all()


def test_interquartile_mean_and_probability_of_improvement_are_those_of_known_numbers(
    seeds: list[Result],
) -> None:
    def result(agent: str, *means: float) -> Result:
        at = seeds[0].at[0]
        known = {"utility": at.utility.model_copy(update={"mean": means[0]})}
        entry = at.model_copy(update=known | {"seed_utilities": list(means) * (len(means) > 1)})
        return seeds[0].model_copy(update={"agent": agent, "at": [entry]})

    learned = result("ppo", 0.1, 0.2, 0.3, 0.4, 10.0)
    (row,) = seed_table([learned, result("best-single", 0.3)], ("best-single", "absent"))
    assert row.interquartile == pytest.approx(0.3)
    assert row.improvement == {"best-single": pytest.approx(0.5)}  # two above, one equal, two below
    assert row.utilities == [0.1, 0.2, 0.3, 0.4, 10.0]


def test_result_files_of_training_seeds_stand_beside_each_other_and_make_one_row(
    seeds: list[Result], tmp_path: Path
) -> None:
    for result in (*seeds, evaluate("best-single", "paper", EPISODES, (0.05, 0.2))):
        write_result(result, tmp_path)
    names = sorted(path.name for path in (tmp_path / "paper").glob("ppo*.json"))
    assert names == ["ppo.seed-0.json", "ppo.seed-1.json", "ppo.seed-2.json"]
    (board,) = read_boards(tmp_path)
    (row,) = [row for row in board.rows if row.result.agent == "ppo"]
    kept: Any = json.loads((tmp_path / "paper/ppo.seed-1.json").read_text())
    assert kept["training_seed"] == 1
    assert row.at is not None
    assert row.gain is not None
    assert len(row.at.seed_utilities) == 3
    assert [seeds.agent for seeds in board.seeds] == ["ppo"]
    assert read_result(tmp_path / "paper/ppo.seed-1.json").training_seed == 1
