"""conductor-gym: environments and a leaderboard for policies that direct other LLMs.

Importing this package registers `Conductor-v0` and `ConductorLive-v0` and imports nothing heavy.
"""

import gymnasium as gym

from conductor_gym.version import __version__

__all__ = ["__version__"]

gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="Conductor-v0",
    entry_point="conductor_gym.env:ConductorEnv",
    vector_entry_point="conductor_gym.vector_env:ConductorVectorEnv",
    disable_env_checker=True,  # Gymnasium's checker would double the time of every step
)
gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="ConductorLive-v0",
    entry_point="conductor_gym.live.env:LiveConductorEnv",
    vector_entry_point="conductor_gym.live.env:LiveConductorVectorEnv",
    nondeterministic=True,
    disable_env_checker=True,
)
