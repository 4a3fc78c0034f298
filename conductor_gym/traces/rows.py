"""One row a step: the columns of a trace, and how an episode fills them."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.reward import WEIGHT_SCALE, utility
from conductor_gym.traces.episodes import Episode
from conductor_gym.types import CONTEXT_LEVELS, MICROSECONDS, NANO_USD, Subtask
from conductor_gym.world import World

SUBTASK_NAMES = tuple(subtask.name.lower() for subtask in Subtask)

COLUMNS: dict[str, type] = {
    "track": str,
    "agent": str,
    "assumptions": str,
    "cost_weight": float,
    "stream": int,
    "index": int,
    "uid": str,
    "domain": str,
    "step": int,
    "worker": str,
    "subtask": str,
    "context_tokens": int,
    "status": str,
    "invalid": str,
    "part": int,
    "answer": int,
    "confidence": float,
    "verdict": bool,
    "tokens_in": int,
    "tokens_out": int,
    "cost_usd": float,
    "latency_s": float,
    "reward": float,
    "quality": float,
    "utility": float,
}
"""Every column with its type; docs/traces.md says what they mean."""

Row = dict[str, Any]


class Trace(Protocol):
    """Episodes whose steps can be told.

    Attributes:
        name: For messages.
        episodes: How many there are.
        config: The environment.
        world: What is played.
        columns: What is the same in all rows: track, agent, assumptions.
        metadata: Of a Minari dataset, plain values.
    """

    name: str
    episodes: int
    config: EnvConfig
    world: World
    columns: Row
    metadata: dict[str, Any]

    def played(self, advance: Callable[[int], None]) -> Iterator[Episode]:
        """Every episode; `advance` is called with the number of those that were played."""
        ...


def trace_rows(trace: Trace, advance: Callable[[int], None]) -> Iterator[Row]:
    """The rows of every episode, one after the other."""
    for episode in trace.played(advance):
        yield from rows_of(episode, trace.world, trace.columns)


def rows_of(episode: Episode, world: World, told: Row) -> Iterator[Row]:
    """The rows of an episode, None where there is nothing to tell.

    Args:
        episode: The episode.
        world: What it was played in.
        told: Columns that are the same for all of a run: track, agent, assumptions.
    """
    state: Any = episode.state
    rules, names = world.tables.rules[0], world.pool.worker_names
    query = int(state["query"])
    same = told | {
        "cost_weight": int(state["cost_weight"]) / WEIGHT_SCALE,
        "stream": int(state["stream"]),
        "index": int(state["index"]),
        "uid": world.data.uids[query],
        "domain": world.data.domains[int(world.data.queries["domain"][query])],
    }
    empty = [f"slot {w}" for w in range(len(names), int(rules["max_workers"]))]
    timed = bool(rules["latency_known"])
    last = len(episode.steps) - 1
    for t, (step, reward) in enumerate(zip(episode.steps, episode.rewards.tolist(), strict=True)):
        worker, level, verdict = (int(step[name]) for name in ("worker", "level", "verdict"))
        row: Row = dict.fromkeys(COLUMNS) | same
        row |= {
            "step": t + 1,
            "worker": None if worker < 0 else (*names, *empty)[worker],
            "subtask": SUBTASK_NAMES[int(step["subtask"])],
            "context_tokens": CONTEXT_LEVELS[level] if level >= 0 else None,
            "status": STATUS_NAMES[int(step["status"])],
            "invalid": RULE_NAMES[int(step["rule"])],
            "part": int(step["part"]) if step["part"] >= 0 else None,
            "answer": int(step["answer"]) if rules["identity"] and step["answer"] >= 0 else None,
            "confidence": float(step["confidence"]) if step["confidence"] >= 0 else None,
            "verdict": verdict == 1 if verdict >= 0 else None,
            "tokens_in": int(step["tokens_in"]),
            "tokens_out": int(step["tokens_out"]),
            "cost_usd": int(step["cost"]) / NANO_USD,
            "latency_s": int(step["latency"]) / MICROSECONDS if timed else None,
            "reward": reward,
        }
        if t == last:
            row |= {"quality": float(state["quality"]), "utility": _utility(state)}
        yield row


def _utility(state: Any) -> float:
    """Utility of a finished episode."""
    return float(
        utility(
            float(state["quality"]),
            int(state["cost"]) / NANO_USD,
            int(state["latency"]) / MICROSECONDS,
            int(state["cost_weight"]) / WEIGHT_SCALE,
            int(state["latency_weight"]) / WEIGHT_SCALE,
        )
    )
