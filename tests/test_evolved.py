"""The evolved head: it learns, on common luck, goes on where it was stopped, and acts alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("cma", reason="pip install 'conductor-gym[rl]'")

from conductor_gym.agents import evolved
from conductor_gym.agents.evolved import (
    EPISODES,
    POPULATION,
    SLOTS,
    Evolved,
    decide,
    head_of,
    look,
    play_generation,
    start_head,
    train_evolved,
)
from conductor_gym.agents.training import CHECKPOINT, WEIGHTS, TrainingRun
from conductor_gym.engine import Engine
from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.evaluate import play
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import utility

PAPER = find_track("paper")
STEPS = 600_000


def quiet(steps: int, mean_return: float) -> None:
    del steps, mean_return


def training(
    folder: Path, steps: int = STEPS, report: Callable[[int, float], None] = quiet
) -> TrainingRun:
    return TrainingRun("evolved", PAPER.setting(0.05), folder, steps, report=report)


def on_dev(agent: Any, weight: float) -> tuple[float, float]:
    """Mean utility and mean cost in US cents on the dev split."""
    played = play(agent, replace(PAPER.training(), split="dev", cost_weight=weight), 2000)
    gains = utility(played.quality, played.cost / 1e9, 0.0, weight)
    return float(gains.mean()), float(played.cost.mean() / 1e7)


class Start:
    """The head from which the search begins."""

    def act(self, observation: Any) -> Any:
        workers = observation["workers"].shape[1]
        heads = head_of(start_head(workers)[None], workers)
        return decide(heads, np.zeros(len(observation["budget"]), np.int64), look(observation))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "evolved"
    train_evolved(training(folder))
    return folder


def test_evolution_improves_on_the_head_it_starts_from(trained: Path) -> None:
    before: list[float] = []
    after: list[float] = []
    for weight in (0.05, 0.2, 1.0):
        before.append(on_dev(Start(), weight)[0])
        after.append(on_dev(Evolved(PAPER.setting(weight), trained), weight)[0])
    assert np.mean(after) > np.mean(before) + 0.05, (before, after)


def test_one_head_spends_less_where_a_cent_costs_more(trained: Path) -> None:
    agent = Evolved(PAPER.setting(0.05), trained)
    assert on_dev(agent, 0.0)[1] > 1.2 * on_dev(agent, 1.0)[1]


def test_a_head_is_played_without_invalid_actions_and_whatever_the_batch(trained: Path) -> None:
    agent = Evolved(PAPER.setting(0.05), trained)
    whole, pieces = (play(agent, PAPER.evaluation(0.05), 400, batch) for batch in (4096, 37))
    assert whole.decisions == pieces.decisions
    assert whole.invalid.sum() == 0


def test_candidates_of_a_generation_have_the_same_luck() -> None:
    config = PAPER.training()
    heads = head_of(np.tile(start_head(config.max_workers), (POPULATION, 1)), config.max_workers)
    first, other = (play_generation(Engine(config, SLOTS), heads, 0, i) for i in (0, EPISODES))
    assert len(set(first.fitness.tolist())) == 1
    assert other.fitness[0] != first.fitness[0], "another generation has other episodes"
    assert first.steps >= 2 * POPULATION * EPISODES
    assert first.mean_return > first.fitness[0]
    assert first.cost_usd > 0


def test_each_candidate_is_charged_for_its_own_decisions() -> None:
    config = PAPER.training()
    numbers = np.tile(start_head(config.max_workers), (POPULATION, 1))
    numbers[3] = 0.0  # prefers the first entry of everything: the first worker, ten times
    heads = head_of(numbers, config.max_workers)
    fitness = play_generation(Engine(config, SLOTS), heads, 0, 0).fitness
    assert np.flatnonzero(fitness != fitness[0]).tolist() == [3]


def test_a_run_that_was_stopped_ends_in_the_same_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolved, "GENERATIONS_PER_CHECKPOINT", 2)

    def stop(steps: int, mean_return: float) -> None:
        del mean_return
        if steps > 120_000:
            raise KeyboardInterrupt

    train_evolved(training(tmp_path / "whole", 160_000))
    with pytest.raises(KeyboardInterrupt):
        train_evolved(training(tmp_path / "stopped", 160_000, stop))
    assert (tmp_path / "stopped" / CHECKPOINT).is_file()
    reported: list[int] = []
    card = train_evolved(
        training(tmp_path / "stopped", 160_000, lambda steps, _: reported.append(steps))
    )
    assert len(reported) < len(card["curve"]), "it should not have begun anew"
    whole, stopped = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped


def test_evolution_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    legacy = cast(Any, np.random)
    before = legacy.get_state()[1].tolist()
    train_evolved(training(tmp_path, 1))
    assert legacy.get_state()[1].tolist() == before


def test_without_cma_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cma", None)
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[rl\]"):
        train_evolved(training(tmp_path))
