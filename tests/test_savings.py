"""Cost at best-single quality: curves by hand, against linear programming, and real rows."""

import numpy as np
import pytest
from scipy.optimize import linprog

from conductor_gym.leaderboard.findings_tables import savings_table
from conductor_gym.leaderboard.report import as_json, markdown
from conductor_gym.leaderboard.results import AtCostWeight, Result, evaluate
from conductor_gym.leaderboard.savings import Saving, cheapest, savings
from conductor_gym.leaderboard.table import make_board


@pytest.mark.parametrize(
    ("points", "asked", "cost"),
    [
        ([(1.0, 0.4), (3.0, 0.8)], 0.6, 2.0),  # half and half
        ([(1.0, 0.4), (2.0, 0.45), (3.0, 0.8)], 0.6, 2.0),  # the middle one is under the hull
        ([(1.0, 0.4), (2.0, 0.75), (3.0, 0.8)], 0.6, 1.0 + 0.2 / 0.35),
        ([(1.0, 0.7), (3.0, 0.8)], 0.6, 1.0),  # the cheapest setting is good enough
        ([(1.0, 0.6), (1.0, 0.6)], 0.6, 1.0),
        ([(5.0, 0.4), (3.0, 0.8)], 0.6, 3.0),  # the worse setting is dearer: never mixed in
        ([(1.0, 0.4), (3.0, 0.5)], 0.6, np.inf),
    ],
)
def test_the_smallest_cost_is_read_off_the_upper_hull(
    points: list[tuple[float, float]], asked: float, cost: float
):
    costs, qualities = np.array(points).T
    assert cheapest(qualities - asked, costs) == pytest.approx(cost)


def test_the_smallest_cost_is_that_of_the_best_mixture_of_all_settings():
    generator = np.random.default_rng(1)
    quality, cost = generator.normal(0.0, 0.1, (200, 7)), generator.uniform(0.0, 1.0, (200, 7))
    got = cheapest(quality, cost)
    reached = 0
    for q, c, mine in zip(quality, cost, got, strict=True):
        best = linprog(c, A_ub=-q[None], b_ub=[0.0], A_eq=np.ones((1, 7)), b_eq=[1.0])
        assert (best.status == 0) == np.isfinite(mine)
        if best.status == 0:
            reached += 1
            assert mine == pytest.approx(best.fun, abs=1e-9)
    assert reached > 100


@pytest.fixture(scope="module")
def reference() -> Result:
    """The best single worker on 400 simulated episodes."""
    return evaluate("best-single", "paper", episodes=400, cost_weights=(0.0, 0.05))


def like(result: Result, agent: str, *at: AtCostWeight) -> Result:
    return result.model_copy(update={"agent": agent, "at": list(at)})


def row(agent: str, *results: Result) -> Saving:
    found = savings(make_board("paper", list(results)))
    assert found is not None
    (mine,) = [row for row in found.rows if row.agent == agent]
    return mine


def test_the_same_answers_at_half_the_cost_save_half(reference: Result):
    dear = reference.at[0]
    half = dear.model_copy(update={"costs": [cost // 2 for cost in dear.costs]})
    saved = row("half", reference, like(reference, "half", half))
    assert saved.saving == pytest.approx(0.5, abs=1e-6)
    assert saved.low == pytest.approx(0.5, abs=1e-6)
    assert saved.high == pytest.approx(0.5, abs=1e-6)
    assert (saved.reached, saved.missing_quality) == (1.0, 0.0)


def test_the_reference_itself_saves_nothing(reference: Result):
    alone = reference.model_copy(update={"at": reference.at[:1]})
    assert row("best-single", alone) == Saving("best-single", False, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_an_agent_that_is_never_as_good_shows_not_reached_and_by_how_much(reference: Result):
    dear = reference.at[0]
    worse = [quality if k % 5 else 0.0 for k, quality in enumerate(dear.qualities)]
    never = dear.model_copy(update={"qualities": worse, "costs": [1] * len(worse)})
    board = make_board("paper", [reference, like(reference, "never", never)])
    found = savings(board)
    assert found is not None
    (saved,) = [row for row in found.rows if row.agent == "never"]
    assert (saved.saving, saved.low, saved.high, saved.reached) == (None, None, None, 0.0)
    lost = float(np.mean(dear.qualities) - np.mean(worse))
    assert saved.missing_quality == pytest.approx(lost)
    assert f"not reached, {lost:.3f} short" in {cells[1] for cells in savings_table(found)[1]}
    assert "an announcement about other workers" in markdown([board], {})
    (values,) = as_json([board])
    assert values["savings"]["rows"][-1]["saving"] is None


def test_a_lower_end_in_resamples_that_do_not_reach_the_quality_is_no_number(reference: Result):
    dear = reference.at[0]
    # As good by a hair: 20 right answers lost, 21 wrong ones mended.
    qualities = list(dear.qualities)
    right = [k for k, quality in enumerate(qualities) if quality == 1.0]
    wrong = [k for k, quality in enumerate(qualities) if quality == 0.0]
    for k in (*right[:20], *wrong[:21]):
        qualities[k] = 1.0 - qualities[k]
    hair = dear.model_copy(update={"qualities": qualities, "costs": [c // 2 for c in dear.costs]})
    saved = row("hair", reference, like(reference, "hair", hair))
    assert saved.saving == pytest.approx(0.5, abs=1e-6)
    assert saved.low is None
    assert saved.high == pytest.approx(0.5, abs=1e-6)
    assert 0.4 < saved.reached < 0.75


def test_a_board_without_the_reference_has_no_savings(reference: Result):
    headline = reference.model_copy(update={"at": reference.at[1:]})
    assert savings(make_board("paper", [headline])) is None
    assert savings(make_board("paper", [like(reference, "other", *reference.at)])) is None


def test_intervals_hold_the_true_saving_about_95_times_of_100(reference: Result):
    generator = np.random.default_rng(2)
    n, trials, held = 400, 150, 0
    # An answer is right where the mean of two uniform draws, one of them the query's, is below a
    # level: quality 0.5, 0.68 and 0.8432, at a mean cost of 1, 4 and 3. A mixture of the first and
    # the last is as good as the one in between.
    truth = 1.0 - (1.0 + 2.0 * (0.68 - 0.5) / (0.8432 - 0.5)) / 4.0
    for _ in range(trials):
        difficulty = generator.uniform(size=n)
        qualities = [
            (0.5 * difficulty + 0.5 * generator.uniform(size=n) < level).astype(float)
            for level in (0.5, 0.6, 0.72)
        ]
        costs = [
            (generator.gamma(4.0, mean / 4.0, n) * 1e6).astype(int).tolist() for mean in (1, 4, 3)
        ]
        low, asked, high = (
            reference.at[0].model_copy(
                update={"cost_weight": weight, "qualities": q.tolist(), "costs": c}
            )
            for weight, q, c in zip((0.05, 0.0, 0.0), qualities, costs, strict=True)
        )
        asked = asked.model_copy(
            update={
                "quality": asked.quality.model_copy(update={"mean": float(qualities[1].mean())}),
                "cost_usd": asked.cost_usd.model_copy(update={"mean": 0.004}),
            }
        )
        zero = like(reference, "best-single", asked)
        saved = row("mixed", zero, like(reference, "mixed", low, high))
        assert saved.high is not None
        held += (-np.inf if saved.low is None else saved.low) <= truth <= saved.high
    assert 0.9 <= held / trials <= 0.99
