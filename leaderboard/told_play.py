"""Playing an agent over outcomes from outside: live workers, or a journal of their calls.

The episodes are those of `conductor_gym.leaderboard.evaluate.play`. Here each goes on as soon as
its own call is back, so a slow worker holds up nobody else.
"""

from collections.abc import Callable

import numpy as np

from conductor_gym.agents.base import Agent, Online
from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.evaluate import (
    STREAM,
    Codes,
    Episodes,
    by_episode,
    outcome_of,
    pack_action,
)
from conductor_gym.leaderboard.reading import Reader, language_of, usual_batch, usual_time_limit
from conductor_gym.leaderboard.supervision import Supervisor
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.options import CONCURRENT, LiveOptions
from conductor_gym.world import make_world


def play_told(
    agent: Agent,
    engine: LiveEngine,
    episodes: int,
    advance: Callable[[int], None] | None = None,
    time_limit_s: float | None = None,
) -> Episodes:
    """Play episodes 0..N-1 of stream 0, as many at a time as the engine has slots.

    Args:
        agent: A policy. What it does wrong loses the episode in which it does so. One that learns
            while it plays needs an engine of one slot.
        engine: Of the environment that is scored.
        episodes: N.
        advance: Called with the number of episodes that were finished.
        time_limit_s: Seconds that one call of `act` or `observe` may take. None: as suits it.

    Raises:
        ConductorError: A call that no attempt can make. Calls under way were waited for and stand
            in the journal.
    """
    learner = agent if getattr(agent, "online", False) and isinstance(agent, Online) else None
    limit = usual_time_limit(agent) if time_limit_s is None else time_limit_s
    supervisor = Supervisor(agent, engine.world.config.max_workers, limit)
    reader = Reader(agent, engine, episodes)
    quality = np.zeros(episodes)
    totals = np.zeros((3, episodes), np.int64)
    failures: dict[int, str] = {}
    taken: list[tuple[Codes, Codes]] = []
    table = np.zeros((engine.n, 3), np.int64)
    observation = engine.new_observation()
    handed_out = min(engine.n, episodes)
    asked = np.arange(handed_out, dtype=np.int64)
    playing = np.arange(engine.n, dtype=np.int64)
    engine.start(asked, np.full(handed_out, STREAM), asked, observation)
    left = episodes
    try:
        while left:
            failed: dict[int, str] = {}
            if len(asked):  # none while the last episodes wait for their calls
                table[asked], failed = supervisor.ask(reader.shown(observation, asked))
                reader.note(playing)
                failures |= {int(playing[asked[row]]): why for row, why in failed.items()}
                engine.begin(asked, table)
            asked = engine.ready()
            results = engine.finish(asked, observation)
            taken.append((playing[asked], pack_action(table[asked])))
            if learner is not None and not failed:
                told = outcome_of(engine.episodes[0], table[0], float(results[0]["reward"]))
                why = supervisor.tell(learner, told)
                if why is not None:
                    failures[int(playing[0])] = why
            over = asked[results["over"][asked]]
            if not len(over):
                continue
            done, index = engine.episodes[over], playing[over]
            quality[index] = done["quality"]
            totals[:, index] = done["cost"], done["latency"], done["invalid"]
            left -= len(over)
            if advance is not None:
                advance(len(over))
            again = over[: episodes - handed_out]
            playing[again] = handed_out + np.arange(len(again))
            handed_out += len(again)
            engine.start(again, np.full(len(again), STREAM), playing[again], observation)
            asked = np.setdiff1d(asked, over[len(again) :], assume_unique=True)
    except BaseException:
        engine.settle()
        raise
    failures = {index: failures[index] for index in sorted(failures)}
    quality[list(failures)] = 0.0
    cost, latency, invalid = totals
    decisions = by_episode(taken, episodes)
    return Episodes(quality, cost, latency, invalid, decisions, failures, reader.own_tokens)


def side_by_side(agent: Agent, live: LiveOptions | None) -> int:
    """Episodes that are played at the same time where outcomes come from outside."""
    if getattr(agent, "online", False):
        return 1
    told = CONCURRENT if live is None else live.concurrent
    return told if language_of(agent) is None else min(told, usual_batch(agent))


def told_engine(config: EnvConfig, n: int, live: LiveOptions | None) -> LiveEngine:
    """An engine of n slots over live workers, or over the journal that the pool names.

    Args:
        config: Of the environment that is scored.
        n: Number of slots.
        live: Journal and ceiling, where the workers are live.

    Raises:
        ConductorError: Workers that cannot be reached, a journal that cannot be used.
    """
    from conductor_gym.live.open import open_live, open_replay

    world = make_world(config)
    if world.backend == "recorded":
        return open_replay(config, n, world)
    if live is None:
        raise ConfigError("a live track needs a journal and a ceiling: pass `live`.")
    return open_live(config, n, live)
