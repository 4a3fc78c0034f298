"""What an observation may know: nothing of correctness before the end."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import paper_config, paper_env

from conductor_gym.engine import Engine
from conductor_gym.spaces import HISTORY_COLUMNS
from conductor_gym.workers.pool import load_pool

SOLVE, VERIFY, SUBMIT = 0, 2, 7
BUSY = st.tuples(st.integers(0, 6), st.sampled_from([0, 0, 0, 2, 3, 5, 6]), st.integers(0, 6))


def act(env: Any, *action: int) -> Any:
    return env.step(np.array(action))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**40), actions=st.lists(BUSY, min_size=1, max_size=9))
def test_observations_know_answers_only_up_to_equality_and_never_scores_or_luck(
    seed: int, actions: Any
):
    engine = Engine(paper_config(budget_usd=10.0, max_steps=12), 2)
    observation = engine.new_observation()
    engine.start(np.arange(2), np.full(2, seed), np.zeros(2, np.int64), observation)
    for action in actions:
        engine.step(np.tile(np.array(action, np.int64), (2, 1)), observation)
    steps: Any = engine.state.steps
    steps["score"][1] = 1.0 - steps["score"][1]
    steps["luck"][1] = 7.0
    for name in ("answer", "target"):
        known = steps[name][1] >= 0
        steps[name][1][known] ^= 0x5A5A
    # An invalid action touches nothing and writes the observation anew.
    engine.step(np.tile(np.array([7, SOLVE, 0]), (2, 1)), observation)
    for array in observation:
        assert np.array_equal(array[0], array[1])


def small_recording(folder: Path, flip: bool) -> str:
    """gsm8k's tables with 40 questions, right answers as given or flipped."""
    names = load_pool("gsm8k").worker_names
    (folder / "zeroeval").mkdir(parents=True)
    tables: dict[str, list[list[Any]]] = {
        "gsm_questions": [["id", "question"]],
        "gsm_correct": [["id", *names]],
        "gsm_output_chars": [["id", *names]],
    }
    for i in range(40):
        right = [(i * 7 + w * 3) % 5 < 3 for w in range(len(names))]
        tables["gsm_questions"].append([f"q{i}", f"What is {i} plus {i}?"])
        tables["gsm_correct"].append([f"q{i}", *(int(r != flip) for r in right)])
        tables["gsm_output_chars"].append([f"q{i}", *(100 * w + i for w in range(len(names)))])
    for name, rows in tables.items():
        with gzip.open(folder / "zeroeval" / f"{name}.csv.gz", "wt", newline="") as file:
            csv.writer(file).writerows(rows)
    return "gsm8k"


def long_recording(folder: Path, flip: bool) -> str:
    """A long table with answers, some of them blank, bills and latencies."""
    folder.mkdir()
    path = folder / "long.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "model", "score", "answer", "usd", "latency"])
        for i in range(40):
            for w in range(7):
                right = ((i * 7 + w * 3) % 5 < 3) != flip
                answer = "" if (i + w) % 4 == 0 else f"answer {(i + w) % 3}"
                row = [f"q{i}", f"What is {i}?", f"m{w}", int(right), answer, 1e-4 * (w + 1), i + 1]
                table.writerow(row)
    return str(path)


@pytest.mark.parametrize("make", [small_recording, long_recording])
def test_flipping_every_recorded_outcome_shows_in_nothing_before_the_end(
    tmp_path: Path, make: Callable[[Path, bool], str], monkeypatch: pytest.MonkeyPatch
):
    views: list[Any] = []
    ends: list[float] = []
    for flip in (False, True):
        folder = tmp_path / f"recorded-{flip}"
        name = make(folder, flip)
        monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(folder))
        env = paper_env(pool=name, suite=name, render_mode="ansi")
        observation, info = env.reset(seed=0)
        told: list[Any] = [{k: v.tolist() for k, v in observation.items()}, info]
        for action in ((0, SOLVE, 0), (3, SOLVE, 0), (3, VERIFY, 0)):
            observation, reward, _, _, info = act(env, *action)
            told += [{k: v.tolist() for k, v in observation.items()}, reward, info, env.render()]
        views.append(told)
        ends.append(act(env, 0, SUBMIT, 0)[4]["quality"])
    assert views[0] == views[1]
    assert sorted(ends) == [0.0, 1.0]


def test_confidence_is_shown_at_two_decimals():
    engine = Engine(paper_config(), 500)
    observation = engine.new_observation()
    engine.start(np.arange(500), np.zeros(500, np.int64), np.arange(500), observation)
    engine.step(np.tile([0, SOLVE, 0], (500, 1)), observation)
    shown: Any = observation.history[:, 0, HISTORY_COLUMNS.index("confidence")]
    shown = shown[shown >= 0]
    assert len(shown) > 400
    assert abs(shown * 100 - (shown * 100).round()).max() < 1e-4
    assert shown.std() > 0.05
