"""Tie groups: known Holm values, hand-made groups, the column of the table."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from conductor_gym.leaderboard.report import COLUMNS, board_tables, markdown
from conductor_gym.leaderboard.results import evaluate
from conductor_gym.leaderboard.table import make_board
from conductor_gym.leaderboard.ties import holm, paired_p_value, tie_groups, variance_of_mean

N = 400
NOISE = np.random.default_rng(0).normal(size=(6, N))


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        # By hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04 raised to the one before it.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        # 5 * 0.01, 4 * 0.02, 3 * 0.03, and 2 * 0.04 and 0.05 raised to that.
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_adjusted_p_values_are_those_of_holm(raw: list[float], adjusted: list[float]):
    assert holm(np.array(raw)) == pytest.approx(adjusted)


def test_p_values_are_those_of_the_paired_t_test():
    for a, b in ((NOISE[0], NOISE[1] + 0.1), (NOISE[2], 2.0 * NOISE[3])):
        assert paired_p_value(a - b) == pytest.approx(ttest_rel(a, b).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("differences", "p"),
    [(np.zeros(50), 1.0), (np.full(50, 1e-13), 1.0), (np.full(50, 0.1), 0.0), (np.ones(1), 1.0)],
)
def test_differences_without_spread_have_a_p_value_too(differences: np.ndarray, p: float):
    assert paired_p_value(differences) == p


def test_agents_that_act_alike_tie_and_clearly_worse_ones_do_not():
    query = NOISE[0]
    values = {
        "worse": query + 0.05 * NOISE[1] - 0.5,
        "best": query + 0.05 * NOISE[2] + 0.002,
        "as good": query + 0.05 * NOISE[3],
        "its twin": query + 0.05 * NOISE[3],
        "worst": query + 0.05 * NOISE[4] - 2.0,
    }
    found = tie_groups(values)
    assert [set(group) for group in found.groups] == [
        {"best", "as good", "its twin"},
        {"worse"},
        {"worst"},
    ]
    assert found.groups[0][0] == max(values, key=lambda name: values[name].mean())
    assert found.pairs == 10
    assert [found.group_of(name) for name in ("as good", "worst", "nobody")] == [1, 3, None]
    assert found.p_to_leader["worst"] == 1.0


def test_a_worse_agent_of_other_luck_can_tie_where_a_better_one_of_the_same_luck_does_not():
    leader = NOISE[0] - NOISE[0].mean()
    values = {
        "leader": leader,
        "always a little worse": leader - 0.01,
        "worse by luck": NOISE[1] - NOISE[1].mean() - 0.02,
    }
    assert tie_groups(values).groups == [["leader", "worse by luck"], ["always a little worse"]]


def test_a_difference_that_holds_alone_may_not_hold_among_many_pairs():
    spread = NOISE[0] - NOISE[0].mean()
    # The paired t statistic of these two is 2.2: p = 0.028.
    pair = {"a": spread / spread.std(ddof=1) + 2.2 / N**0.5, "b": np.zeros(N)}
    assert paired_p_value(pair["a"] - pair["b"]) == pytest.approx(0.0284, abs=5e-4)
    assert tie_groups(pair).groups == [["a"], ["b"]]
    # Three far twins: six pairs are far apart, three have p = 1, so Holm multiplies by four.
    far = NOISE[1] - 100.0
    found = tie_groups(pair | {"twin": far, "triplet": far, "quadruplet": far})
    assert found.groups == [["a", "b"], ["twin", "triplet", "quadruplet"]]
    assert found.p_to_leader["b"] == pytest.approx(4 * 0.0284, abs=2e-3)


def test_references_have_no_tie_group_and_the_table_has_a_column_for_it():
    names = ("best-single", "clairvoyant", "submit-nothing", "single:gpt-5")
    board = make_board("paper", [evaluate(name, "paper", 300, (0.05,)) for name in names])
    columns, rows = board_tables(board)[0]
    assert columns == COLUMNS
    ties = {row[0]: row[columns.index("tie")] for row in rows}
    assert ties == {
        "clairvoyant (ref)": "",
        "best-single": "1",
        "single:gpt-5": "1",
        "submit-nothing": "2",
    }
    assert "Holm" in markdown([board], {})


def test_agents_whose_training_seeds_differ_are_told_apart_less_easily() -> None:
    generator = np.random.default_rng(5)
    differences = generator.normal(0.02, 0.3, 3000)
    alone = paired_p_value(differences)
    assert alone < 0.001
    spread = variance_of_mean([0.50, 0.53, 0.56, 0.59, 0.62])
    assert spread == pytest.approx(0.0474342**2 / 5, rel=1e-4)
    assert paired_p_value(differences, spread) > 0.05
    assert variance_of_mean([0.5]) == 0.0
