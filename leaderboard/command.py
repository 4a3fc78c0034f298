"""How a result is made again: the command line that a person would type."""

import shlex
from pathlib import Path

from conductor_gym.leaderboard.tracks import OWN
from conductor_gym.live.options import CONCURRENT, LiveOptions
from conductor_gym.types import Assumptions


def run_command(
    agent: str,
    track: str,
    episodes: int,
    seed: int,
    assumptions: Assumptions | None = None,
    cost_weights: tuple[float, ...] = (),
    model: Path | None = None,
    time_limit_s: float | None = None,
    live: LiveOptions | None = None,
) -> str:
    """The `conductor-gym run` that plays one agent on one track.

    Args:
        agent: Its name.
        track: Name of the track, or that of `own_track`.
        episodes: Queries played.
        seed: For agents that draw.
        assumptions: End of the assumed parameters; None where nothing is assumed.
        cost_weights: Where they are not those that would be played anyway.
        model: Folder of a trained agent.
        time_limit_s: Seconds that one call of the agent may take, where that was told.
        live: Journal and ceiling of a live track.
    """
    words = ["conductor-gym", "run", "--agent", agent]
    if OWN in track:
        pool, suite, split, backend = track.split(OWN)
        words += ["--pool", pool, "--backend", backend, "--suite", suite, "--split", split]
    else:
        words += ["--track", track]
    words += ["--episodes", str(episodes), "--seed", str(seed)]
    if live is not None:
        words += ["--budget-usd", f"{live.ceiling_usd:.12g}", "--journal", str(live.journal)]
        if live.concurrent != CONCURRENT:
            words += ["--concurrent", str(live.concurrent)]
    if assumptions is not None:
        words += ["--assumptions", assumptions]
    for weight in cost_weights:
        words += ["--cost-weight", f"{weight:g}"]
    if model is not None:
        words += ["--model", str(model)]
    if time_limit_s is not None:
        words += ["--time-limit", f"{time_limit_s:g}"]
    return shlex.join(words)
