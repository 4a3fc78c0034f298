"""A journal is a recording: it replays calls, and everything that reads recordings reads it."""

import asyncio
import gzip
import random
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from journal_calls import HEADER, reply, request
from typer.testing import CliRunner

from conductor_gym.cli import app
from conductor_gym.errors import ConductorError, DataFileError, NotRecordedError, UnknownNameError
from conductor_gym.live.journal import Journal
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.live.replay import Replay
from conductor_gym.recordings.journal_table import Call, calls, solve_table
from conductor_gym.recordings.recording import load_recording
from conductor_gym.types import Status, Subtask
from conductor_gym.workers.pool import load_pool

QUERIES = 240
PRICES = {"tiny": (100, 400), "small": (1_000, 3_000)}
"""nano-USD per token, in and out."""


def _write(path: Path, asked: ChatRequest, found: ChatReply, **outcome: object) -> None:
    with Journal.open(path, HEADER) as journal:
        journal.sent(asked, 10**7)
        journal.replied(asked, found)
        if outcome:
            journal.graded(asked.key, outcome)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two workers, two attempts at each of many queries, and calls that are no single solves."""
    path = tmp_path_factory.mktemp("recorded") / "run.jsonl"
    luck = random.Random(3)
    todo = [(i, w, k) for i in range(QUERIES) for w in PRICES for k in range(2)]
    luck.shuffle(todo)  # as they come back where many are in flight
    with Journal.open(path, HEADER) as journal:
        for i, worker, k in todo:
            asked = request(i, k, worker)
            tokens = luck.randrange(20, 60), luck.randrange(1, 40)
            cost = sum(n * p for n, p in zip(tokens, PRICES[worker], strict=True))
            text = f"Answer: {i + k}"
            journal.sent(asked, 10**7)
            journal.replied(asked, ChatReply(Status.OK, text, *tokens, cost, 500_000 + i))
            right = float(luck.random() < (0.4 if worker == "tiny" else 0.7))
            answer = 1_000 * i + int(right)
            journal.graded(asked.key, {"status": 0, "answer": answer, "score": right})
        for i in range(3):
            seen = request(i, 7, subtask="verify", target=4)
            journal.replied(seen, reply(i, "Verdict: wrong"))
            journal.graded(seen.key, {"status": Status.OK, "verdict": 0, "confidence": 0.9})
            journal.replied(request(i, 8, level=2), reply(i))
        journal.sent(request(0, 9), 5_000)
    return path


def test_calls_are_rows_in_the_order_in_which_they_were_sent(recorded: Path) -> None:
    rows = list(calls(recorded))
    assert len(rows) == 4 * QUERIES + 6, "one was never answered"
    assert [row.line for row in rows] == sorted(row.line for row in rows)
    assert sum(row.is_single for row in rows) == 4 * QUERIES
    verdict = next(row for row in rows if row.subtask == "verify")
    assert verdict == Call(
        line=verdict.line,
        key=verdict.key,
        uid="q0",
        domain="sums",
        worker="tiny",
        subtask="verify",
        part=-1,
        level=0,
        attempt=7,
        target=4,
        status="ok",
        answer=None,
        confidence=0.9,
        verdict=0,
        score=None,
        tokens_in=12,
        tokens_out=5,
        usd=1e-6,
        seconds=0.25,
        text="Verdict: wrong",
        about=verdict.about,
    )
    assert verdict.about["stream"] == 0


def test_attempts_are_in_the_order_of_the_run_whatever_came_back_first(recorded: Path) -> None:
    (_, header), *rows = solve_table(recorded)
    table = [dict(zip(header, cells, strict=True)) for _, cells in rows]
    assert len(table) == 4 * QUERIES
    text = {(c.uid, c.worker, c.attempt): c for c in calls(recorded)}
    for row in table:
        call = text[row["query"], row["worker"], int(row["attempt"]) - 1]
        assert float(row["score"]) == call.score
        assert row["answer"] == str(call.answer)
        assert round(float(row["usd"]) * 1e9) == round(call.usd * 1e9)


def test_failed_ungraded_and_part_calls_stand_in_the_table_as_what_they_are(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, request(0), ChatReply(Status.TIMEOUT, "", latency=60_000_000))
    _write(path, request(1), reply(1), status="malformed", answer=-1, score=0.0)
    _write(path, request(2, part=1), reply(2), status="ok", answer="Paris", score=1.0)
    _write(path, request(3), reply(3))
    rows = {cells[0]: cells for _, cells in solve_table(path)}
    assert rows["q0"][4:] == ["", "", "0", "0", "0.000000000", "60.000000", "timeout"]
    assert rows["q1"][4:6] == ["0.0", ""]
    assert rows["q1"][-1] == "malformed"
    assert rows["q2#1"][4:6] == ["1.0", "Paris"]
    assert rows["q3"][4] == "", "not graded: no record"


def test_a_recording_of_it_holds_the_calls_as_they_were(recorded: Path) -> None:
    found = load_recording(str(recorded))
    assert set(found.outcomes.workers) == set(PRICES)
    assert found.outcomes.score.shape == (QUERIES, 2, 2)
    by_place = {(c.uid, c.worker, c.attempt): c for c in calls(recorded) if c.is_single}
    for (uid, worker, k), call in by_place.items():
        at = found.queries.uids.index(uid), found.column(worker), k
        for name in ("score", "tokens_in", "tokens_out", "usd", "seconds"):
            values = getattr(found.outcomes, name)
            assert values[at] == pytest.approx(getattr(call, name), abs=1e-12)


def test_a_journal_is_a_pool_and_a_suite_that_replay_it(recorded: Path, tmp_path: Path) -> None:
    packed = tmp_path / "run.jsonl.gz"
    packed.write_bytes(gzip.compress(recorded.read_bytes()))
    played = [_play(str(path)) for path in (recorded, packed)]
    assert played[0] == played[1]
    assert played[0][0] > 0


def _play(name: str) -> tuple[int, float]:
    env = gym.make("conductor_gym:Conductor-v0", pool=name, suite=name, split="test")
    cost, quality = 0, 0.0
    for seed in range(20):
        env.reset(seed=seed)
        env.step(np.array([0, Subtask.SOLVE, 0]))
        *_, info = env.step(np.array([0, Subtask.SUBMIT, 0]))
        cost += round(info["cost_usd"] * 1e9)
        quality += info["quality"]
    return cost, quality


def test_fit_reads_a_journal_and_its_prices(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    done = CliRunner().invoke(app, ["fit", str(recorded), "--out", str(out)])
    assert done.exit_code == 0, done.output
    pool = load_pool(str(out))
    for worker in pool.workers:
        told = (worker.usd_per_m_input, worker.usd_per_m_output)
        assert told == pytest.approx([p / 1_000 for p in PRICES[worker.name]], rel=1e-6)
    assert pool.accuracy is not None
    mean = {w: sum(by.values()) for w, by in pool.accuracy.values.items()}
    assert mean["small"] > mean["tiny"]


def test_a_journal_without_solves_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, request(0, subtask="plan"), reply(0))
    with pytest.raises(DataFileError, match="no answered solve at context level 0"):
        load_recording(str(path))
    (tmp_path / "tasks.jsonl").write_text('{"prompt": "x"}\n')
    with pytest.raises(UnknownNameError, match="journal of live calls"):
        load_recording(str(tmp_path / "tasks.jsonl"))


def test_a_replay_answers_from_the_journal_and_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _write(path, request(0), reply(0))
    with Journal.open(path, HEADER) as journal:
        journal.sent(request(1), 5_000)
    replay = Replay(path)
    assert replay.warnings == ()
    assert asyncio.run(replay.ask(request(0), 0)) == reply(0)
    for asked, why in (
        (request(1), "the run ended before the reply"),
        (request(0, max_tokens=9), "is there with other max_tokens"),
        (request(2), "Only the calls that its run made"),
    ):
        with pytest.raises(NotRecordedError, match=why) as caught:
            asyncio.run(replay.ask(asked, 0))
        assert isinstance(caught.value, ConductorError)
        uid = asked.about["uid"]
        assert f"worker 'tiny', subtask solve, query '{uid}', attempt 0" in str(caught.value)
