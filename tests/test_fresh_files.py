"""What is kept in memory between environments never hides a changed file or a wrong setting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper_world import paper_env

from conductor_gym.errors import ConfigError

PAPER, SUITE = "workers/pools/paper.toml", "tasks/suites/paper-v1.toml"


def replace_in(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_pool_file_that_changed_on_disk_is_read_again(edited: Callable[..., str]):
    pool = edited(PAPER)
    costs: list[float] = []
    for _ in range(2):
        env = paper_env(pool=pool)
        env.reset(seed=0)
        costs.append(env.step(np.array([0, 0, 0]))[4]["cost_usd"])
        replace_in(pool, "usd_per_m_output = 10", "usd_per_m_output = 0")
    assert 0 < costs[1] < costs[0]


def test_a_suite_file_that_changed_on_disk_is_read_again(edited: Callable[..., str]):
    suite = edited(SUITE)
    before = paper_env(suite=suite)
    replace_in(suite, "train = 8000", "train = 700")
    after = paper_env(suite=suite)
    assert len(before.engine.world.data.uids) == 8000
    assert len(after.engine.world.data.uids) == 700


def test_a_relative_path_follows_the_working_directory(
    edited: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []
    for folder, size in (("a", 70), ("b", 140)):
        (tmp_path / folder).mkdir()
        path = edited(SUITE, ("train = 8000", f"train = {size}"))
        Path(path).rename(tmp_path / folder / "suite.toml")
        monkeypatch.chdir(tmp_path / folder)
        sizes.append(len(paper_env(suite="suite.toml").engine.world.data.uids))
    assert sizes == [70, 140]


@pytest.mark.parametrize("settings", [{"max_steps": 10.0}, {"max_workers": 8.0}], ids=str)
def test_a_setting_equal_to_one_seen_before_but_of_a_wrong_type_is_still_refused(settings: Any):
    paper_env()
    with pytest.raises(ConfigError, match="whole number"):
        paper_env(**settings)


def test_environments_of_one_configuration_do_not_share_episodes():
    one, other = paper_env(), paper_env()
    one.reset(seed=0)
    one.step(np.array([0, 0, 0]))
    other.reset(seed=1)
    assert one.engine.episodes["steps"][0] == 1
    assert one.engine.episodes["stream"][0] == 0
