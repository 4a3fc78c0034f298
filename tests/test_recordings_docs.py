"""docs/recordings.md: its tables are read as it says."""

import re
from pathlib import Path

import gymnasium as gym
import pytest
from journal_calls import write_journal

from conductor_gym.recordings.detect import KNOWN_COLUMNS
from conductor_gym.recordings.recording import load_recording
from conductor_gym.types import Status
from conductor_gym.workers.pool import load_pool

EXAMPLE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def page(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's text; its files lie in the current folder."""
    text = (repository / "docs" / "recordings.md").read_text(encoding="utf-8")
    for name, content in EXAMPLE.findall(text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return text


def test_every_example_is_read(page: str):
    assert page
    wide, long, folder, card = map(load_recording, ("wide.csv", "long.csv", "folder", "card.toml"))
    assert wide.outcomes.workers == long.outcomes.workers == ("gpt-4", "llama-8b")
    assert wide.outcomes.score[0, :, 0].tolist() == [1.0, 0.0]
    assert wide.outcomes.usd is not None
    assert wide.queries.prompts is not None
    assert wide.queries.prompts[2] == "Is a promise\na contract?"
    assert long.outcomes.score.shape == (2, 2, 2)
    assert long.outcomes.status is not None
    assert long.outcomes.status[1, 1, 0] == Status.TIMEOUT
    assert folder.workers[0].usd_per_m_output == 30.0
    assert card.outcomes.workers == ("alpha", "beta")
    assert card.outcomes.answer is not None
    assert card.outcomes.answer[1, 0, 0] == card.outcomes.answer[1, 1, 0]
    for name in ("wide.csv", "long.csv", "folder", "card.toml"):
        assert len(load_pool(name).workers) == 2


def test_the_environment_of_the_page_plays(page: str):
    _, code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, gym.Env[object, object]] = {}
    exec(code, made)
    env = made["env"]
    _, info = env.reset(seed=0)
    assert info["uid"].startswith("long/q")


def test_the_calls_of_a_journal_are_printed(page: str, capsys: pytest.CaptureFixture[str]):
    write_journal(Path("run.jsonl"), 3)
    code, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "tiny solve q1 ok 1.0 1.001e-06 Answer: 2"
    assert load_recording("run.jsonl").outcomes.workers == ("tiny",)


def test_the_page_names_every_column_and_alias(page: str):
    for meaning, names in KNOWN_COLUMNS.items():
        for name in (*names, *([] if meaning == "query" else [meaning])):
            assert f"`{name}`" in page, name
    for status in Status:
        assert f"`{status.name.lower()}`" in page
