"""`ConductorText-v0`: the episodes of `Conductor-v0`, told in words and acted on by a line."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from conductor_gym.engine import Engine
from conductor_gym.episode_env import EpisodeEnv
from conductor_gym.errors import InvalidActionError
from conductor_gym.language.dialogue import Dialogue, dialogue_of
from conductor_gym.language.grammar import valid_lines
from conductor_gym.language.lines import FREE, Line, Refusal, as_action, write_line
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.parse import parse_action
from conductor_gym.language.settings import split_settings
from conductor_gym.language.space import AnyText
from conductor_gym.types import MAX_SLOTS, UNREADABLE_ACTION, Subtask

REPLY_CHARACTERS = 2**20
"""Most characters of a reply in the action space; `step` takes longer ones too."""


class ConductorTextEnv(EpisodeEnv[str, str]):
    """One episode is one query; one step is one decision, written as a line such as ``solve 2``.

    Episodes, rewards, ends and options of `reset` are those of `Conductor-v0`. An observation is
    the dialogue so far as one text, from the instructions to what the last action came to. A reply
    is read by `parse_action`; one that holds no action spends the step and costs 0.01.

    ``info`` is that of `Conductor-v0`, and ``messages``: the dialogue as a chat, a list of
    dictionaries with ``role`` and ``content``. After a step also ``action``, the line that was
    read, or None, and ``refusal``, why none was, or None. It holds uid, domain and prompt also
    where ``hidden`` keeps them from the observation.

    Args:
        render_mode: ``"ansi"`` returns the episode so far as text, ``"human"`` prints it.
        **settings: Those of `ConductorEnv`, and of `LanguageOptions` but ``interface`` and
            ``rounds``: workers, shuffled, offered, instructed, query_characters, hidden.

    Attributes:
        options: How episodes are told.

    Raises:
        ConductorError: As `ConductorEnv`.
    """

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        config, self.options = split_settings(settings, "text", also=("render_mode",))
        super().__init__(config, render_mode)
        self.observation_space: gym.Space[Any] = AnyText(_longest(self.engine, self.options))
        self.action_space: gym.Space[Any] = AnyText(
            REPLY_CHARACTERS, _examples(self.engine, self.options)
        )
        self._dialogue: Dialogue | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start the next episode, see `ConductorEnv.reset`.

        Args:
            seed: Start this stream at index 0.
            options: ``{"episode_index": k}`` plays index k of the stream.

        Returns:
            The dialogue, and info.
        """
        _, info = self._begin(seed, options)
        return self._tell(info), info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Make one decision.

        Args:
            action: What a model replied.

        Returns:
            Dialogue, reward, terminated, truncated (always False), info.

        Raises:
            EpisodeOverError: No episode is running.
            InvalidActionError: The action is no text; the episode is unchanged.
        """
        self._check_running()
        if not isinstance(action, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidActionError(
                f"an action is a text such as 'solve 0', got {str(action)[:80]!r} of "
                f"{type(action).__name__}. Numbers are for Conductor-v0."
            )
        offer = self.dialogue.offer
        line = parse_action(action, offer)
        if isinstance(line, Refusal):
            numbers, said, refusal = UNREADABLE_ACTION, None, line.reason
        else:
            numbers, said, refusal = as_action(line, offer), write_line(line, offer.levels), None
            self.engine.instruct(0, line.words)
        _, reward, over, info = self._advance(np.array([numbers], np.int64))
        info["action"], info["refusal"] = said, refusal
        return self._tell(info), reward, over, False, info

    @property
    def dialogue(self) -> Dialogue:
        """The episode so far: its chat, and what can be chosen now."""
        if self._dialogue is None:
            self._check_running()
            self._dialogue = dialogue_of(self.engine, 0, self.options)
        return self._dialogue

    def valid_lines(self) -> tuple[str, ...]:
        """Every valid action in its canonical form, without words."""
        return valid_lines(self.dialogue.offer)

    def _tell(self, info: dict[str, Any]) -> str:
        self._dialogue = dialogue_of(self.engine, 0, self.options)
        info["messages"] = [message._asdict() for message in self._dialogue.messages]
        return self._dialogue.text()


def _examples(engine: Engine, options: LanguageOptions) -> tuple[str, ...]:
    """Lines to sample from; `solve`, which is always valid, more often than others."""
    workers = range(min(len(engine.world.pool.workers), options.offered or MAX_SLOTS))
    levels = int(engine.world.tables.rules[0]["levels"])
    paid = [Subtask.SOLVE] * 3 + [subtask for subtask in Subtask if subtask not in FREE]
    lines = [Line(subtask, worker) for subtask in paid for worker in workers]
    return tuple(write_line(line, levels) for line in [*lines, *(Line(free) for free in FREE)])


def _longest(engine: Engine, options: LanguageOptions) -> int:
    """Most characters of a dialogue, generously."""
    world = engine.world
    names = [worker.name for worker in world.pool.workers]
    told = sum(len(name) + 64 for name in names) + max(len(name) for name in world.data.domains)
    return 4096 + told + options.query_characters + 512 * world.config.max_steps
