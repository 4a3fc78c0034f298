"""A suite that is some tasks of another suite: the same tasks, under the same uids."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from text_suites import pool_of, row, write_rows

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import DataFileError, UnknownNameError
from conductor_gym.tasks.suite import Split, load_split, load_suite_card

PART = {"domain": "law", "prompt": "Is it?", "reference": "yes", "verifier": "exact"}
WHOLE = {"reference": None, "verifier": None}
"""What a row of parts leaves out."""


def tasks_file(folder: Path) -> str:
    """A suite of sums, laws and tasks of parts, in cells of two levels."""
    rows: list[dict[str, Any]] = []
    for split, count in (("train", 6), ("test", 4)):
        for i in range(count):
            for cell in ("sums/easy", "sums/hard", "laws/easy"):
                rows.append(row(len(rows), uid=f"{cell}/{split}-{i}", split=split))
            parts = [{**PART, "prompt": f"Is it {i}, {p}?"} for p in range(2 + i % 2)]
            rows.append(row(len(rows), uid=f"both/{split}-{i}", split=split, parts=parts, **WHOLE))
    return write_rows(folder / "tasks.jsonl", rows)


def selection(folder: Path, suite: str, tasks: list[str], most: dict[str, int]) -> str:
    """Path of a selection's file."""
    chosen = {"suite": suite, "tasks": tasks, "most": most}
    card = {"name": "few", "version": 1, "title": "few tasks", "selection": chosen}
    path = folder / "few.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return str(path)


def position(split: Split, uid: str) -> int:
    return split.uids.index(uid)


def test_a_selection_holds_the_first_tasks_of_each_cell_in_the_order_of_the_other_suite(
    tmp_path: Path,
):
    whole = load_split(tasks_file(tmp_path), "train")
    few = selection(tmp_path, "tasks.jsonl", ["both", "sums/easy"], {"train": 3, "test": 2})
    for split, most in (("train", 3), ("test", 2)):
        chosen = load_split(few, split)
        expected = [
            f"tasks/{cell}/{split}-{i}" for i in range(most) for cell in ("sums/easy", "both")
        ]
        assert list(chosen.uids) == expected
    assert load_suite_card(few).splits == ("train", "test")
    assert load_split(few, "train").domains == whole.domains


def test_rows_features_prompts_parts_and_tasks_are_those_of_the_other_suite(tmp_path: Path):
    whole = load_split(tasks_file(tmp_path), "train")
    few = load_split(selection(tmp_path, "tasks.jsonl", ["both", "laws"], {"train": 4}), "train")
    assert few.prompts is not None
    assert whole.prompts is not None
    parts = 0
    for here, uid in enumerate(few.uids):
        there = position(whole, uid)
        assert few.tasks[here] == whole.tasks[there]
        assert few.prompts[here] == whole.prompts[there]
        rows = [(here, there)]
        count = len(few.tasks[here].parts)
        firsts = few.queries["first_part"][here], whole.queries["first_part"][there]
        if count:
            assert firsts[0] == len(few.uids) + parts
            rows += [(firsts[0] + p, firsts[1] + p) for p in range(count)]
        parts += count
        for a, b in rows:
            assert (few.features[a] == whole.features[b]).all()
            for name in ("uid", "tokens", "domain", "parts", "documents"):
                assert few.queries[name][a] == whole.queries[name][b]
            assert (few.queries["normals"][a] == whole.queries["normals"][b]).all()
    assert len(few.queries) == len(few.features) == len(few.uids) + parts
    assert few.suite == "few"
    assert few.content_hash() != whole.content_hash()


def test_luck_hangs_on_the_uid_so_a_selected_task_comes_out_as_in_the_other_suite(tmp_path: Path):
    suite = tasks_file(tmp_path)
    whole = load_split(suite, "train")
    few = selection(tmp_path, suite, ["both", "sums/hard"], {"train": 3})
    pool = pool_of(tmp_path, whole.domains)
    seen: list[dict[str, tuple[int, ...]]] = []
    for name in (suite, few):
        config = EnvConfig(pool=pool, suite=name, cost_weight=0.0)
        uids = load_split(name, "train").uids
        engine = Engine(config, len(uids))
        observation = engine.new_observation()
        every = np.arange(len(uids), dtype=np.int64)
        engine.start(every, np.zeros(len(uids), np.int64), every, observation)
        for action in ((0, 1, 0), (0, 0, 0), (1, 0, 0), (0, 2, 2), (0, 7, 0)):
            engine.step(np.tile(np.array(action), (len(uids), 1)), observation)
        queries = engine.episodes["query"].tolist()
        seen.append(
            {
                uids[query]: tuple(engine.state.steps[slot][name].tolist())
                for slot, query in enumerate(queries)
                for name in ("answer",)
            }
        )
    assert seen[1] == {uid: seen[0][uid] for uid in seen[1]}
    assert len(seen[1]) == 6


def test_a_beginning_is_whole_components(tmp_path: Path):
    suite = tasks_file(tmp_path)
    with pytest.raises(DataFileError, match=r"begins with 'sum'. Did you mean 'sums'\?"):
        load_split(selection(tmp_path, suite, ["sum"], {"train": 1}), "train")
    with pytest.raises(DataFileError, match=r"Did you mean 'sums/easy'\?"):
        load_split(selection(tmp_path, suite, ["laws", "sums/eazy"], {"train": 1}), "train")


def test_a_cell_may_be_empty_in_one_split(tmp_path: Path):
    rows = [row(0, uid="a/1", split="train"), row(1, uid="b/1", split="train")]
    suite = write_rows(tmp_path / "tasks.jsonl", [*rows, row(2, uid="a/2", split="test")])
    few = selection(tmp_path, suite, ["a", "b"], {"train": 1, "test": 1})
    assert load_split(few, "test").uids == ("tasks/a/2",)
    only = selection(tmp_path, suite, ["b"], {"train": 1, "test": 1})
    with pytest.raises(DataFileError, match="none of its tasks is in split 'test'"):
        load_split(only, "test")


@pytest.mark.parametrize(
    ("tasks", "most", "said"),
    [
        (["sums", "sums/easy"], {"train": 1}, "'sums/easy' lies in 'sums'"),
        (["sums", "sums"], {"train": 1}, "appear twice: sums"),
        ([], {"train": 1}, "tasks"),
        (["sums/"], {"train": 1}, "tasks"),
        (["sums"], {}, "most"),
        (["sums"], {"train": 0}, "most"),
    ],
)
def test_what_cannot_be_selected_is_refused_with_the_field(
    tmp_path: Path, tasks: list[str], most: dict[str, int], said: str
):
    with pytest.raises(DataFileError, match=said):
        load_suite_card(selection(tmp_path, tasks_file(tmp_path), tasks, most))


def test_unknown_suites_and_splits_are_named_with_what_is_known(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'core-v1'"):
        load_split(selection(tmp_path, "core-v2", ["a"], {"train": 1}), "train")
    with pytest.raises(UnknownNameError, match=r"unknown split 'dew'.*These are the splits of"):
        load_split(selection(tmp_path, "core-v1", ["arithmetic"], {"dew": 1, "test": 1}), "test")
    with pytest.raises(UnknownNameError, match="unknown split 'dev'"):
        load_split(selection(tmp_path, tasks_file(tmp_path), ["sums"], {"train": 1}), "dev")


def test_a_selection_of_a_selection_is_refused(tmp_path: Path):
    few = selection(tmp_path, tasks_file(tmp_path), ["sums"], {"train": 1})
    with pytest.raises(DataFileError, match="is a selection itself"):
        load_split(selection(tmp_path, few, ["sums"], {"train": 1}), "train")


def test_tasks_that_change_in_the_other_suites_file_change_in_the_selection(tmp_path: Path):
    few = selection(tmp_path, tasks_file(tmp_path), ["sums/easy"], {"train": 1})
    before = load_split(few, "train")
    rows = [row(0, uid="sums/easy/train-0", split="train", prompt="Another question?")]
    write_rows(tmp_path / "tasks.jsonl", rows)
    after = load_split(few, "train")
    assert before.prompts != after.prompts == ("Another question?",)
