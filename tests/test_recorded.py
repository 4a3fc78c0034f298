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
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.recordings.card import RecordingCard
from conductor_gym.recordings.detect import load_recording_card
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


def card_of(pool: str) -> RecordingCard:
    name = load_pool(pool).recording
    assert name is not None
    return load_recording_card(name)


def check_against_tables(config: EnvConfig, folder: Path) -> None:
    """Every query of the split, every worker: quality, tokens, and the bill of two solves."""
    pool, card = load_pool(config.pool), card_of(config.pool)
    column = card.queries.uid
    assert column is not None
    assert card.outcomes.output_characters is not None
    right = rows_of(folder / card.outcomes.files[0], column)
    characters = rows_of(folder / card.outcomes.output_characters, column)
    questions = rows_of(folder / card.queries.files[0], column)

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
        prompt = "\n\n".join(questions[uid][name] for name in card.queries.text)
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
    pool, card, suite = load_pool(name), card_of(name), load_suite_card(name)
    assert suite.recorded is not None
    assert card.queries.uid is not None
    splits = {split: load_split(name, split) for split in suite.splits}
    told = [uid for split in splits.values() for uid in split.ids]
    right = rows_of(recorded_folder / card.outcomes.files[0], card.queries.uid)
    questions = rows_of(recorded_folder / card.queries.files[0], card.queries.uid)
    whole = [u for u in questions if u in right and all(right[u][n] for n in pool.worker_names)]
    assert len(set(told)) == len(told)
    assert sorted(told) == sorted(whole)
    for split, share in suite.recorded.shares.items():
        # A hash of each id decides: the shares are those of independent draws.
        deviation = math.sqrt(share * (1 - share) * len(whole))
        assert abs(len(splits[split].uids) - share * len(whole)) < 4 * deviation
        assert set(splits[split].domains) == set(splits["train"].domains)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "recording"), [("gsm8k", "zeroeval_gsm"), ("crux", "zeroeval_crux")]
)
def test_a_query_stays_in_its_split_whatever_workers_are_left_out(
    recorded_folder: Path, name: str, recording: str
):
    """The suite of seven workers and that of all of them, which has fewer whole queries."""
    assert recorded_folder
    few = {uid: split for split in ("train", "dev", "test") for uid in load_split(name, split).ids}
    every = {
        uid: split for split in ("train", "dev", "test") for uid in load_split(recording, split).ids
    }
    assert set(every) <= set(few)
    assert every == {uid: few[uid] for uid in every}


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
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def changed(path: Path, change: Callable[[str], str]) -> None:
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(change(text).encode()))


GRADES = [0, 1, 0.25, 1, 0]
CORRECT, CHARACTERS = "zeroeval/gsm_correct.csv.gz", "zeroeval/gsm_output_chars.csv.gz"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Path]:
    """Settings for a small recording in gsm8k's format, and its folder."""
    folder = tmp_path / "recorded"
    names = load_pool("gsm8k").worker_names
    ids = [f"q{i}" for i in range(QUESTIONS)]
    tables = {
        "zeroeval/gsm_questions.csv.gz": [
            ["id", "question"],
            *([u, f'{u}: two lines,\n"quoted" {"é" * i}'] for i, u in enumerate(ids)),
        ],
        CORRECT: [
            ["id", *names],
            *([u, *(GRADES[(i + w) % 5] for w in range(7))] for i, u in enumerate(ids)),
        ],
        CHARACTERS: [
            ["id", *names],
            *([u, *(37 * i + w for w in range(7))] for i, u in enumerate(ids[::-1])),
        ],
    }
    for name, rows in tables.items():
        write(folder / name, rows)
    monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(folder))
    return {"pool": "gsm8k", "suite": "gsm8k", "cost_weight": 0.0, "budget_usd": 10.0}, folder


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_own_table_is_replayed_exactly(own: Any, split: str):
    settings, folder = own
    check_against_tables(EnvConfig(**settings, split=split), folder)


def test_own_table_allows_only_what_it_holds(own: Any):
    check_valid_actions(ConductorEnv(**own[0], split="test"))


def test_no_choice_of_assumptions_lets_a_recorded_call_exceed_the_budget(
    own: Any, edited: Callable[..., str]
):
    settings: dict[str, Any] = own[0]
    cap = (r"output_cap = \{ low = 8192", "output_cap = { low = 1")
    pool = edited(POOL, cap)
    changed: dict[str, Any] = {"pool": pool, "assumptions": "low", "budget_usd": 0.0002}
    try:
        env = ConductorEnv(**{**settings, **changed})
    except DataFileError:
        return  # refused: as good
    for index in range(30):
        env.reset(seed=0, options={"episode_index": index})
        assert env.step(np.array([0, SOLVE, 0]))[4]["cost_usd"] <= 0.0002


def test_splits_do_not_depend_on_the_order_of_the_file(own: Any):
    settings, folder = own
    before = load_split(settings["suite"], "test")
    path = folder / "zeroeval/gsm_questions.csv.gz"
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
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
    write(
        other / CORRECT,
        [
            ["id", *load_pool("gsm8k").worker_names],
            *([f"q{i}", *[1] * 7] for i in range(QUESTIONS)),
        ],
    )
    monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(other))
    assert before.min() == 0.0
    assert qualities().min() == 1.0
    assert hashes()["suite"] == told["suite"]
    assert hashes()["outcomes"] != told["outcomes"]


def test_the_tables_are_read_again_when_they_change(own: Any):
    settings, folder = own
    before = make_world(EnvConfig(**settings)).content_hashes()
    changed(folder / CORRECT, lambda text: text.replace("0.25", "0.75"))
    assert make_world(EnvConfig(**settings)).content_hashes()["outcomes"] != before["outcomes"]


@pytest.mark.parametrize(
    ("file", "change", "parts"),
    [
        (CORRECT, ("q7,0.25", "q7,2"), ("line 9", "'2' is not a score in [0, 1]")),
        (CORRECT, ("q7,0.25", "q6,0.25"), ("line 9", "'q6' appears again (first on line 8)")),
        (CORRECT, ("q7,0.25", "q700,0.25"), ("line 9", "'q700' does not stand in", "Add it")),
        (
            CHARACTERS,
            ("q52,259", "q52,-1"),
            ("line 9", "'-1' is not a number of output characters"),
        ),
        (CHARACTERS, ("q52,259", "q52,40000"), ("output_cap of 8192", "Raise")),
    ],
    ids=str,
)
def test_a_broken_recording_is_refused_with_file_and_place(
    own: Any, file: str, change: Any, parts: Any
):
    settings, folder = own
    text = gzip.decompress((folder / file).read_bytes()).decode()
    assert change[0] in text
    changed(folder / file, lambda text: text.replace(*change))
    errors: list[str] = []
    for split in ("train", "dev", "test"):
        try:
            Engine(EnvConfig(**settings, split=split))
        except DataFileError as error:
            errors.append(str(error))
    assert errors
    for part in (file, *parts):
        assert all(part in message for message in errors)


def test_a_worker_that_the_pool_names_must_be_in_the_table(own: Any):
    settings, folder = own
    for file in (CORRECT, CHARACTERS):
        changed(folder / file, lambda text: text.replace("gemma-2-9b-it", "gemma-2"))
    with pytest.raises(DataFileError, match=r"unknown worker 'gemma-2-9b-it'\. Did you mean"):
        ConductorEnv(**settings)


def test_a_query_without_a_record_of_a_pools_worker_is_refused(own: Any, edited: Any):
    settings, folder = own
    (uid, *_) = load_split("gsm8k", "train").ids
    score = GRADES[int(uid[1:]) % 5]
    changed(folder / CORRECT, lambda text: text.replace(f"\n{uid},{score},", f"\n{uid},,"))
    suite = edited(SUITE, (r'"claude-3-5-sonnet-20241022", ', ""))
    assert uid not in load_split("gsm8k", "train").ids
    with pytest.raises(DataFileError, match=f"has no record of query '{uid}'.*complete_for"):
        ConductorEnv(**{**settings, "suite": suite})


def test_a_pool_on_the_queries_of_another_recording_is_refused_as_such(own: Any, tmp_path: Path):
    other = tmp_path / "other.csv"
    rows = "".join(f"other-{i},{i % 2},1\n" for i in range(QUESTIONS))
    other.write_text(f"query,a,b\n{rows}", encoding="utf-8")
    with pytest.raises(DataFileError, match="come from different recordings"):
        ConductorEnv(**own[0] | {"suite": str(other)})
    with pytest.raises(ConfigError, match="goes with the suite of the same recording"):
        ConductorEnv(pool="gsm8k", suite="paper-v1")
