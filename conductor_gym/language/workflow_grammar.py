"""Workflows that constrained decoding may write: one to five lines, each a step or the end."""

from functools import lru_cache

from conductor_gym.language.lines import FREE, Line, Refusal
from conductor_gym.language.offer import Offer
from conductor_gym.language.workflow import AGAIN, ANSWERS, END, read_step, write_step
from conductor_gym.types import Subtask

_FIRST = (Subtask.SOLVE, Subtask.PLAN, Subtask.CONDENSE)
"""Subtasks that need nothing before them."""


class WorkflowGrammar:
    """The workflow interface: steps that see nothing, one earlier step, or all; without words.

    Args:
        offer: What can be chosen.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    def choices(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """See `Grammar.choices`."""
        offer = self._offer
        if lines and lines[-1] in (AGAIN, END):
            return ("",)
        kinds: list[Subtask] = []
        for i, text in enumerate(lines):
            line = read_step(text, offer, offer.before + i + 1)
            if isinstance(line, Refusal):
                return ("",)
            kinds.append(line.subtask)
        ends = (END,) if not lines else ("", AGAIN) if offer.recursive else ("",)
        more = _steps(offer, tuple(kinds)) if len(lines) < offer.steps else ()
        return ends + more

    def regex(self) -> str:
        """See `Grammar.regex`; it knows places of steps but not what the steps before are."""
        offer = self._offer
        text = ""
        for i in reversed(range(offer.steps)):
            text = f"{_step_regex(offer, i)}(?:\n{text})?" if text else _step_regex(offer, i)
        if not offer.affordable:
            return END
        return f"{END}|{text}" + (f"(?:\n{AGAIN})?" if offer.recursive else "")


@lru_cache(maxsize=4096)
def _steps(offer: Offer, kinds: tuple[Subtask, ...]) -> tuple[str, ...]:
    """Steps that may follow steps of these kinds."""
    number = offer.before + len(kinds) + 1
    everything = tuple(range(1, number))
    singles = [(step,) for step in everything]
    # Of the steps of earlier workflows each may have answered.
    answers = {i + 1 for i in range(offer.before)}
    answers |= {offer.before + i + 1 for i, kind in enumerate(kinds) if kind in ANSWERS}
    wholes = [everything] if len(everything) > 1 else []
    lines: list[str] = []
    for subtask in sorted(offer.subtasks - {Subtask.SUBMIT}):
        if subtask == Subtask.PLAN and Subtask.PLAN in kinds:
            continue
        seen = [(), *singles, *wholes]
        if subtask not in _FIRST:
            seen = [sees for sees in seen if answers.intersection(sees)]
        for worker in (-1,) if subtask in FREE else offer.affordable:
            lines += [write_step(Line(subtask, worker, None, sees)) for sees in seen]
    return tuple(lines)


def _step_regex(offer: Offer, i: int) -> str:
    """Any step in place i of a workflow."""
    workers = "|".join(str(worker) for worker in offer.affordable)
    first, later = (
        [s.name.lower() for s in sorted(offer.subtasks) if (s in _FIRST) == early and s not in FREE]
        for early in (True, False)
    )
    earlier = list(range(1, offer.before + i + 1))
    sets = [str(step) for step in earlier]
    if len(earlier) > 1:
        sets.append(",".join(sets))
    sees = f" sees (?:{'|'.join(sets)})"
    options = [f"(?:{'|'.join(first)}) (?:{workers})" + (f"(?:{sees})?" if sets else "")]
    if sets and later:
        options.append(f"(?:{'|'.join(later)}) (?:{workers}){sees}")
    if sets and Subtask.VOTE in offer.subtasks:
        options.append(f"vote{sees}")
    return f"(?:{'|'.join(options)})"
