"""Which cost weights a run plays."""

from conductor_gym.agents.registry import agent_card
from conductor_gym.reward import COST_WEIGHTS, HEADLINE_COST_WEIGHT
from conductor_gym.types import Assumptions, Backend


def default_cost_weights(
    assumptions: Assumptions, kind: Backend, agent: str = ""
) -> tuple[float, ...]:
    """Cost weights that a run plays unless told.

    The headline alone where each costs real money, or a language model's time, and for the ends,
    which are shown at it alone.
    """
    whole = assumptions == "mid" and kind != "live"
    whole = whole and not (agent and agent_card(agent).reads)
    return COST_WEIGHTS if whole else (HEADLINE_COST_WEIGHT,)
