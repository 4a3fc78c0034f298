"""A workflow: up to five steps that see each other's outputs, and how a model writes one.

Our own form is a line a step, in the words of `conductor_gym.language.lines`:

    solve 2
    solve 0: Try small cases first.
    aggregate 2 sees 1,2
    conductor

`sees` names earlier steps, `all` or `none`; steps are counted from 1, over all workflows of an
episode. Where it is not written, `solve`, `plan` and `condense` see nothing and other subtasks see
all earlier steps. A last line `conductor` calls the conductor again with what came back, where that
is offered; `submit` may stand last, or alone: then nothing is asked.

The paper's three lists are read too, see `conductor_gym.language.workflow_lists`. What kind of
subtask a text of theirs is: its first word, where that names one ("Verify that ..."); else `solve`
where it sees no answer, `revise` where it sees one, `aggregate` where it sees several.
"""

import re
from dataclasses import dataclass, replace

from conductor_gym.language.lines import FREE, LEVEL_NAMES, Line, Refusal
from conductor_gym.language.offer import Offer
from conductor_gym.language.parse import without_reasoning
from conductor_gym.language.parse_line import NOT_AN_ACTION, parse_line, words_of
from conductor_gym.language.workflow_lists import Lists, find_lists, read_lists
from conductor_gym.types import Subtask

MOST = 20_000
"""Characters of a reply that are read: its end."""
AGAIN = "conductor"
"""The line that calls the conductor again."""
END = "submit"
_TOO_MANY = 64

ANSWERS = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE, Subtask.VOTE)
"""Subtasks whose outputs are answers."""
_ALONE = (Subtask.SOLVE, Subtask.PLAN, Subtask.CONDENSE)
_KINDS = {s.name: s for s in Subtask if s != Subtask.SUBMIT}

_LAST = re.compile(
    r"[\s*_`#>.)\d-]*(?:step\s*\d{1,2}\s*:)?[\s*_`]*(?P<word>conductor|submit)[\s*_`.!]*",
    re.IGNORECASE,
)
_SEES = re.compile(
    r"(?P<head>[^:\n]{0,120}?)[\s,(]+sees?\s*[:=]?\s*(?:steps?\s*)?[\[(]?\s*(?P<what>all|none|nothing|"
    r"\d{1,3}(?:(?:\s*,\s*|\s+and\s+)\d{1,3}){0,40})\b(?![k\d])\s*[\])]?(?P<rest>.*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Workflow:
    """One reply of a conductor.

    Attributes:
        steps: In order; each one's `sees` is told, and names steps before it.
        again: Whether the conductor is called again when they are back; else the newest answer is
            submitted.
    """

    steps: tuple[Line, ...]
    again: bool = False


def write_step(line: Line) -> str:
    """A step in its one canonical form.

    Args:
        line: The step; its `sees` is told.
    """
    text = line.subtask.name.lower()
    if line.subtask not in FREE:
        text += f" {line.worker}"
    if line.sees:
        text += " sees " + ",".join(str(step) for step in line.sees)
    elif line.subtask not in _ALONE:
        text += " sees none"
    if line.level is not None:
        text += f" {LEVEL_NAMES[line.level]}"
    return f"{text}: {line.words}" if line.words else text


def write_workflow(workflow: Workflow) -> str:
    """A workflow in its one canonical form, which `parse_workflow` reads as the same workflow."""
    lines = [write_step(line) for line in workflow.steps]
    if workflow.again:
        lines.append(AGAIN)
    return "\n".join(lines or [END])


def parse_workflow(text: str, offer: Offer) -> Workflow | Refusal:
    """The workflow that a reply holds, or why it holds none. Nothing in it is ever run.

    Lines that are no step are prose and left out. Reasoning does not count, and of a long reply
    the end does.

    Args:
        text: What the model wrote.
        offer: What can be chosen.
    """
    own = without_reasoning(text)
    if own is None:
        return Refusal("the reply ends before its reasoning does")
    text = own[-MOST:].strip()
    if not text:
        return Refusal("the reply is empty")
    found = find_lists(text)
    if found:
        lists = read_lists(found)
        return lists if isinstance(lists, Refusal) else _from_lists(lists, offer)
    return _from_lines(text.splitlines(), offer)


def _from_lines(lines: list[str], offer: Offer) -> Workflow | Refusal:
    steps: list[Line] = []
    last = ""
    for text in lines:
        ending = _LAST.fullmatch(text)
        if ending is not None:
            last = ending["word"].lower()
            continue
        line = read_step(text.strip(), offer, offer.before + len(steps) + 1)
        if line is NOT_AN_ACTION:
            continue
        if isinstance(line, Refusal):
            return Refusal(f"step {offer.before + len(steps) + 1}: {line.reason}")
        if last:
            return Refusal(f"{last} must be the last line")
        if len(steps) == _TOO_MANY:
            return Refusal(f"more than {_TOO_MANY} steps, at most {offer.steps} are allowed")
        steps.append(line)
    if not steps and last != END:
        return Refusal("no line is a step of the form SUBTASK WORKER [sees STEPS]")
    return checked(Workflow(tuple(steps), last == AGAIN), offer)


def read_step(text: str, offer: Offer, number: int) -> Line | Refusal:
    """One step from its line.

    Args:
        text: The line.
        offer: What can be chosen.
        number: Of the step, from 1.

    Returns:
        The step with its `sees`, `NOT_AN_ACTION` where the line is prose.
    """
    written = _SEES.fullmatch(text)
    if written:
        rest = written["rest"].strip()
        text = written["head"] + rest if rest.startswith(":") else f"{written['head']} {rest}"
    line = parse_line(text.strip(), offer)
    if isinstance(line, Refusal):
        return line
    if not written:
        return replace(line, sees=_usually_seen(line.subtask, number))
    what = written["what"].lower()
    if what.startswith("no"):
        return replace(line, sees=())
    if what == "all":
        return replace(line, sees=tuple(range(1, number)))
    return replace(line, sees=tuple(sorted({int(step) for step in re.findall(r"\d+", what)})))


def _usually_seen(subtask: Subtask, number: int) -> tuple[int, ...]:
    """What a step sees where it is not written."""
    return () if subtask in _ALONE else tuple(range(1, number))


def _from_lists(lists: Lists, offer: Offer) -> Workflow | Refusal:
    workers = len(offer.slots)
    again = offer.recursive and bool(lists.workers) and lists.workers[-1] == workers
    steps: list[Line] = []
    for i in range(len(lists.workers) - again):
        access = lists.access[i]
        number = offer.before + i + 1
        sees = tuple(range(1, number)) if access is None else tuple(sorted({s + 1 for s in access}))
        words = words_of(lists.subtasks[i])
        kind = _kind(words, sees, steps, offer)
        if kind in FREE:
            steps.append(Line(kind, sees=sees))
        else:
            steps.append(Line(kind, lists.workers[i], None, sees, words))
    return checked(Workflow(tuple(steps), again), offer) if steps else Refusal("no step is there")


def _kind(words: str, sees: tuple[int, ...], steps: list[Line], offer: Offer) -> Subtask:
    first = re.match(r"[A-Za-z]+", words)
    if first is not None and first[0].upper() in _KINDS:
        return _KINDS[first[0].upper()]
    own = [s - offer.before - 1 for s in sees if s > offer.before]
    answers = sum(s <= offer.before for s in sees)
    answers += sum(i < len(steps) and steps[i].subtask in ANSWERS for i in own)
    kind = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE)[min(answers, 2)]
    return kind if kind in offer.subtasks else Subtask.SOLVE


def checked(workflow: Workflow, offer: Offer) -> Workflow | Refusal:
    """A workflow whose every `sees` is told, or why it cannot be run.

    Args:
        workflow: Of any origin.
        offer: What can be chosen.
    """
    if workflow.again and not offer.recursive:
        return Refusal("the conductor cannot be called again: this workflow is the last")
    if workflow.again and not workflow.steps:
        return Refusal("a workflow that calls the conductor again needs a step before")
    if len(workflow.steps) > offer.steps:
        return Refusal(f"{len(workflow.steps)} steps, at most {offer.steps} are allowed")
    steps: list[Line] = []
    for i, line in enumerate(workflow.steps):
        number = offer.before + i + 1
        if line.subtask == Subtask.SUBMIT:
            return Refusal("submit must be the last line")
        if line.subtask not in FREE and not 0 <= line.worker < len(offer.slots):
            last = len(offer.slots) - 1
            return Refusal(f"step {number}: no worker {line.worker}, the last is {last}")
        if line.level is not None and not 0 <= line.level < offer.levels:
            known = ", ".join(LEVEL_NAMES[: offer.levels])
            return Refusal(f"step {number}: no such context level, known: {known}")
        sees = _usually_seen(line.subtask, number) if line.sees is None else line.sees
        for step in sees:
            if step == number:
                return Refusal(f"step {number} sees itself")
            if not 1 <= step < number:
                return Refusal(f"step {number} sees step {step}, which does not come before it")
        steps.append(replace(line, sees=tuple(sorted(set(sees)))))
    return replace(workflow, steps=tuple(steps))
