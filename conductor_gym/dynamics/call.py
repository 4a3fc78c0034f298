"""From an action to a call: validity, context, worst price. Reads the state, changes nothing."""

from enum import IntEnum
from typing import Any

import numpy as np

from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.types import CONTEXT_LEVELS, MISSING, Rule, Status, Subtask

ANSWER_TOKENS = 32
"""Tokens of a bare answer, which `verify` and `revise` always see (assumed)."""


class Fate(IntEnum):
    """What becomes of an action."""

    CALL = 0
    VOTE = 1
    SUBMIT = 2
    UNAFFORDABLE = 3
    INVALID = 4


_LEVEL_TOKENS = np.array(CONTEXT_LEVELS, np.int64)
_N_LEVELS = len(CONTEXT_LEVELS)
_SOLVE, _VERIFY, _REVISE = int(Subtask.SOLVE), int(Subtask.VERIFY), int(Subtask.REVISE)
_PLAN, _CONDENSE = int(Subtask.PLAN), int(Subtask.CONDENSE)
_AGGREGATE, _VOTE, _SUBMIT = int(Subtask.AGGREGATE), int(Subtask.VOTE), int(Subtask.SUBMIT)
_OK, _UNAFFORDABLE = int(Status.OK), int(Status.UNAFFORDABLE)
_NONE = int(Rule.NONE)
_WORKER_ABSENT = int(Rule.WORKER_ABSENT)
_WORKER_UNAFFORDABLE = int(Rule.WORKER_UNAFFORDABLE)
_NO_CURRENT_ANSWER = int(Rule.NO_CURRENT_ANSWER)
_NO_ANSWERS = int(Rule.NO_ANSWERS)
_WITHOUT_IDENTITY = int(Rule.ANSWERS_WITHOUT_IDENTITY)
_SUBTASK_UNSUPPORTED = int(Rule.SUBTASK_UNSUPPORTED)
_LEVEL_UNSUPPORTED = int(Rule.LEVEL_UNSUPPORTED)
_UNREADABLE = int(Rule.UNREADABLE)
_FATE_CALL, _FATE_VOTE, _FATE_SUBMIT = int(Fate.CALL), int(Fate.VOTE), int(Fate.SUBMIT)
_FATE_UNAFFORDABLE, _FATE_INVALID = int(Fate.UNAFFORDABLE), int(Fate.INVALID)


@inner_njit
def price(worker: Any, tokens_in: int, tokens_out: int) -> int:
    """nano-USD of a call, rounded half up."""
    return (tokens_in * worker.price_in + tokens_out * worker.price_out + 500) // 1000


@inner_njit
def gives_answer(subtask: int) -> bool:
    """Whether an ok call of this subtask becomes the current answer."""
    return (subtask == _SOLVE) | (subtask == _REVISE) | (subtask == _AGGREGATE)


@inner_njit
def is_answer(step: Any) -> bool:
    """Whether this past step holds an ok answer that a worker gave."""
    return (step.status == _OK) & gives_answer(step.subtask)


@inner_njit
def row_of(tables: Any, query: int, part: int) -> int:
    """Row of a query's part in `queries` and `features`; the query's own for `MISSING`."""
    return query if part < 0 else tables.queries[query].first_part + part


@inner_njit
def open_part(tables: Any, episode: Any) -> int:
    """Part that the next `solve` fills: the next open one, after the last the last again."""
    if episode.opened == 0:
        return MISSING
    return min(episode.done, tables.queries[episode.query].parts - 1)


@inner_njit
def answer_in_focus(episode: Any) -> int:
    """Step that `verify` and `revise` are about: of the newest part once parts are open."""
    if episode.opened == 0:
        return episode.current
    return episode.part_answers[episode.done - 1] if episode.done > 0 else MISSING


@inner_njit
def _affordable_workers(tables: Any, episode: Any) -> int:
    """Bits of the slots of which some call is affordable."""
    rules = tables.rules[0]
    left = rules.budget - episode.cost
    if left >= rules.dearest:
        return rules.present
    prompt = tables.queries[row_of(tables, episode.query, open_part(tables, episode))].tokens
    if episode.opened == 1 and episode.done > 0:
        newest = tables.queries[row_of(tables, episode.query, episode.done - 1)].tokens
        prompt = min(prompt, newest + ANSWER_TOKENS)
    bits = 0
    for w in range(tables.workers.shape[0]):
        worst = price(tables.workers[w], rules.overhead + prompt, rules.output_cap)
        bits |= int(worst <= left) << w
    return bits


@inner_njit
def worker_rule(tables: Any, episode: Any, worker: int) -> int:
    """`NONE` if the slot is filled and some call to it is affordable, else the broken rule."""
    if (episode.workers >> worker) & 1:
        return _NONE
    return _WORKER_ABSENT if worker >= tables.workers.shape[0] else _WORKER_UNAFFORDABLE


@inner_njit
def _existing_subtasks(tables: Any, episode: Any) -> int:
    """Bits of the subtasks that this task and backend have."""
    query = tables.queries[episode.query]
    bits = tables.rules[0].subtasks
    if query.parts == 0:
        bits &= ~(1 << _PLAN)
    if query.documents == 0:
        bits &= ~(1 << _CONDENSE)
    return bits


@inner_njit
def _valid_subtasks(tables: Any, episode: Any) -> int:
    """Bits of the subtasks that are valid now."""
    bits = _existing_subtasks(tables, episode)
    if answer_in_focus(episode) < 0:
        bits &= ~((1 << _VERIFY) | (1 << _REVISE))
    answers = episode.done if episode.opened == 1 else episode.answers
    if answers == 0:
        bits &= ~((1 << _VOTE) | (1 << _AGGREGATE))
    return bits


@inner_njit
def note_valid(tables: Any, episode: Any) -> None:
    """Keep which workers and subtasks are valid now, for the mask, the end and the next call."""
    episode.workers = _affordable_workers(tables, episode)
    episode.subtasks = _valid_subtasks(tables, episode)


@inner_njit
def subtask_rule(tables: Any, episode: Any, subtask: int) -> int:
    """`NONE` if the subtask is valid now, else the broken rule."""
    if (episode.subtasks >> subtask) & 1:
        return _NONE
    if subtask == _VOTE and tables.rules[0].identity == 0:
        return _WITHOUT_IDENTITY
    if (_existing_subtasks(tables, episode) >> subtask) & 1 == 0:
        return _SUBTASK_UNSUPPORTED
    return _NO_CURRENT_ANSWER if subtask in (_VERIFY, _REVISE) else _NO_ANSWERS


@inner_njit
def level_rule(tables: Any, level: int) -> int:
    """`NONE` if the context level exists here, else the broken rule."""
    return _NONE if level < tables.rules[0].levels else _LEVEL_UNSUPPORTED


@inner_njit
def is_output(step: Any) -> bool:
    """Whether a past step's output is shown as one; a condensed form stands for the documents."""
    return (step.status == _OK) & (step.subtask != _CONDENSE)


@inner_njit
def context_share(steps: Any, n: int, level: int, step: int) -> float:
    """Share of a past step's output that fits a context level, newest outputs first.

    Args:
        steps: The episode's past steps.
        n: How many there are.
        level: Context level.
        step: The step asked about.
    """
    left = _LEVEL_TOKENS[level]
    for t in range(n - 1, step, -1):
        if is_output(steps[t]):
            left -= steps[t].tokens_out
    size = steps[step].tokens_out
    if left <= 0 or size == 0:
        return 0.0
    return 1.0 if size <= left else left / size


@inner_njit
def documents_from_start(query: Any, room: int) -> Any:
    """Tokens of the documents' start that fit, and the share of their evidence in it."""
    if query.documents == 0:
        return 0, 1.0
    shown = min(room, query.documents)
    read = 0
    for i in range(query.pieces):
        read += int(query.evidence[i] <= shown)
    return shown, read / query.pieces


@inner_njit
def documents_shown(query: Any, episode: Any, steps: Any, subtask: int, room: int) -> Any:
    """Tokens of documents in a context, and the share of their evidence in it.

    After the outputs come the documents from their start, or what was condensed of them;
    `condense` itself always reads the documents.

    Args:
        query: `QUERY_DTYPE` record.
        episode: `EPISODE_DTYPE` record.
        steps: The episode's past steps.
        subtask: What is asked for.
        room: Tokens that the outputs leave.
    """
    if query.documents > 0 and episode.condensed >= 0 and subtask != _CONDENSE:
        form = steps[episode.condensed]
        shown = min(room, form.tokens_out)
        return shown, form.score * shown / form.tokens_out
    return documents_from_start(query, room)


@inner_njit
def _subject(tables: Any, episode: Any, subtask: int) -> Any:
    """(part, target step) that a subtask is about now."""
    if subtask in (_VERIFY, _REVISE):
        part = episode.done - 1 if episode.opened == 1 else MISSING
        return part, answer_in_focus(episode)
    return open_part(tables, episode) if subtask == _SOLVE else MISSING, MISSING


@inner_njit
def _set_context(
    tables: Any, episode: Any, call: Any, prompt: int, outputs: int, shown: int, evidence: float
) -> None:
    """What the call sees, and whether its worst price is affordable."""
    rules = tables.rules[0]
    call.context = outputs + shown
    call.shown = shown
    call.evidence = evidence
    call.tokens_in = rules.overhead + prompt + outputs + shown
    worst = price(tables.workers[call.worker], call.tokens_in, rules.output_cap)
    call.fate = _FATE_CALL if worst <= rules.budget - episode.cost else _FATE_UNAFFORDABLE


@inner_njit
def _clear(call: Any, worker: int, subtask: int, level: int) -> None:
    call.rule = _NONE
    call.worker = worker
    call.subtask = subtask
    call.level = level
    call.part = MISSING
    call.target = MISSING
    call.target_answer = MISSING
    call.attempt = 0


@inner_njit
def plan_call(
    tables: Any, episode: Any, steps: Any, worker: int, subtask: int, level: int, call: Any
) -> None:
    """Work out what an action asks for, without making it happen.

    Args:
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, read only.
        steps: `STEP_DTYPE` [max_steps] of the episode, read only.
        worker: Slot.
        subtask: A `Subtask`, `MISSING` where no action could be read.
        level: Context level.
        call: `CALL_DTYPE` record, written.
    """
    _clear(call, worker, subtask, level)
    free = (subtask == _VOTE) | (subtask == _SUBMIT)
    rule = subtask_rule(tables, episode, subtask) if subtask >= 0 else _UNREADABLE
    if rule == _NONE and not free:
        rule = worker_rule(tables, episode, worker)
        if rule == _NONE:
            rule = level_rule(tables, level)
    if rule != _NONE:
        call.fate = _FATE_INVALID
        call.rule = rule
        return
    if free:
        call.fate = _FATE_VOTE if subtask == _VOTE else _FATE_SUBMIT
        call.worker = MISSING
        call.level = MISSING
        if subtask == _VOTE and episode.opened == 1:
            call.part = episode.done - 1
        return

    n = episode.steps
    part, target = _subject(tables, episode, subtask)
    target_answer = steps[target].answer if target >= 0 else MISSING
    attempt = 0
    outputs = 0
    for t in range(n):
        past = steps[t]
        outputs += past.tokens_out * int(is_output(past))
        made = (past.status >= 0) & (past.status != _UNAFFORDABLE)
        same = (past.worker == worker) & (past.subtask == subtask) & (past.part == part)
        attempt += int(made & same & (past.target == target_answer))
    call.part = part
    call.target = target
    call.target_answer = target_answer
    call.attempt = attempt
    outputs = min(_LEVEL_TOKENS[level], outputs)
    query = tables.queries[episode.query]
    room = _LEVEL_TOKENS[level] - outputs
    shown, evidence = documents_shown(query, episode, steps, subtask, room)
    prompt = tables.queries[row_of(tables, episode.query, part)].tokens
    if target >= 0:
        prompt += ANSWER_TOKENS
    _set_context(tables, episode, call, prompt, outputs, shown, evidence)


@inner_njit
def plan_first_solve(tables: Any, episode: Any, worker: int, level: int, call: Any) -> None:
    """A first `solve` of the whole by this worker, whatever was done before; see `plan_call`."""
    _clear(call, worker, _SOLVE, level)
    query = tables.queries[episode.query]
    shown, evidence = documents_from_start(query, _LEVEL_TOKENS[level])
    _set_context(tables, episode, call, query.tokens, 0, shown, evidence)
