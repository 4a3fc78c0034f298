"""What a run on live workers may cost, before it is started."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conductor_gym.agents.registry import agent_card, make_agent
from conductor_gym.errors import ConductorError
from conductor_gym.leaderboard.evaluate import play
from conductor_gym.leaderboard.tracks import Track
from conductor_gym.types import NANO_USD
from conductor_gym.workers.pool import load_pool

TRIED = 100
"""Episodes that are simulated for an estimate."""


@dataclass(frozen=True)
class PriceEstimate:
    """USD of a run.

    Attributes:
        expected: As the pool's simulation has it; None where it cannot be simulated, or the agent
            is a language model, which would have to be asked for it.
        at_most: Episodes times the budget of one, and never more than the ceiling.
    """

    expected: float | None
    at_most: float

    def __str__(self) -> str:
        told = "unknown (not simulated)"
        if self.expected is not None:
            told = f"{self.expected:.4f} USD (simulated)"
        return f"expected cost {told}, at most {self.at_most:g} USD"


def price_estimate(
    agent: str,
    track: Track,
    episodes: int,
    cost_weight: float,
    ceiling_usd: float,
    model: Path | None = None,
    seed: int = 0,
) -> PriceEstimate:
    """What an agent is expected to spend on a live track at one cost weight.

    Args:
        agent: Name of the agent.
        track: The live track.
        episodes: Queries that are played.
        cost_weight: Quality points per cent.
        ceiling_usd: USD that the run may spend.
        model: Folder of a trained agent.
        seed: For agents that draw.
    """
    at_most = min(ceiling_usd, episodes * track.budget_usd)
    if load_pool(track.pool).model is None or agent_card(agent).reads:
        return PriceEstimate(None, at_most)
    rehearsal = track.model_copy(update={"kind": "simulated"})
    number = min(TRIED, episodes)
    try:
        policy = make_agent(agent, track.setting(cost_weight, seed), model)
        played = play(policy, rehearsal.evaluation(cost_weight), number)
    except ConductorError:
        return PriceEstimate(None, at_most)  # the run itself will say what is wrong
    mean = float(np.mean(played.cost)) / NANO_USD
    return PriceEstimate(mean * episodes, at_most)
