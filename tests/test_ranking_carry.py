"""An order of agents on a simulated track, held against the same agents on recorded calls."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.metrics import estimate
from conductor_gym.leaderboard.ranking_carry import Carried, carried, carried_tracks, section
from conductor_gym.leaderboard.results import Result, evaluate, write_result
from conductor_gym.leaderboard.slopes import plot_carried

EPISODES = 200
BLANK = evaluate("submit-nothing", "paper", EPISODES, (0.05,), assumptions="mid")


def result(agent: str, utility: float, track: str, seed: int, **changes: Any) -> Result:
    """An agent that is free and whose answers are graded like this, with noise of its own."""
    generator = np.random.default_rng([seed, *agent.encode()])
    quality = np.clip(utility + 0.2 * generator.standard_normal(EPISODES), 0.0, 1.0)
    update = {"qualities": quality.tolist(), "costs": [0] * EPISODES, "utility": estimate(quality)}
    at = BLANK.at[0].model_copy(update=update)
    return BLANK.model_copy(update={"agent": agent, "track": track, "at": [at], **changes})


def tracks(recorded: list[float], simulated: list[float] | None = None) -> Carried:
    """A dozen agents by name a, b, c ...; the simulation ranks them in this order."""
    worth = simulated or [0.8 - 0.05 * k for k in range(len(recorded))]
    names = "abcdefghijkl"[: len(recorded)]
    one = [result(a, u, "paper", 1) for a, u in zip(names, worth, strict=True)]
    other = [result(a, u, "crux", 2) for a, u in zip(names, recorded, strict=True)]
    return carried(one, other)


def test_the_same_order_carries_over_and_a_reversed_one_does_not():
    worth = [0.7 - 0.04 * k for k in range(12)]
    same, turned = tracks(worth), tracks(worth[::-1])
    assert same.tau > 0.85
    assert same.rho > 0.95
    assert same.tau_interval[0] > 0.7
    assert same.reversed_pairs == ()
    assert same.regret < 0.02
    assert turned.tau < -0.85
    assert turned.rho < -0.95
    assert turned.swapped > 60
    assert len(turned.reversed_pairs) > 45
    assert turned.regret == pytest.approx(0.44, abs=0.05)
    assert same.agents == turned.agents == tuple("abcdefghijkl")


def test_only_pairs_beyond_chance_are_called_reversed():
    found = tracks([0.5, 0.5, 0.5, 0.9], [0.5, 0.5, 0.5, 0.1])
    assert {pair[1] for pair in found.reversed_pairs} == {"d"}
    assert len(found.reversed_pairs) == 3
    assert found.swapped >= 3


def test_agents_that_are_as_good_as_each_other_have_no_order_to_carry_over():
    found = tracks([0.5] * 12)
    assert abs(found.halves) < 0.3
    assert found.tau_interval[1] - found.tau_interval[0] > 0.3


def test_references_and_agents_of_one_track_are_left_out():
    names = ("a", "b", "c")
    one = [result(n, 0.5, "paper", 1) for n in names]
    one.append(result("oracle", 0.9, "paper", 1, privileged=True))
    one.append(result("new", 0.3, "paper", 1))
    other = [result(n, 0.5, "crux", 2) for n in names]
    other.append(result("oracle", 0.9, "crux", 2, privileged=True))
    found = carried(one, other)
    assert sorted(found.agents) == ["a", "b", "c"]
    assert found.left_out == {"new": "not on the recorded track"}
    with pytest.raises(ConfigError, match="0 agents have results on both tracks"):
        carried(one, [])


def test_two_folders_of_results_become_a_section_and_a_picture(tmp_path: Path):
    for k, name in enumerate("abcd"):
        write_result(result(name, 0.8 - 0.1 * k, "paper", 1), tmp_path)
        recorded = result(name, 0.2 + 0.1 * k, "crux", 2, kind="recorded", assumptions=None)
        write_result(recorded, tmp_path)
    found = carried_tracks("paper", "crux", tmp_path).as_dict()
    text = "\n".join(section(found, "carried.png"))
    assert "6 of 6 pairs lie in another order, 6 of them beyond chance; a and b" in text
    assert "| a | 0.7" in text
    plot_carried(found, tmp_path / "carried.png")
    assert (tmp_path / "carried.png").read_bytes()[:4] == b"\x89PNG"
