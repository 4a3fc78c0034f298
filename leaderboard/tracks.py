"""Tracks: which pool, suite, split and key a row of the board is measured on."""

from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import RootModel

from conductor_gym.agents.base import Setting
from conductor_gym.config import EnvConfig
from conductor_gym.data_files import StrictModel, load_toml
from conductor_gym.errors import ConfigError, DataFileError, unknown_name
from conductor_gym.reward import HEADLINE_COST_WEIGHT
from conductor_gym.types import DEFAULT_BUDGET_USD, Assumptions, Backend, Subtask
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import make_world

OWN = "@"
"""Stands in the names of tracks that were not written down: POOL@SUITE@SPLIT@KIND."""
TRACKS_FILE = Path(__file__).with_name("tracks.toml")
ALL_ASSUMPTIONS: tuple[Assumptions, ...] = ("mid", "low", "high")
"""In the order in which they are played: mid, which the board is made of, first."""
EVALUATION_KEY = "public-evaluation"
"""Key of the luck on tracks that state none."""


class Track(StrictModel):
    """One track; `evaluation` and `training` give the two environments that belong to it.

    Attributes:
        kind: Where outcomes of the scored environment come from.
        episodes: How many are played, for agents that are slow; every query of the split once where
            None.
    """

    title: str
    kind: Backend
    pool: str
    suite: str
    split: str
    key: str
    budget_usd: float = DEFAULT_BUDGET_USD
    episodes: int | None = None

    def evaluation(self, cost_weight: float, assumptions: Assumptions = "mid") -> EnvConfig:
        """The environment that is scored, at one cost weight."""
        return EnvConfig(
            pool=self.pool,
            suite=self.suite,
            split=self.split,
            key=self.key,
            cost_weight=cost_weight,
            budget_usd=self.budget_usd,
            assumptions=assumptions,
            backend=self._backend(self.kind),
        )

    def training(self, assumptions: Assumptions = "mid") -> EnvConfig:
        """The environment agents learn from: train split, public key, cost weights drawn.

        Always under mid where a board is made: no agent knows which end is true. Outcomes that come
        from outside are trained for in the pool's simulation.
        """
        pool = load_pool(self.pool)
        learns_from = self.kind if pool.recording is not None else "simulated"
        return EnvConfig(
            pool=self.pool,
            suite=self.suite,
            split="train",
            budget_usd=self.budget_usd,
            assumptions=assumptions,
            backend=self._backend(learns_from),
        )

    def _backend(self, wanted: Backend) -> Backend | None:
        """None where it is the pool's own: settings name what differs."""
        return None if load_pool(self.pool).backend == wanted else wanted

    def setting(self, cost_weight: float, seed: int = 0) -> Setting:
        """What an agent is told before it is scored at one cost weight."""
        train = self.training()
        # A pool that cannot be simulated has agents that need no training.
        pool = load_pool(self.pool)
        trains = pool.model is not None or pool.recording is not None
        world = make_world(train if trains else self.evaluation(cost_weight))
        rules = world.tables.rules[0]
        return Setting(
            train=train,
            workers=world.pool.worker_names,
            domains=world.data.domains,
            subtasks=frozenset(s for s in Subtask if int(rules["subtasks"]) >> s & 1),
            confidence=world.told or world.backend == "simulated",
            cost_weight=cost_weight,
            seed=seed,
            simulated=self.kind == "simulated",
            foreseen=self.kind == "simulated" or pool.recording is not None,
        )

    def assumptions(self, asked: str = "all") -> tuple[Assumptions, ...]:
        """Assumptions to play under, mid first; recorded outcomes assume nothing and run once.

        Args:
            asked: ``"low"``, ``"mid"``, ``"high"`` or ``"all"``.

        Raises:
            UnknownNameError: None of these.
            ConfigError: One end of a recorded track.
        """
        chosen: list[Assumptions] = [name for name in ALL_ASSUMPTIONS if asked in (name, "all")]
        if not chosen:
            raise unknown_name("assumptions", asked, (*ALL_ASSUMPTIONS, "all"))
        if self.kind == "simulated":
            return tuple(chosen)
        if "mid" not in chosen:
            raise ConfigError(
                f"outcomes of {self.title!r} are {self.kind}: nothing about them is assumed, so "
                f"there is no {asked} end. Leave out --assumptions."
            )
        return ("mid",)

    def size(self) -> int:
        """Episodes that are scored unless told otherwise."""
        queries = len(make_world(self.evaluation(HEADLINE_COST_WEIGHT)).data.uids)
        return queries if self.episodes is None else min(queries, self.episodes)

    def is_available(self) -> bool:
        """Whether the track's data is on this machine."""
        try:
            make_world(self.training())
        except DataFileError:
            return False
        return True


class _Tracks(RootModel[dict[str, Track]]):
    """The file of tracks."""


@cache
def tracks() -> dict[str, Track]:
    """Every track by name."""
    return load_toml(TRACKS_FILE, _Tracks).root


def own_track(pool: str, suite: str, split: str, kind: Backend | None) -> str:
    """The name of a track that need not be written down.

    Args:
        pool: As for an environment.
        suite: As for an environment.
        split: That is scored.
        kind: Where outcomes come from; None: as the pool's file says.
    """
    return OWN.join((pool, suite, split, kind or load_pool(pool).backend))


def folder_of(track: str) -> str:
    """Name of the folder that results and models of a track are kept in."""
    parts = [part.removesuffix(".toml").rpartition("/")[2] for part in track.split(OWN)]
    return "-".join(parts)


def _of_parts(name: str) -> Track:
    parts = name.split(OWN)
    if len(parts) != 4:
        raise ConfigError(f"track {name!r}: write POOL@SUITE@SPLIT@BACKEND, or a track's name.")
    pool, suite, split, kind = parts
    if kind not in get_args(Backend):
        raise unknown_name("backend", kind, get_args(Backend))
    title = f"{pool} on {suite}, {split} split ({kind})"
    described = {"pool": pool, "suite": suite, "split": split, "kind": kind}
    return Track.model_validate({"title": title, "key": EVALUATION_KEY, **described})


def find_track(name: str) -> Track:
    """One track by name, one of your own by the path to its TOML file, or by `own_track`.

    Raises:
        UnknownNameError: No such track.
        DataFileError: A broken file.
        ConfigError: A file with the name of a shipped track.
    """
    if OWN in name:
        return _of_parts(name)
    if name.endswith(".toml"):
        if Path(name).stem in tracks():  # results and models would lie in one folder
            raise ConfigError(f"{name}: {Path(name).stem} is a shipped track. Rename the file.")
        return load_toml(Path(name), Track)
    if name not in tracks():
        raise unknown_name("track", name, tracks(), "A path to your own .toml file works too.")
    return tracks()[name]
