"""The line a language model writes: one decision, in the text interface and in workflows alike.

solve 2            worker 2 solves the task, seeing nothing else
verify 0 4k        worker 0 checks the current answer, seeing up to 4k tokens of context
solve 1: <words>   the words go to the worker; simulated workers ignore them
aggregate 2 sees 1,3     in a workflow: it sees what steps 1 and 3 gave
vote
submit
"""

import re
from dataclasses import dataclass

from conductor_gym.language.offer import Offer
from conductor_gym.types import CONTEXT_LEVELS, MISSING, Subtask

FREE = (Subtask.VOTE, Subtask.SUBMIT)
LEVEL_NAMES: tuple[str, ...] = tuple(
    str(tokens) if tokens < 1024 else f"{tokens // 1024}k" for tokens in CONTEXT_LEVELS
)
ALONE = 0
"""Context level of `solve` and `plan` where none is written."""
SEEING = 3
"""Context level of other subtasks where none is written: 4k tokens."""


@dataclass(frozen=True)
class Line:
    """One decision as it is written.

    Attributes:
        subtask: What is asked for.
        worker: Number as told, `MISSING` for `vote` and `submit`.
        level: Context level; None where none is written.
        sees: Earlier steps of the workflow whose outputs it sees, from 1; None where not written.
        words: What else the worker is told.
    """

    subtask: Subtask
    worker: int = MISSING
    level: int | None = None
    sees: tuple[int, ...] | None = None
    words: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a text is no action.

    Attributes:
        reason: For people, and for the model's next try.
    """

    reason: str


def usual_level(subtask: Subtask, levels: int) -> int:
    """Context level where none is written."""
    return min(levels - 1, ALONE if subtask in (Subtask.SOLVE, Subtask.PLAN) else SEEING)


def write_line(line: Line, levels: int) -> str:
    """A decision in its one canonical form.

    Args:
        line: The decision.
        levels: Context levels that exist.
    """
    name = line.subtask.name.lower()
    if line.subtask in FREE:
        return name
    text = f"{name} {line.worker}"
    if line.sees:
        text += " sees " + ",".join(str(step) for step in line.sees)
    if line.level is not None and line.level != usual_level(line.subtask, levels):
        text += f" {LEVEL_NAMES[line.level]}"
    return f"{text}: {line.words}" if line.words else text


_LINE = re.compile(
    r"(?P<name>[a-z]+)(?: (?P<worker>\d{1,3}))?(?: sees (?P<sees>\d{1,2}(?:,\d{1,2})*))?"
    r"(?: (?P<level>\d{1,3}k?))?(?:: (?P<words>.*))?"
)


def read_line(text: str, offer: Offer) -> Line | Refusal:
    """A decision from its canonical form; `parse_action` reads what models really write.

    Args:
        text: One line.
        offer: What can be chosen.
    """
    found = _LINE.fullmatch(text)
    if found is None:
        return Refusal("not of the form SUBTASK WORKER [CONTEXT]")
    name = found["name"].upper()
    if name not in Subtask.__members__:
        known = ", ".join(subtask.name.lower() for subtask in Subtask)
        return Refusal(f"no subtask {found['name']!r}, known: {known}")
    subtask = Subtask[name]
    if subtask in FREE:
        return Line(subtask)
    if found["worker"] is None:
        return Refusal(f"{found['name']} needs the number of a worker")
    worker = int(found["worker"])
    if worker >= len(offer.slots):
        return Refusal(f"no worker {worker}, the last is {len(offer.slots) - 1}")
    level = None
    if found["level"] is not None:
        if found["level"] not in LEVEL_NAMES[: offer.levels]:
            return Refusal(
                f"no context {found['level']!r}, known: {', '.join(LEVEL_NAMES[: offer.levels])}"
            )
        level = LEVEL_NAMES.index(found["level"])
    sees = found["sees"] and tuple(int(step) for step in found["sees"].split(","))
    return Line(subtask, worker, level, sees or None, found["words"] or "")


def as_action(line: Line, offer: Offer) -> tuple[int, int, int]:
    """The engine's action (worker slot, subtask, context level)."""
    if line.subtask in FREE:
        return 0, int(line.subtask), 0
    level = usual_level(line.subtask, offer.levels) if line.level is None else line.level
    return offer.slots[line.worker], int(line.subtask), level


def as_line(action: tuple[int, int, int], offer: Offer, words: str = "") -> Line:
    """The decision that an engine's action is; its worker must be offered.

    Args:
        action: (worker slot, subtask, context level).
        offer: What can be chosen.
        words: What else the worker was told.
    """
    slot, subtask, level = action
    if Subtask(subtask) in FREE:
        return Line(Subtask(subtask))
    return Line(Subtask(subtask), offer.slots.index(slot), level, None, words)
