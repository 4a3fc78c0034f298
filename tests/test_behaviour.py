"""Whom agents call, and whom they beat at which cost weight."""

import math

import numpy as np
import pytest

from conductor_gym.leaderboard.behaviour import behaviour, behaviours, entropy_bits
from conductor_gym.leaderboard.by_weight import gains_by_weight
from conductor_gym.leaderboard.evaluate import pack_action
from conductor_gym.leaderboard.findings_tables import gains_table
from conductor_gym.leaderboard.results import evaluate
from conductor_gym.leaderboard.table import Board, make_board
from conductor_gym.types import Subtask


def packed(*steps: tuple[int, Subtask]) -> list[int]:
    actions = np.array([(worker, subtask, 2) for worker, subtask in steps], np.int64)
    return pack_action(actions).tolist()


@pytest.mark.parametrize(
    ("counts", "bits"),
    [([7], 0.0), ([3, 3], 1.0), ([2, 1, 1], 1.5), ([5, 0], 0.0), ([1] * 8, 3.0)],
)
def test_entropy_is_in_bits(counts: list[int], bits: float):
    assert entropy_bits(counts) == pytest.approx(bits)


def test_shares_count_calls_and_not_votes_or_submissions():
    found = behaviour(
        "hand-made",
        [
            packed((0, Subtask.SOLVE), (1, Subtask.VERIFY), (0, Subtask.VOTE), (5, Subtask.SUBMIT)),
            packed((0, Subtask.SOLVE), (0, Subtask.REVISE), (0, Subtask.SUBMIT)),
        ],
        ("a", "b"),
    )
    assert found.calls == 4
    assert found.shares == {"a": 0.75, "b": 0.25}
    assert found.top_worker == "a"
    assert found.entropy == pytest.approx(-0.75 * math.log2(0.75) - 0.25 * math.log2(0.25))
    assert found.steps == {"solve": 1.0, "verify": 0.5, "revise": 0.5, "vote": 0.5, "submit": 1.0}


def test_an_agent_that_calls_nobody_has_no_entropy():
    found = behaviour("nothing", [packed((0, Subtask.SUBMIT))], ("a",))
    assert (found.calls, found.entropy, found.top_worker, found.shares) == (0, None, None, {})


@pytest.fixture(scope="module")
def board() -> Board:
    """Five agents on 200 simulated episodes at two cost weights."""
    names = ("best-single", "single:gpt-5", "plurality", "submit-nothing", "clairvoyant")
    return make_board("paper", [evaluate(n, "paper", 200, (0.0, 0.05)) for n in names])


def test_one_worker_has_no_entropy_and_all_seven_equally_have_the_most(board: Board):
    found = behaviours(board)
    assert found["single:gpt-5"].entropy == 0.0
    assert found["single:gpt-5"].shares == {"gpt-5": 1.0}
    assert found["plurality"].entropy == pytest.approx(math.log2(7), abs=0.01)
    assert found["plurality"].steps["vote"] == 1.0


def test_gains_at_the_headline_are_those_of_the_board_and_marks_follow_intervals(board: Board):
    found = gains_by_weight(board)
    assert set(found) == {"single:gpt-5", "plurality", "submit-nothing", "clairvoyant"}
    for row in board.rows:
        if row.result.agent in found:
            assert row.gain is not None
            (headline,) = [g for g in found[row.result.agent] if g.cost_weight == 0.05]
            assert headline.gain.model_dump() == pytest.approx(row.gain.model_dump())
    columns, rows = gains_table(found)
    cells = {cells[0]: dict(zip(columns, cells, strict=True)) for cells in rows}
    assert cells["single:gpt-5"]["0.05"] == "="  # the best single worker at that weight
    assert cells["clairvoyant"]["0.05"].endswith(" +")
    assert cells["submit-nothing"]["0"].endswith(" -")
    assert cells["plurality"]["1"] == ""  # not played
