"""The settings of an environment, and the tables they lead to."""

import math
import operator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, get_args

import numpy as np

from conductor_gym.dynamics.keyed import PUBLIC_KEY, key_from_text
from conductor_gym.dynamics.state import RULES_DTYPE, Records, Tables
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.reward import weight_to_int
from conductor_gym.tasks.suite import Split, load_split, load_suite_card
from conductor_gym.types import (
    DEFAULT_BUDGET_USD,
    MAX_STEPS,
    MAX_WORKERS,
    N_LEVELS,
    NANO_USD,
    Assumptions,
    Subtask,
)
from conductor_gym.workers.pool import Pool, load_pool, resolve
from conductor_gym.workers.recorded import RECORDED_DTYPE
from conductor_gym.workers.simulated import SimulatedTables
from conductor_gym.workers.tables import (
    no_simulated_tables,
    recorded_table,
    simulated_tables,
    worker_table,
)

MAX_BUDGET_USD = 10.0
SINGLE_PART_SUBTASKS = (
    Subtask.SOLVE,
    Subtask.VERIFY,
    Subtask.REVISE,
    Subtask.AGGREGATE,
    Subtask.VOTE,
    Subtask.SUBMIT,
)
"""Valid without parts to open (`plan`) and without documents (`condense`)."""
RECORDED_SUBTASKS = (Subtask.SOLVE, Subtask.SUBMIT)


@dataclass(frozen=True)
class EnvConfig:
    """What `gym.make("Conductor-v0", ...)` takes. All of it goes into result files.

    Attributes:
        pool: Shipped pool or path to a pool's TOML file.
        suite: Shipped suite or path to a suite's TOML file.
        split: ``"train"``, ``"dev"`` or ``"test"``.
        cost_weight: Quality points per US cent; None draws one per episode from `COST_WEIGHTS`.
        latency_weight: Quality points per minute.
        budget_usd: USD an episode may spend, at most 10.
        max_steps: Decisions per episode.
        max_workers: Worker slots; those beyond the pool are masked.
        key: Text of the key that all luck is drawn from; `"public"` is for training.
        assumptions: Which end of the assumed parameters to simulate with.
    """

    pool: str = "paper"
    suite: str = "paper-v1"
    split: str = "train"
    cost_weight: float | None = None
    latency_weight: float = 0.0
    budget_usd: float = DEFAULT_BUDGET_USD
    max_steps: int = MAX_STEPS
    max_workers: int = MAX_WORKERS
    key: str = PUBLIC_KEY
    assumptions: Assumptions = "mid"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class World:
    """Everything that stays constant while episodes of one configuration run.

    Attributes:
        config: The settings.
        pool: The pool's file.
        data: The split that is played.
        tables: Shared tables.
        simulated: Simulated workers' tables, empty on a recorded pool.
        recorded: Recorded outcomes, empty on a simulated pool.
    """

    config: EnvConfig
    pool: Pool
    data: Split
    tables: Tables
    simulated: SimulatedTables
    recorded: Records


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


@lru_cache(maxsize=16)
def make_world(config: EnvConfig) -> World:
    """Load and join pool and suite; kept in memory, so treat the arrays as read only.

    Raises:
        UnknownNameError: Unknown pool, suite, split or assumptions.
        DataFileError: A broken file.
        ConfigError: Settings that cannot work together.
    """
    if config.assumptions not in get_args(Assumptions):
        raise unknown_name("assumptions", config.assumptions, get_args(Assumptions))
    max_steps = whole_number("max_steps", config.max_steps, 2, 64)
    max_workers = whole_number("max_workers", config.max_workers, 1, 64)
    budget = config.budget_usd
    if not (math.isfinite(budget) and 0.0 < budget <= MAX_BUDGET_USD):
        raise ConfigError(f"budget_usd must lie in (0, {MAX_BUDGET_USD:g}], got {budget!r}.")

    pool = load_pool(config.pool)
    if len(pool.workers) > max_workers:
        raise ConfigError(
            f"pool {pool.name!r} has {len(pool.workers)} workers, max_workers is {max_workers}. "
            f"Pass max_workers={len(pool.workers)} or a smaller pool."
        )
    is_recorded = pool.backend == "recorded"
    latency_known = not is_recorded
    if config.latency_weight and not latency_known:
        raise ConfigError(
            f"pool {pool.name!r} has no recorded latencies: latency_weight must be 0."
        )
    if is_recorded != (load_suite_card(config.suite).recorded is not None):
        raise ConfigError(
            f"pool {pool.name!r} is {pool.backend}, suite {config.suite!r} is not: "
            "a recorded pool goes with the suite of the same recording."
        )
    data = load_split(config.suite, config.split)

    rules = np.zeros(1, RULES_DTYPE)
    row = rules[0]
    row["key0"], row["key1"] = key_from_text(config.key)
    row["budget"] = round(budget * NANO_USD)
    row["output_cap"] = round(resolve(pool.output_cap, config.assumptions))
    row["overhead"] = round(resolve(pool.overhead_tokens, config.assumptions))
    row["cost_weight"] = (
        -1 if config.cost_weight is None else weight_to_int(config.cost_weight, "cost_weight")
    )
    row["latency_weight"] = weight_to_int(config.latency_weight, "latency_weight")
    row["max_steps"] = max_steps
    row["max_workers"] = max_workers
    row["recorded"] = is_recorded
    row["latency_known"] = latency_known
    row["identity"] = not is_recorded
    row["levels"] = 1 if is_recorded else N_LEVELS
    for subtask in RECORDED_SUBTASKS if is_recorded else SINGLE_PART_SUBTASKS:
        row["subtasks"][subtask] = 1

    tables = Tables(rules, worker_table(pool), data.queries, data.features)
    _check_affordable(config, pool, tables)
    if is_recorded and pool.recording is not None:
        recorded = recorded_table(pool, pool.recording, data.uids)
        return World(config, pool, data, tables, no_simulated_tables(), recorded)
    simulated = simulated_tables(pool, data.domains, config.assumptions)
    return World(config, pool, data, tables, simulated, np.zeros((1, 1), RECORDED_DTYPE))


def _check_affordable(config: EnvConfig, pool: Pool, tables: Tables) -> None:
    """Some call must be affordable at the start of every episode, or no action would be valid."""
    rules = tables.rules[0]
    tokens_in = int(rules["overhead"]) + int(tables.queries["tokens"].max())
    cheapest = min(
        (tokens_in * int(w["price_in"]) + int(rules["output_cap"]) * int(w["price_out"]) + 500)
        // 1000
        for w in tables.workers
    )
    if cheapest > rules["budget"]:
        raise ConfigError(
            f"budget_usd={config.budget_usd:g} affords no call in pool {pool.name!r}: the "
            f"cheapest call may cost {cheapest / NANO_USD:.6f} USD. Raise budget_usd."
        )
