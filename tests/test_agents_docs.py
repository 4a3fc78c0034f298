"""docs/agents.md: the cards of agents.toml."""

import re
from pathlib import Path

from conductor_gym.agents.cards_page import cards_page
from conductor_gym.agents.registry import agents


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
