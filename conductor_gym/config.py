"""The settings of an environment."""

import operator
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from conductor_gym.dynamics.keyed import PUBLIC_KEY
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.reward import weight_to_int
from conductor_gym.types import (
    DEFAULT_BUDGET_USD,
    MAX_SLOTS,
    MAX_STEPS,
    MAX_WORKERS,
    Assumptions,
    Backend,
)

MAX_BUDGET_USD = 10.0


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """Check a setting that must be a whole number in [low, high].

    Raises:
        ConfigError: It is not.
    """
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise ConfigError(f"{name} must be a whole number in [{low}, {high}], got {value!r}.")
    return number


@dataclass(frozen=True)
class EnvConfig:
    """What `gym.make("Conductor-v0", ...)` takes. All of it goes into result files.

    Attributes:
        pool: Shipped pool, path to a pool's TOML file, or a recording.
        suite: Shipped suite, path to a suite's TOML file or to tasks (JSONL), or a recording.
        split: ``"train"``, ``"dev"`` or ``"test"``.
        cost_weight: Quality points per US cent; None draws one per episode from `COST_WEIGHTS`.
        latency_weight: Quality points per minute.
        budget_usd: USD an episode may spend, at most 10.
        max_steps: Decisions per episode.
        max_workers: Worker slots; those beyond the pool are masked.
        key: Text of the key that all luck is drawn from; `"public"` is for training.
        assumptions: Which end of the assumed parameters to simulate with.
        backend: ``"simulated"``, ``"recorded"`` or ``"live"``; None: as the pool's file says.
    """

    pool: str = "mixed"
    suite: str = "core-v1"
    split: str = "train"
    cost_weight: float | None = None
    latency_weight: float = 0.0
    budget_usd: float = DEFAULT_BUDGET_USD
    max_steps: int = MAX_STEPS
    max_workers: int = MAX_WORKERS
    key: str = PUBLIC_KEY
    assumptions: Assumptions = "mid"
    backend: Backend | None = None

    def __post_init__(self) -> None:
        for name in ("pool", "suite", "split", "key"):
            given = getattr(self, name)
            if isinstance(given, os.PathLike) and name in ("pool", "suite"):
                object.__setattr__(self, name, os.fspath(given))  # pyright: ignore[reportUnknownArgumentType]
            elif not isinstance(given, str):
                raise ConfigError(f"{name} must be a text, got {given!r}.")
        if self.assumptions not in get_args(Assumptions):
            raise unknown_name("assumptions", self.assumptions, get_args(Assumptions))
        if self.backend is not None and self.backend not in get_args(Backend):
            raise unknown_name("backend", self.backend, get_args(Backend))
        object.__setattr__(self, "max_steps", whole_number("max_steps", self.max_steps, 2, 64))
        object.__setattr__(
            self, "max_workers", whole_number("max_workers", self.max_workers, 1, MAX_SLOTS)
        )
        for name in ("cost_weight", "latency_weight", "budget_usd"):
            given = getattr(self, name)
            if given is None and name == "cost_weight":
                continue
            if not isinstance(given, int | float) or isinstance(given, bool):
                raise ConfigError(f"{name} must be a number, got {given!r}.")
            object.__setattr__(self, name, float(given))
        if not 0.0 < self.budget_usd <= MAX_BUDGET_USD:
            raise ConfigError(
                f"budget_usd must lie in (0, {MAX_BUDGET_USD:g}], got {self.budget_usd!r}."
            )
        weight_to_int(0.0 if self.cost_weight is None else self.cost_weight, "cost_weight")
        weight_to_int(self.latency_weight, "latency_weight")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; without a backend where the pool's own is meant."""
        return {k: v for k, v in asdict(self).items() if k != "backend" or v is not None}


def check_settings(names: Iterable[str], also: tuple[str, ...] = ()) -> None:
    """Check that settings exist.

    Args:
        names: As they were given.
        also: Names besides those of `EnvConfig`.

    Raises:
        UnknownNameError: One does not.
    """
    known = (*(field.name for field in fields(EnvConfig)), *also)
    for name in names:
        if name not in known:
            raise unknown_name("setting", name, known)
