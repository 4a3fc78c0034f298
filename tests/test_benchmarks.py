"""The paper's benchmarks load as published, from any kind of copy, and become playable suites."""

import csv
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when `datasets` is imported: nothing here reaches a hub
pytest.importorskip("datasets", reason="pip install 'conductor-gym[benchmarks]'")

import gymnasium as gym
from benchmark_copies import ROWS, Rows, jsonl, parquet
from text_suites import pool_of
from typer.testing import CliRunner

from conductor_gym.cli import app
from conductor_gym.errors import DataFileError, MissingExtraError, UnknownNameError
from conductor_gym.tasks.benchmark_card import benchmark_cards, find_benchmark
from conductor_gym.tasks.benchmark_rows import READERS, UNGRADED
from conductor_gym.tasks.benchmarks import load_benchmark
from conductor_gym.tasks.math_answers import MATH
from conductor_gym.tasks.rows import read_tasks
from conductor_gym.tasks.suite import load_suite_card
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifiers import VERIFIERS, grade
from conductor_gym.tasks.write_rows import write_tasks

GRADED = ("MATH500", "MMLU", "RLPR", "AIME25", "GPQA-D")


@pytest.fixture(autouse=True)
def _math(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setitem(VERIFIERS, "math", MATH)


def saved(folder: Path, rows: Rows, split: str = "") -> Path:
    datasets: Any = import_module("datasets")
    table = datasets.Dataset.from_list(rows)
    path = folder / "saved"
    (datasets.DatasetDict({split: table}) if split else table).save_to_disk(str(path))
    return path


def of(name: str, folder: Path, rows: Rows | None = None) -> list[Task]:
    return load_benchmark(name, jsonl(folder, ROWS[name] if rows is None else rows))


def test_the_cards_are_the_domains_of_the_paper_suite_and_each_has_a_reader():
    paper = load_suite_card("paper-v1").statistical
    assert paper is not None
    cards = benchmark_cards()
    assert {card.domain for card in cards} == {domain.name for domain in paper.domains}
    assert {card.name for card in cards} == set(READERS) == set(ROWS)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_all_kinds_of_copies_give_the_same_tasks(tmp_path: Path, name: str):
    rows = ROWS[name]
    tasks = of(name, tmp_path)
    as_json = tmp_path / "copy.json"
    as_json.write_text(json.dumps(rows), encoding="utf-8")
    split = find_benchmark(name).split
    for copy in (as_json, parquet(tmp_path, rows), saved(tmp_path, rows, split)):
        assert load_benchmark(name.lower(), copy) == tasks
    assert len(tasks) == len(rows) == len({task.uid for task in tasks})
    assert {task.domain for task in tasks} == {find_benchmark(name).domain}


@pytest.mark.parametrize("name", ["MATH500", "AIME25", "GPQA-D"])
def test_a_csv_copy_keeps_every_answer_as_it_is_written(tmp_path: Path, name: str):
    path = tmp_path / "copy.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[name][0]))
        writer.writeheader()
        writer.writerows(ROWS[name])
        if name == "GPQA-D":
            writer.writerow({**ROWS[name][0], "Record ID": "rec-none", "Correct Answer": "None"})
    tasks = load_benchmark(name, path)
    assert tasks[: len(ROWS[name])] == of(name, tmp_path)
    if name == "GPQA-D":
        assert "None" in tasks[-1].choices


def test_math_and_aime_tasks_say_what_the_row_says(tmp_path: Path):
    first, _, _ = of("MATH500", tmp_path)
    assert (first.uid, first.level) == ("MATH500/test/algebra/90001.json", 2)
    assert (first.prompt, first.reference) == ("Half of $\\frac{3}{2}$?", "\\frac{3}{4}")
    assert [grade(first, answer) for answer in ("0.75", "3/4", "4/3")] == [1.0, 1.0, 0.0]
    assert [task.reference for task in of("AIME25", tmp_path)] == ["300", "90"]


def test_options_are_shown_and_the_letter_of_the_right_one_is_the_reference(tmp_path: Path):
    plank, cork = of("MMLU", tmp_path)
    assert (plank.reference, plank.choices[1], cork.reference) == ("B", "A plank", "A")
    assert plank.prompt.endswith("A. A kettle\nB. A plank\nC. A coin\nD. A pane")
    for i, task in enumerate(of("GPQA-D", tmp_path)):
        assert task.choices[ord(task.reference) - ord("A")] == f"the right one {i}"
        assert f"{task.reference}. the right one {i}" in task.prompt


def test_the_place_of_the_right_option_depends_on_the_record_alone(tmp_path: Path):
    tasks = of("GPQA-D", tmp_path)
    assert of("GPQA-D", tmp_path, ROWS["GPQA-D"][:-5:-1]) == tasks[:-5:-1]
    letters = [task.reference for task in tasks]
    assert min(letters.count(letter) for letter in "ABCD") >= 3


def test_free_answers_are_graded_as_mathematics_only_where_they_are(tmp_path: Path):
    speed, gravity, again = of("RLPR", tmp_path)
    assert (speed.verifier, gravity.verifier) == ("math", "exact")
    assert speed.prompt == "A cart rolls 6 m in 4 s. How fast, in m/s?"
    assert again.uid == f"{gravity.uid}-2"
    assert grade(speed, "\\frac{3}{2}") == grade(gravity, "gravity") == 1.0


def test_only_public_tests_are_kept_and_no_pickle_is_opened(tmp_path: Path):
    by_input, function = of("LiveCodeBench", tmp_path)
    assert (by_input.verifier, by_input.level) == ("stdin-tests", 1)
    assert by_input.metadata["stdin_tests"][0] == {"input": "1 2\n", "output": "3\n"}
    assert (function.verifier, function.level) == ("python-tests", 3)
    assert function.metadata["function"] == "addAll"
    assert function.metadata["tests"] == [[[[1, 2], "x"], [3, None]]]
    assert "def addAll" in function.prompt
    assert "gASV" not in repr((by_input, function))


def test_what_cannot_be_graded_yet_says_so_and_is_never_wrong_or_right(tmp_path: Path):
    (task, _), (by_input, _) = of("BigCodeBench", tmp_path), of("LiveCodeBench", tmp_path)
    assert task.reference == "def task_func(n):\n    return n + 4\n"
    assert task.metadata["entry_point"] == "task_func"
    assert {task.verifier, by_input.verifier} == set(UNGRADED)
    for ungraded in (task, by_input):
        if ungraded.verifier not in VERIFIERS:
            with pytest.raises(UnknownNameError, match=ungraded.verifier):
                grade(ungraded, ungraded.reference)


def test_a_written_benchmark_is_read_back_as_it_was(tmp_path: Path):
    tasks = [task for name in GRADED for task in of(name, tmp_path)]
    path = tmp_path / "new" / "all.jsonl"
    write_tasks(tasks, path)
    assert [task for task, _ in read_tasks(path)] == tasks
    assert [grade(task, task.reference) for task in tasks] == [1.0] * len(tasks)


def test_what_the_form_cannot_hold_is_told_and_nothing_is_written(tmp_path: Path):
    task = of("AIME25", tmp_path)[0]
    path = tmp_path / "out.jsonl"
    for broken, says in (
        ([], "no task"),
        ([Task("u", "d", 0, "?", "1", "exact", parts=(task, task))], "'u': parts"),
        ([Task("u", "d", 0, "?", "1", "exact", metadata={"x": {1}})], "'u'.*JSON"),
        ([Task("u", "d", 0, "\ud800", "1", "exact")], "'u'.*JSON"),
    ):
        with pytest.raises(DataFileError, match=says):
            write_tasks(broken, path)
    assert not path.exists()


def test_the_command_writes_a_suite_that_plays(tmp_path: Path):
    source = jsonl(tmp_path, ROWS["GPQA-D"])
    out = tmp_path / "gpqa.jsonl"
    asked = ["benchmark", "gpqa-d", "--source", str(source), "--out", str(out), "--limit", "30"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "CC-BY-4.0" in result.stderr
    assert "30 tasks" in result.stderr
    env = gym.make("conductor_gym:Conductor-v0", suite=str(out), pool=pool_of(tmp_path, ["GPQA-D"]))
    _, info = env.reset(seed=0)
    assert info["uid"].startswith("gpqa/GPQA-D/rec")
    assert "Which particle" in info["prompt"]
    env.step(np.array((0, 0, 0)))


def test_the_command_says_which_tasks_cannot_be_played(tmp_path: Path):
    source = jsonl(tmp_path, ROWS["BigCodeBench"])
    out = str(tmp_path / "code.jsonl")
    result = CliRunner().invoke(
        app, ["benchmark", "BigCodeBench", "--source", str(source), "--out", out]
    )
    assert result.exit_code == 0, result.output
    assert "no verifier unittest" in result.stderr


@pytest.mark.parametrize("name", ["MATH500", "LiveCodeBench", "GPQA-D"])
def test_without_a_network_the_repair_is_told(name: str):
    with pytest.raises(DataFileError) as caught:
        load_benchmark(name)
    card = find_benchmark(name)
    for part in (card.hub, card.page, "HF_HUB_OFFLINE", "copy as source"):
        assert part in str(caught.value)
    assert ("accept its terms" in str(caught.value)) == (name == "GPQA-D")


def test_an_unknown_name_is_told():
    with pytest.raises(UnknownNameError, match="Did you mean 'GPQA-D'"):
        load_benchmark("GPQA-Diamond")


def test_missing_columns_are_named_with_what_was_found(tmp_path: Path):
    rows = [{"Problem": "1 + 1?", "answer": "2"}]
    for copy in (jsonl(tmp_path, rows), parquet(tmp_path, rows), saved(tmp_path, rows)):
        with pytest.raises(DataFileError) as caught:
            load_benchmark("MATH500", copy)
        for part in (str(copy), "'problem', 'subject'", "'Problem', 'answer'", "MATH-500"):
            assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("MATH500", {"level": 9}, "'level': a whole number in [0, 5]"),
        ("MATH500", {"answer": "  "}, "'answer': text is expected"),
        ("MMLU", {"answer": 4}, "'answer': a whole number in [0, 3]"),
        ("MMLU", {"choices": ["one"]}, "'choices': a list of options"),
        ("AIME25", {"answer": "1000"}, "from 0 to 999"),
        ("AIME25", {"answer": "\\frac{1}{2}"}, "from 0 to 999"),
        ("RLPR", {"reward_model": {"style": "rule"}}, "'ground_truth'"),
        ("RLPR", {"prompt": [{"role": "system", "content": "Think."}]}, "'prompt': text"),
        ("LiveCodeBench", {"difficulty": "brutal"}, "easy, medium, hard are known"),
        ("LiveCodeBench", {"public_test_cases": "[]"}, "JSON list of tests"),
        ("LiveCodeBench", {"public_test_cases": '[{"input": "1"}]'}, "JSON list of tests"),
        ("BigCodeBench", {"code_prompt": None}, "'code_prompt': text"),
    ],
)
def test_a_row_that_is_not_as_published_is_told(
    tmp_path: Path, name: str, change: dict[str, Any], says: str
):
    with pytest.raises(DataFileError) as caught:
        of(name, tmp_path, [ROWS[name][-1], {**ROWS[name][0], **change}][1:])
    assert "row 1: column" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "does not exist"),
        ("set.pkl", b"x", "Known: .json, .jsonl, .parquet, .csv"),
        ("half.jsonl", b'{"problem": "1', "Is it a whole .jsonl file"),
        ("noise.parquet", b"PAR1 but not really", "Is it a whole .parquet file"),
        ("empty.jsonl", b"", "empty.jsonl"),
        ("empty", b"folder", "`save_to_disk`"),
    ],
)
def test_a_broken_copy_is_told(tmp_path: Path, name: str, content: bytes | None, says: str):
    path = tmp_path / name
    if content == b"folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        load_benchmark("MATH500", path)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_saved_folder_with_other_splits_is_told(tmp_path: Path):
    datasets: Any = import_module("datasets")
    table = datasets.Dataset.from_list(ROWS["MATH500"])
    datasets.DatasetDict({"a": table, "b": table}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataFileError, match=r"the splits a, b, .*'test'. Save that split"):
        load_benchmark("MATH500", tmp_path / "two")


def test_without_datasets_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[benchmarks\]"):
        of("AIME25", tmp_path)


def test_loading_leaves_the_random_state_alone_and_no_cache_behind(tmp_path: Path):
    source, home = jsonl(tmp_path, ROWS["MATH500"]), tmp_path / "home"
    code = (
        "import random; random.seed(3); before = random.getstate()\n"
        "from conductor_gym.tasks.benchmarks import load_benchmark\n"
        f"load_benchmark('MATH500', {str(source)!r}); print(random.getstate() == before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == "True", result.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
