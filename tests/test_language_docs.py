"""docs/language.md: its code runs as written, and what it says is read is read."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from replies import NAMED

from conductor_gym.language.lines import Line
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.parse import parse_action


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "language.md").read_text(encoding="utf-8")


def test_the_loop_runs(page: str):
    pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")
    code = re.findall(r"```python\n(.*?)```", page, flags=re.S)[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs/language.md", "exec"), {})
    *dialogue, utility = printed.getvalue().strip().split("\n\n")
    said = [block for block in dialogue if block.startswith(">")]
    assert said == ["> solve 4", "> verify 2", "> submit"]
    assert -1.0 < float(utility) <= 1.0


def test_every_line_of_its_table_and_every_form_it_names_is_read(page: str):
    lines = re.findall(r"^\| `([a-z]+(?: [^`]*)?)` \| ", page, flags=re.M)[:5]
    forms = ["solve(2, 4k)", "Worker 2: solve", *re.findall(r"`(\{.*?\})`", page)]
    assert len(lines) == 5
    assert len(forms) == 3
    for text in [*lines, *forms]:
        assert isinstance(parse_action(text, NAMED), Line), text


def test_it_names_every_setting(page: str):
    told = set(re.findall(r"^\| `(\w+)` \| ", page, flags=re.M)) - {"vote", "submit"}
    assert told == set(LanguageOptions().as_dict()) - {"interface", "rounds"}
