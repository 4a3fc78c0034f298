"""Which recorded tables `fidelity` knows, and random pools of their workers."""

from dataclasses import replace
from typing import Any

import numpy as np
from rich.progress import Progress

from conductor_gym.errors import DataFileError
from conductor_gym.fit import find_source
from conductor_gym.leaderboard.fidelity import compare, measures
from conductor_gym.recordings.card import list_recordings
from conductor_gym.recordings.recording import load_recording
from conductor_gym.workers.pool import list_pools, load_pool

SMALLEST_POOL, LARGEST_POOL = 4, 12
FEWEST_QUERIES = 300
TRIES = 50


def known_tables() -> tuple[list[str], list[str]]:
    """Tables that are compared when none is named, and those whose data is not on this machine.

    Recorded pools first, then recordings that no pool stands for.
    """
    pools = [name for name in list_pools() if load_pool(name).recording is not None]
    replayed = {load_pool(name).recording for name in pools}
    names = [*pools, *(name for name in list_recordings() if name not in replayed)]
    here: list[str] = []
    missing: list[str] = []
    for name in names:
        recording = load_pool(name).recording if name in pools else name
        try:
            load_recording(recording or name)
            here.append(name)
        except DataFileError:
            missing.append(name)
    return here, missing


def pick_random_pools(tables: list[str], pools: int, bar: Progress, seed: int = 0) -> Any:
    """Fit and compare random pools of 4 to 12 workers of each table's recording.

    Args:
        tables: As `known_tables` names them; those with fewer than five workers are left out.
        pools: Number of pools of each recording.
        bar: Shows how far it is.
        seed: Of the choice of workers.

    Returns:
        By recording: number of ``pools``, and for each measure the share ``within`` its noise
        floor and the median of value over floor (``ratio``).
    """
    found: dict[str, Any] = {}
    recordings: list[str] = []
    for name in tables:
        recording = load_pool(name).recording if name in list_pools() else name
        if recording is not None and recording not in recordings:
            recordings.append(recording)
    large = [n for n in recordings if len(load_recording(n).outcomes.workers) > SMALLEST_POOL]
    for name in large:
        workers = load_recording(name).outcomes.workers
        generator = np.random.Generator(np.random.Philox(key=[seed, len(workers)]))
        rows: list[dict[str, Any]] = []
        task = bar.add_task(f"{name}: random pools", total=pools)
        for k in range(pools):
            source = _random_source(name, workers, generator)
            # Other queries are fitted and held out each time.
            rows.append(compare(replace(source, salt=f" {k}")))
            bar.advance(task)
        names = list(measures(rows[0]))
        found[name] = {
            "pools": len(rows),
            "measures": {key: _over_pools([row[key] for row in rows]) for key in names},
        }
    return found


def _over_pools(found: list[dict[str, Any]]) -> dict[str, float]:
    ratios = [float(one["value"]) / max(float(one["noise_floor"]), 1e-9) for one in found]
    within = sum(bool(one["within"]) for one in found)
    return {"within": within / len(found), "ratio": float(np.median(ratios))}


def _random_source(name: str, workers: tuple[str, ...], generator: np.random.Generator) -> Any:
    """Some workers that enough queries have a record of."""
    for _ in range(TRIES):
        size = int(generator.integers(SMALLEST_POOL, min(LARGEST_POOL, len(workers)) + 1))
        picked: Any = generator.permutation(len(workers))[:size]
        chosen: list[int] = sorted(picked.tolist())
        source = find_source(name, tuple(workers[w] for w in chosen))
        rows = source.recording.complete_for(source.pool.worker_names)
        if len(rows) >= FEWEST_QUERIES:
            return source
    raise DataFileError(f"{name}: no pool of workers has {FEWEST_QUERIES} queries in common.")
