"""A table of outcomes as a pool and a suite: what it holds is replayed, what it costs is billed."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from conductor_gym.env import ConductorEnv
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.tasks.suite import load_split
from conductor_gym.types import Status
from conductor_gym.workers.pool import Pool, load_pool
from conductor_gym.workers.recording_pool import recording_pool

SOLVE, VOTE, SUBMIT = 0, 6, 7
COLUMNS = [
    *["query", "domain", "text", "worker", "attempt", "score", "answer"],
    *["tokens_in", "tokens_out", "usd", "seconds", "status"],
]
WORKERS = ("a", "b", "c")
PRICES = {"a": (2.0, 8.0), "b": (0.5, 1.5), "c": (0.1, 0.1)}
QUERIES = 40

Row = dict[str, Any]


def calls() -> list[Row]:
    """Two attempts of three workers at every query, in a fixed pattern."""
    rows: list[Row] = []
    for q in range(QUERIES):
        for w, worker in enumerate(WORKERS):
            for attempt in (1, 2):
                tokens = 60 + q + 5 * w, 30 + (7 * q + 11 * w + 13 * attempt) % 90
                price_in, price_out = PRICES[worker]
                failed = (q + w + attempt) % 11 == 0
                right = (q + w * attempt) % 3 == 0 and not failed
                rows.append(
                    {
                        "query": f"q{q}",
                        "domain": "law" if q % 2 else "math",
                        "text": f"question {q}, at some length",
                        "worker": worker,
                        "attempt": attempt,
                        "score": int(right),
                        "answer": "" if failed else ("right" if right else f"wrong {(q + w) % 2}"),
                        "tokens_in": tokens[0],
                        "tokens_out": tokens[1],
                        "usd": (tokens[0] * price_in + tokens[1] * price_out) / 1e6,
                        "seconds": 0.5 + (q + 3 * w + attempt) / 8,
                        "status": "malformed" if failed else "ok",
                    }
                )
    return rows


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(rows, without=("usd",))``: path of a long table without these columns."""

    def write(rows: list[Row], without: tuple[str, ...] = (), name: str = "calls.csv") -> str:
        path = tmp_path / name
        columns = [column for column in COLUMNS if column not in without]
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            table.writerows(rows)
        return str(path)

    return write


def make(path: str, **settings: Any) -> gym.Env[Any, Any]:
    made: dict[str, Any] = {"pool": path, "suite": path, "cost_weight": 0.0, **settings}
    return gym.make("Conductor-v0", **made)


def test_a_long_table_is_replayed_exactly(write: Write):
    path = write(calls())
    told = {(row["query"], row["worker"], row["attempt"]): row for row in calls()}
    for split in ("train", "dev", "test"):
        size = len(load_split(path, split).uids)
        env = make(path, split=split, latency_weight=0.1)
        for index in range(size):
            _, info = env.reset(seed=0, options={"episode_index": index})
            query = info["uid"].removeprefix("calls/")
            assert info["prompt"].startswith(f"question {query[1:]},")
            newest, usd, seconds = 0.0, 0.0, 0.0
            for w, worker in enumerate(WORKERS):
                for attempt in (1, 2, 1):  # after the last attempt the first again
                    row = told[query, worker, attempt]
                    _, _, over, _, info = env.step(np.array([w, SOLVE, 0]))
                    assert not over
                    assert info["status"] == row["status"]
                    usd, seconds = usd + row["usd"], seconds + row["seconds"]
                    assert info["cost_usd"] == pytest.approx(usd, abs=1e-8)
                    assert info["latency_s"] == seconds
                    newest = row["score"] if row["status"] == "ok" else newest
            _, _, over, _, info = env.step(np.array([0, SUBMIT, 0]))
            assert over
            assert info["quality"] == newest


def test_vote_counts_recorded_answers_and_agreement_is_seen(write: Write):
    path = write(calls())
    told = {(row["query"], row["worker"], row["attempt"]): row for row in calls()}
    env = make(path)
    for index in range(len(load_split(path, "train").uids)):
        _, info = env.reset(seed=0, options={"episode_index": index})
        query = info["uid"].removeprefix("calls/")
        observation: Any = None
        for w in range(3):
            observation, *_ = env.step(np.array([w, SOLVE, 0]))
        rows = [told[query, worker, 1] for worker in WORKERS]
        ok = [row for row in rows if row["status"] == "ok"]
        assert observation["action_mask"][8 + VOTE] == 1
        if rows[2]["status"] == "ok" and len(ok) > 1:
            same = [row["answer"] == rows[2]["answer"] for row in ok[:-1]]
            assert observation["history"][2, 5] == pytest.approx(np.mean(same))
        votes = [sum(other["answer"] == row["answer"] for other in ok) for row in ok]
        winner = max(range(len(ok)), key=lambda k: (votes[k], k))
        env.step(np.array([0, VOTE, 0]))
        *_, info = env.step(np.array([0, SUBMIT, 0]))
        assert info["quality"] == ok[winner]["score"]


def test_an_answer_that_is_not_recorded_agrees_with_no_other(write: Write):
    rows = [
        row | {"answer": "" if row["worker"] != "a" else "x", "status": "ok"} for row in calls()
    ]
    env = make(write(rows))
    env.reset(seed=0)
    observation: Any = None
    for worker in (1, 2):
        observation, *_ = env.step(np.array([worker, SOLVE, 0]))
    assert observation["history"][1, 5] == 0.0


def test_without_answers_and_latencies_both_are_missing(write: Write):
    path = write(calls(), without=("answer", "seconds", "status"))
    env = make(path)
    observation, _ = env.reset(seed=0)
    assert observation["action_mask"][8 + VOTE] == 0
    observation, *_ = env.step(np.array([0, SOLVE, 0]))
    assert observation["history"][0, [4, 5, 6, 9]].tolist() == [-1.0] * 4
    with pytest.raises(ConfigError, match="no recorded latencies"):
        make(path, latency_weight=0.1)
    rows = calls()
    rows[7]["seconds"] = ""
    with pytest.raises(ConfigError, match="not for every call"):
        make(write(rows), latency_weight=0.1)


def prices_of(pool: Pool) -> dict[str, tuple[float, float]]:
    return {w.name: (w.usd_per_m_input, w.usd_per_m_output) for w in pool.workers}


def test_prices_are_implied_by_the_bills(write: Write):
    pool = load_pool(write(calls()))
    for name, (price_in, price_out) in prices_of(pool).items():
        assert price_in == pytest.approx(PRICES[name][0], rel=1e-4)
        assert price_out == pytest.approx(PRICES[name][1], rel=1e-4)
    assert {w.source for w in pool.workers} == {"fitted"}
    assert pool.output_cap.source == "recorded"
    assert {w.window for w in pool.workers} == {131_072}
    assert all("131,072 tokens are assumed" in w.note for w in pool.workers)


def test_bills_without_tokens_are_priced_by_a_stand_in(write: Write):
    path = write(calls(), without=("tokens_in", "tokens_out"))
    assert set(prices_of(load_pool(path)).values()) == {(0.0, 10.0)}
    env = make(path)
    _, info = env.reset(seed=0)
    query = info["uid"].removeprefix("calls/")
    (row,) = (r for r in calls() if (r["query"], r["worker"], r["attempt"]) == (query, "a", 1))
    *_, info = env.step(np.array([0, SOLVE, 0]))
    assert info["cost_usd"] == pytest.approx(row["usd"], abs=1e-9)
    inner: Any = env.unwrapped
    assert inner.engine.state.steps["tokens_out"][0, 0] == math.floor(row["usd"] * 1e5 + 0.5)


def test_an_unpriced_worker_is_an_error_that_says_how_to_price_it(write: Write, tmp_path: Path):
    path = write(calls(), without=("usd",))
    with pytest.raises(DataFileError) as caught:
        load_pool(path)
    for part in (path, "'a'", "usd_per_m_input", "`workers`", "[[workers]]"):
        assert part in str(caught.value)
    assumed = recording_pool(path, assume_prices=True)
    assert set(prices_of(assumed).values()) == {(1.0, 1.0)}
    assert {w.source for w in assumed.workers} == {"assumed"}

    table = tmp_path / "prices.csv"
    lines = [f"{name},{p},{q},4096" for name, (p, q) in PRICES.items()]
    table.write_text("\n".join(["worker,usd_per_m_input,usd_per_m_output,window", *lines]))
    pool = recording_pool(path, prices=table)
    assert prices_of(pool) == PRICES
    assert {w.window for w in pool.workers} == {4096}
    assert recording_pool(path, workers=("c", "a"), prices=table).worker_names == ("c", "a")
    with pytest.raises(DataFileError, match="unknown worker 'd'"):
        recording_pool(path, workers=("d",), prices=table)
    with pytest.raises(DataFileError, match="named twice: a"):
        recording_pool(path, workers=("a", "b", "a"), prices=table)


def test_a_folder_with_prices_is_a_pool_and_bills_tokens_at_them(write: Write, tmp_path: Path):
    write(calls(), without=("usd",), name="outcomes.csv")
    lines = [f"{name},{p},{q}" for name, (p, q) in PRICES.items()]
    (tmp_path / "workers.csv").write_text(
        "\n".join(["worker,usd_per_m_input,usd_per_m_output", *lines])
    )
    assert prices_of(load_pool(str(tmp_path))) == PRICES
    env = make(str(tmp_path))
    _, info = env.reset(seed=0)
    query = info["uid"].rpartition("/")[2]
    (row,) = (r for r in calls() if (r["query"], r["worker"], r["attempt"]) == (query, "b", 1))
    *_, info = env.step(np.array([1, SOLVE, 0]))
    assert info["cost_usd"] == pytest.approx(row["usd"], abs=1e-9)


def test_more_workers_than_slots_are_refused(tmp_path: Path):
    path = tmp_path / "many.csv"
    names = [f"m{i}" for i in range(65)]
    path.write_text(f"query,{','.join(names)}\nq1{',1' * 65}\nq2{',0' * 65}\n")
    with pytest.raises(DataFileError, match="65 workers, a pool holds at most 64"):
        recording_pool(str(path), assume_prices=True)


# --- the budget ----------------------------------------------------------------------------------

ODD: dict[str, Callable[[Row], Row]] = {
    "dear": lambda row: row | {"usd": row["usd"] * (50 if row["query"] == "q3" else 1)},
    "dear input": lambda row: row | {"usd": row["tokens_in"] * 3e-6},
    "one price": lambda row: row | {"usd": 0.001},
    "rising": lambda row: row | {"usd": int(row["query"][1:]) ** 2 * 1e-5},
    "free": lambda row: row | {"usd": 0.0},
    "long prompts": lambda row: row | {"tokens_in": row["tokens_in"] * 100},
    "gaps": lambda row: row | {"usd": "" if row["query"] == "q3" else row["usd"], "tokens_in": ""},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("without", [(), ("tokens_out",), ("tokens_in", "tokens_out")], ids=str)
def test_no_recorded_call_that_is_made_exceeds_the_budget(
    write: Write, odd: str, without: tuple[str, ...]
):
    path = write([ODD[odd](row) for row in calls()], without)
    pool = load_pool(path)
    dearest = max((w.usd_per_m_output for w in pool.workers), default=0.0)
    worst: Any = dearest * pool.output_cap.model_dump()["value"] / 1e6
    played = 0
    for budget in (max(worst * 1.01, 1e-4), max(worst * 2.3, 0.01), 10.0):
        try:
            env = ConductorEnv(pool=path, suite=path, cost_weight=0.0, budget_usd=min(budget, 10.0))
        except ConfigError:  # affords no call
            continue
        for index in range(len(load_split(path, "train").uids)):
            env.reset(seed=0, options={"episode_index": index})
            for step in range(9):
                *_, over, _, info = env.step(np.array([step % 3, SOLVE, 0]))
                assert info["cost_usd"] <= budget * (1 + 1e-9)
                played += 1
                if over:
                    break
    assert played > 100


def test_a_bill_above_the_worst_price_of_a_pool_file_is_refused(write: Write, tmp_path: Path):
    rows = calls()
    rows[0]["usd"] = 0.9
    path = write(rows)
    workers = "".join(
        f'[[workers]]\nuid = "{name}"\nname = "{name}"\nusd_per_m_input = 2\n'
        'usd_per_m_output = 8\nwindow = 4096\nsource = "published"\nnote = ""\n'
        for name in WORKERS
    )
    pool = tmp_path / "pool.toml"
    pool.write_text(
        f'name = "p"\ntitle = "t"\nbackend = "recorded"\nprices_as_of = "unknown"\n'
        f'recording = "{path}"\noverhead_tokens = {{ value = 99, source = "recorded" }}\n'
        f'output_cap = {{ value = 500, source = "recorded" }}\n{workers}'
    )
    errors: list[str] = []
    for split in ("train", "dev", "test"):
        try:
            ConductorEnv(pool=str(pool), suite=path, split=split)
        except DataFileError as error:
            errors.append(str(error))
    (message,) = errors
    for part in (path, "'a' was paid 0.900000 USD", "Raise output_cap", "prices"):
        assert part in message


def test_a_call_that_gave_nothing_is_not_billed_unless_a_bill_is_recorded(write: Write):
    rows = [row | {"status": "throttled", "score": "", "answer": ""} for row in calls()]
    for row in rows[: len(rows) // 2]:
        row["usd"] = ""
    env = make(write(rows))
    seen: set[bool] = set()
    for index in range(15):
        _, info = env.reset(seed=0, options={"episode_index": index})
        number = int(info["uid"].removeprefix("calls/q"))
        *_, info = env.step(np.array([0, SOLVE, 0]))
        assert info["status"] == Status.THROTTLED.name.lower()
        assert (info["cost_usd"] == 0.0) == (number < QUERIES // 2)
        seen.add(info["cost_usd"] == 0.0)
    assert seen == {True, False}


def test_too_few_whole_queries_name_the_worker_that_lacks_most(tmp_path: Path):
    path = tmp_path / "few.csv"
    path.write_text("query,a,b\nq1,1,\nq2,0,1\nq3,1,\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"1 queries .* 'b' has the fewest, 1: .*complete_for"):
        [load_split(str(path), split) for split in ("train", "dev", "test")]
