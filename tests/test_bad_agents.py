"""An agent's fault costs it the episode in which it happens, says why, and nothing else."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.agents.base import Outcome
from conductor_gym.agents.reading import domain, steps_taken
from conductor_gym.agents.registry import agent_card, make_agent
from conductor_gym.errors import AgentError, UnknownNameError
from conductor_gym.leaderboard.evaluate import Episodes, Replay, play
from conductor_gym.leaderboard.supervision import MAX_HANGS
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.types import Subtask

PAPER = find_track("paper")
CONFIG = PAPER.evaluation(0.05)
N = 300


class Good:
    """Asks worker 0, submits; subclasses misbehave in domain 2 after the first call."""

    def act(self, observation: Any) -> Any:
        table = np.zeros((len(observation["budget"]), 3), np.int64)
        table[steps_taken(observation) > 0, 1] = Subtask.SUBMIT
        return self.spoil(table, (domain(observation) == 2) & (steps_taken(observation) > 0))

    def spoil(self, table: Any, bad: Any) -> Any:
        del bad
        return table


class Raises(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        if bad.any():
            raise KeyError("no such thing")
        return table


class Exits(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        if bad.any():
            sys.exit(3)
        return table


class GivesNaN(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        return np.where(bad[:, None], np.nan, table)


class WrongShape(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        return table[:, :2] if bad.any() else table


class OutOfRange(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        table[bad, 0] = 8
        return table


class Ragged(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        return [[0], [0, 1, 2]] if bad.any() else table.tolist()


class Hangs(Good):
    def spoil(self, table: Any, bad: Any) -> Any:
        while bad.any():
            try:
                time.sleep(5)
            except Exception:
                continue
        return table


FAULTS: dict[type[Good], str] = {
    Raises: r"raised KeyError: 'no such thing'",
    Exits: r"raised SystemExit: 3",
    GivesNaN: r"not made of whole numbers",
    WrongShape: r"returned shape \(1, 2\) of int64, expected integers of shape \(1, 3\)",
    OutOfRange: r"action \[8, 7, 0\] is out of range",
    Ragged: r"returned shape",
}


@pytest.fixture(scope="module")
def good() -> Episodes:
    return play(Good(), CONFIG, N)


@pytest.fixture(scope="module")
def lost_domain() -> Any:
    """Which episodes belong to domain 2."""
    from conductor_gym.vector_env import ConductorVectorEnv

    env = ConductorVectorEnv(N, **CONFIG.as_dict())
    observation, _ = env.reset(seed=[0] * N, options={"episode_index": np.arange(N)})
    return domain(observation) == 2


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_loses_the_episode_with_its_reason_and_the_others_play_on(
    kind: type[Good], good: Episodes, lost_domain: Any
) -> None:
    played = play(kind(), CONFIG, N)
    assert lost_domain.any()
    assert set(played.failures) == set(np.flatnonzero(lost_domain).tolist())
    for reason in played.failures.values():
        assert pytest.importorskip("re").search(FAULTS[kind], reason), reason
    assert (played.quality[lost_domain] == 0).all()
    assert (played.cost == good.cost).all(), "what was spent until then is charged"
    assert (played.quality[~lost_domain] == good.quality[~lost_domain]).all()
    assert good.quality[lost_domain].any()
    assert good.failures == {}


def test_the_batch_size_does_not_change_which_episodes_a_fault_loses() -> None:
    whole, pieces = play(Raises(), CONFIG, N), play(Raises(), CONFIG, N, batch=41)
    assert whole.failures == pieces.failures
    assert whole.decisions == pieces.decisions


def test_decisions_of_a_run_with_faults_recompute_what_was_spent(lost_domain: Any) -> None:
    played = play(Raises(), CONFIG, N)
    again = play(Replay(played.decisions), CONFIG, N, privileged=True)
    assert (again.cost == played.cost).all()
    assert (again.quality[~lost_domain] == played.quality[~lost_domain]).all()


def test_an_agent_that_hangs_is_stopped_and_after_a_while_not_asked_again() -> None:
    played = play(Hangs(), CONFIG, N, time_limit_s=0.02)
    reasons = set(played.failures.values())
    assert "act() took more than 0.02 s" in reasons
    assert f"not asked: act() took more than 0.02 s {MAX_HANGS} times before" in reasons
    assert len(played.failures) < N, "episodes that ended before are kept"


def test_a_single_episode_that_hangs_costs_that_episode(good: Episodes) -> None:
    class HangsOnce(Good):
        def spoil(self, table: Any, bad: Any) -> Any:
            if bad.any() and len(bad) > 1:
                time.sleep(5)
            return table

    played = play(HangsOnce(), CONFIG, N, batch=64, time_limit_s=0.1)
    assert set(played.failures.values()) <= {
        "act() took more than 0.1 s",
        f"not asked: act() took more than 0.1 s {MAX_HANGS} times before",
    }
    kept = [i for i in range(N) if i not in played.failures]
    assert (played.quality[kept] == good.quality[kept]).all()


class Learner(Good):
    """Counts what it is told."""

    online = True

    def __init__(self) -> None:
        self.told: list[Outcome] = []

    def observe(self, outcome: Outcome) -> None:
        self.told.append(outcome)


def test_an_online_learner_is_told_every_outcome_in_the_order_of_the_episodes(
    good: Episodes,
) -> None:
    learner = Learner()
    played = play(learner, CONFIG, N)
    assert played.decisions == good.decisions
    ends = [outcome for outcome in learner.told if outcome.over]
    assert [outcome.quality for outcome in ends] == good.quality.tolist()
    assert [round(o.cost_usd * 1e9) for o in ends] == good.cost.tolist()
    assert len(learner.told) == sum(len(row) for row in good.decisions)
    for o in ends:
        assert o.utility == pytest.approx((o.quality or 0.0) - 0.05 * o.cost_usd / 0.01, abs=1e-8)
    assert all(o.utility is None for o in learner.told if not o.over)


def test_a_learner_that_fails_to_observe_loses_that_episode() -> None:
    class Forgetful(Learner):
        def observe(self, outcome: Outcome) -> None:
            if outcome.over and len(self.told) < 3:
                self.told.append(outcome)
                raise ValueError("full")

    played = play(Forgetful(), CONFIG, 20)
    assert played.failures == dict.fromkeys((0, 1, 2), "observe() raised ValueError: full")


def _module(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    (folder / "made_up.py").write_text(text)
    sys.modules.pop("made_up", None)


def test_an_agent_of_ones_own_is_named_by_module_and_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'class Mine:\n    """Does it."""\n    def __init__(self, setting): ...\n'
    _module(tmp_path, text + "    def act(self, observation): ...\n", monkeypatch)
    assert agent_card("made_up:Mine").summary == "Does it."
    assert type(make_agent("made_up:Mine", PAPER.setting(0.05))).__name__ == "Mine"
    with pytest.raises(UnknownNameError, match="Did you mean 'Mine'"):
        make_agent("made_up:Mien", PAPER.setting(0.05))
    with pytest.raises(AgentError, match="cannot be imported from"):
        make_agent("not_there:Mine", PAPER.setting(0.05))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine:\n    pass\n", "could not be built: TypeError"),
        ("class Mine:\n    def __init__(self, setting): pass\n", "has no method act"),
        ("class Mine:\n    def __init__(self, setting): 1 / 0\n", "ZeroDivisionError"),
        ("class Mine:\n    def __init__(self, setting): raise SystemExit(0)\n", "SystemExit: 0"),
        ("raise SystemExit(5)\n", "SystemExit: 5"),
        ("import nothing_like_this\n", "No module named 'nothing_like_this'"),
        ("class Mine(\n", "SyntaxError"),
        (
            "class Mine:\n    online = True\n    def __init__(self, setting): pass\n"
            "    def act(self, observation): pass\n",
            "has no method observe",
        ),
    ],
)
def test_an_agent_that_cannot_be_built_says_why(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, text, monkeypatch)
    with pytest.raises(AgentError, match=message):
        make_agent("made_up:Mine", PAPER.setting(0.05))


def test_a_result_file_and_the_board_tell_of_lost_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conductor_gym.leaderboard.results import evaluate, write_result
    from conductor_gym.leaderboard.table import read_boards

    text = "class Mine:\n    def __init__(self, setting): ...\n"
    _module(tmp_path, text + "    def act(self, observation): 1 / 0\n", monkeypatch)
    for name in ("made_up:Mine", "best-single"):
        write_result(evaluate(name, "paper", 50, (0.05,)), tmp_path / "results")
    kept = json.loads((tmp_path / "results/paper/made_up-Mine.json").read_text())
    assert len(kept["at"][0]["failures"]) == 50
    (board,) = read_boards(tmp_path / "results")
    lost = [note for note in board.notes if note.startswith("made_up:Mine lost 50 episodes")]
    assert lost
    assert "ZeroDivisionError" in lost[0]


def test_what_an_agent_says_is_printed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from conductor_gym.cli import app

    text = "class Printer:\n    def __init__(self, setting): ...\n"
    text += "    def act(self, observation): raise ValueError('[/home/x] [nan] :printer:')\n"
    _module(tmp_path, text, monkeypatch)
    words = ["run", "--agent", "made_up:Printer", "--agent", "best-single", "--track", "paper"]
    words += ["--episodes", "20", "--cost-weight", "0.05", "--assumptions", "mid"]
    for command in (words, ["report"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        said = " ".join(done.output.split())
        assert "made_up:Printer" in said
        assert "[/home/x] [nan] :printer:" in said


def test_a_module_of_this_folder_goes_before_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "this", raising=False)
    (tmp_path / "this.py").write_text("class Mine:\n    'From here.'\n")
    assert agent_card("this:Mine").summary == "From here."
