"""`conductor-gym fit`: a simulated pool from the single calls of a recorded one."""

from pathlib import Path

import numpy as np

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError
from conductor_gym.workers.fitted_pool import fitted_pool, token_table
from conductor_gym.workers.fitting import Fitted, fit_scores
from conductor_gym.workers.pool import Pool, load_pool
from conductor_gym.world import make_world


def fit_recorded(table: str, suite: str, split: str, name: str) -> tuple[Pool, Fitted]:
    """Fit a recorded pool's outcomes on one split.

    Args:
        table: Recorded pool, by shipped name or path.
        suite: Suite of the same recording.
        split: Split whose outcomes are fitted; keep another one for `fidelity`.
        name: Of the new pool.

    Raises:
        ConfigError: The pool is simulated.
        DataFileError: Missing or broken tables, or too little data.
    """
    backend = load_pool(table).backend
    if backend != "recorded":
        raise ConfigError(
            f"pool {table!r} is {backend}: a fit needs recorded outcomes. "
            "See `conductor-gym list pools`."
        )
    world = make_world(EnvConfig(pool=table, suite=suite, split=split))
    data = world.data
    domain = data.queries["domain"].astype(np.int64)
    fitted = fit_scores(np.ascontiguousarray(world.recorded["score"]), domain, data.domains)
    means, sigma = token_table(
        world.recorded["tokens_out"].astype(np.float64), domain, len(data.domains)
    )
    origin = f"{len(data.uids)} recorded queries of {data.suite}, split {split}"
    pool = fitted_pool(name, world.pool, data.domains, fitted, means, sigma, origin)
    return pool, fitted


def write_pool(pool: Pool, path: Path) -> None:
    """Write a pool as TOML, whole or not at all."""
    import tomli_w

    from conductor_gym.data_files import write_beside_and_rename

    head = (
        "# Made by `conductor-gym fit`. Every number names its source; fitted ones carry standard\n"
        "# errors or an interval, assumed ones low / mid / high.\n\n"
    )
    values = pool.model_dump(exclude_none=True, exclude_defaults=False)
    write_beside_and_rename(path, (head + tomli_w.dumps(values)).encode())
