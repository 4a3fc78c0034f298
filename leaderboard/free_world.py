"""Any pool and any split, joined so that money stops no call and none is charged for."""

from conductor_gym.config import MAX_BUDGET_USD, EnvConfig
from conductor_gym.dynamics.keyed import PUBLIC_KEY
from conductor_gym.tasks.suite import Split
from conductor_gym.types import MAX_WORKERS, Assumptions, Backend
from conductor_gym.workers.pool import Pool
from conductor_gym.world import World, join


def free_world(
    pool: Pool,
    data: Split,
    backend: Backend,
    key: str = PUBLIC_KEY,
    assumptions: Assumptions = "mid",
) -> World:
    """Join a pool and a split at cost weight 0 and the largest budget.

    Args:
        pool: The pool.
        data: The split.
        backend: Where outcomes come from.
        key: Text of the key that all luck is drawn from.
        assumptions: Which end of the assumed parameters to simulate with.
    """
    config = EnvConfig(
        pool=pool.name,
        suite=data.suite,
        split=data.name,
        cost_weight=0.0,
        budget_usd=MAX_BUDGET_USD,
        max_workers=max(MAX_WORKERS, len(pool.workers)),
        key=key,
        assumptions=assumptions,
        backend=None if pool.backend == backend else backend,
    )
    return join(config, pool, data)
