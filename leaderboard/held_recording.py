"""A recording of live workers, and the assumed parameters held against it."""

from collections.abc import Callable
from typing import Any

from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.free_world import free_world
from conductor_gym.leaderboard.held_assumptions import held
from conductor_gym.leaderboard.scripted_calls import (
    SIMULATED_QUERIES,
    Played,
    merged,
    play_recorded,
)
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.live.open import open_replay
from conductor_gym.live.scripts import acts, solves
from conductor_gym.recordings.journal_table import calls
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.types import MAX_STEPS
from conductor_gym.workers.fitted_pool import ASSUMED_FROM, ATTRACTOR
from conductor_gym.workers.pool import Assumed, Known, Pool, load_pool
from conductor_gym.world import journal_path


def silent(what: str) -> None:
    """Report nothing."""
    del what


def hold_track(
    track: str,
    least: int = SIMULATED_QUERIES,
    report: Callable[[str], None] = silent,
    fitted: Pool | None = None,
) -> dict[str, Any]:
    """Hold the assumed parameters of a track's pool against the journal that it replays.

    Args:
        track: A recorded track whose pool names a journal and was fitted to it.
        least: Simulated queries under each end of the assumed parameters.
        report: Called with what is being done.
        fitted: What is simulated where it is another pool: same workers, in the same order.

    Returns:
        Plain values: ``track``, ``suite``, ``pool``, ``workers``, ``queries``, ``attempts``,
        ``simulated_queries`` and ``rows``, see `Held.as_dict`.

    Raises:
        ConfigError: Not such a track, or a journal of other queries.
        DataFileError: A journal that cannot be read.
    """
    card = find_track(track)
    pool = load_pool(card.pool)
    fitted = pool if fitted is None else fitted
    if pool.journal is None or fitted.model is None:
        lacking = "names no journal" if pool.journal is None else "holds nothing to simulate"
        raise ConfigError(
            f"pool {pool.name!r} of track {track!r} {lacking}. Assumed parameters are held against "
            "live calls by a pool that has both: fit one to its journal (`conductor-gym fit`) and "
            "keep `journal` in its file."
        )
    report("reading the journal")
    asked = list(calls(journal_path(pool)))
    uids = {call.uid for call in asked}
    attempts = 1 + max((call.attempt for call in asked if call.is_single), default=0)
    attempts = min(attempts, MAX_STEPS)
    names = {call.about.get("split") for call in asked}
    splits = [load_split(card.suite, n) for n in load_suite_card(card.suite).splits if n in names]
    splits = [data for data in splits if not uids.isdisjoint(data.uids)]
    if not splits:
        raise ConfigError(
            f"{pool.journal} holds no query of suite {card.suite!r}: it was recorded on another "
            "suite, which its header names."
        )
    workers = len(pool.workers)
    scripts = (*solves(workers, attempts), *acts(workers))
    parts: list[Played] = []
    for data in splits:
        report(f"replaying split {data.name}")
        world = free_world(pool, data, "recorded")
        engine = open_replay(world.config, len(data.uids), world)
        try:
            parts.append(play_recorded(engine, scripts, uids))
        finally:
            engine.close()
    report("simulating low, mid and high")
    recorded = merged(parts)
    rows = held(recorded, assumed_again(fitted), splits, least, uids)
    return {
        "track": track,
        "suite": card.suite,
        "pool": pool.name,
        "workers": list(pool.worker_names),
        "queries": len(recorded.domain),
        "attempts": attempts,
        "simulated_queries": least,
        "rows": [row.as_dict() for row in rows],
    }


def assumed_again(pool: Pool) -> Pool:
    """A fitted pool with kappa and attractors as they are assumed where nobody measured them.

    Abilities and what workers share stay fitted: they come from first solves alone.
    """
    base = load_pool(ASSUMED_FROM).model
    model = pool.model
    if model is not None and base is not None and isinstance(model.kappa, Known):
        model = model.model_copy(update={"kappa": base.kappa})
    attractor = Assumed.model_validate(ATTRACTOR | {"source": "assumed"})
    domains = {
        name: card.model_copy(update={"attractor": attractor})
        if isinstance(card.attractor, Known)
        else card
        for name, card in pool.domains.items()
    }
    return pool.model_copy(update={"model": model, "domains": domains})
