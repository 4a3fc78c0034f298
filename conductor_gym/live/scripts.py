"""Scripts of actions that show what live workers do alone and with each other's answers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from conductor_gym.types import Subtask

Action = tuple[int, int, int]
"""Worker slot, subtask and context level."""

Script = tuple[Action, ...]
"""Actions of one episode, from its first step."""

ALONE = 0
"""Context level at which a call sees no earlier output."""
TOLD = 2
"""Context level at which a call sees a critique or another worker's answer: 1,024 tokens."""
WIDE = 3
"""Context level at which a call sees several answers: 4,096 tokens."""

_GIVES_ANSWER = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE)
_ON_TARGET = (Subtask.VERIFY, Subtask.REVISE)


class CallName(NamedTuple):
    """Which call an action of a script makes, as far as the script alone tells.

    Equal names are the same call. Different names may still come to the same one, where two
    answers turn out to be equal.

    Attributes:
        worker: Slot.
        subtask: What is asked for.
        level: Context level.
        target: Call whose answer is verified or revised, None without one.
        attempt: How often the worker was asked the same before.
        seen: Calls whose outputs the context may hold, oldest first.
    """

    worker: int
    subtask: Subtask
    level: int
    target: "CallName | None"
    attempt: int
    seen: "tuple[CallName, ...]"


def solves(workers: int, attempts: int, level: int = ALONE) -> list[Script]:
    """Each worker alone, several times: one script a worker.

    Args:
        workers: Of the pool.
        attempts: Times that each is asked.
        level: Context level.
    """
    return [((w, int(Subtask.SOLVE), level),) * attempts for w in range(workers)]


def acts(workers: int) -> list[Script]:
    """Each worker's acts on each worker's answers, its own included.

    Of every writer w and actor v: v verifies w's answer, twice (persistence); v revises it; w
    revises it after v's critique; v solves while it sees w's answer. Of every worker: it puts
    together one answer of each worker, and three answers of its own.

    Args:
        workers: Of the pool.
    """
    solve, verify, revise = int(Subtask.SOLVE), int(Subtask.VERIFY), int(Subtask.REVISE)
    join = int(Subtask.AGGREGATE)
    pairs = [(w, v) for w in range(workers) for v in range(workers)]
    made: list[Script] = []
    for w, v in pairs:
        wrote, checks = (w, solve, ALONE), (v, verify, ALONE)
        made += [
            (wrote, checks, checks),
            (wrote, (v, revise, ALONE)),
            (wrote, checks, (w, revise, TOLD)),
            (wrote, (v, solve, TOLD)),
        ]
    one_of_each = tuple((w, solve, ALONE) for w in range(workers))
    for v in range(workers):
        made += [
            (*one_of_each, (v, join, WIDE)),
            (*(((v, solve, ALONE),) * 3), (v, join, WIDE)),
        ]
    return made


def call_names(script: Script) -> tuple[CallName, ...]:
    """The calls that a script makes where every call gives an answer."""
    made: list[CallName] = []
    current: CallName | None = None
    for worker, code, level in script:
        subtask = Subtask(code)
        target = current if subtask in _ON_TARGET else None
        attempt = sum((c.worker, c.subtask, c.target) == (worker, subtask, target) for c in made)
        seen = tuple(made) if level else ()
        call = CallName(worker, subtask, level if seen else ALONE, target, attempt, seen)
        made.append(call)
        if subtask in _GIVES_ANSWER:
            current = call
    return tuple(made)


def distinct_calls(scripts: Sequence[Script]) -> set[CallName]:
    """All calls of some scripts on one query, each once."""
    return {call for script in scripts for call in call_names(script)}


def in_rounds(scripts: Sequence[Script]) -> Iterator[list[Script]]:
    """Scripts in an order in which none waits for a call that another one has under way.

    No two scripts of a round make the same call, unless an earlier round made it.

    Yields:
        Rounds; together they hold every script once.
    """
    known: set[CallName] = set()
    left = list(scripts)
    while left:
        now: list[Script] = []
        later: list[Script] = []
        fresh: set[CallName] = set()
        for script in left:
            calls = set(call_names(script)) - known
            if calls & fresh:
                later.append(script)
            else:
                now.append(script)
                fresh |= calls
        yield now
        known |= fresh
        left = later
