"""From a journal to a suite: kinds of task on which the best worker is often right and wrong."""

from pathlib import Path
from typing import Any

import pytest
from reference_asker import live_pool, open_reference
from text_suites import row, write_rows

from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.live.choose import Cell, cells_of, write_selection
from conductor_gym.live.record import jobs_of, record, recording_config
from conductor_gym.live.scripts import Script, acts, solves
from conductor_gym.tasks.suite import load_split

RIGHT = {"never": 0.0, "half": 0.5, "always": 1.0, "few": 0.5}
"""Share that the best worker gets right of each kind of task."""
TASKS = {"never": 12, "half": 12, "always": 12, "few": 5}


def journal(folder: Path, scripts: list[Script], split: str = "train", **asker: Any) -> Path:
    """A journal of three workers on four kinds of task, of which one kind has few tasks."""
    rows = [
        row(i * 31 + len(cell), uid=f"sums/{cell}/{part}-{i}", domain="math", split=part)
        for part in ("train", "test")
        for cell, count in TASKS.items()
        for i in range(count)
    ]
    suite = write_rows(folder / "kinds.jsonl", rows)
    shares = {("large", f"kinds/sums/{cell}"): share for cell, share in RIGHT.items()}
    shares |= {("middle", f"kinds/sums/{cell}"): share * 0.2 for cell, share in RIGHT.items()}
    shares |= {("small", ""): 0.0}
    config = recording_config(live_pool(folder), suite, split, scripts)
    made = open_reference(config, 16, folder / "calls.jsonl", shares=shares, **asker)
    engine = made[0]
    record(engine, jobs_of(engine.world.data, range(len(engine.world.data.uids)), scripts))
    engine.close()
    return folder / "calls.jsonl"


@pytest.mark.parametrize("scripts", [solves(3, 1), solves(3, 4), [*solves(3, 1), *acts(3)]])
def test_the_right_cells_are_chosen_and_the_suite_can_be_played(
    tmp_path: Path, scripts: list[Script]
):
    made = journal(tmp_path, scripts)
    suite = str(tmp_path / "kinds.jsonl")
    cells = {cell.name: cell for cell in cells_of(made, suite)}
    assert {name: cell.tasks for name, cell in cells.items()} == {
        f"sums/{name}": count for name, count in TASKS.items()
    }
    assert cells["sums/half"].worker == "large"
    assert cells["sums/never"].share == 0.0
    assert cells["sums/always"].share == 1.0
    out = tmp_path / "chosen" / "mine.toml"
    chosen = write_selection(list(cells.values()), suite, out, train=5, test=3)
    assert [cell.name for cell in chosen] == ["sums/half"]
    assert load_split(str(out), "train").uids == tuple(
        f"kinds/sums/half/train-{i}" for i in range(5)
    )
    assert len(load_split(str(out), "test").uids) == 3


def test_what_happened_on_the_test_split_chooses_nothing(tmp_path: Path):
    made = journal(tmp_path, solves(3, 1), split="test")
    with pytest.raises(DataFileError, match="no solve of a whole task of 'kinds'"):
        cells_of(made, str(tmp_path / "kinds.jsonl"))


def test_a_reply_that_nobody_can_read_is_wrong(tmp_path: Path):
    made = journal(tmp_path, solves(3, 1), mute=1.0)
    assert all(cell.share == 0.0 for cell in cells_of(made, str(tmp_path / "kinds.jsonl")))


def test_share_is_the_mean_over_tasks_and_both_ends_count():
    assert Cell("a", "w", 0.30, 6).is_chosen
    assert Cell("a", "w", 0.80, 6).is_chosen
    assert not Cell("a", "w", 0.29, 60).is_chosen
    assert not Cell("a", "w", 0.81, 60).is_chosen
    assert not Cell("a", "w", 0.5, 5).is_chosen


def test_where_nothing_can_be_chosen_the_error_says_what_there_was(tmp_path: Path):
    cells = [Cell("a", "w", 0.1, 9), Cell("b", "w", 0.9, 9), Cell("c", "w", 0.5, 2)]
    with pytest.raises(ConfigError, match="3 cells, 2 with so many tasks, 1 too hard, 1 too easy"):
        write_selection(cells, "core-v1", tmp_path / "mine.toml", 1, 1)
    assert not (tmp_path / "mine.toml").exists()
    with pytest.raises(ConfigError, match=r"must end in \.toml"):
        write_selection(cells, "core-v1", tmp_path / "mine", 1, 1)


def test_a_journal_that_is_missing_or_of_another_suite_is_named(tmp_path: Path):
    with pytest.raises(DataFileError, match="no-such"):
        cells_of(tmp_path / "no-such.jsonl", "core-v1")
    with pytest.raises(DataFileError, match="no solve of a whole task of 'core-v1'"):
        cells_of(journal(tmp_path, solves(3, 1)), "core-v1")
    with pytest.raises(UnknownNameError, match="unknown suite"):
        cells_of(tmp_path / "calls.jsonl", "core-v9")


def test_the_small_suite_has_the_first_tasks_of_every_easy_and_medium_cell():
    small, whole = load_split("core-small-v1", "train"), load_split("core-v1", "train")
    kept = {uid.rpartition("/")[0] for uid in small.uids}
    expected = {uid.rpartition("/")[0] for uid in whole.uids}
    expected = {cell for cell in expected if cell.rpartition("/")[2] in ("easy", "medium")}
    assert kept == {cell for cell in expected if "/long-context/" not in cell}
    for cell in kept:
        first = [uid for uid in whole.uids if uid.startswith(f"{cell}/")][:6]
        assert [uid for uid in small.uids if uid.startswith(f"{cell}/")] == first
