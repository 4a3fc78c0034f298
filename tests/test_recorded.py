"""The recorded backend against its tables, read here by nothing but `csv`."""

import csv
import gzip
import io
import math
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.env import ConductorEnv
from conductor_gym.errors import DataFileError
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import make_world

RECORDINGS = ("mmlu-pro", "gsm8k", "crux")
SOLVE, VERIFY, VOTE, SUBMIT = 0, 2, 6, 7
POOL, SUITE = "workers/pools/gsm8k.toml", "tasks/suites/gsm8k.toml"


def rows_of(path: Path, id_column: str) -> dict[str, dict[str, str]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    csv.field_size_limit(10**7)
    table = csv.DictReader(io.StringIO(raw.decode(), newline=""))
    return {row[id_column]: row for row in table}


def check_against_tables(config: EnvConfig, folder: Path) -> None:
    """Every query of the split, every worker: quality, tokens, and the bill of two solves."""
    pool, card = load_pool(config.pool), load_suite_card(config.suite).recorded
    assert pool.recording is not None
    assert card is not None
    column = pool.recording.id_column
    right = rows_of(folder / pool.recording.outcomes, column)
    characters = rows_of(folder / pool.recording.output_characters, column)
    questions = rows_of(folder / card.queries, card.id_column)

    uids = load_split(config.suite, config.split).ids
    n, workers = len(uids), len(pool.workers)
    engine = Engine(config, n)
    observation = engine.new_observation()
    slots = np.arange(n)
    engine.start(slots, np.zeros_like(slots), slots, observation)
    for worker in (*range(workers), 0):
        engine.step(np.tile([worker, SOLVE, 0], (n, 1)), observation)
    steps: Any = engine.state.steps
    order: list[str] = [uids[query] for query in engine.episodes["query"]]
    assert sorted(order) == sorted(uids)
    for i, uid in enumerate(order):
        prompt = "\n\n".join(questions[uid][name] for name in card.text_columns)
        tokens_in = math.ceil(len(prompt) / 4)
        for w, worker in enumerate(pool.workers):
            tokens_out = math.ceil(int(characters[uid][worker.name]) / 4)
            exact = 1000 * (
                tokens_in * Fraction(str(worker.usd_per_m_input))
                + tokens_out * Fraction(str(worker.usd_per_m_output))
            )
            step = steps[i, w]
            assert step["score"] == float(right[uid][worker.name])
            assert (step["tokens_in"], step["tokens_out"]) == (tokens_in, tokens_out)
            assert step["cost"] == math.floor(exact + Fraction(1, 2))
            assert (step["status"], step["answer"], step["confidence"]) == (0, -1, -1.0)
    # Asking the first worker again gives the same row, billed again.
    for name in ("score", "tokens_out", "cost", "status"):
        assert np.array_equal(steps[name][:, 0], steps[name][:, workers])
    assert np.array_equal(engine.episodes["cost"], steps["cost"][:, : workers + 1].sum(axis=1))
    engine.step(np.tile([0, SUBMIT, 0], (n, 1)), observation)
    assert np.array_equal(engine.episodes["quality"], steps["score"][:, 0])


def check_valid_actions(env: ConductorEnv) -> None:
    """Only solve and submit, only level 0, and nothing told that the table does not hold."""
    workers = len(load_pool(env.config.pool).workers)
    observation, info = env.reset(seed=0)
    assert info["prompt"]
    for _ in range(2):
        mask = observation["action_mask"].tolist()
        assert mask[:8] == [1] * workers + [0] * (8 - workers)
        assert mask[8:16] == [1, 0, 0, 0, 0, 0, 0, 1]
        assert mask[16:] == [1, 0, 0, 0, 0, 0, 0]
        observation, *_ = env.step(np.array([0, SOLVE, 0]))
    # confidence, agreement, verdict, latency, part
    assert observation["history"][1, [4, 5, 6, 9, 10]].tolist() == [-1.0] * 5
    # last confidence, agrees with the current answer
    assert observation["workers"][0, [8, 10]].tolist() == [-1.0] * 2
    for action, rule in (
        ((0, SOLVE, 1), "level_unsupported"),
        ((0, VERIFY, 0), "subtask_unsupported"),
        ((0, VOTE, 0), "answers_without_identity"),
    ):
        assert env.step(np.array(action))[4]["invalid"] == rule
    _, _, over, _, info = env.step(np.array([7, SUBMIT, 6]))
    assert over
    assert info["invalid"] is None


@pytest.mark.recorded
@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("name", RECORDINGS)
def test_outcomes_and_costs_equal_the_table(recorded_folder: Path, name: str, split: str):
    config = EnvConfig(pool=name, suite=name, split=split, cost_weight=0.0, budget_usd=10.0)
    check_against_tables(config, recorded_folder)


@pytest.mark.recorded
@pytest.mark.parametrize("name", RECORDINGS)
def test_splits_are_disjoint_and_cover_every_query_with_all_records(
    recorded_folder: Path, name: str
):
    pool, card = load_pool(name), load_suite_card(name).recorded
    assert pool.recording is not None
    assert card is not None
    splits = {split: load_split(name, split) for split in card.shares}
    told = [uid for split in splits.values() for uid in split.ids]
    right = rows_of(recorded_folder / pool.recording.outcomes, pool.recording.id_column)
    questions = rows_of(recorded_folder / card.queries, card.id_column)
    whole = [u for u in questions if u in right and all(right[u][n] for n in pool.worker_names)]
    assert len(set(told)) == len(told)
    assert sorted(told) == sorted(whole)
    for split, share in card.shares.items():
        assert len(splits[split].uids) == pytest.approx(share * len(whole), abs=1)
        assert set(splits[split].domains) == set(splits["train"].domains)


@pytest.mark.recorded
@pytest.mark.parametrize("name", RECORDINGS)
def test_only_solve_submit_and_level_0_are_valid(recorded_folder: Path, name: str):
    assert recorded_folder
    check_valid_actions(ConductorEnv(pool=name, suite=name, split="test"))


@pytest.mark.recorded
@pytest.mark.parametrize("name", RECORDINGS)
def test_real_text_fills_the_query_row(recorded_folder: Path, name: str):
    assert recorded_folder
    split = load_split(name, "dev")
    assert split.prompts is not None
    assert np.abs(split.features).max() <= 1.0
    lengths = np.linalg.norm(split.features[:, :32], axis=1)
    assert np.allclose(lengths, 1.0, atol=1e-6)
    assert np.array_equal(split.features[:, 32:48].sum(axis=1), np.ones(len(split.uids)))
    assert (split.features[:, 48] == 1.0).all()


# --- a table of our own, on every machine --------------------------------------------------------

QUESTIONS = 60


def write(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def own(
    tmp_path: Path, edited: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], Path]:
    """Settings for a small recording in gsm8k's format, and its folder."""
    folder = tmp_path / "recorded"
    names = load_pool("gsm8k").worker_names
    ids = [f"q{i}" for i in range(QUESTIONS)]
    write(
        folder / "zeroeval/gsm_questions.csv",
        [
            ["id", "question"],
            *([u, f'{u}: two lines,\n"quoted" {"é" * i}'] for i, u in enumerate(ids)),
        ],
    )
    grades = [0, 1, 0.25, 1, 0]
    write(
        folder / "zeroeval/gsm_correct.csv",
        [
            ["id", *names],
            *([u, *(grades[(i + w) % 5] for w in range(7))] for i, u in enumerate(ids)),
        ],
    )
    write(
        folder / "zeroeval/gsm_output_chars.csv",
        [["id", *names], *([u, *(37 * i + w for w in range(7))] for i, u in enumerate(ids[::-1]))],
    )
    monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(folder))
    csv_pool = [(r"(?<=correct)\.csv\.gz", ".csv"), (r"(?<=chars)\.csv\.gz", ".csv")]
    files = {"pool": edited(POOL, *csv_pool), "suite": edited(SUITE, (r"\.csv\.gz", ".csv"))}
    return {**files, "cost_weight": 0.0, "budget_usd": 10.0}, folder


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_own_table_is_replayed_exactly(own: Any, split: str):
    settings, folder = own
    check_against_tables(EnvConfig(**settings, split=split), folder)


def test_own_table_allows_only_what_it_holds(own: Any):
    check_valid_actions(ConductorEnv(**own[0], split="test"))


def test_no_choice_of_assumptions_lets_a_recorded_call_exceed_the_budget(
    own: Any, edited: Callable[..., str]
):
    settings, _ = own
    cap = (r"output_cap = \{ low = 8192", "output_cap = { low = 1")
    packed = [(r"(?<=correct)\.csv\.gz", ".csv"), (r"(?<=chars)\.csv\.gz", ".csv")]
    pool = edited(POOL, cap, *packed)
    changed: dict[str, Any] = {"pool": pool, "assumptions": "low", "budget_usd": 0.0002}
    try:
        env = ConductorEnv(**{**settings, **changed})
    except DataFileError:
        return  # refused: as good
    for index in range(30):
        env.reset(seed=0, options={"episode_index": index})
        assert env.step(np.array([0, SOLVE, 0]))[4]["cost_usd"] <= 0.0002


def test_splits_do_not_depend_on_the_order_of_the_file(own: Any, edited: Callable[..., str]):
    settings, folder = own
    before = load_split(settings["suite"], "test")
    path = folder / "zeroeval/gsm_questions.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    write(path, [header, *rows[::-1]])
    after = load_split(settings["suite"], "test")
    assert after.uids == before.uids
    assert after.content_hash() == before.content_hash()


def test_another_folder_of_tables_is_read_when_the_variable_changes(
    own: Any, monkeypatch: pytest.MonkeyPatch
):
    settings, folder = own

    def qualities() -> Any:
        engine = Engine(EnvConfig(**settings), 30)
        slots = np.arange(30)
        engine.start(slots, np.zeros_like(slots), slots, engine.new_observation())
        return engine.first_solves(slots).quality

    def hashes() -> dict[str, str]:
        return make_world(EnvConfig(**settings)).content_hashes()

    before, told = qualities(), hashes()
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    path = other / "zeroeval/gsm_correct.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *(f"{row.split(',')[0]},1,1,1,1,1,1,1" for row in rows)]))
    monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(other))
    assert before.min() == 0.0
    assert qualities().min() == 1.0
    assert hashes()["suite"] == told["suite"]
    assert hashes()["outcomes"] != told["outcomes"]


@pytest.mark.parametrize(
    ("file", "change", "parts"),
    [
        ("gsm_correct.csv", ("q7,0.25", "q7,2"), ("line 9", "'2' is not a number in [0, 1]")),
        ("gsm_correct.csv", ("q7,0.25", "q7,"), ("has no record of query 'q7'",)),
        ("gsm_correct.csv", ("q7,0.25", "q6,0.25"), ("line 9", "'q6' appears again")),
        ("gsm_correct.csv", ("gemma-2-9b-it", "gemma-2"), ("unknown column 'gemma-2-9b-it'",)),
        ("gsm_output_chars.csv", ("q52,259", "q52,-1"), ("line 9", "'-1' is not a number")),
        ("gsm_output_chars.csv", ("q52,259", "q52,40000"), ("output_cap of 8192", "Raise")),
    ],
    ids=str,
)
def test_a_broken_recording_is_refused_with_file_and_place(
    own: Any, file: str, change: Any, parts: Any
):
    settings, folder = own
    path = folder / "zeroeval" / file
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    errors: list[str] = []
    for split in ("train", "dev", "test"):
        try:
            Engine(EnvConfig(**settings, split=split))
        except DataFileError as error:
            errors.append(str(error))
    assert errors
    for part in (file, *parts):
        assert all(part in message for message in errors)


def test_a_pool_on_the_queries_of_another_recording_is_refused_as_such(own: Any, tmp_path: Path):
    settings, folder = own
    path = folder / "zeroeval/gsm_correct.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("q", "other-"), encoding="utf-8")
    with pytest.raises(DataFileError, match="come from different recordings"):
        ConductorEnv(**settings)
