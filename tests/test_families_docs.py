"""docs/families.md, docs/encoders.md and docs/benchmarks.md show what is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from conductor_gym.tasks.instructions import DRAWN_KINDS
from conductor_gym.tasks.suite import load_split


def page(repository: Path, name: str) -> str:
    return (repository / "docs" / name).read_text(encoding="utf-8")


def test_every_example_is_a_task_of_the_suite(repository: Path):
    pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")
    prompts = {task.prompt for task in load_split("core-v1", "dev").tasks}
    examples = re.findall(r"```text\n(.*?)```", page(repository, "families.md"), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert example.strip() in prompts


def test_the_code_of_the_families_runs_and_prints_what_is_said(repository: Path):
    pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")
    text = page(repository, "families.md")
    reading, coding = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(reading, "docs/families.md", "exec"), {})
        exec(compile(coding, "docs/families.md", "exec"), {})
    (said,) = re.findall(r"# (1091 .*)", text)
    assert said in printed.getvalue()
    assert "Reverse each of the strings that end with one of nrst" in printed.getvalue()


def test_counts_are_those_of_the_code(repository: Path):
    assert f"{len(DRAWN_KINDS)} kinds of rule" in page(repository, "families.md")


@pytest.mark.parametrize("name", ["families.md", "encoders.md", "benchmarks.md", "suites.md"])
def test_every_link_to_a_file_leads_somewhere(repository: Path, name: str):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page(repository, name)):
        assert (repository / "docs" / target).exists(), target
