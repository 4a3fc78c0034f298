"""The vocabulary: subtasks, statuses, rules, context levels, units, `CallOutcome`.

Frozen with `Conductor-v0`: numbers here are part of recorded decisions and never change meaning.

Units: money is integer nano-USD, prices are integer nano-USD per 1,000 tokens, time is integer
microseconds, tokens are whole tokens.
"""

from enum import IntEnum
from typing import Literal, NamedTuple

NANO_USD = 1_000_000_000
"""Nano-USD in one USD."""
MICROSECONDS = 1_000_000
"""Microseconds in one second."""

LARGEST_INDEX = 2**62
"""Largest stream and episode index."""

MAX_WORKERS = 8
"""Worker slots of the default action space."""
MAX_SLOTS = 64
"""Worker slots that can be asked for: one bit each."""
MAX_STEPS = 10
"""Steps of the default episode."""
DEFAULT_BUDGET_USD = 0.50
INVALID_PENALTY = 0.01
"""Charged once for each invalid (masked) action."""

CONTEXT_LEVELS: tuple[int, ...] = (0, 256, 1024, 4096, 16384, 65536, 262144)
"""Tokens of context that each level allows besides the query."""
N_LEVELS = len(CONTEXT_LEVELS)

MAX_PARTS = 4
"""Parts of a multi-part task."""
MAX_EVIDENCE = 8
"""Pieces of evidence in a task's documents."""

MISSING = -1
"""An answer, verdict, part, worker slot or observed value that does not exist."""

Assumptions = Literal["low", "mid", "high"]
"""Which end of the assumed parameters a simulation uses: how much acting on answers helps."""
Backend = Literal["simulated", "recorded", "live"]
"""Where outcomes come from."""


class Subtask(IntEnum):
    """What a worker is asked to do."""

    SOLVE = 0
    PLAN = 1
    VERIFY = 2
    REVISE = 3
    CONDENSE = 4
    AGGREGATE = 5
    VOTE = 6
    SUBMIT = 7


N_SUBTASKS = len(Subtask)


class Status(IntEnum):
    """How a call came back."""

    OK = 0
    MALFORMED = 1
    REFUSED = 2
    OVERFLOW = 3
    UNAFFORDABLE = 4
    THROTTLED = 5
    UNAVAILABLE = 6
    TIMEOUT = 7


class Rule(IntEnum):
    """Why an action was invalid; `info["invalid"]` holds the lower-case name, or None."""

    NONE = 0
    WORKER_ABSENT = 1
    WORKER_UNAFFORDABLE = 2
    NO_CURRENT_ANSWER = 3
    NO_ANSWERS = 4
    ANSWERS_WITHOUT_IDENTITY = 5
    SUBTASK_UNSUPPORTED = 6
    LEVEL_UNSUPPORTED = 7
    UNREADABLE = 8


RULE_TEXTS: dict[Rule, str] = {
    Rule.WORKER_ABSENT: "no worker in this slot",
    Rule.WORKER_UNAFFORDABLE: "no call to this worker is affordable",
    Rule.NO_CURRENT_ANSWER: "there is no current answer yet",
    Rule.NO_ANSWERS: "there are no answers to merge yet",
    Rule.ANSWERS_WITHOUT_IDENTITY: "answers have no identity here, so they cannot be counted",
    Rule.SUBTASK_UNSUPPORTED: "this subtask does not exist on this task or backend",
    Rule.LEVEL_UNSUPPORTED: "this context level does not exist on this backend",
    Rule.UNREADABLE: "no action could be read in the text",
}


UNREADABLE_ACTION = (MISSING, MISSING, MISSING)
"""What an engine takes for a text without an action: a step is spent, the penalty charged."""


class CallOutcome(NamedTuple):
    """What one call gave back: the same row from a simulated, recorded or live worker.

    Attributes:
        status: A `Status`.
        part: Part of the task that was answered, `MISSING` for the whole.
        answer: Identity of the answer: equal numbers are equal answers. `MISSING` without one.
        confidence: The worker's stated confidence in [0, 1], 2 decimals; `MISSING` without one.
        verdict: 1 accepts, 0 rejects the answer under verification, else `MISSING`.
        tokens_in: Input tokens billed.
        tokens_out: Output tokens billed.
        cost: nano-USD.
        latency: Microseconds.
        score: The verifier's grade of the answer in [0, 1]. Private: no observation and no info
            shows it before the episode's end. 0 without an answer. Of `condense`: the share of the
            documents' evidence that the condensed form keeps.
        luck: The attempt's residual of a simulated answer, which `revise` starts from. Private;
            0 on other backends.
    """

    status: int
    part: int
    answer: int
    confidence: float
    verdict: int
    tokens_in: int
    tokens_out: int
    cost: int
    latency: int
    score: float
    luck: float
