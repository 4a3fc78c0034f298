"""A JSONL file of one's own is a suite: it plays by path, and what is wrong with it is told."""

import json
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from text_suites import pool_of, row, write_rows

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConductorError, ConfigError, DataFileError, UnknownNameError
from conductor_gym.tasks.rows import read_tasks
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.tasks.verifiers import VERIFIERS, grade
from conductor_gym.world import make_world


def test_a_file_of_tasks_plays_by_path(tmp_path: Path):
    suite = write_rows(tmp_path / "mine.jsonl", [row(i) for i in range(60)])
    pool = pool_of(tmp_path, ["law", "math"])
    env = gym.make(
        "conductor_gym:Conductor-v0", suite=suite, pool=pool, split="test", render_mode="ansi"
    )
    _, info = env.reset(seed=0)
    assert info["uid"].startswith("mine/sum-")
    i = int(info["uid"].split("-")[1])
    assert info["prompt"] == f"What is {i} + {i}?"
    env.step(np.array((0, 0, 0)))
    env.step(np.array((0, 7, 0)))
    told = str(env.render())
    assert info["uid"] in told
    assert info["prompt"] in told


def test_a_suite_file_names_its_tasks_from_its_own_folder(tmp_path: Path):
    write_rows(tmp_path / "tasks.jsonl", [row(i) for i in range(40)])
    path = tmp_path / "named.toml"
    path.write_text(
        'name = "named"\nversion = 3\ntitle = "t"\n[text]\nfile = "tasks.jsonl"\n'
        "shares = { train = 0.5, test = 0.5 }\n"
    )
    card = load_suite_card(str(path))
    assert card.splits == ("train", "test")
    both = [load_split(str(path), split) for split in card.splits]
    assert sum(len(split.uids) for split in both) == 40
    assert both[0].uids[0].startswith("named/")


def test_without_splits_a_hash_of_the_uid_decides(tmp_path: Path):
    rows = [row(i) for i in range(3000)]
    whole = write_rows(tmp_path / "a.jsonl", rows)
    part = write_rows(tmp_path / "b.jsonl", rows[2000:0:-1])
    shares = {"train": 4 / 7, "dev": 1 / 7, "test": 2 / 7}
    of_whole = {s: {u.split("/")[1] for u in load_split(whole, s).uids} for s in shares}
    for split, share in shares.items():
        assert len(of_whole[split]) == pytest.approx(3000 * share, abs=4 * (3000 * 0.25) ** 0.5)
        assert {u.split("/")[1] for u in load_split(part, split).uids} <= of_whole[split]


def test_named_splits_are_kept_and_a_changed_file_is_read_again(tmp_path: Path):
    rows = [row(i, split="test" if i < 5 else "train") for i in range(20)]
    path = tmp_path / "c.jsonl"
    suite = write_rows(path, rows)
    assert len(load_split(suite, "test").uids) == 5
    write_rows(path, rows[1:])
    assert len(load_split(suite, "test").uids) == 4


def test_a_task_carries_what_grades_it_and_the_hash_covers_it(tmp_path: Path):
    rows = [row(i, split="train") for i in range(8)]
    suite = load_split(write_rows(tmp_path / "d.jsonl", rows), "train")
    assert [grade(task, f"= {task.reference}") for task in suite.tasks] == [1.0] * 8
    rows[3]["reference"] = "7"
    other = load_split(write_rows(tmp_path / "d.jsonl", rows), "train")
    assert other.content_hash() != suite.content_hash()


def test_nothing_but_the_text_and_the_domain_is_observed(tmp_path: Path):
    rows = [row(i, split="train") for i in range(12)]
    plain = load_split(write_rows(tmp_path / "f.jsonl", rows), "train")
    for i, changed in enumerate(rows):
        changed |= {"uid": f"other-{i}", "level": 9 - i % 3, "reference": "5"}
    other = load_split(write_rows(tmp_path / "g.jsonl", rows), "train")
    np.testing.assert_array_equal(plain.features, other.features)
    np.testing.assert_array_equal(plain.queries["tokens"], other.queries["tokens"])


def test_options_are_counted_in_the_observation(tmp_path: Path):
    rows = [
        row(i, split="train", verifier="choice", reference="B", choices=["x", "y", "z", "w"])
        for i in range(3)
    ]
    split = load_split(write_rows(tmp_path / "h.jsonl", rows), "train")
    assert split.features[0, -2] == np.float32(4 / 16)


GOOD = json.dumps(row(1))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (json.dumps(row(2, prompt=None)), ("line 2", "prompt", "docs/suites.md")),
        (json.dumps(row(2, uid="sum-1")), ("line 2", "line 1", "rename")),
        (json.dumps(row(2, verifier="numbr")), ("line 2", "Did you mean 'number'?")),
        (json.dumps(row(2, level="hard")), ("line 2", "level")),
        (json.dumps(row(2, level=True)), ("line 2", "level")),
        (json.dumps(row(2, extra=1)), ("line 2", "extra")),
        (json.dumps(row(2, reference="two")), ("line 2", "number", "write one")),
        (json.dumps(row(2, prompt="x" * 10_000_000)), ("line 2", "10,000,000", "shorten")),
        (json.dumps(row(2, prompt="  ")), ("line 2", "prompt")),
        (json.dumps(row(2, split="validation")), ("line 2", "split")),
        (json.dumps(row(2, split="dev")), ("line 2", "name it in all or in none")),
        (json.dumps(row(2, prompt="\ud800")), ("line 2", "surrogate")),
        (json.dumps(row(2, verifier="choice", reference="C", choices=["x"])), ("A to A",)),
        (
            json.dumps(
                row(2, verifier="reasoning-gym", metadata={"dataset": "countdown", "entry": {}})
            ),
            ("line 2", "countdown", "runs answers as Python"),
        ),
        (json.dumps(row(2, verifier="reasoning-gym")), ("line 2", "`metadata`")),
        (GOOD[:-5], ("line 2", "not JSON")),
        ('{"uid": NaN}', ("line 2", "not JSON")),
        ("[" * 100_000, ("line 2", "not JSON")),
        ("[1]", ("line 2", "not a JSON object")),
    ],
)
def test_a_broken_row_is_told_with_its_line_and_the_repair(
    tmp_path: Path, second: str, says: tuple[str, ...]
):
    path = tmp_path / "broken.jsonl"
    path.write_text(f"{GOOD}\n{second}\n", encoding="utf-8")
    with pytest.raises(DataFileError) as error:
        load_split(str(path), "train")
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1500
    for text in says:
        assert text in str(error.value)


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + b'{"uid": "\xe4"}')
    with pytest.raises(DataFileError, match=r"line 2: not UTF-8 .*UTF-8"):
        load_split(str(path), "train")


def test_more_than_sixteen_domains_are_told(tmp_path: Path):
    suite = write_rows(tmp_path / "many.jsonl", [row(i, domain=f"d{i}") for i in range(17)])
    with pytest.raises(DataFileError, match=r"line 17: domain 'd16' .*merge"):
        load_split(suite, "train")


def test_an_empty_file_a_missing_one_and_an_empty_split_are_told(tmp_path: Path):
    with pytest.raises(DataFileError, match="holds no task"):
        load_split(write_rows(tmp_path / "empty.jsonl", []), "train")
    with pytest.raises(DataFileError, match="does not exist"):
        load_split(str(tmp_path / "none.jsonl"), "train")
    suite = write_rows(tmp_path / "one.jsonl", [row(1, split="train")])
    with pytest.raises(DataFileError, match=r"no task is in split 'dev' \(1 in 'train'\)"):
        load_split(suite, "dev")
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        load_split(suite, "tests")


def test_a_folder_with_the_ending_of_a_file_is_told(tmp_path: Path):
    (tmp_path / "odd.jsonl").mkdir()
    with pytest.raises(ConductorError):
        load_split(str(tmp_path / "odd.jsonl"), "train")


def test_a_pool_that_does_not_know_the_domains_is_told(tmp_path: Path):
    suite = write_rows(tmp_path / "i.jsonl", [row(i, split="train") for i in range(4)])
    with pytest.raises(ConfigError, match="law"):
        make_world(EnvConfig(suite=suite, pool="paper"))


def test_the_page_describes_what_is_there(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = (repository / "docs" / "suites.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<!-- file: my-suite.jsonl -->\n```json\n(.*?)```", page, re.DOTALL)
    card, selection = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my-suite.jsonl").write_text(example, encoding="utf-8")
    (tmp_path / "mine.toml").write_text(card, encoding="utf-8")
    (tmp_path / "some.toml").write_text(selection, encoding="utf-8")
    read = read_tasks(tmp_path / "my-suite.jsonl")
    assert [grade(task, task.reference) for task, _ in read] == [1.0] * 5
    monkeypatch.chdir(tmp_path)
    assert load_suite_card("mine.toml").splits == ("train", "dev", "test")
    assert load_suite_card("some.toml").selection is not None
    for name in VERIFIERS:
        assert f"| `{name}` |" in page
    text = load_suite_card("core-v1").text
    assert text is not None
    assert text.generator is not None
    for dataset in text.generator.datasets:
        row = re.search(rf"^\| {dataset.domain} \|(.*)\|(.*)\|$", page, re.MULTILINE)
        assert row is not None
        assert f"`{dataset.name}`" in row.group(1 if dataset.split_by else 2)
