"""An episode so far as a chat: instructions, task, then each action and what came back.

The chat of a later step begins with the chat of the step before, so a model's cache of it stays
good and a whole episode is one sequence to train on. It holds what the numeric observation holds,
in words, and the task's text.
"""

from dataclasses import dataclass
from typing import Any

from conductor_gym.engine import Engine
from conductor_gym.language.instructions import instructions
from conductor_gym.language.lines import as_line, write_line
from conductor_gym.language.offer import Offer, offer_of
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.untrusted import excerpt, task_shown
from conductor_gym.live.messages import Message
from conductor_gym.reward import WEIGHT_SCALE
from conductor_gym.types import MISSING, NANO_USD, RULE_TEXTS, Rule, Status, Subtask


@dataclass(eq=False)
class Dialogue:
    """An episode so far, to be answered by the next action.

    Attributes:
        messages: The chat; the last one is the environment's.
        offer: What can be chosen now.
        words: What the next call's worker is told besides; set by who answers.
        tokens_in: Own tokens that the answer took: read, set by who answers.
        tokens_out: Likewise: written.
    """

    messages: tuple[Message, ...]
    offer: Offer
    words: str = ""
    tokens_in: int = 0
    tokens_out: int = 0

    def text(self) -> str:
        """The chat as one text."""
        return "\n\n".join(
            "> " + m.content.replace("\n", "\n> ") if m.role == "assistant" else m.content
            for m in self.messages
        )


def dialogue_of(engine: Engine, slot: int, options: LanguageOptions) -> Dialogue:
    """The chat of one slot's episode so far.

    Args:
        engine: The slots.
        slot: Which of them.
        options: How it is told.
    """
    offer = offer_of(engine, slot, options)
    messages = [
        Message("system", instructions(options, offer)),
        Message("user", task_text(engine, slot, options, offer)),
    ]
    letters: dict[tuple[int, int], str] = {}
    for t in range(int(engine.episodes[slot]["steps"])):
        messages.append(Message("assistant", _said(engine, slot, t, offer)))
        messages.append(Message("user", result_text(engine, slot, t, letters, options)))
    return Dialogue(tuple(messages), offer)


def task_text(engine: Engine, slot: int, options: LanguageOptions, offer: Offer) -> str:
    """Workers, prices and the task: the first message of the environment."""
    world, episode = engine.world, engine.episodes[slot]
    query = int(episode["query"])
    row: Any = world.tables.queries[query]
    cards = world.pool.workers
    lines = ["Workers (USD per million tokens in/out):"]
    for i, worker in enumerate(offer.slots):
        card = cards[worker]
        lines.append(f"{i} {offer.names[i]} {card.usd_per_m_input:g}/{card.usd_per_m_output:g}")
    weight = int(episode["cost_weight"]) / WEIGHT_SCALE
    lines.append(f"A cent costs {weight:g} points.")
    if "query" in options.hidden:
        lines.append("The task is not shown.")
        return "\n".join(lines)
    size = ""
    if row["parts"]:
        size += f", {int(row['parts'])} parts"
    if row["documents"]:
        size += f", {int(row['documents']):,} tokens of documents"
    lines.append(f"Task ({world.data.domains[int(row['domain'])]}{size}):")
    if world.data.prompts is not None:
        lines.append(task_shown(world.data.prompts[query], options.query_characters))
    return "\n".join(lines)


def _said(engine: Engine, slot: int, t: int, offer: Offer) -> str:
    """The action of step t, as it would be written."""
    step: Any = engine.state.steps[slot, t]
    if int(step["rule"]) == Rule.UNREADABLE:
        return "(unreadable)"
    action = int(step["worker"]), int(step["subtask"]), int(step["level"])
    if action[0] >= 0 and action[0] not in offer.slots:
        return "(a worker that is not offered)"
    return write_line(as_line(action, offer), offer.levels)


def result_text(
    engine: Engine,
    slot: int,
    t: int,
    letters: dict[tuple[int, int], str],
    options: LanguageOptions,
) -> str:
    """What step t came to."""
    step: Any = engine.state.steps[slot, t]
    if step["rule"]:
        return f"invalid: {RULE_TEXTS[Rule(int(step['rule']))]}"
    status, subtask = Status(int(step["status"])), Subtask(int(step["subtask"]))
    cents = int(step["cost"]) / NANO_USD * 100
    if status != Status.OK:
        return f"{status.name.lower()}, {cents:.3g} cents"
    shown = "answers" not in options.hidden
    if subtask == Subtask.VERIFY:
        said = ("right" if step["verdict"] == 1 else "wrong") if shown else "checked"
    elif subtask == Subtask.PLAN:
        said = "parts opened"
    elif subtask == Subtask.CONDENSE:
        said = "documents condensed"
    elif subtask == Subtask.SUBMIT:
        return "submitted"
    else:
        said = "answer"
        if shown and int(step["answer"]) != MISSING:
            key = int(step["part"]), int(step["answer"])
            said += f" {letters.setdefault(key, letter(len(letters)))}"
        if int(step["part"]) >= 0:
            said += f" to part {int(step['part']) + 1}"
        if shown and subtask != Subtask.VOTE and (words := excerpt(engine.answer_text(slot, t))):
            said += f" {words}"
        if shown and float(step["confidence"]) >= 0:
            said += f", confidence {float(step['confidence']):.2f}"
    return said if subtask == Subtask.VOTE else f"{said}, {cents:.3g} cents"


def letter(number: int) -> str:
    """What an answer is called: A, B, ..., Z, A1, B1, and so on."""
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")
