"""Result files: one agent on one track, with everything needed to recompute it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from conductor_gym.agents.registry import agent_card, make_agent, what_is_missing
from conductor_gym.data_files import write_beside_and_rename
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError, NotRecordedError
from conductor_gym.language.options import Interface
from conductor_gym.leaderboard.command import run_command
from conductor_gym.leaderboard.cost_weights import default_cost_weights
from conductor_gym.leaderboard.evaluate import AGAIN, STREAM, Episodes, play
from conductor_gym.leaderboard.made_by import commit_here, versions_here
from conductor_gym.leaderboard.metrics import Estimate, estimate
from conductor_gym.leaderboard.reading import language_of
from conductor_gym.leaderboard.told_play import play_told, side_by_side, told_engine
from conductor_gym.leaderboard.tracks import find_track, folder_of
from conductor_gym.leaderboard.workflow_play import play_workflows
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.options import LiveOptions
from conductor_gym.reward import HEADLINE_COST_WEIGHT, utility
from conductor_gym.types import MICROSECONDS, NANO_USD, Assumptions, Backend
from conductor_gym.world import make_world

FORMAT = 3
MAX_EPISODES = 1_000_000
_PER_EPISODE: Any = {
    "qualities": True,
    "costs": True,
    "decisions": True,
    "own_tokens": {"by_episode"},
}


class Record(BaseModel):
    """Base of the parts of a result file."""

    model_config = ConfigDict(extra="forbid")


class OwnTokens(Record):
    """What a language model that conducts read and wrote itself; no part of cost or utility.

    Attributes:
        tokens_in: All of them.
        tokens_out: Likewise.
        by_episode: Read and written, in order of the index; empty where training seeds were put
            together.
    """

    tokens_in: float
    tokens_out: float
    by_episode: list[tuple[int, int]] = []

    @classmethod
    def of(cls, own: npt.NDArray[np.int64] | None) -> "OwnTokens | None":
        """From int64 [episodes, 2]."""
        if own is None:
            return None
        read, written = own.sum(axis=0).tolist()
        return cls(tokens_in=read, tokens_out=written, by_episode=own.tolist())


class AtCostWeight(Record):
    """One agent at one cost weight: metrics, then one entry per episode in order of the index.

    Attributes:
        latency_s: Median and 95th percentile of an episode's seconds; None where not recorded.
        steps: Mean number of steps.
        invalid_actions: All invalid actions.
        qualities: In [0, 1].
        costs: nano-USD.
        decisions: Packed actions, see `conductor_gym.leaderboard.evaluate.pack_action`.
        failures: Why an episode was lost, by index; its quality is 0, its cost stands.
        seed_utilities: Mean utility by training seed, where several were put together for a board;
            then qualities and costs are means over them, and all their decisions stand here.
        own_tokens: Of an agent that is a language model, else None.
    """

    cost_weight: float
    quality: Estimate
    cost_usd: Estimate
    utility: Estimate
    latency_s: dict[str, float] | None
    steps: float
    invalid_actions: int
    qualities: list[float]
    costs: list[int]
    decisions: list[list[int]]
    failures: dict[int, str] = {}
    seed_utilities: list[float] = []
    own_tokens: OwnTokens | None = None


class Result(Record):
    """A result file.

    Attributes:
        kind: Where outcomes came from.
        assumptions: End of the assumed parameters that outcomes were simulated under; None where
            they were recorded. Agents are trained and built under mid, whatever stands here.
        not_applicable: Why the agent shows n/a here, or None.
        environment: Settings of the scored environment; its cost weight stands in each entry.
        interface: What an agent that is a language model writes: ``"text"``, one action a reply, or
            ``"workflow"``; None for agents that see numbers.
        training_seed: Of a trained agent; its results are put together over training seeds.
        built_s: Seconds that building the agent took, at all cost weights: fitting on train.
        content: Hashes of suite split, pool and recorded outcomes.
        command: How the row was made.
        at: One entry per cost weight.
    """

    format: Literal[3] = FORMAT
    agent: str
    track: str
    kind: Backend
    assumptions: Assumptions | None
    privileged: bool
    not_applicable: str | None = None
    episodes: int
    seed: int
    stream: int = STREAM
    environment: dict[str, Any]
    content: dict[str, str]
    prices_as_of: str
    model: dict[str, Any] | None
    interface: Interface | None = None
    training_seed: int | None = None
    built_s: float = 0.0
    versions: dict[str, str]
    commit: str | None
    command: str
    wall_s: float
    at: list[AtCostWeight]

    def summary(self) -> dict[str, Any]:
        """What `conductor-gym run --json` prints: the metrics without the episodes."""
        rows = [at.model_dump(exclude=_PER_EPISODE) for at in self.at]
        shown = self.model_dump(exclude={"at", "model"})
        if rows:
            headline = min(rows, key=lambda row: abs(row["cost_weight"] - HEADLINE_COST_WEIGHT))
            shown |= headline
        return shown | {"at": rows}


def entry(result: Result, cost_weight: float) -> AtCostWeight | None:
    """The entry of one cost weight, None where the result has none."""
    return next((at for at in result.at if abs(at.cost_weight - cost_weight) < 1e-9), None)


def utilities(at: AtCostWeight) -> npt.NDArray[np.float64]:
    """Utility of each episode, float64 [episodes]."""
    return utility(at.qualities, np.array(at.costs) / NANO_USD, 0.0, at.cost_weight)


def _at(played: Episodes, cost_weight: float, latency_known: bool) -> AtCostWeight:
    cost = played.cost / NANO_USD
    seconds = played.latency / MICROSECONDS
    latency = None
    if latency_known:
        p50, p95 = np.quantile(seconds, [0.5, 0.95])
        latency = {"p50": float(p50), "p95": float(p95)}
    return AtCostWeight(
        cost_weight=cost_weight,
        quality=estimate(played.quality),
        cost_usd=estimate(cost),
        utility=estimate(utility(played.quality, cost, seconds, cost_weight)),
        latency_s=latency,
        steps=float(np.mean([len(row) - row.count(AGAIN) for row in played.decisions])),
        invalid_actions=int(played.invalid.sum()),
        qualities=played.quality.tolist(),
        costs=played.cost.tolist(),
        decisions=played.decisions,
        failures=played.failures,
        own_tokens=OwnTokens.of(played.own_tokens),
    )


def evaluate(
    agent: str,
    track_name: str,
    episodes: int | None = None,
    cost_weights: tuple[float, ...] | None = None,
    seed: int = 0,
    model: Path | None = None,
    advance: Callable[[int], None] | None = None,
    assumptions: Assumptions = "mid",
    time_limit_s: float | None = None,
    live: LiveOptions | None = None,
    watch: Callable[[LiveEngine], None] | None = None,
) -> Result:
    """Score an agent on a track at each cost weight.

    The agent is built under mid and played under `assumptions`: whether what was learnt under one
    assumption survives another.

    Args:
        agent: Name of the agent.
        track_name: Name of the track.
        episodes: Queries played; the whole split where None.
        cost_weights: Quality points per cent; `default_cost_weights` where None.
        seed: For agents that draw.
        model: Folder of a trained agent.
        advance: Called with the number of episodes finished.
        assumptions: End of the assumed parameters that is simulated.
        time_limit_s: Seconds that one call of the agent may take; as suits it where None.
        live: Journal and ceiling of a live track.
        watch: Called with the engine of a live track before it plays.

    Raises:
        ConductorError: Unknown names, missing data or models, an agent that cannot be built.
    """
    began = time.perf_counter()
    track = find_track(track_name)
    track.assumptions(assumptions)
    card = agent_card(agent)
    usual = default_cost_weights(assumptions, track.kind, agent)
    weights = usual if cost_weights is None else cost_weights
    world = make_world(track.evaluation(HEADLINE_COST_WEIGHT, assumptions))
    number = track.size() if episodes is None else episodes
    if not 1 <= number <= MAX_EPISODES:
        raise ConfigError(f"episodes must lie in [1, {MAX_EPISODES}], got {number}.")
    missing = what_is_missing(agent, track.setting(HEADLINE_COST_WEIGHT, seed))
    at: list[AtCostWeight] = []
    lacking: str | None = None
    trained_as: dict[str, Any] | None = None
    interface: Interface | None = None
    shown, built_s = agent, 0.0
    if missing is None:
        for weight in weights:
            building = time.perf_counter()
            policy = make_agent(agent, track.setting(weight, seed), model)
            built_s += time.perf_counter() - building
            language = language_of(policy)
            if language is not None:
                interface = language.interface
            if card.reads:
                shown = f"{agent}:{getattr(policy, 'name', '')}"
            if card.takes_model:
                trained_as = dict(getattr(policy, "card", {}))
                trained_as.pop("curve", None)
            config = track.evaluation(weight, assumptions)
            if language is not None and language.interface == "workflow":
                writer: Any = policy
                played = play_workflows(
                    writer,
                    config,
                    number,
                    advance=advance,
                    time_limit_s=time_limit_s,
                    live=live,
                    watch=cast("Callable[[Engine], None] | None", watch),
                )
            elif world.told:
                engine = told_engine(config, min(number, side_by_side(policy, live)), live)
                if watch is not None:
                    watch(engine)
                try:
                    played = play_told(policy, engine, number, advance, time_limit_s)
                except NotRecordedError as error:
                    lacking = lacking or f"at cost weight {weight:g} {error}"
                    continue  # at another weight it may stay within what is recorded
                finally:
                    engine.close()
            else:
                played = play(
                    policy,
                    config,
                    number,
                    privileged=card.privileged,
                    advance=advance,
                    time_limit_s=time_limit_s,
                )
            at.append(_at(played, weight, bool(world.tables.rules[0]["latency_known"])))
    return Result(
        agent=shown,
        track=track_name,
        kind=track.kind,
        assumptions=assumptions if track.kind == "simulated" else None,
        privileged=card.privileged,
        not_applicable=missing if at else missing or lacking,
        episodes=number,
        seed=seed,
        environment=track.evaluation(HEADLINE_COST_WEIGHT, assumptions).as_dict()
        | {"cost_weight": None},
        content=world.content_hashes(),
        prices_as_of=world.pool.prices_as_of,
        model=trained_as,
        interface=interface,
        training_seed=trained_as.get("seed") if trained_as else None,
        built_s=round(built_s, 2),
        versions=versions_here(),
        commit=commit_here(),
        command=run_command(
            agent,
            track_name,
            number,
            seed,
            assumptions if track.kind == "simulated" else None,
            () if weights == usual else weights,
            model,
            time_limit_s,
            live,
        ),
        wall_s=round(time.perf_counter() - began, 2),
        at=at,
    )


def result_path(
    folder: Path,
    track: str,
    agent: str,
    assumptions: Assumptions | None = None,
    training_seed: int | None = None,
) -> Path:
    """Where a result is kept.

    ``FOLDER/TRACK/AGENT.json``, with a colon made a dash, ``AGENT.seed-J.json`` for trained agents;
    low and high in folders of that name below the track's.
    """
    home = folder / folder_of(track)
    inside = home if assumptions in (None, "mid") else home / assumptions
    seed = "" if training_seed is None else f".seed-{training_seed}"
    return inside / f"{agent.replace(':', '-').replace('/', '-')}{seed}.json"


def write_result(result: Result, folder: Path) -> Path:
    """Write a result file, whole or not at all, and return its path.

    A smaller run never replaces a fuller one: it goes into a folder ``partial`` beside it, which
    the report does not read.
    """
    path = result_path(folder, result.track, result.agent, result.assumptions, result.training_seed)
    if path.exists():
        try:
            old = read_result(path)
        except DataFileError:
            old = None
        if old is not None and _is_fuller(old, result):
            path = path.parent / "partial" / path.name
    write_beside_and_rename(path, result.model_dump_json().encode())
    return path


def _is_fuller(old: Result, new: Result) -> bool:
    same = (old.environment, old.content, old.model) == (new.environment, new.content, new.model)
    if new.assumptions in ("low", "high") and not same:
        return False  # an end of what is no longer there compares with nothing
    return old.episodes > new.episodes or len(old.at) > len(new.at) > 0


def read_result(path: Path) -> Result:
    """Read a result file.

    Raises:
        DataFileError: Not readable or not a result of this format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        return Result.model_validate_json(content)
    except ValidationError as error:
        found = _format(content)
        if found is not None and found != FORMAT:
            raise DataFileError(
                f"{path}: result format {found}, this version reads {FORMAT}. "
                "Remove it or run the agent again."
            ) from None
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "(top level)"
        raise DataFileError(
            f"{path}: not a result file of `conductor-gym run`: {where}: {first['msg']}. Name "
            "another one; under results/, remove it or run the agent again."
        ) from None


def _format(content: bytes) -> int | None:
    """The format that a file states, None where it states none."""
    try:
        stated = json.loads(content)
    except ValueError:
        return None
    found = stated.get("format") if isinstance(stated, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found if isinstance(found, int) else None
