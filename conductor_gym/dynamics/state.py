"""Episode state and the tables every backend shares, as numpy record arrays.

One record per episode slot plus one per past step. Record arrays rather than one array per field:
each array that a compiled call takes adds to the start of that call, and the scalar environment
makes such a call per step.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.spaces import HISTORY_COLUMNS, WORKER_COLUMNS
from conductor_gym.types import MAX_EVIDENCE, MAX_PARTS, MISSING

Records = npt.NDArray[np.void]

N_NORMALS = 16
"""Public normals of a query or part; the first tells about its difficulty."""
MAX_FACTORS = 4
"""Shared factors of a simulated pool: the query's difficulty and up to three families."""

EPISODE_DTYPE = np.dtype(
    [
        ("stream", np.int64),
        ("index", np.int64),
        ("query", np.int64),  # row of the split
        ("luck0", np.uint64),  # subkey of (key, stream, pass, query)
        ("luck1", np.uint64),
        ("query0", np.uint64),  # subkey of (key, query)
        ("query1", np.uint64),
        ("cost", np.int64),  # nano-USD
        ("latency", np.int64),  # microseconds
        ("begins", np.int64),  # microsecond of the next call, -1: when all before it are back
        ("charge", np.int64),  # cumulative nano-utility
        ("cost_weight", np.int64),  # millionths
        ("latency_weight", np.int64),
        ("quality", np.float64),  # of the submitted answer; 0 before the end
        ("steps", np.int32),
        ("current", np.int32),  # step that wrote the current answer, -1 without one
        ("condensed", np.int32),  # step that wrote the condensed documents, -1 without one
        ("opened", np.int32),  # 1 once a plan opened the parts
        ("done", np.int32),  # parts that have an answer
        ("part_answers", np.int32, (MAX_PARTS,)),  # steps that wrote them, -1 without one
        ("answers", np.int32),  # ok answers that workers gave
        ("invalid", np.int32),  # invalid actions so far
        ("over", np.int32),
        ("subtasks", np.int32),  # bits of those that are valid now
        ("workers", np.int64),  # bits of those that are valid now
        ("shown", np.int64),  # bits of those that are shown as valid
        ("shown_weights", np.float32, (2,)),  # of cost and latency
    ],
    align=True,
)

STEP_DTYPE = np.dtype(
    [
        ("answer", np.int64),
        ("target", np.int64),  # answer that verify and revise were about
        ("cost", np.int64),
        ("latency", np.int64),
        ("confidence", np.float64),
        ("score", np.float64),  # private, see CallOutcome; of `condense`: share of the evidence
        ("luck", np.float64),  # private
        ("tokens_in", np.int32),
        ("tokens_out", np.int32),
        ("worker", np.int8),  # -1 for vote and submit
        ("subtask", np.int8),
        ("level", np.int8),
        ("status", np.int8),  # -1 when the action was invalid
        ("verdict", np.int8),
        ("part", np.int8),
        ("rule", np.int8),
    ],
    align=True,
)

CALL_DTYPE = np.dtype(
    [
        ("fate", np.int64),  # a `Fate`; only `Fate.CALL` reaches a worker
        ("rule", np.int64),  # a `Rule`, not `NONE` where the action is invalid
        ("worker", np.int64),
        ("subtask", np.int64),
        ("level", np.int64),
        ("part", np.int64),  # that is worked on, -1 for the whole
        ("target", np.int64),  # step whose answer `verify` or `revise` is about, -1 for others
        ("target_answer", np.int64),  # that answer's identity
        ("attempt", np.int64),  # how often this worker already did this to this target
        ("context", np.int64),  # tokens of context that it sees besides the query
        ("shown", np.int64),  # tokens of documents, or of their condensed form, among them
        ("evidence", np.float64),  # share of the documents' evidence among them, 1 without any
        ("tokens_in", np.int64),  # instructions, query, target answer, context
    ],
    align=True,
)
"""An action, worked out against the episode so far."""

WORKER_DTYPE = np.dtype(
    [
        ("uid", np.uint64),
        ("price_in", np.int64),  # nano-USD per 1,000 tokens
        ("price_out", np.int64),
        ("window", np.int64),  # tokens
    ],
    align=True,
)

QUERY_DTYPE = np.dtype(
    [
        ("uid", np.uint64),
        ("tokens", np.int64),  # of the prompt
        ("domain", np.int64),
        ("parts", np.int64),  # 0, or 2 to MAX_PARTS
        ("first_part", np.int64),  # row of the first part
        ("documents", np.int64),  # tokens of all documents, 0 without
        ("pieces", np.int64),  # of evidence in them
        ("evidence", np.int64, (MAX_EVIDENCE,)),  # tokens by which each piece has been read
        ("normals", np.float64, (N_NORMALS,)),  # public normals
    ],
    align=True,
)

RULES_DTYPE = np.dtype(
    [
        ("key0", np.uint64),
        ("key1", np.uint64),
        ("budget", np.int64),  # nano-USD
        ("output_cap", np.int64),  # tokens
        ("overhead", np.int64),  # instruction tokens of every call
        ("cost_weight", np.int64),  # millionths, -1: drawn per episode
        ("latency_weight", np.int64),
        ("max_steps", np.int64),
        ("max_workers", np.int64),
        ("present", np.int64),  # bits of the filled worker slots
        ("dearest", np.int64),  # nano-USD that no call without context exceeds
        ("queries", np.int64),  # of the split; rows above are parts
        ("recorded", np.int64),  # 1 where outcomes come from a table
        ("latency_known", np.int64),
        ("levels", np.int64),  # context levels that exist, from the lowest
        ("subtasks", np.int64),  # bits of those that suite and backend have
        ("identity", np.int64),  # 1 where answers have an identity
    ],
    align=True,
)


class Tables(NamedTuple):
    """What every backend shares; constant while episodes run.

    Attributes:
        rules: `RULES_DTYPE` [1].
        workers: `WORKER_DTYPE` [workers of the pool].
        queries: `QUERY_DTYPE` [queries of the split, then all their parts].
        features: float32 [queries and parts, 56], the observed `query` rows.
        shown: float32 [max_workers * 12], what is observed of the workers before the first call.
    """

    rules: Records
    workers: Records
    queries: Records
    features: npt.NDArray[np.float32]
    shown: npt.NDArray[np.float32]


BLOCK = 256
"""Slots that are stepped side by side."""
N_DRAWN = 7
"""Rows of a block's draws: the subkey, then the purposes that most calls need."""


class Scratch(NamedTuple):
    """Room for a block of slots; holds nothing between calls of the compiled loops.

    Attributes:
        calls: `CALL_DTYPE` [lanes].
        names: uint64 [6, lanes], what the subkey of each call is made of.
        first: uint64 [7, lanes], first words of the draws, row 0 of the subkey.
        second: uint64 [7, lanes], second words.
        starts: int64 [4, lanes], slot, stream, index and query of episodes that start.
        walk: uint64 [5, lanes], see `find_queries`.
    """

    calls: Records
    names: npt.NDArray[np.uint64]
    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    walk: npt.NDArray[np.uint64]


def new_scratch(lanes: int) -> Scratch:
    """Scratch of that many lanes."""
    return Scratch(
        np.zeros(lanes, CALL_DTYPE),
        np.zeros((6, lanes), np.uint64),
        np.zeros((N_DRAWN, lanes), np.uint64),
        np.zeros((N_DRAWN, lanes), np.uint64),
        np.zeros((4, lanes), np.int64),
        np.zeros((5, lanes), np.uint64),
    )


class State(NamedTuple):
    """Everything that changes while n episodes run.

    Attributes:
        episodes: `EPISODE_DTYPE` [n].
        steps: `STEP_DTYPE` [n, max_steps], valid below `episodes["steps"]`.
        history: float32 [n, max_steps * 11], what is observed of the steps.
        workers: float32 [n, max_workers * 12], what is observed of the workers.
    """

    episodes: Records
    steps: Records
    history: npt.NDArray[np.float32]
    workers: npt.NDArray[np.float32]


class Observation(NamedTuple):
    """Observation arrays of n slots; see `conductor_gym.spaces` for the columns.

    Attributes:
        query: float32 [n, 56].
        history: float32 [n, max_steps, 11].
        workers: float32 [n, max_workers, 12].
        budget: float32 [n, 8].
        action_mask: int8 [n, max_workers + 8 + 7].
    """

    query: Any
    history: Any
    workers: Any
    budget: Any
    action_mask: Any


def new_state(n: int, max_steps: int, max_workers: int) -> State:
    """State of n slots, all over until they are reset."""
    episodes = np.zeros(n, EPISODE_DTYPE)
    episodes["over"] = 1
    episodes["current"] = -1
    episodes["condensed"] = -1
    episodes["part_answers"] = -1
    return State(
        episodes,
        np.zeros((n, max_steps), STEP_DTYPE),
        np.full((n, max_steps * len(HISTORY_COLUMNS)), MISSING, np.float32),
        np.full((n, max_workers * len(WORKER_COLUMNS)), MISSING, np.float32),
    )
