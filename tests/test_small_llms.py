"""The shipped recording of three small LLMs: one pool file, three backends, all recomputable."""

import gzip
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import conductor_gym
from conductor_gym.errors import ConfigError, UnknownNameError
from conductor_gym.fit import find_source, fit_source, write_pool
from conductor_gym.leaderboard.price_estimate import price_estimate
from conductor_gym.leaderboard.results import evaluate
from conductor_gym.leaderboard.tracks import find_track, folder_of, own_track
from conductor_gym.recordings.journal_table import calls
from conductor_gym.tasks.suite import load_split
from conductor_gym.types import Subtask
from conductor_gym.workers.pool import load_pool
from conductor_gym.workers.some_workers import some_workers
from conductor_gym.world import journal_path

POOL = "small-llms"
SUITE = "small-llms-v1"
SOLVE, SUBMIT = int(Subtask.SOLVE), int(Subtask.SUBMIT)


def play(backend: str, episodes: int) -> list[tuple[str, float, float]]:
    """Uid, quality and USD of single solves by each worker in turn."""
    env = gym.make(
        "Conductor-v0", pool=POOL, suite=SUITE, split="test", backend=backend, key="other"
    )
    found: list[tuple[str, float, float]] = []
    for index in range(episodes):
        _, told = env.reset(seed=0 if index == 0 else None)
        env.step(np.array([index % 3, SOLVE, 0]))
        *_, info = env.step(np.array([0, SUBMIT, 0]))
        found.append((told["uid"], info["quality"], info["cost_usd"]))
    env.close()
    return found


def test_one_pool_file_is_simulated_and_recorded_and_says_why_it_is_not_live_here():
    assert conductor_gym.__version__
    simulated, recorded = play("simulated", 30), play("recorded", 30)
    assert [row[0] for row in simulated] == [row[0] for row in recorded]
    assert simulated != recorded
    assert recorded == play("recorded", 30)
    with pytest.raises(ConfigError, match="ConductorLive-v0"):
        gym.make("Conductor-v0", pool=POOL, suite=SUITE, backend="live")


def test_what_is_replayed_is_what_the_journal_holds():
    workers = load_pool(POOL).worker_names
    journal = {
        (call.uid, call.worker): (call.score, call.usd)
        for call in calls(journal_path(load_pool(POOL)))
        if call.is_single and call.attempt == 0
    }
    for index, (uid, quality, usd) in enumerate(play("recorded", 30)):
        score, billed = journal[uid, workers[index % 3]]
        assert (quality, round(usd, 9)) == (score, round(billed, 9))


def test_every_task_of_the_suite_has_three_recorded_attempts_of_every_worker():
    found: dict[tuple[str, str], set[int]] = {}
    for call in calls(journal_path(load_pool(POOL))):
        if call.is_single:
            found.setdefault((call.uid, call.worker), set()).add(call.attempt)
    for split in ("train", "test"):
        for uid in load_split(SUITE, split).uids:
            for worker in load_pool(POOL).worker_names:
                assert {0, 1, 2} <= found[uid, worker], (uid, worker)


def test_the_shipped_numbers_are_what_a_fit_of_the_shipped_calls_gives(tmp_path: Path):
    shipped = load_pool(POOL)
    fitted, _ = fit_source(find_source(POOL), "train", POOL)
    for section in ("workers", "accuracy", "output_tokens", "loadings", "model", "domains"):
        assert getattr(fitted, section) == getattr(shipped, section), section
    write_pool(fitted, tmp_path / "again.toml")
    again = load_pool(str(tmp_path / "again.toml"))
    assert journal_path(again).resolve() == journal_path(shipped).resolve()


def test_the_journal_is_small_and_tells_nothing_of_the_machine_it_was_made_on():
    path = journal_path(load_pool(POOL))
    assert path.stat().st_size < 5_000_000
    text = gzip.decompress(path.read_bytes()).decode()
    for word in ("/work", "/root", "/tmp", "/home", "127.0.0.1", "Bearer", "sk-"):
        assert word not in text, word


def test_some_workers_of_a_pool_are_a_pool():
    some = some_workers(load_pool(POOL), ["qwen2.5-coder-1.5b", "smollm2-135m"])
    assert some.worker_names == ("smollm2-135m", "qwen2.5-coder-1.5b")
    assert set(some.accuracy.values if some.accuracy else {}) == set(some.worker_names)
    with pytest.raises(UnknownNameError, match=r"qwen2\.5-coder-1\.5b"):
        some_workers(load_pool(POOL), ["qwen2.5-coder-1.5"])


def test_a_track_of_parts_plays_what_it_names_and_has_a_folder_of_its_own():
    name = own_track(POOL, SUITE, "test", "recorded")
    assert folder_of(name) == "small-llms-small-llms-v1-test-recorded"
    made = evaluate("best-single", name, 12, (0.05,))
    again = evaluate("best-single", "small-llms", 12, (0.05,))
    assert made.at == again.at
    assert made.kind == "recorded"
    with pytest.raises(UnknownNameError, match="recorded"):
        find_track(f"{POOL}@{SUITE}@test@recoded")


def test_an_agent_that_looks_ahead_or_leaves_the_recording_shows_why_it_does_not_apply():
    ahead = evaluate("clairvoyant", "small-llms", 6, (0.05,))
    assert "have not given yet" in str(ahead.not_applicable)
    deep = evaluate("self-reflection", "small-llms", 88, (0.0,))
    assert deep.not_applicable is None or "holds no such call" in deep.not_applicable


def test_a_price_is_told_before_a_live_run():
    track = find_track("live")
    told = price_estimate("cascade", track, 20, 0.05, 1.0)
    assert told.expected is not None
    assert 0.0 < told.expected < told.at_most == 1.0
    assert "simulated" in str(told)
