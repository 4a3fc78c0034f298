"""Recording: the calls that agents would make, each once, and none again after a stop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_asker import ReferenceAsker, live_pool, open_reference
from text_suites import row, write_rows

from conductor_gym.agents.reading import steps_taken
from conductor_gym.config import EnvConfig
from conductor_gym.leaderboard.told_play import play_told
from conductor_gym.live.record import Estimate, estimate, jobs_of, record, recording_config
from conductor_gym.live.scripts import Script, acts, call_names, distinct_calls, in_rounds, solves
from conductor_gym.recordings.journal_table import calls
from conductor_gym.types import Subtask

PARTS = [
    {"domain": "law", "prompt": f"Is it {p}?", "reference": "yes", "verifier": "exact"}
    for p in range(2)
]
EVERYTHING = [*solves(3, 3), *acts(3)]


def suite_of(folder: Path, tasks: int, both: int = 0) -> str:
    """A suite of sums and of tasks of two parts."""
    rows: list[dict[str, Any]] = [row(i, split="train", domain="math") for i in range(tasks)]
    whole = {"reference": None, "verifier": None, "split": "train"}
    rows += [row(-i, uid=f"both-{i}", parts=PARTS, **whole) for i in range(both)]
    return write_rows(folder / "sums.jsonl", rows)


def play(
    folder: Path, scripts: Sequence[Script], tasks: int = 6, both: int = 0, n: int = 8, **asker: Any
) -> tuple[ReferenceAsker, Estimate, list[int]]:
    """Record scripts on all tasks; what was asked, the estimate before, and the jobs counted."""
    config = recording_config(live_pool(folder), suite_of(folder, tasks, both), "train", scripts)
    engine, made = open_reference(config, n, folder / "calls.jsonl", **asker)
    data = engine.world.data
    jobs = jobs_of(data, range(len(data.uids)), scripts)
    told: list[int] = []
    try:
        record(engine, jobs, told.append)
    finally:
        engine.close()
    assert sum(told) == len(jobs)
    return made, estimate(engine.world, jobs), told


def test_every_call_of_every_script_is_asked_once(tmp_path: Path):
    made, before, _ = play(tmp_path, EVERYTHING, distinct=True)
    assert len(made.asked) == len(set(made.asked)) == before.calls == 6 * 60
    by_subtask = {
        name: sum(request.about["subtask"] == name for request in made.requests) // 6
        for name in ("solve", "verify", "revise", "aggregate")
    }
    # each worker three times alone and once with each worker's answer; verified twice; revised
    # unseen and after a critique; one answer of each worker, and three of its own
    assert by_subtask == {"solve": 9 + 9, "verify": 18, "revise": 9 + 9, "aggregate": 6}


def test_no_call_costs_more_than_the_estimate_says(tmp_path: Path):
    made, before, _ = play(tmp_path, EVERYTHING)
    assert 0 < len(set(made.asked)) == len(made.asked) <= before.calls
    assert 0 < sum(call.usd for call in calls(tmp_path / "calls.jsonl")) * 1e9 <= before.cost


def test_a_stopped_recording_goes_on_and_a_finished_one_asks_nothing(tmp_path: Path):
    scripts = [*solves(3, 2), *acts(3)]
    config = recording_config(live_pool(tmp_path), suite_of(tmp_path, 5), "train", scripts)
    engine, first = open_reference(config, 4, tmp_path / "calls.jsonl", mute=0.2)
    jobs = jobs_of(engine.world.data, range(5), scripts)
    seen = 0

    def stop(done: int) -> None:
        nonlocal seen
        seen += done
        if seen > 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(engine, jobs, stop)
    engine.close()
    second, _, _ = play(tmp_path, scripts, tasks=5, n=3, mute=0.2)
    third, _, _ = play(tmp_path, scripts, tasks=5, n=64, mute=0.2)
    whole = tmp_path / "whole"
    whole.mkdir()
    unstopped, _, _ = play(whole, scripts, tasks=5, mute=0.2)
    assert third.asked == []
    assert len(first.asked) > 50
    assert len(second.asked) > 50
    assert sorted(first.asked + second.asked) == sorted(unstopped.asked)


class PlaysScript:
    """An agent that takes the actions of a script, then submits."""

    def __init__(self, script: Script) -> None:
        self._script = [*script, (0, int(Subtask.SUBMIT), 0)]

    def act(self, observation: Any) -> Any:
        taken = steps_taken(observation).tolist()
        return np.array([self._script[t] for t in taken], np.int64)


def test_an_agent_that_takes_the_same_actions_makes_the_same_calls(tmp_path: Path):
    play(tmp_path, EVERYTHING, tasks=4)
    config = EnvConfig(
        live_pool(tmp_path), suite_of(tmp_path, 4), "train", cost_weight=0.05, backend="live"
    )
    for script in EVERYTHING:
        engine, asker = open_reference(config, 3, tmp_path / "calls.jsonl")
        played = play_told(PlaysScript(script), engine, 4)
        engine.close()
        assert played.failures == {}
        assert asker.asked == []


def test_a_script_ends_at_an_action_that_cannot_be_taken(tmp_path: Path):
    script = ((0, 0, 0), (1, 2, 0), (1, 0, 2))
    made, _, _ = play(tmp_path, [script], tasks=40, mute=0.5)
    came = {"solve": 0, "verify": 0}
    for request in made.requests:
        if request.about["worker"] == "small":
            came["solve"] += 1
        elif request.about["subtask"] == "verify":
            came["verify"] += 1
    seconds = sum(request.about["subtask"] == "solve" for request in made.requests) - 40
    assert came["solve"] == 40
    assert 5 < came["verify"] == seconds < 35


def test_of_tasks_of_parts_only_solves_are_recorded(tmp_path: Path):
    made, before, _ = play(tmp_path, EVERYTHING, tasks=2, both=3, distinct=True)
    whole = [r for r in made.requests if "both" in r.about["uid"]]
    assert len(whole) == 3 * 9
    assert {r.about["subtask"] for r in whole} == {"solve"}
    assert before.calls == len(made.asked) == 3 * 9 + 2 * 60


def test_each_call_says_where_it_stands(tmp_path: Path):
    made, _, _ = play(tmp_path, [((0, 0, 0), (1, 2, 0), (0, 3, 2))], tasks=3)
    for request in made.requests:
        assert request.about["split"] == "train"
        assert request.about["stream"] == 0
        assert request.about["index"] < 3
        assert request.luck == "0.0"
    critique = [r for r in made.requests if r.about["subtask"] == "revise"]
    assert len(critique) == 3
    assert all("Verdict:" in r.messages[-1].content for r in critique)


actions = st.tuples(st.integers(0, 2), st.sampled_from([0, 2, 3, 5]), st.integers(0, 3))


@given(st.lists(st.lists(actions, min_size=1, max_size=5).map(tuple), max_size=12))
def test_rounds_hold_every_script_once_and_share_no_new_call(scripts: list[Script]):
    known: set[Any] = set()
    held: list[Script] = []
    for together in in_rounds(scripts):
        fresh: list[Any] = []
        for script in together:
            fresh += set(call_names(script)) - known
        assert len(fresh) == len(set(fresh))
        known |= set(fresh)
        held += together
    assert sorted(held) == sorted(scripts)
    assert known == distinct_calls(scripts)
