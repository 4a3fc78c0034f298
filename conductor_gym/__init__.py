"""conductor-gym: environments and a leaderboard for policies that direct other LLMs.

Importing this package registers `Conductor-v0`, `ConductorText-v0`, `ConductorWorkflow-v0` and the
same over live workers, and imports nothing heavy.
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
gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="ConductorText-v0",
    entry_point="conductor_gym.text_env:ConductorTextEnv",
    disable_env_checker=True,
)
gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="ConductorTextLive-v0",
    entry_point="conductor_gym.live.env:LiveTextEnv",
    nondeterministic=True,
    disable_env_checker=True,
)
gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="ConductorWorkflow-v0",
    entry_point="conductor_gym.workflow_env:ConductorWorkflowEnv",
    disable_env_checker=True,
)
gym.register(  # pyright: ignore[reportUnknownMemberType]
    id="ConductorWorkflowLive-v0",
    entry_point="conductor_gym.live.env:LiveWorkflowEnv",
    nondeterministic=True,
    disable_env_checker=True,
)
