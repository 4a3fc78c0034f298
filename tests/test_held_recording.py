"""A track's journal, replayed script by script and held against the simulation of its pool."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from reference_asker import open_reference
from text_suites import pool_of, row, write_rows
from typer.testing import CliRunner

from conductor_gym.cli import app
from conductor_gym.config import EnvConfig
from conductor_gym.data_files import load_toml
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.held_assumptions import MEAN
from conductor_gym.leaderboard.held_measures import came, find
from conductor_gym.leaderboard.held_recording import assumed_again, hold_track
from conductor_gym.leaderboard.scripted_calls import NOT_PLAYED, SOLVE, VERIFY, play_recorded
from conductor_gym.live.open import open_replay
from conductor_gym.live.record import jobs_of, record, recording_config
from conductor_gym.live.scripts import Script, acts, solves
from conductor_gym.recordings.journal_table import calls
from conductor_gym.workers.pool import Pool, load_pool
from conductor_gym.world import make_world

TASKS = 40
PARTS = [
    {"domain": "law", "prompt": f"Is it {p}?", "reference": "yes", "verifier": "exact"}
    for p in range(2)
]
SCRIPTS = [*solves(2, 3), *acts(2)]


def write_pool(folder: Path, **changes: Any) -> str:
    """A pool that can be simulated, called and replayed."""
    pool_of(folder, ("math", "law"))
    card: dict[str, Any] = load_toml(folder / "two.toml", Pool).model_dump(exclude_none=True)
    for worker in card["workers"]:
        address = {"client": "openai", "model": worker["name"], "base_url": "http://127.0.0.1:9/v1"}
        worker["live"] = address
    card |= {"name": "both", "backend": "recorded", "journal": "calls.jsonl", **changes}
    path = folder / "both.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return str(path)


def recorded(folder: Path, scripts: list[Script], tasks: int = TASKS) -> tuple[str, str]:
    """Pool and suite, with the pool's journal recorded on the first tasks."""
    rows = [row(i, split="train") for i in range(TASKS)]
    rows.append(row(99, uid="both", split="train", parts=PARTS, reference=None, verifier=None))
    suite = write_rows(folder / "sums.jsonl", rows)
    pool = write_pool(folder)
    config = recording_config(pool, suite, "train", scripts)
    engine, _ = open_reference(config, 16, folder / "calls.jsonl", mute=0.1)
    try:
        record(engine, jobs_of(engine.world.data, range(tasks), scripts))
    finally:
        engine.close()
    return pool, suite


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Everything recorded."""
    return recorded(tmp_path_factory.mktemp("held"), SCRIPTS)


def replayed(pool: str, suite: str, uids: set[str] | None = None) -> Any:
    """All scripts out of the journal, and the uids that were kept."""
    config = EnvConfig(pool, suite, "train", cost_weight=0.0, budget_usd=10.0)
    world = make_world(config)
    engine = open_replay(config, len(world.data.uids), world)
    try:
        return play_recorded(engine, SCRIPTS, uids), world
    finally:
        engine.close()


def test_replayed_steps_are_the_journals_calls(whole: tuple[str, str]):
    played, world = replayed(*whole)
    kept = [uid for uid in world.data.uids if not uid.endswith("both")]
    assert len(played.domain) == TASKS
    by_place = {
        (c.uid, c.worker, c.attempt): c
        for c in calls(Path(whole[0]).parent / "calls.jsonl")
        if c.is_single
    }
    names = load_pool(whole[0]).worker_names
    for worker, name in enumerate(names):
        steps = find(played, ((worker, SOLVE, False),) * 3)
        assert steps is not None
        for q, uid in enumerate(kept):
            for attempt in range(3):
                call, step = by_place[uid, name, attempt], steps[q, attempt]
                assert (call.status == "ok") == (step["status"] == 0)
                if call.status == "ok":
                    assert (call.answer, call.score) == (step["answer"], step["score"])
    judged = find(played, ((0, SOLVE, False), (1, VERIFY, False)))
    assert judged is not None
    said = came(judged)
    assert said[:, 1].sum() > TASKS / 2
    assert not said[~said[:, 0], 1].any(), "nobody verifies where no answer came"


def test_calls_that_a_journal_lacks_are_not_played(tmp_path: Path):
    pool, suite = recorded(tmp_path, [*solves(2, 3)], tasks=10)
    uids = {call.uid for call in calls(tmp_path / "calls.jsonl")}
    played, _ = replayed(pool, suite, uids)
    assert len(played.domain) == 10
    steps = find(played, ((0, SOLVE, False), (1, VERIFY, False)))
    assert steps is not None
    assert came(steps)[:, 0].any()
    assert (steps["status"][:, 1] == NOT_PLAYED).all()


def test_a_tracks_journal_is_held_against_its_pool(whole: tuple[str, str], tmp_path: Path):
    track = "@".join((*whole, "train", "recorded"))
    words = ["fidelity", "assumed", "--held", track, "--json", "--page", str(tmp_path / "p.md")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["held"]
    assert (found["queries"], found["attempts"]) == (TASKS, 3)
    rows = {one["name"]: one for one in found["rows"] if one["who"] == MEAN}
    # These workers answer by luck alone: nothing stays, no verdict knows.
    assert rows["d' on others' answers"]["low"] < 0 < rows["d' on others' answers"]["high"]
    assert rows["malformed verdicts"]["verdict"] == "above"
    text = (tmp_path / "p.md").read_text(encoding="utf-8")
    assert "## Assumed parameters, held against live calls" in text
    assert "(p-held.png)" in text
    assert (tmp_path / "p-held.png").exists()


def test_what_a_fit_measured_is_assumed_again(whole: tuple[str, str]):
    pool = load_pool(whole[0])
    known = {"value": 0.9, "source": "fitted"}
    values: dict[str, Any] = pool.model_dump(exclude_none=True)
    values["model"]["kappa"] = known
    for domain in values["domains"].values():
        domain["attractor"] = known
    again = assumed_again(Pool.model_validate(values))
    assert again.model is not None
    assert again.model.kappa == load_pool("paper").model.kappa  # pyright: ignore[reportOptionalMemberAccess]
    assert all(card.attractor.source == "assumed" for card in again.domains.values())
    assert assumed_again(pool).domains == pool.domains


def test_a_track_without_journal_or_simulation_is_refused(whole: tuple[str, str], tmp_path: Path):
    with pytest.raises(ConfigError, match="names no journal"):
        hold_track("paper")
    assert "--held TRACK" in str(CliRunner().invoke(app, ["fidelity", "assumed"]).exception)
    folder = Path(whole[0]).parent
    other = write_rows(tmp_path / "other.jsonl", [row(i, uid=f"x-{i}") for i in range(9)])
    with pytest.raises(ConfigError, match="holds no query of suite"):
        hold_track("@".join((str(folder / "both.toml"), other, "train", "recorded")))
