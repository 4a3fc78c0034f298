"""The seven workers and seven benchmarks of pool `paper`: a world whose numbers are published."""

from typing import Any

from conductor_gym.config import EnvConfig
from conductor_gym.env import ConductorEnv

PAPER: dict[str, Any] = {"pool": "paper", "suite": "paper-v1"}


def paper_config(**settings: Any) -> EnvConfig:
    """Settings of an environment in the paper's world."""
    return EnvConfig(**{**PAPER, **settings})


def paper_env(**settings: Any) -> ConductorEnv:
    """An environment in the paper's world."""
    return ConductorEnv(**{**PAPER, **settings})
