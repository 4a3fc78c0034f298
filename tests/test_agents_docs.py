"""docs/agents.md: the cards of agents.toml, and an agent of one's own that runs."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conductor_gym.agents.cards_page import cards_page
from conductor_gym.agents.registry import agents
from conductor_gym.cli import app
from conductor_gym.leaderboard.results import read_result


def test_the_page_is_the_one_made_from_the_cards(repository: Path):
    written = (repository / "docs" / "agents.md").read_text(encoding="utf-8")
    assert written == cards_page(), (
        "agents.toml has changed: python -m conductor_gym.agents.cards_page > docs/agents.md"
    )


def test_every_agent_has_one_card():
    headings = re.findall(r"^### (.*)$", cards_page(), flags=re.M)
    assert sorted(headings) == sorted(card.shown_as(name) for name, card in agents().items())


def test_every_link_to_a_file_leads_somewhere(repository: Path):
    targets = re.findall(r"\]\((?!http)([^)#]+)", cards_page())
    assert len(targets) > len(agents())
    assert [target for target in targets if not (repository / "docs" / target).exists()] == []


def test_the_agent_of_the_page_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (code,) = re.findall(r"```python\n(.*?)```", cards_page(), flags=re.S)
    (command,) = re.findall(r"^    conductor-gym (run .*)$", cards_page(), flags=re.M)
    (tmp_path / "my_agents.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    done = CliRunner().invoke(app, [*command.split(), "--episodes", "50", "--assumptions", "mid"])
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "results" / "paper").glob("*.json")
    result = read_result(path)
    assert result.agent == "my_agents:FirstWorker"
    assert {at.steps for at in result.at} == {2.0}
