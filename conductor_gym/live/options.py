"""What a run on live workers needs besides the settings of its environment."""

from dataclasses import dataclass
from pathlib import Path

from conductor_gym.errors import ConfigError

CONCURRENT = 64
"""Calls at the same time unless told otherwise."""


@dataclass(frozen=True)
class LiveOptions:
    """What a run on live workers needs besides the settings of its environment.

    Attributes:
        journal: File that every call stands in; made where it does not exist, continued where it
            does.
        ceiling_usd: USD that all calls in the journal may cost together.
        concurrent: Calls at the same time, for all workers together.
        again: Whether calls that an earlier run did not get through to a worker are made again. A
            run that goes on must meet what it met before; a recording wants what workers say.
    """

    journal: Path
    ceiling_usd: float
    concurrent: int = CONCURRENT
    again: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.ceiling_usd < 1e6:
            raise ConfigError(f"a ceiling must lie in [0, 1,000,000) USD, got {self.ceiling_usd}.")
