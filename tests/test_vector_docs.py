"""docs/vector.md: its code runs as written."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")


def run(repository: Path, number: int, shorter: dict[str, str]) -> str:
    text = (repository / "docs" / "vector.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, flags=re.S)[number]
    for long, short in shorter.items():
        assert long in code
        code = code.replace(long, short)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs/vector.md", "exec"), {})
    return printed.getvalue()


def test_the_first_lines_run(repository: Path) -> None:
    assert run(repository, 0, {}) == ""


def test_the_example_with_stable_baselines_trains_and_scores(repository: Path) -> None:
    pytest.importorskip("sb3_contrib")
    printed = run(repository, 1, {"learn(500_000)": "learn(1)"})
    assert -2.0 < float(printed) < 1.0


def test_the_plain_loop_learns_something(repository: Path) -> None:
    pytest.importorskip("torch")
    printed = run(repository, 2, {"range(200)": "range(40)"})
    first, second = (float(line.split()[1]) for line in printed.splitlines())
    assert -1.0 < first < 1.0
    assert second > 0.1
