"""Broken recordings: each is refused with file, line and what to do."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from conductor_gym.errors import ConductorError, DataFileError, UnknownNameError
from conductor_gym.recordings.recording import load_recording
from conductor_gym.recordings.table_file import MAX_CELL_CHARACTERS

GOOD = "id,a,b\nq1,1,0.5\nq2,0,\nq3,1,1\n"
LONG = "query,worker,score\nq1,a,1\nq1,b,0\n"


def at(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refuse(name: Path | str, *parts: str, expected: Any = DataFileError) -> None:
    with pytest.raises(expected) as caught:
        load_recording(str(name))
    for part in parts:
        assert part in str(caught.value)


WIDE_ERRORS: list[tuple[str | bytes, tuple[str, ...]]] = [
    ("", ("empty", "header line and one row")),
    ("\n", ("empty",)),
    ("id,a,b\n", ("no rows below the header",)),
    ("id,a,b,a\nq1,1,1,1\n", ("line 1", "twice: 'a'", "Rename")),
    ("id;a;b\nq1;1;1\n", ("line 1", "';'", "commas")),
    ("id,a,b\nq1,1,1\nq2,1,1\nq1,0,0\n", ("line 4", "'q1'", "first on line 2", "Remove")),
    ("id,a,b\nq1,1\n", ("line 2", "2 cells", "header has 3", "double quotes")),
    ("id,a,b\nq1,1,1\nq2,1,1,1\n", ("line 3", "4 cells")),
    ("id,a,b\nq1,1,1\n ,1,1\n", ("line 3", "id is blank")),
    ("id,text,a\nq1,what,1\nq2, ,1\n", ("line 3", "the text is blank")),
    ("id,domain,a\nq1,law,1\nq2,,1\n", ("line 3", "the domain is blank")),
    ('id,a,b\nq1,"1,1\n', ("near line", "Is the file whole?")),
    (GOOD.encode() + b"q4,1,1\nq5,\xff,1\nq6,1,1\n", ("line 6", "UTF-8")),
    ("id,text,a\nq1,what,why\n", ("line 1", "no column holds scores", "Columns: a")),
    ("id,a,b\nq1,1,\nq2,0,\n", ("line 1", "column 'b' is blank in every row", "Remove it")),
    ("id,a,b\nq1,1,0\nq2,yes,1\n", ("line 3", "column 'a'", "'yes'", "[0, 1]")),
    ("id,a,n\nq1,1,10\nq2,1,4\n", ("line 2", "column 'n'", "'10'", "If 'n' is no worker")),
    ('id,text,a\nq1,"x\ny\nz",1\nq2,"x\ny",7\n', ("line 5", "column 'a'", "'7'")),
    ("id,a,a|usd\nq1,1,-0.1\n", ("line 2", "column 'a|usd'", "'-0.1'", "number of usd")),
    ("id,gpt-4,gpt4|usd\nq1,1,0.1\n", ("line 1", "'gpt4|usd'", "Did you mean 'gpt-4'")),
    ("id,options,a\nq1,many,1\n", ("line 2", "'many'", "JSON list")),
]


@pytest.mark.parametrize(("content", "parts"), WIDE_ERRORS, ids=lambda v: repr(v)[:40])
def test_a_broken_wide_table_is_refused_with_the_line(
    tmp_path: Path, content: Any, parts: tuple[str, ...]
):
    path = at(tmp_path, content)
    refuse(path, str(path), *parts)


@pytest.mark.parametrize("cell", ["x", "inf", "-inf", "-0.1", "1.5", "1e999", "0x1", "1_0", "1%"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_a_cell_that_is_no_score_is_refused_with_line_and_column(
    tmp_path: Path, cell: str, layout: str
):
    wide = f"id,a,b\nq1,1,1\nq2,{cell},1\n"
    long = f"id,worker,a\nq1,x,1\nq2,x,{cell}\n".replace(",a\n", ",score\n")
    path = at(tmp_path, wide if layout == "wide" else long)
    column = "'a'" if layout == "wide" else "'score'"
    refuse(path, str(path), "line 3", f"column {column}", repr(cell), "[0, 1]", "blank")


LONG_ERRORS = [
    ("query,worker\nq1,a\n", ("line 1", "'worker' names workers", "score")),
    ("worker,score\na,1\n", ("line 1", "no column names the query", "worker, score")),
    (LONG + "q1,a,0\n", ("line 4", "'q1' and worker 'a' appear again", "line 2", "attempt")),
    (LONG + "q2,,0\n", ("line 4", "worker is blank")),
    (LONG + ",a,0\n", ("line 4", "id is blank")),
    (LONG + "q1,c,\n", ("worker 'c' has no score in any row", "Remove")),
    ("query,worker,score\nq1,a,\n", ("no row holds a score",)),
    ("query,worker,score,a\nq1,a,1,1\n", ("line 2", "wide and long are mixed", "Keep one")),
    ("query,worker,score,status\nq1,a,1,fine\n", ("line 2", "'fine' is unknown", "timeout")),
    ("query,worker,score,subtask\nq1,a,1,plan\n", ("no row holds a score of a `solve`",)),
    ("query,domain,worker,score\n1,law,a,1\n1,math,a,1\n", ("line 3", "another domain", "line 2")),
    ("query,text,worker,score\n1,x,a,1\n1,y,b,1\n", ("line 3", "another text", "id of its own")),
    ("query,worker,score,seconds\nq1,a,1,-3\n", ("line 2", "'seconds'", "'-3'")),
    (
        "query,worker,score,attempt\n" + "".join(f"q1,a,1,{k}\n" for k in range(65)),
        ("65 attempts", "at most 64", "'attempt'"),
    ),
]


@pytest.mark.parametrize(("content", "parts"), LONG_ERRORS, ids=lambda v: repr(v)[:40])
def test_a_broken_long_table_is_refused_with_the_line(
    tmp_path: Path, content: str, parts: tuple[str, ...]
):
    path = at(tmp_path, content)
    refuse(path, str(path), *parts)


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_outcomes_of_a_query_that_is_not_in_the_table_of_queries_are_refused(
    tmp_path: Path, layout: str
):
    at(tmp_path, "id,text\nq1,one\n", "queries.csv")
    content = "id,a\nq1,1\nq2,1\n" if layout == "wide" else LONG + "q2,a,1\n"
    path = at(tmp_path, content, "outcomes.csv")
    line = 3 if layout == "wide" else 4
    refuse(tmp_path, f"{path}, line {line}", "'q2' does not stand in", "queries.csv", "Add it")


def test_outcomes_that_name_no_query_of_another_file_are_refused(tmp_path: Path):
    at(tmp_path, "text\none\n", "queries.csv")
    path = at(tmp_path, "a\n1\n", "outcomes.csv")
    refuse(tmp_path, f"{path}, line 1", "a column must name the query")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("worker,usd_per_m_input\na,-1\n", ("line 2", "usd_per_m_input")),
        ("worker,usd_per_m_input\na,cheap\n", ("line 2", "usd_per_m_input")),
        ("worker,window\na,0\n", ("line 2", "window")),
        ("worker,window\na,1\na,1\n", ("line 3", "'a' appears again", "Remove")),
        ("name,window\na,1\n", ("line 1", "unknown column 'worker'")),
        ("worker,price\na,1\n", ("line 1", "none of", "usd_per_m_input")),
    ],
)
def test_a_broken_table_of_workers_is_refused(tmp_path: Path, content: str, parts: Any):
    at(tmp_path, "id,a,b\nq1,1,0\n", "outcomes.csv")
    path = at(tmp_path, content, "workers.csv")
    refuse(tmp_path, str(path), *parts)


def test_a_cell_of_more_than_ten_million_characters_is_refused(tmp_path: Path):
    path = at(tmp_path, f"id,text,a\nq1,{'x' * (MAX_CELL_CHARACTERS + 1)},1\n")
    refuse(path, str(path), "near line", "10,000,000 characters")
    path = at(tmp_path, f"id,text,a\nq1,{'x' * (MAX_CELL_CHARACTERS // 10)},1\n", "long.csv")
    assert load_recording(str(path)).prompt_tokens().tolist() == [MAX_CELL_CHARACTERS // 40]


def packed_table() -> bytes:
    rows = "".join(f"q{i},{i % 2},{(i * i) % 97 / 97}\n" for i in range(5000))
    return gzip.compress(f"id,a,b\n{rows}".encode())


def test_a_gzipped_table_that_is_cut_off_is_refused(tmp_path: Path):
    whole = packed_table()
    path = at(tmp_path, whole[: len(whole) // 2], "t.csv.gz")
    refuse(path, str(path), "broken near line", "Is the file whole?")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.6, 0.9])
def test_a_gzipped_table_that_is_damaged_is_refused(tmp_path: Path, share: float):
    whole = bytearray(packed_table())
    for i in range(round(share * len(whole)), round(share * len(whole)) + 8):
        whole[i] ^= 0xA5
    path = at(tmp_path, bytes(whole), "t.csv.gz")
    refuse(path, str(path))


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_a_table_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str):
    path = at(tmp_path, GOOD, name)
    refuse(path, str(path), {"t.csv.gz": "gzip", "t.parquet": "Parquet"}[name])


def test_a_missing_table_says_which_variable_to_set(tmp_path: Path):
    refuse(tmp_path / "gone.csv", "does not exist", "CONDUCTOR_GYM_RECORDED")


def test_a_folder_without_outcomes_says_what_it_holds(tmp_path: Path):
    at(tmp_path, GOOD, "results.csv")
    refuse(tmp_path, "no table named outcomes", "holds results.csv", "docs/recordings.md")


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("folder", "names"),
    [("mmlu_pro_29", "mmlu_pro_29"), ("zeroeval", "zeroeval_crux, zeroeval_gsm")],
)
def test_a_folder_of_a_shipped_recording_says_which_name_to_give(
    recorded_folder: Path, folder: str, names: str
):
    refuse(recorded_folder / folder, "no table named outcomes", f"The files of {names} lie here")


def test_an_unknown_recording_is_told_with_the_nearest(tmp_path: Path):
    refuse("zeroeval_gms", "Did you mean 'zeroeval_gsm'", ".parquet", expected=UnknownNameError)
    refuse("table.xlsx", "Known: ", ".csv, .csv.gz, .parquet", expected=UnknownNameError)
    refuse(tmp_path / "gone.toml", "cannot be read")


CARD = """
name = "n"
title = "t"
[queries]
uid = "id"
[outcomes]
layout = "wide"
files = ["table.csv"]
"""


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (('files = ["table.csv"]', "files = []"), ("outcomes.files",)),
        (('"wide"', '"broad"'), ("outcomes.layout", "wide")),
        (('uid = "id"', 'uid = "ID"'), ("line 1", "unknown column 'ID'", "Known: a, b, id")),
        (("[outcomes]", '[outcomes]\nworkers = ["a", "c"]'), ("line 1", "unknown column 'c'")),
        (("[outcomes]", '[outcomes]\nanswers = "response"'), ("{worker}",)),
        (("[queries]", "[question]"), ("question",)),
    ],
    ids=repr,
)
def test_a_broken_card_is_refused_with_the_field(tmp_path: Path, change: Any, parts: Any):
    at(tmp_path, GOOD)
    path = at(tmp_path, CARD, "card.toml")
    assert load_recording(str(path)).outcomes.workers == ("a", "b")
    at(tmp_path, CARD.replace(*change), "card.toml")
    refuse(path, *parts)


def test_a_worker_that_the_card_names_but_nobody_scored_is_refused_when_it_is_asked_for(
    tmp_path: Path,
):
    at(tmp_path, "id,a,b\nq1,1,\n")
    path = at(tmp_path, CARD.replace("[outcomes]", '[outcomes]\nworkers = ["a", "b"]'), "card.toml")
    read = load_recording(str(path))
    with pytest.raises(DataFileError, match=re.escape("'b' has no record of any query")):
        read.complete_for(("a", "b"))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_no_file_of_random_bytes_ends_in_another_error(tmp_path: Path, size: int):
    """Whatever lies there, the error is one of ours."""
    state = 12345
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        for _ in range(20):
            noise: list[int] = []
            for _ in range(size):
                state = (1103515245 * state + 12345) % 2**31
                noise.append(state >> 16 & 0xFF)
            with pytest.raises(ConductorError):
                load_recording(str(at(tmp_path, bytes(noise), name)))
