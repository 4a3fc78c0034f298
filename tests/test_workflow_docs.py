"""docs/workflows.md: what it shows runs, and its lines are read."""

import re
from pathlib import Path

from page_commands import python_block
from workflow_helpers import OFFER

from conductor_gym.language.lines import Refusal
from conductor_gym.language.workflow import parse_workflow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "workflows.md"


def test_its_blocks_run():
    page = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    lines = python_block(block, str(PAGE)).splitlines()
    assert len(lines) == 4


def test_its_lines_and_lists_are_read():
    page = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^\| `(.*?)` \|", page, re.MULTILINE)
    steps = [line for line in lines if line not in ("conductor", "submit")]
    assert len(steps) == 5
    assert not isinstance(parse_workflow("\n".join(steps), OFFER), Refusal)
    (lists,) = re.findall(r"(    model_ids.*?)\n\n", page, re.DOTALL)
    assert not isinstance(parse_workflow(lists, OFFER), Refusal)
