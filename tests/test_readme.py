"""The README: its code runs, its episode is what the environment tells."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest


def blocks(repository: Path, language: str) -> list[str]:
    text = (repository / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def test_the_first_loop_runs_as_written(repository: Path) -> None:
    code = blocks(repository, "python")[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    quality, cost, utility = (float(word) for word in printed.getvalue().split())
    assert quality in (0.0, 1.0)
    assert 0.0 <= cost <= 0.5
    assert utility <= quality


def test_the_ten_lines_of_stable_baselines_run_as_written(repository: Path) -> None:
    pytest.importorskip("sb3_contrib")
    code = blocks(repository, "python")[1]
    assert len(code.strip().splitlines()) <= 10
    # One rollout instead of the stated steps: the rest is the same.
    shorter, found = re.subn(r"learn\([\d_]+\)", "learn(1)", code)
    assert found == 1
    names: dict[str, Any] = {}
    exec(compile(shorter, "README.md", "exec"), names)
    assert names["model"].num_timesteps > 0


def test_the_rendered_episode_is_the_one_its_code_prints(repository: Path) -> None:
    code = blocks(repository, "python")[2]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().strip() == blocks(repository, "text")[0].strip()


def test_every_link_to_a_file_leads_somewhere(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (repository / target).exists()] == []
