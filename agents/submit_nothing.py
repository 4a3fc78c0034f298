"""Submit nothing: utility 0 on every query. A reference that every agent should beat."""

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.types import Subtask


class SubmitNothing:
    """Ends every episode at once."""

    def __init__(self, setting: Setting) -> None:
        del setting

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        return actions(len(observation["budget"]), Subtask.SUBMIT)
