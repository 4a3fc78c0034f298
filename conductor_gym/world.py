"""Pool and suite joined: the tables that stay constant while episodes of one configuration run."""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.data_files import FileStamp
from conductor_gym.dynamics.keyed import key_from_text
from conductor_gym.dynamics.state import RULES_DTYPE, Records, Tables
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.recordings.detect import load_recording_card
from conductor_gym.recordings.recording import load_recording, stamps_of
from conductor_gym.reward import weight_to_int
from conductor_gym.tasks.suite import Split, load_split
from conductor_gym.types import MAX_SLOTS, N_LEVELS, NANO_USD, Backend, Subtask
from conductor_gym.workers.pool import Pool, load_pool, resolve
from conductor_gym.workers.recorded import RECORDED_DTYPE
from conductor_gym.workers.recorded_tables import check_bills, recorded_table
from conductor_gym.workers.simulated_tables import SimulatedTables
from conductor_gym.workers.tables import (
    SuiteTables,
    no_simulated_tables,
    shown_workers,
    simulated_tables,
    worker_table,
)

RECORDED_SUBTASKS = (Subtask.SOLVE, Subtask.SUBMIT)


class Texts(NamedTuple):
    """What is told of each query of the split, as object arrays that can be indexed at once.

    Attributes:
        uids: Object [queries].
        domains: Object [queries], names.
        prompts: Object [queries], None where the suite has no text.
    """

    uids: npt.NDArray[np.object_]
    domains: npt.NDArray[np.object_]
    prompts: npt.NDArray[np.object_] | None


@dataclass(frozen=True, eq=False)
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

    @property
    def backend(self) -> Backend:
        """Where outcomes come from."""
        return self.config.backend or self.pool.backend

    @property
    def told(self) -> bool:
        """Whether outcomes come from outside: live calls, or a journal of them."""
        return self.backend == "live" or (self.backend == "recorded" and not self.pool.recording)

    @cached_property
    def texts(self) -> Texts:
        """See `Texts`; made when first asked for."""
        data, n = self.data, len(self.data.uids)
        domains = np.array(data.domains, object)[data.queries["domain"][:n]]
        prompts = None if data.prompts is None else np.array(data.prompts[:n], object)
        return Texts(np.array(data.uids, object), domains, prompts)

    def content_hashes(self) -> dict[str, str]:
        """BLAKE2b of everything an outcome can depend on besides the settings, 16 hex digits each.

        Returns:
            ``suite``, ``pool`` and, on a recorded pool, ``outcomes``.
        """
        hashes = {"suite": self.data.content_hash(), "pool": self.pool.content_hash()}
        if self.backend == "recorded":
            held = self.recorded.tobytes()
            if self.told:
                held = journal_path(self.pool).read_bytes()
            hashes["outcomes"] = hashlib.blake2b(held, digest_size=8).hexdigest()
        return hashes


def make_world(config: EnvConfig) -> World:
    """Load and join pool and suite.

    Kept in memory until a file changes, so treat the arrays as read only.

    Raises:
        UnknownNameError: Unknown pool, suite or split.
        DataFileError: A broken file.
        ConfigError: Settings that cannot work together.
    """
    pool = load_pool(config.pool)
    data = load_split(config.suite, config.split)
    stamp: tuple[FileStamp, ...] = ()
    if pool.recording is not None:
        stamp = stamps_of(load_recording_card(pool.recording))
    return _join(config, pool.model_dump_json(), data, stamp)


@lru_cache(maxsize=16)
def _join(config: EnvConfig, pool_json: str, data: Split, stamp: tuple[FileStamp, ...]) -> World:
    del stamp  # part of the key: the tables are read again when they change
    return join(config, Pool.model_validate_json(pool_json), data)


def join(config: EnvConfig, pool: Pool, data: Split) -> World:
    """Join a pool and a split that are at hand.

    Args:
        config: Settings; its pool, suite and split are names only.
        pool: The pool.
        data: The split.

    Raises:
        DataFileError: Recorded outcomes that do not fit.
        ConfigError: Settings that cannot work together.
    """
    if len(pool.workers) > config.max_workers:
        raise ConfigError(
            f"pool {pool.name!r} has {len(pool.workers)} workers, max_workers is "
            f"{config.max_workers}. "
            f"Pass max_workers={len(pool.workers)} or a smaller pool."
        )
    backend = config.backend or pool.backend
    _check_backend(pool, data, backend)
    is_recorded = backend == "recorded" and pool.recording is not None
    told = backend == "live" or (backend == "recorded" and not is_recorded)
    if is_recorded and not data.is_recorded:
        raise ConfigError(
            f"pool {pool.name!r} is recorded, suite {config.suite!r} is not: "
            "a recorded pool goes with the suite of the same recording."
        )
    outcomes = None
    if is_recorded and pool.recording is not None:
        outcomes = load_recording(pool.recording).outcomes
    latency_known = outcomes is None or outcomes.latency_known(pool.worker_names)
    identity = outcomes is None or outcomes.answer is not None
    if config.latency_weight and not latency_known:
        raise ConfigError(
            f"pool {pool.name!r} has no recorded latencies, or not for every call: "
            "latency_weight must be 0."
        )

    rules = np.zeros(1, RULES_DTYPE)
    row = rules[0]
    row["key0"], row["key1"] = key_from_text(config.key)
    row["budget"] = round(config.budget_usd * NANO_USD)
    row["output_cap"] = round(resolve(pool.output_cap, config.assumptions))
    row["overhead"] = round(resolve(pool.overhead_tokens, config.assumptions))
    row["cost_weight"] = (
        -1 if config.cost_weight is None else weight_to_int(config.cost_weight, "cost_weight")
    )
    row["latency_weight"] = weight_to_int(config.latency_weight, "latency_weight")
    row["max_steps"] = config.max_steps
    row["max_workers"] = config.max_workers
    row["queries"] = len(data.uids)
    row["recorded"] = is_recorded
    row["latency_known"] = latency_known
    row["identity"] = identity
    row["levels"] = 1 if is_recorded else N_LEVELS
    subtasks: set[Subtask] = set(RECORDED_SUBTASKS if is_recorded else Subtask)
    subtasks.discard(Subtask.VOTE)
    if identity:
        subtasks.add(Subtask.VOTE)
    if not data.queries["parts"].any():
        subtasks.discard(Subtask.PLAN)
    if not data.queries["documents"].any():
        subtasks.discard(Subtask.CONDENSE)
    row["subtasks"] = sum(1 << subtask for subtask in subtasks)
    present = len(pool.workers)
    row["present"] = (1 << present) - 1 if present < MAX_SLOTS else -1

    shown = shown_workers(pool, config.max_workers)
    tables = Tables(rules, worker_table(pool), data.queries, data.features, shown)
    _set_dearest(config, pool, tables)
    if told:
        nothing = np.zeros((1, 1, 1), RECORDED_DTYPE)
        return World(config, pool, data, tables, no_simulated_tables(), nothing)
    if is_recorded and pool.recording is not None:
        recording = load_recording(pool.recording)
        recorded = recorded_table(pool, recording, data.ids, config.assumptions)
        check_bills(pool, recording, tables, recorded)
        return World(config, pool, data, tables, no_simulated_tables(), recorded)
    simulated = simulated_tables(pool, suite_tables(data), config.assumptions)
    return World(config, pool, data, tables, simulated, np.zeros((1, 1, 1), RECORDED_DTYPE))


_FIT = "Make a simulated pool from recorded outcomes: conductor-gym fit (docs/recordings.md)."
_FIT_LIVE = (
    "An agent that is tuned or trained beforehand needs a simulation of its workers: record some "
    "calls (conductor-gym record), name the journal as `journal` in the pool's file and fit it "
    "(conductor-gym fit), see docs/live.md. `rules` and `random` play without."
)


def _check_backend(pool: Pool, data: Split, backend: Backend) -> None:
    """Whether a pool has what a backend needs, and the suite too.

    Raises:
        ConfigError: It has not.
    """
    if backend == "simulated" and pool.model is None:
        raise ConfigError(
            f"pool {pool.name!r} is {pool.backend} and holds nothing to simulate. "
            + (_FIT_LIVE if pool.backend == "live" else _FIT)
        )
    if backend == "recorded" and pool.recording is None and pool.journal is None:
        raise ConfigError(
            f"pool {pool.name!r} is {pool.backend} and names no recording. A run on live workers "
            "keeps one: write its path as `journal` into the pool's file."
        )
    if backend == "live" and pool.unreachable:
        raise ConfigError(
            f"pool {pool.name!r} says nothing on how to reach {', '.join(pool.unreachable)}. Add a "
            "[workers.live] section to each (docs/live.md)."
        )
    if (backend == "live" or (backend == "recorded" and pool.recording is None)) and not data.tasks:
        raise ConfigError(
            f"suite {data.suite!r} has no text that a worker could be asked. Use one that has, "
            "such as core-v1."
        )


def journal_path(pool: Pool) -> Path:
    """The journal that a pool names.

    Raises:
        DataFileError: It does not exist.
    """
    path = Path(pool.journal or "")
    if not path.is_file():
        raise DataFileError(f"pool {pool.name!r}: its journal {path} does not exist.")
    return path


def suite_tables(data: Split) -> SuiteTables:
    """What the simulator reads of a split."""
    return SuiteTables(data.domains, data.queries, data.features)


def _set_dearest(config: EnvConfig, pool: Pool, tables: Tables) -> None:
    """What the dearest call may cost; the cheapest must be affordable at every episode's start."""
    rules = tables.rules[0]
    tokens_in = int(rules["overhead"]) + int(tables.queries["tokens"].max())  # of parts too
    worst = [
        (tokens_in * int(w["price_in"]) + int(rules["output_cap"]) * int(w["price_out"]) + 500)
        // 1000
        for w in tables.workers
    ]
    if min(worst) > rules["budget"]:
        raise ConfigError(
            f"budget_usd={config.budget_usd:g} affords no call in pool {pool.name!r}: the "
            f"cheapest call may cost {min(worst) / NANO_USD:.6f} USD. Raise budget_usd."
        )
    rules["dearest"] = max(worst)
