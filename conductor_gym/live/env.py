"""The same environments over live workers: `ConductorLive-v0` and those of language."""

from os import PathLike
from pathlib import Path
from typing import Any

import gymnasium as gym

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.env import ConductorEnv
from conductor_gym.errors import ConfigError
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.open import open_live
from conductor_gym.live.options import CONCURRENT, LiveOptions
from conductor_gym.text_env import ConductorTextEnv
from conductor_gym.vector_env import ConductorVectorEnv
from conductor_gym.workflow_env import ConductorWorkflowEnv


class LiveCalls:
    """What makes an environment's calls for real; `_options` is set before the environment is."""

    config: EnvConfig
    engine: Engine
    _options: LiveOptions

    def _new_engine(self) -> Engine:
        return _told(open_live(self.config, 1, self._options))

    def close(self) -> None:
        """Close connections and journal."""
        if isinstance(self.engine, LiveEngine):
            self.engine.close()


class LiveConductorEnv(LiveCalls, ConductorEnv):
    """`ConductorEnv` whose calls are made for real, and cost real money.

    What comes back is not a function of the seed. Everything that came back stands in the journal:
    the same episodes with the same actions and the same journal give the same outcomes.

    Args:
        pool: Path to a pool's file whose workers have a [workers.live] section.
        journal: File that every call stands in; continued where it exists.
        ceiling_usd: USD that all calls in the journal may cost together.
        **settings: As for `ConductorEnv`.

    Raises:
        ConductorError: Unknown names, broken files, settings that cannot work together, workers
            that cannot be reached.
    """

    def __init__(
        self,
        pool: str | None = None,
        journal: str | PathLike[str] | None = None,
        ceiling_usd: float | None = None,
        **settings: Any,
    ) -> None:
        pool, self._options = needed(pool, journal, ceiling_usd, 1)
        settings.setdefault("backend", "live")
        super().__init__(pool=pool, **settings)


class LiveTextEnv(LiveCalls, ConductorTextEnv):
    """`ConductorTextEnv` whose calls are made for real, and cost real money.

    Workers read the words of an action, and the dialogue shows the beginning of their answers.
    Journal and ceiling are as for `LiveConductorEnv`.

    Args:
        pool: Path to a pool's file whose workers have a [workers.live] section.
        journal: File that every call stands in; continued where it exists.
        ceiling_usd: USD that all calls in the journal may cost together.
        **settings: As for `ConductorTextEnv`.

    Raises:
        ConductorError: As `LiveConductorEnv`.
    """

    def __init__(
        self,
        pool: str | None = None,
        journal: str | PathLike[str] | None = None,
        ceiling_usd: float | None = None,
        **settings: Any,
    ) -> None:
        pool, self._options = needed(pool, journal, ceiling_usd, 1)
        settings.setdefault("backend", "live")
        super().__init__(pool=pool, **settings)


class LiveWorkflowEnv(LiveCalls, ConductorWorkflowEnv):
    """`ConductorWorkflowEnv` whose calls are made for real, and cost real money.

    Workers read the words of their step. The steps of a workflow are called one after the other;
    the latency that is charged is that of steps which overlap.

    Args:
        pool: Path to a pool's file whose workers have a [workers.live] section.
        journal: File that every call stands in; continued where it exists.
        ceiling_usd: USD that all calls in the journal may cost together.
        **settings: As for `ConductorWorkflowEnv`.

    Raises:
        ConductorError: As `LiveConductorEnv`.
    """

    def __init__(
        self,
        pool: str,
        journal: str | PathLike[str],
        ceiling_usd: float,
        **settings: Any,
    ) -> None:
        self._options = LiveOptions(Path(journal), ceiling_usd, 1)
        settings.setdefault("backend", "live")
        super().__init__(pool=pool, **settings)


class LiveConductorVectorEnv(ConductorVectorEnv):
    """`ConductorVectorEnv` whose calls are made for real, those of one step at the same time.

    Args:
        num_envs: Slots.
        pool: Path to a pool's file whose workers have a [workers.live] section.
        journal: File that every call stands in; continued where it exists.
        ceiling_usd: USD that all calls in the journal may cost together.
        concurrent: Calls at the same time.
        **settings: As for `ConductorVectorEnv`.

    Raises:
        ConductorError: As `LiveConductorEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        pool: str | None = None,
        journal: str | PathLike[str] | None = None,
        ceiling_usd: float | None = None,
        concurrent: int = CONCURRENT,
        **settings: Any,
    ) -> None:
        pool, self._options = needed(pool, journal, ceiling_usd, concurrent)
        settings.setdefault("backend", "live")
        super().__init__(num_envs, pool=pool, **settings)

    def _new_engine(self) -> Engine:
        return _told(open_live(self.config, self.num_envs, self._options))

    def close_extras(self, **kwargs: Any) -> None:
        """Close connections and journal."""
        if isinstance(self.engine, LiveEngine):
            self.engine.close()


def needed(
    pool: str | None,
    journal: str | PathLike[str] | None,
    ceiling_usd: float | None,
    concurrent: int,
) -> tuple[str, LiveOptions]:
    """What a live environment cannot do without: its pool, its journal and what it may cost.

    Raises:
        ConfigError: One of them was not given.
    """
    given = {"pool": pool, "journal": journal, "ceiling_usd": ceiling_usd}
    missing = [name for name, value in given.items() if value is None]
    if pool is None or journal is None or ceiling_usd is None:
        raise ConfigError(
            f"live workers need {', '.join(missing)}: their calls cost money. Such as "
            'pool="pool.toml", journal="calls.jsonl", ceiling_usd=1.0.'
        )
    return pool, LiveOptions(Path(journal), ceiling_usd, concurrent)


def _told(engine: LiveEngine) -> LiveEngine:
    """An engine, after what could not be read of its journal was told."""
    for warning in engine.warnings:
        gym.logger.warn(warning)
    return engine
