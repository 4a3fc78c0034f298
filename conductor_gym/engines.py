"""The engine of a configuration: simulated and recorded tables, or a journal of live calls."""

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.world import make_world


def new_engine(config: EnvConfig, n: int = 1) -> Engine:
    """An engine that costs nothing and reaches nobody.

    Args:
        config: The settings.
        n: Number of slots.

    Raises:
        ConfigError: Live workers, which need a journal and a spending ceiling.
    """
    world = make_world(config)
    if not world.told:
        return Engine(config, n, world)
    if world.backend == "live":
        raise ConfigError(
            f"pool {world.pool.name!r} is live: calls cost money and time. Play it with "
            'gym.make("ConductorLive-v0", pool=..., journal="calls.jsonl", ceiling_usd=1.0), or '
            'with `conductor-gym run --backend live`. backend="simulated" or "recorded" plays it '
            "for free where its file has what that needs."
        )
    from conductor_gym.live.open import open_replay

    return open_replay(config, n, world)
