"""docs/agents.md: one card an agent, made from agents.toml.

python -m conductor_gym.agents.cards_page > docs/agents.md
"""

from typing import get_args

from conductor_gym.agents.card import AgentCard, Family
from conductor_gym.agents.registry import agents

_FAMILIES: dict[Family, str] = {
    "reference": "References: what the others are held against.",
    "single": "One call of one worker, chosen by a table.",
    "router": "One call of one worker, chosen by reading the query.",
    "pipeline": "Several calls in an order that was laid down beforehand.",
    "online": "Agents that go on learning while they are scored.",
    "learned": "Policies made by `conductor-gym train`.",
}

_HEAD = """\
# Agents

Every agent of the board, from [`agents.toml`](../agents/agents.toml); each is one file of
[`agents/`](../agents). Made by `python -m conductor_gym.agents.cards_page`, so not edited by hand.
How they score: [board.md](board.md). One of your own: [your-agent.md](your-agent.md).
"""


def cards_page() -> str:
    """The page as Markdown."""
    lines = [_HEAD]
    for family in get_args(Family):
        of_family = {name: card for name, card in agents().items() if card.family == family}
        if of_family:
            lines += [f"## {family.capitalize()}", "", _FAMILIES[family], ""]
            for name, card in of_family.items():
                lines += _card(name, card)
    return "\n".join(lines)


def _card(name: str, card: AgentCard) -> list[str]:
    module, _, made = card.entry.partition(":")
    file = module.removeprefix("conductor_gym.").replace(".", "/") + ".py"
    facts = {
        "paper": card.paper,
        "learns from": card.learns,
        "tuning": card.tuning,
        "training": f"{card.timesteps:,} samples unless told otherwise" if card.timesteps else "",
        "needs": ", ".join(_needed(card)),
        "sees": "what no agent may see (ref)" if card.privileged else "",
        "code": f"`{made}` in [`{file}`](../{file})",
    }
    return [
        f"### {card.shown_as(name)}",
        "",
        f"{card.summary[0].upper()}{card.summary[1:]}.",
        "",
        card.idea,
        "",
        *(f"- {fact}: {value}" for fact, value in facts.items() if value),
        "",
    ]


def _needed(card: AgentCard) -> list[str]:
    """What a backend must have, subtasks in their usual order."""
    needed = [subtask.name.lower() for subtask in sorted(card.needs)]
    needed += ["stated confidence"] * card.needs_confidence
    return needed + ["simulated outcomes"] * card.needs_simulation


if __name__ == "__main__":
    print(cards_page(), end="")
