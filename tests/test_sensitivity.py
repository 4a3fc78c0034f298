"""Low and high assumptions: what is played, what is compared, who is marked."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.agents.cascade import Cascade
from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.leaderboard.evaluate import play
from conductor_gym.leaderboard.metrics import estimate
from conductor_gym.leaderboard.report import as_json, markdown
from conductor_gym.leaderboard.results import (
    Result,
    evaluate,
    read_result,
    result_path,
    utilities,
    write_result,
)
from conductor_gym.leaderboard.sensitivity import sensitivity
from conductor_gym.leaderboard.table import make_board, read_boards
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.types import Assumptions

EPISODES = 400
SETTINGS: tuple[Assumptions, ...] = ("low", "mid", "high")


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from conductor_gym.cli import main; main()", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
        timeout=120,
        check=False,
    )


def made_up(agent: str, assumptions: Assumptions, qualities: Any, **changes: Any) -> Result:
    """A free agent whose utility is the given quality of each episode."""
    blank = evaluate("submit-nothing", "paper", EPISODES, (0.05,), assumptions=assumptions)
    at = blank.at[0].model_copy(
        update={"qualities": [float(q) for q in qualities], "utility": estimate(qualities)}
    )
    return blank.model_copy(update={"agent": agent, "at": [at], **changes})


def noise(seed: int) -> Any:
    return np.random.default_rng(seed).random(EPISODES) * 0.2


def test_a_run_plays_mid_on_the_whole_grid_and_both_ends_at_the_headline(tmp_path: Path) -> None:
    words = ["run", "--agent", "rules", "--track", "paper", "--episodes", "300", "--json"]
    done = command(*words, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    made = {s: read_result(result_path(tmp_path, "paper", "rules", s)) for s in SETTINGS}
    assert {s: r.assumptions for s, r in made.items()} == {s: s for s in SETTINGS}
    assert {r.environment["assumptions"] for r in made.values()} == set(SETTINGS)
    assert [len(made[s].at) for s in SETTINGS] == [1, 7, 1]
    assert made["low"].at[0].cost_weight == 0.05
    assert "--assumptions low" in made["low"].command
    printed = json.loads(done.stdout)
    assert printed["assumptions"] == "mid"
    for end in ("low", "high"):
        (at,) = printed["also_under"][end]
        assert at["utility"]["mean"] == pytest.approx(made[end].at[0].utility.mean)
    # What helps acting on answers helps the rules, which act on them.
    means = [made[s].at[0 if s != "mid" else 2].utility.mean for s in SETTINGS]
    assert means == sorted(means)


def test_one_end_can_be_asked_for_at_any_cost_weight(tmp_path: Path) -> None:
    words = ["run", "--agent", "submit-nothing", "--track", "paper", "--episodes", "20"]
    words += ["--assumptions", "high", "--cost-weight", "0.2", "--results", str(tmp_path)]
    assert command(*words).returncode == 0
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert path == tmp_path / "paper" / "high" / "submit-nothing.json"
    assert [at.cost_weight for at in read_result(path).at] == [0.2]


def test_an_agent_is_built_under_mid_whatever_it_is_played_under() -> None:
    track = find_track("paper")
    built = Cascade(track.setting(0.05))
    assert track.setting(0.05).train.assumptions == "mid"
    for end in ("low", "high"):
        result = evaluate("cascade", "paper", EPISODES, assumptions=end)
        played = play(built, track.evaluation(0.05, end), EPISODES)
        assert result.at[0].decisions == played.decisions


def test_recorded_outcomes_assume_nothing_and_run_once() -> None:
    track = find_track("crux")
    assert track.assumptions() == track.assumptions("mid") == ("mid",)
    with pytest.raises(ConfigError, match="nothing about them is assumed"):
        track.assumptions("low")
    with pytest.raises(UnknownNameError):
        track.assumptions("both")


@pytest.mark.recorded
def test_a_recorded_result_says_that_nothing_was_assumed(
    recorded_folder: Path, tmp_path: Path
) -> None:
    result = evaluate("submit-nothing", "crux", 20)
    assert result.assumptions is None
    assert "--assumptions" not in result.command
    assert write_result(result, tmp_path) == tmp_path / "crux" / "submit-nothing.json"
    (board,) = read_boards(tmp_path)
    assert board.sensitivity is None
    assert "assumptions" not in markdown([board], {})


def test_only_a_reversal_beyond_sampling_error_is_marked() -> None:
    same = noise(0)
    scores = {
        # ahead of `steady` under high, behind under low, by far more than the noise
        "turns": {"low": same - 0.1, "mid": same, "high": same + 0.1},
        "steady": dict.fromkeys(SETTINGS, same + 0.02 * (noise(1) - 0.1)),
        # swaps with `steady` by a hair
        "wobbles": {s: same + 0.02 * (noise(2 + i) - 0.1) for i, s in enumerate(SETTINGS)},
        "worst": dict.fromkeys(SETTINGS, same - 0.5),
    }
    results = {s: [made_up(a, s, by[s]) for a, by in scores.items()] for s in SETTINGS}
    board = make_board("paper", results["mid"], [*results["low"], *results["high"]])
    found = board.sensitivity
    assert found is not None
    assert set(found.reverses_with("turns")) == {"steady", "wobbles"}
    assert found.reverses_with("steady") == found.reverses_with("wobbles") == ("turns",)
    assert found.reverses_with("worst") == ()
    assert {(r.agent, r.other) for r in found.reversals} == {
        ("turns", "steady"),
        ("turns", "wobbles"),
    }
    assert found.reversals[0].gain["low"].high < 0 < found.reversals[0].gain["high"].low
    ranks = {row.agent: row.rank for row in found.rows}
    assert ranks["turns"]["low"] == 3
    assert ranks["turns"]["high"] == 1
    assert ranks["worst"] == {"low": 4, "mid": 4, "high": 4}
    assert (found.pairs, found.tau.keys()) == (6, {"low", "high"})
    text = markdown([board], {})
    assert "| turns † |" in text
    assert "| worst |" in text
    assert "† turns against steady: low -0.1" in text
    plain = as_json([board])[0]
    rows = {row["agent"]: row for row in plain["sensitivity"]["rows"]}
    assert set(rows["turns"]["reverses_with"]) == {"steady", "wobbles"}
    assert {r["agent"]: r["reverses_with"] for r in plain["rows"]}["worst"] == []
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_tau_is_that_of_the_ranks_and_references_have_none() -> None:
    base = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1, "oracle": 0.9}
    order = {"low": "acbd", "mid": "abcd", "high": "dcba"}
    results: dict[str, list[Result]] = {}
    for setting, agents in order.items():
        values = dict(zip(agents, (0.4, 0.3, 0.2, 0.1), strict=True)) | {"oracle": 0.9}
        results[setting] = [
            made_up(a, setting, np.full(EPISODES, values[a]), privileged=a == "oracle")  # pyright: ignore[reportArgumentType]
            for a in base
        ]
    found = sensitivity(results["mid"], [*results["low"], *results["high"]])
    assert found is not None
    # One of six pairs is in the other order: (5 - 1) / 6.
    assert found.tau == {"low": pytest.approx(4 / 6), "high": pytest.approx(-1.0)}
    assert found.swapped == 6
    assert found.rows[0].agent == "oracle"
    assert found.rows[0].rank == {}
    assert found.reverses_with("oracle") == ()


def test_agents_that_always_act_alike_never_reverse() -> None:
    scores = noise(5)
    results = [made_up(a, s, scores) for s in SETTINGS for a in ("one", "twin")]
    mids = [r for r in results if r.assumptions == "mid"]
    found = sensitivity(mids, [r for r in results if r.assumptions != "mid"])
    assert found is not None
    assert found.reversals == []
    assert found.tau == {"low": None, "high": None}
    assert [row.rank["mid"] for row in found.rows] == [1, 1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"episodes": 300}, "300 episodes"),
        ({"seed": 3}, "seed 3"),
        ({"model": {"seed": 1}}, "another model"),
        ({"content": {"pool": "other"}}, "other queries or settings"),
        ({"at": []}, "not played at 0.05"),
        (None, "not played"),
    ],
)
def test_an_end_that_is_not_the_same_agent_on_the_same_queries_is_named(
    change: dict[str, Any] | None, why: str
) -> None:
    results = [made_up(a, s, noise(1)) for s in SETTINGS for a in ("one", "two", "three")]
    mids = [r for r in results if r.assumptions == "mid"]
    ends = [
        r for r in results if r.assumptions != "mid" and (r.agent, r.assumptions) != ("one", "low")
    ]
    if change is not None:
        ends.append(made_up("one", "low", noise(1)).model_copy(update=change))
    found = sensitivity(mids, ends)
    assert found is not None
    assert [row.agent for row in found.rows] == ["two", "three"]
    assert found.left_out["one"].startswith("low: ")
    assert why in found.left_out["one"]
    assert "left out: one" in markdown([make_board("paper", mids, ends)], {})


def test_report_shows_low_mid_and_high_and_draws_them(tmp_path: Path) -> None:
    for agent in ("best-single", "rules", "self-consistency", "clairvoyant"):
        for setting in SETTINGS:
            write_result(evaluate(agent, "paper", EPISODES, assumptions=setting), tmp_path)
    done = command("report", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Kendall tau of the ranks: low-mid" in done.stdout
    assert "Agents are trained and built under mid" in done.stdout
    assert "paper-assumptions.png" in done.stdout
    assert (tmp_path / "paper-assumptions.png").stat().st_size > 10_000
    plain = json.loads((tmp_path / "leaderboard.json").read_text())[0]["sensitivity"]
    assert plain["settings"] == ["low", "mid", "high"]
    low = read_result(tmp_path / "paper" / "low" / "rules.json")
    (rules,) = (row for row in plain["rows"] if row["agent"] == "rules")
    assert rules["utility"]["low"] == pytest.approx(utilities(low.at[0]).mean())
    assert (
        "![low, mid and high assumptions](paper-assumptions.png)"
        in (tmp_path / "leaderboard.md").read_text()
    )


def test_a_fuller_end_of_another_model_gives_way(tmp_path: Path) -> None:
    low = evaluate("submit-nothing", "paper", 20, (0.0, 0.05), assumptions="low")
    path = write_result(low, tmp_path)
    smaller = low.model_copy(update={"at": low.at[1:]})
    assert write_result(smaller, tmp_path) == path.parent / "partial" / path.name
    assert write_result(smaller.model_copy(update={"model": {"seed": 1}}), tmp_path) == path


def test_files_in_the_wrong_folder_and_ends_without_mid_are_errors(tmp_path: Path) -> None:
    low = evaluate("submit-nothing", "paper", 20, assumptions="low")
    path = write_result(low, tmp_path)
    assert path == tmp_path / "paper" / "low" / "submit-nothing.json"
    with pytest.raises(DataFileError, match="made of those under mid"):
        read_boards(tmp_path)
    path.rename(tmp_path / "paper" / path.name)
    with pytest.raises(DataFileError, match="played under low"):
        read_boards(tmp_path)
