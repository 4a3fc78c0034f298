"""What `ConductorVectorEnv.reset` takes, checked and spread over the slots."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from conductor_gym.config import whole_number
from conductor_gym.errors import ConfigError
from conductor_gym.types import LARGEST_INDEX

RESET_OPTIONS = ("reset_mask", "episode_index")
MAX_ENVS = 2**20
"""Slots of one vector environment: about 4 GB at the default sizes."""

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def streams_of(seed: int | Sequence[int | None] | None, n: int) -> tuple[Integers, Flags]:
    """The stream of each slot, and for which slots a seed gave one.

    Args:
        seed: s gives s + i to slot i, a list one or None to each, None to none.
        n: Slots.

    Raises:
        ConfigError: Not whole numbers in range, or a list of another length.
    """
    if seed is None:
        return np.zeros(n, np.int64), np.zeros(n, bool)
    if isinstance(seed, list | tuple | np.ndarray):
        seeds = list(seed)
        if len(seeds) != n:
            raise ConfigError(f"expected {n} seeds, one a slot, got {len(seeds)}.")
        streams = [
            0 if s is None else whole_number(f"seed of slot {i}", s, 0, LARGEST_INDEX)
            for i, s in enumerate(seeds)
        ]
        return np.array(streams, np.int64), np.array([s is not None for s in seeds])
    first = whole_number("seed", seed, 0, LARGEST_INDEX - MAX_ENVS)
    return first + np.arange(n, dtype=np.int64), np.ones(n, bool)


def slots_of(mask: Any, n: int) -> Flags:
    """The slots that are reset, bool [n]; all without a mask.

    Raises:
        ConfigError: No bool array of that shape, or none of it True.
    """
    if mask is None:
        return np.ones(n, bool)
    flags = cast(npt.NDArray[Any], mask)
    if not isinstance(mask, np.ndarray) or flags.dtype != np.bool_ or flags.shape != (n,):
        raise ConfigError(f"reset_mask must be a bool array of shape ({n},), got {_told(mask)}.")
    if not flags.any():
        raise ConfigError("reset_mask names no slot: at least one must be True.")
    return flags.copy()


def indices_of(index: Any, n: int) -> Integers | None:
    """The episode index of each slot, int64 [n], or None to go on.

    Raises:
        ConfigError: Neither a whole number nor an integer array of that shape, or out of range.
    """
    if index is None:
        return None
    given = cast(npt.NDArray[Any], index)
    if not isinstance(index, np.ndarray) or given.ndim == 0:
        number = whole_number("episode_index", given, 0, LARGEST_INDEX)
        return np.full(n, number, np.int64)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise ConfigError(
            f"episode_index must be a whole number or int64 of shape ({n},), got {_told(given)}."
        )
    low, high = int(given.min()), int(given.max())
    if low < 0 or high > LARGEST_INDEX:
        raise ConfigError(
            f"episode_index must lie in [0, {LARGEST_INDEX}], got values from {low} to {high}."
        )
    return given.astype(np.int64)


def _told(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)[:80]
    array = cast(npt.NDArray[Any], value)
    return f"{array.dtype} of shape {array.shape}"
