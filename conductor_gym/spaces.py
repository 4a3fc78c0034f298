"""Observation and action spaces of `Conductor-v0`, with a name for every number in them.

Every entry is a float32 in [-1, 1]; -1 is "missing". See `conductor_gym.dynamics.observation` for
the formulas.
"""

import gymnasium as gym
import numpy as np

from conductor_gym.types import N_LEVELS, N_SUBTASKS

EMBEDDING_WIDTH = 32
N_DOMAINS = 16
SURFACE_COLUMNS: tuple[str, ...] = (
    "has_text",
    "tokens",
    "digits",
    "upper_case",
    "symbols",
    "lines",
    "options",
    "document_tokens",
)
QUERY_WIDTH = EMBEDDING_WIDTH + N_DOMAINS + len(SURFACE_COLUMNS)

HISTORY_COLUMNS: tuple[str, ...] = (
    "worker",
    "subtask",
    "level",
    "status",
    "confidence",
    "agreement",
    "verdict",
    "tokens",
    "cost",
    "latency",
    "part",
)
WORKER_COLUMNS: tuple[str, ...] = (
    "price_in",
    "price_out",
    "window",
    "speed",
    "image",
    "audio",
    "calls",
    "errors",
    "last_confidence",
    "wrote_current_answer",
    "agrees_with_current_answer",
    "valid",
)
N_STATIC_WORKER_COLUMNS = 6
BUDGET_COLUMNS: tuple[str, ...] = (
    "steps_left",
    "money_left",
    "time_left",
    "cost_weight",
    "latency_weight",
    "parts_open",
    "parts_done",
    "has_answer",
)


def action_space(max_workers: int) -> gym.spaces.MultiDiscrete:
    """(worker slot, subtask, context level)."""
    return gym.spaces.MultiDiscrete(np.array([max_workers, N_SUBTASKS, N_LEVELS]))


def mask_width(max_workers: int) -> int:
    """Entries of the factorized action mask: workers, then subtasks, then levels."""
    return max_workers + N_SUBTASKS + N_LEVELS


def observation_space(max_workers: int, max_steps: int) -> gym.spaces.Dict:
    """The flat `Dict` observation, about 1.1 KB at the default sizes."""

    def box(*shape: int) -> gym.spaces.Box:
        return gym.spaces.Box(-1.0, 1.0, shape, np.float32)

    return gym.spaces.Dict(
        {
            "query": box(QUERY_WIDTH),
            "history": box(max_steps, len(HISTORY_COLUMNS)),
            "workers": box(max_workers, len(WORKER_COLUMNS)),
            "budget": box(len(BUDGET_COLUMNS)),
            "action_mask": gym.spaces.MultiBinary(mask_width(max_workers)),
        }
    )
