"""Recorded outcomes: every layout and file format of the same data gives the same recording."""

import csv
import gzip
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conductor_gym.recordings.recording import Recording, load_recording
from conductor_gym.types import Status

Rows = list[list[str]]
Writer = Callable[[Path, Rows], Path]


def write_csv(path: Path, rows: Rows) -> Path:
    path = path.with_name(f"{path.name}.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def write_packed(path: Path, rows: Rows) -> Path:
    plain = write_csv(path, rows)
    packed = plain.with_name(f"{plain.name}.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return packed


def write_parquet(path: Path, rows: Rows) -> Path:
    path = path.with_name(f"{path.name}.parquet")
    module: Any = parquet
    columns = {name: [row[i] or None for row in rows[1:]] for i, name in enumerate(rows[0])}
    module.write_table(arrow.table(columns), path)  # pyright: ignore
    return path


WRITERS: dict[str, Writer] = {"csv": write_csv, "csv.gz": write_packed, "parquet": write_parquet}


def same(one: Recording, other: Recording) -> None:
    """Equal but for the card, the order of queries and the order of workers."""
    assert set(one.queries.uids) == set(other.queries.uids)
    assert set(one.outcomes.workers) == set(other.outcomes.workers)
    rows = [other.queries.uids.index(uid) for uid in one.queries.uids]
    columns = [other.outcomes.workers.index(name) for name in one.outcomes.workers]
    for name in ("domains", "prompts"):
        left, right = getattr(one.queries, name), getattr(other.queries, name)
        assert left == (None if right is None else tuple(right[i] for i in rows))
    for name in ("score", "tokens_in", "tokens_out", "usd", "seconds", "answer", "status"):
        left, right = getattr(one.outcomes, name), getattr(other.outcomes, name)
        if left is None:
            assert right is None, name
        else:
            np.testing.assert_array_equal(left, right[rows][:, columns], err_msg=name)
    assert list(one.workers) == [other.workers[c] for c in columns]


MARKED = ("answer", "tokens_in", "tokens_out", "usd", "seconds")
score = st.sampled_from(["0", "1", "0.25", "", "True", "false", "nan", "1e-3"])
texts = st.text(st.sampled_from("abcé,;\"\n'| "), min_size=1, max_size=9).map(lambda t: f"x{t}x")
number = st.sampled_from(["", "0", "7", "120.5"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Queries, workers, and a cell of every kind for each pair of them."""
    workers = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    n = draw(st.integers(1, 5))
    queries = [[f"q{i}", draw(st.sampled_from(["math", "law"])), draw(texts)] for i in range(n)]
    cells: dict[tuple[int, str], list[str]] = {}
    for i in range(n):
        for name in workers:
            cell = [
                draw(score),
                draw(st.sampled_from(["", "A", "b"])),
                *(draw(number) for _ in "1234"),
            ]
            # A measure of a call that has no record says nothing.
            cells[i, name] = cell if cell[0] not in ("", "nan") else ["", *[""] * 5]
    for name in workers:
        cells[0, name][:2] = ["1", "A"]
    return {"queries": queries, "workers": workers, "cells": cells}


def wide_rows(table: dict[str, Any], query_columns: int) -> Rows:
    names = [*table["workers"], *(f"{w}|{m}" for m in MARKED for w in table["workers"])]
    rows = [[*["query", "domain", "text"][:query_columns], *names]]
    for i, query in enumerate(table["queries"]):
        cells = [table["cells"][i, name] for name in table["workers"]]
        rows.append([*query[:query_columns], *(cell[k] for k in range(6) for cell in cells)])
    return rows


def long_rows(table: dict[str, Any], query_columns: int) -> Rows:
    head = [*["query", "domain", "text"][:query_columns], "worker", "score", *MARKED]
    rows = [head]
    for name in table["workers"]:
        for i, query in enumerate(table["queries"]):
            rows.append([*query[:query_columns], name, *table["cells"][i, name]])
    return rows


WORKERS = [["worker", "usd_per_m_input", "usd_per_m_output", "window"], ["a", "0.5", "2", "8192"]]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), order=st.randoms(use_true_random=False))
def test_every_layout_and_file_format_gives_the_same_recording(
    tmp_path: Path, table: dict[str, Any], order: Any
):
    first = load_recording(str(write_csv(tmp_path / "one", wide_rows(table, 3))))
    assert first.outcomes.score.shape == (len(table["queries"]), len(table["workers"]), 1)
    for name, write in WRITERS.items():
        shuffled = long_rows(table, 3)
        shuffled[1:] = order.sample(shuffled[1:], len(shuffled) - 1)
        same(first, load_recording(str(write(tmp_path / f"wide-{name}", wide_rows(table, 3)))))
        same(first, load_recording(str(write(tmp_path / f"long-{name}", shuffled))))
    for k, (write, layout) in enumerate([(write_csv, wide_rows), (write_parquet, long_rows)]):
        folder = tmp_path / f"folder-{k}"
        folder.mkdir(exist_ok=True)
        outcomes = write(folder / "outcomes", layout(table, 1))
        queries = write(folder / "queries", [["query", "domain", "text"], *table["queries"]])
        same(first, load_recording(str(folder)))
        card = tmp_path / f"card-{k}.toml"
        card.write_text(
            'name = "n"\ntitle = "t"\n[queries]\n'
            f'files = ["folder-{k}/{queries.name}"]\nuid = "query"\n'
            'text = ["text"]\ndomain = "domain"\n[outcomes]\n'
            f'layout = "{("wide", "long")[k]}"\nfiles = ["folder-{k}/{outcomes.name}"]\n'
            + ('answers = "{worker}|answer"\n' if k == 0 else 'answer = "answer"\n')
            + "".join(f'{name} = "{name}"\n' for name in MARKED[1:]),
            encoding="utf-8",
        )
        same(first, load_recording(str(card)))


def csv_at(folder: Path, content: str, name: str = "table.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode())
    return str(path)


@pytest.mark.parametrize(
    "header",
    [
        "query,domain,text,worker,score,answer,tokens_in,tokens_out,usd,seconds",
        "ID,Category,Prompt,Model,Correct,Prediction,input_tokens,output_tokens,cost,latency",
        "question_id,subject,question,model_name,performance,response,prompt_tokens,"
        "completion_tokens,cost_usd,latency_s",
        " sample_id,eval_name,input,llm,is_correct,pred,tokens_in,tokens_out,total_cost,duration",
    ],
)
def test_columns_are_known_by_their_usual_names(tmp_path: Path, header: str):
    read = load_recording(csv_at(tmp_path, f"{header}\nq1,math,1+1?,gpt,1,2,10,20,0.5,1.5\n"))
    found = read.outcomes
    assert (read.queries.uids, read.queries.domains) == (("q1",), ("math",))
    assert read.queries.prompts == ("1+1?",)
    assert found.workers == ("gpt",)
    measures = (found.score, found.tokens_in, found.tokens_out, found.usd, found.seconds)
    assert [None if m is None else m.item() for m in measures] == [1.0, 10.0, 20.0, 0.5, 1.5]
    assert found.answer is not None


def test_answers_are_the_same_without_regard_to_case_and_spaces(tmp_path: Path):
    rows = 'q1,a,1,"The  Answer"\nq1,b,1,the answer\nq1,c,0,other\nq1,d,1,\nq1,e,0,\n'
    rows += "q2,d,1,x\nq2,e,1,x\nq3,d,0,\n"
    found = load_recording(csv_at(tmp_path, f"query,worker,score,answer\n{rows}")).outcomes
    assert found.answer is not None
    a, b, c, d, e = found.answer[0, :, 0].tolist()
    assert a == b >= 0
    assert c not in (a, -1)
    assert d == e == -1
    # d's blank answer scored: its answers are just not recorded. None of e's did: failures.
    assert found.status is not None
    assert found.status[0, :, 0].tolist() == [0, 0, 0, 0, int(Status.MALFORMED)]
    assert found.status[2, 3, 0] == 0


def test_the_last_number_of_an_answer_counts_where_the_card_says_so(tmp_path: Path):
    csv_at(
        tmp_path,
        'query,a,a_response,b,b_response\nq1,1,"So 1,200.0",1,#### 1200\nq2,0,no idea,1,3\n',
    )
    card = csv_at(
        tmp_path,
        'name = "n"\ntitle = "t"\n[queries]\nuid = "query"\n[outcomes]\nlayout = "wide"\n'
        'files = ["table.csv"]\nanswers = "{worker}_response"\nanswers_are = "last number"\n',
        "card.toml",
    )
    found = load_recording(card).outcomes
    assert found.workers == ("a", "b")
    assert found.answer is not None
    assert found.malformed is not None
    assert found.answer[0, 0, 0] == found.answer[0, 1, 0]
    assert found.malformed[:, :, 0].tolist() == [[False, False], [True, False]]


def test_attempts_stand_in_the_order_of_their_numbers(tmp_path: Path):
    rows = "q1,a,10,0\nq1,a,9,1\nq2,a,1,0.5\nq1,b,1,0\nq1,a,2,\nq2,b,1,1\n"
    found = load_recording(csv_at(tmp_path, f"query,worker,attempt,score\n{rows}")).outcomes
    np.testing.assert_array_equal(
        found.score, [[[1, 0], [0, np.nan]], [[0.5, np.nan], [1, np.nan]]]
    )


def test_only_solve_rows_are_single_calls(tmp_path: Path):
    rows = "q1,a,solve,1\nq1,a,verify,0\nq1,a,,0.5\nq1,a,plan,\n".replace("q1,a,,0.5", "q1,b,,0.5")
    found = load_recording(csv_at(tmp_path, f"query,worker,subtask,score\n{rows}")).outcomes
    assert (found.workers, found.other_subtasks) == (("a", "b"), 2)
    assert found.score[:, :, 0].tolist() == [[1.0, 0.5]]


def test_a_failed_call_is_worth_nothing_and_keeps_its_status(tmp_path: Path):
    rows = "q1,a,timeout,\nq1,b,Malformed,1\nq1,c,ok,1\nq2,c,unaffordable,\nq2,a,,1\nq2,b,,1\n"
    found = load_recording(csv_at(tmp_path, f"query,worker,status,score\n{rows}")).outcomes
    assert found.status is not None
    assert found.score[0, :, 0].tolist() == [0.0, 0.0, 1.0]
    assert found.status[0, :, 0].tolist() == [int(Status.TIMEOUT), int(Status.MALFORMED), 0]
    assert math.isnan(found.score[1, 2, 0])  # a call that was never made is no record


def test_a_byte_order_mark_and_every_word_for_missing_are_understood(tmp_path: Path):
    words = ["", "NaN", "NA", "None", "null", " "]
    rows = "".join(f"q{i},{word},TRUE\n" for i, word in enumerate(words))
    read = load_recording(csv_at(tmp_path, f"\ufeffquery, a,b \n{rows}z,False,0\n\n"))
    assert read.outcomes.workers == ("a", "b")
    assert read.queries.uids[0] == "q0"
    assert np.isnan(read.outcomes.score[:-1, 0, 0]).all()
    assert read.outcomes.score[-1, 0, 0] == 0.0
    assert read.outcomes.score[0, 1, 0] == 1.0


def test_typed_parquet_columns_read_like_text(tmp_path: Path):
    module: Any = parquet
    columns = {"id": [1, 2], "a": [True, False], "b": [0.1, None], "options": [["x", "y"], ["z"]]}
    module.write_table(arrow.table(columns), tmp_path / "t.parquet")  # pyright: ignore
    read = load_recording(str(tmp_path / "t.parquet"))
    assert read.queries.uids == ("1", "2")
    assert read.queries.choices is not None
    assert read.queries.choices.tolist() == [2.0, 1.0]
    np.testing.assert_array_equal(read.outcomes.score[:, :, 0], [[1.0, 0.1], [0.0, np.nan]])


def test_the_workers_table_gives_prices_and_windows(tmp_path: Path):
    write_csv(tmp_path / "outcomes", [["query", "a", "b"], ["q1", "1", "0"], ["q2", "0", "1"]])
    write_csv(tmp_path / "workers", WORKERS)
    a, b = load_recording(str(tmp_path)).workers
    assert (a.usd_per_m_input, a.usd_per_m_output, a.window) == (0.5, 2.0, 8192)
    assert (b.name, b.usd_per_m_input, b.window) == ("b", None, None)


# --- speed ---------------------------------------------------------------------------------------


def test_half_a_million_cells_load_in_seconds(tmp_path: Path):
    prompt = "word " * 20
    wide = "".join(f"q{i},{prompt},{'1,0,0.5,1,' * 12}1\n" for i in range(10_000))
    long = "".join(
        f"q{i},{prompt},m{m},{(i + m) % 2},answer {m % 4},100,{i % 900},0.001,1.5\n"
        for i in range(2_000)
        for m in range(25)
    )
    header = ",".join(f"m{m}" for m in range(49))
    began = time.process_time()
    load_recording(csv_at(tmp_path, f"id,text,{header}\n{wide}", "wide.csv"))
    columns = "id,text,worker,score,answer,tokens_in,tokens_out,usd,seconds"
    load_recording(csv_at(tmp_path, f"{columns}\n{long}", "long.csv"))
    assert time.process_time() - began < 10.0


# --- what is shipped -----------------------------------------------------------------------------

FILES = {
    "mmlu_pro_29": (["mmlu_pro_29/correct"], 12032, 29),
    "zeroeval_gsm": (["zeroeval/gsm_correct"], 1319, 44),
    "zeroeval_crux": (["zeroeval/crux_correct"], 800, 51),
    "llmrouter_9": (["llmrouter_9/dcrouter_train", "llmrouter_9/dcrouter_test"], 5989, 9),
    "routellm_mmlu": (["routellm/mmlu_mixtral_gpt4"], 14015, 2),
    "routellm_gsm8k": (["routellm/gsm8k_mixtral_gpt4_with_responses"], 1319, 2),
}


@pytest.mark.recorded
@pytest.mark.parametrize("name", FILES)
def test_accuracies_of_shipped_recordings_are_those_of_the_files(recorded_folder: Path, name: str):
    files, queries, workers = FILES[name]
    rows: dict[str, dict[str, str]] = {}
    for file in files:
        text = gzip.decompress((recorded_folder / f"{file}.csv.gz").read_bytes()).decode()
        for row in csv.DictReader(io.StringIO(text, newline="")):
            where = row.get("task_name", row.get("subject", ""))
            key = (
                row.get("question_id")
                or row.get("id")
                or where + str(row.get("question") or row.get("prompt"))
            )
            rows.setdefault(key, row)
    read = load_recording(name)
    assert read.outcomes.score.shape == (len(rows), workers, 1) == (queries, workers, 1)
    words = {"True": 1.0, "False": 0.0}
    for w, worker in enumerate(read.outcomes.workers):
        cells = [row[worker] for row in rows.values() if row[worker]]
        right = math.fsum(words[cell] if cell in words else float(cell) for cell in cells)
        assert np.nanmean(read.outcomes.score[:, w, 0]) == pytest.approx(right / len(cells))
        assert np.isfinite(read.outcomes.score[:, w, 0]).sum() == len(cells)
