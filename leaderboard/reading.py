"""What an agent that reads is shown besides the numbers, and what that took of its own tokens.

Such an agent has an attribute `language: LanguageOptions`. It finds one `Dialogue` a row under
``observation["dialogue"]``, may answer `UNREADABLE_ACTION`, may leave words for the next worker in
a dialogue, and notes its own tokens there.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Observations
from conductor_gym.dynamics.state import Observation
from conductor_gym.engine import Engine
from conductor_gym.language.dialogue import Dialogue, dialogue_of
from conductor_gym.language.options import LanguageOptions

TIME_LIMIT_S = 60.0
"""Seconds that one call of `act` may take, whatever the number of rows, unless told otherwise."""
READING_TIME_LIMIT_S = 900.0
"""Likewise, of an agent that reads: a language model on a CPU takes minutes for a batch."""
BATCH = 4096
READING_BATCH = 32
"""Episodes side by side, unless the agent names another number in its attribute `batch`."""


def language_of(agent: Agent) -> LanguageOptions | None:
    """How episodes are told to an agent, None where it does not read."""
    found = getattr(agent, "language", None)
    return found if isinstance(found, LanguageOptions) else None


def usual_time_limit(agent: Agent) -> float:
    """Seconds that one call of an agent's `act` may take unless told otherwise."""
    return TIME_LIMIT_S if language_of(agent) is None else READING_TIME_LIMIT_S


def usual_batch(agent: Agent) -> int:
    """Episodes of an agent that are played side by side unless told otherwise."""
    if language_of(agent) is None:
        return BATCH
    return int(getattr(agent, "batch", READING_BATCH))


class Reader:
    """Tells an agent that reads the episodes of an engine; to others it passes the numbers on.

    Args:
        agent: Of either kind.
        engine: Whose slots are played.
        episodes: How many are counted.

    Attributes:
        language: How episodes are told, None for an agent that does not read.
        own_tokens: int64 [episodes, 2], read and written by the agent; None likewise.
    """

    def __init__(self, agent: Agent, engine: Engine, episodes: int) -> None:
        self.language = language_of(agent)
        self.own_tokens: npt.NDArray[np.int64] | None = None
        if self.language is not None:
            self.own_tokens = np.zeros((episodes, 2), np.int64)
        self._engine = engine
        self._shown: list[tuple[int, Dialogue]] = []

    def shown(self, observation: Observation, slots: npt.NDArray[np.int64]) -> Observations:
        """What the agent is shown of some slots.

        Args:
            observation: Of all slots.
            slots: int64 [k].
        """
        given = observation._asdict()
        arrays: dict[str, npt.NDArray[Any]] = {name: array[slots] for name, array in given.items()}
        if self.language is not None:
            told = [dialogue_of(self._engine, slot, self.language) for slot in slots.tolist()]
            self._shown = list(zip(slots.tolist(), told, strict=True))
            column = np.empty(len(told), object)
            column[:] = told
            arrays["dialogue"] = column
        return arrays

    def note(self, playing: npt.NDArray[np.int64]) -> None:
        """Take from the dialogues what the agent has left there: words and its own tokens.

        Args:
            playing: int64 [n], index of each slot's episode.
        """
        if self.own_tokens is None:
            return
        for slot, dialogue in self._shown:
            self._engine.instruct(slot, dialogue.words)
            self.own_tokens[playing[slot]] += dialogue.tokens_in, dialogue.tokens_out
