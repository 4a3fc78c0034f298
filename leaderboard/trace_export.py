"""The steps of a result file, recomputed from its decisions and checked against its scores."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from conductor_gym.config import EnvConfig
from conductor_gym.engines import new_engine
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.leaderboard.evaluate import unpack_action
from conductor_gym.leaderboard.results import AtCostWeight, Result, entry
from conductor_gym.traces.episodes import SIDE_BY_SIDE, Episode, replay
from conductor_gym.version import __version__
from conductor_gym.world import make_world


class ResultTrace:
    """What one result file can give.

    Args:
        result: The result.
        cost_weights: Which of its cost weights; none: all.

    Attributes:
        name: Track and agent.
        episodes: Episodes that are played again.
        config: The environment; its cost weight is None where several are played again.
        world: What is played.
        columns: What is the same in all rows.
        metadata: Of a Minari dataset.

    Raises:
        ConfigError: A cost weight that was not played, or a result without episodes.
        DataFileError: Its suite, pool or outcomes have changed since.
    """

    def __init__(self, result: Result, cost_weights: tuple[float, ...] = ()) -> None:
        self._result = result
        self.name = f"{result.track}: {result.agent}"
        if result.not_applicable is not None:
            raise ConfigError(f"{self.name} is n/a ({result.not_applicable}): it has no steps.")
        if result.interface == "workflow":
            raise ConfigError(f"{self.name} is of workflows: their steps are not exported yet.")
        self._at = [_entry(result, weight) for weight in cost_weights] or result.at
        self.episodes = len(self._at) * result.episodes
        settings: dict[str, Any] = result.environment
        settings = settings | {"cost_weight": None}
        if len(self._at) == 1:
            settings["cost_weight"] = self._at[0].cost_weight
        self.config = EnvConfig(**settings)
        self.world = make_world(self.config)
        found = self.world.content_hashes()
        changed = [name for name, was in result.content.items() if found.get(name) != was]
        if changed:
            raise DataFileError(
                f"{self.name}: {' and '.join(changed)} differ from what it was scored on, so its "
                f"steps cannot be recomputed. {_origin(result)}"
            )
        same = {"track": result.track, "agent": result.agent, "assumptions": result.assumptions}
        self.columns: dict[str, Any] = same
        kept = ("command", "commit", "versions", "content", "model", "seed", "privileged")
        self.metadata: dict[str, Any] = {
            "algorithm_name": result.agent,
            "description": f"{result.agent} on track {result.track} of conductor-gym",
            "conductor_gym": same
            | {"version": __version__, "cost_weights": [at.cost_weight for at in self._at]}
            | {name: getattr(result, name) for name in kept},
        }

    def played(self, advance: Callable[[int], None]) -> Iterator[Episode]:
        """Every episode, checked.

        Args:
            advance: Called with the number of episodes that were played.

        Raises:
            DataFileError: An episode that does not come to the quality and cost of the result.
        """
        for at in self._at:
            config = replace(self.config, cost_weight=at.cost_weight)
            engine = new_engine(config, min(SIDE_BY_SIDE, self._result.episodes))
            decisions = [[unpack_action(code) for code in codes] for codes in at.decisions]
            again = replay(engine, self._result.stream, 0, decisions)
            for index in range(self._result.episodes):
                try:
                    episode = next(again)
                except DataFileError as error:
                    raise DataFileError(f"{self.name}: {error} {_origin(self._result)}") from None
                self._check(at, index, episode)
                yield episode
                advance(1)

    def _check(self, at: AtCostWeight, index: int, episode: Episode) -> None:
        state: Any = episode.state
        had = at.qualities[index], at.costs[index]
        # An episode that the agent lost by a fault of its own is scored 0, whatever it had.
        got = 0.0 if index in at.failures else float(state["quality"]), int(state["cost"])
        if had != got:
            raise DataFileError(
                f"{self.name}: episode {index} at cost weight {at.cost_weight:g} comes to quality "
                f"{got[0]:g} and {got[1]} nano-USD, the result says {had[0]:g} and {had[1]}. "
                f"{_origin(self._result)}"
            )


def _entry(result: Result, weight: float) -> AtCostWeight:
    found = entry(result, weight)
    if found is None:
        played = ", ".join(f"{at.cost_weight:g}" for at in result.at)
        raise ConfigError(
            f"{result.agent} on {result.track} was not played at cost weight {weight:g}. "
            f"Known: {played}."
        )
    return found


def _origin(result: Result) -> str:
    """What made a result and what reads it, with the repair."""
    with_version = result.versions.get("conductor-gym", "unknown")
    return (
        f"It was made by version {with_version}, commit {result.commit or 'unknown'}, and is read "
        f"by {__version__}. Use that version, or run the agent again: {result.command}"
    )
