"""Episodes for any trainer: chats out, texts in, a reward a step. Knows no trainer and no model.

An episode is named by (stream, index): whoever gives the same pair twice meets the same task, the
same luck and the same order of workers, so that the rollouts of a group differ by what was written
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.state import Records
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, EpisodeOverError
from conductor_gym.language.dialogue import Dialogue, dialogue_of
from conductor_gym.language.lines import Line, as_action
from conductor_gym.language.offer import offer_of
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.parse import parse_action
from conductor_gym.language.workflow import parse_workflow
from conductor_gym.language.workflow_dialogue import workflow_dialogue
from conductor_gym.language.workflow_run import WorkflowRunner, workflow_config
from conductor_gym.types import UNREADABLE_ACTION


@dataclass(frozen=True, eq=False)
class Turn:
    """What one reply in each episode came to.

    Attributes:
        rewards: float64 [n], of this step; 0 where the episode was over before.
        over: bool [n].
        dialogues: The chat to be answered next, None where the episode is over.
        quality: float64 [n] in [0, 1], of the submitted answer; 0 before the end.
        utility: float64 [n], of quality, cost and latency so far.
        invalid: int64 [n], invalid actions so far, unreadable ones too.
    """

    rewards: npt.NDArray[np.float64]
    over: npt.NDArray[np.bool_]
    dialogues: list[Dialogue | None]
    quality: npt.NDArray[np.float64]
    utility: npt.NDArray[np.float64]
    invalid: npt.NDArray[np.int64]


class Rollouts:
    """n episodes side by side that are played by writing.

    Args:
        config: The environment.
        options: How episodes are told.
        n: Episodes.

    Attributes:
        engine: The slots; a trainer reads what it logs from here and changes nothing.
    """

    def __init__(self, config: EnvConfig, options: LanguageOptions, n: int) -> None:
        self.options = options
        self._runner: WorkflowRunner | None = None
        if options.interface == "workflow":
            self.engine = Engine(workflow_config(config, options), n)
            self._runner = WorkflowRunner(self.engine, options)
        else:
            self.engine = Engine(config, n)
        self._observation = self.engine.new_observation()

    @property
    def n(self) -> int:
        """Episodes."""
        return self.engine.n

    def start(self, streams: npt.ArrayLike, indices: npt.ArrayLike) -> list[Dialogue]:
        """Start n episodes.

        Args:
            streams: int64 [n].
            indices: int64 [n], episode indices.

        Returns:
            Their first chats.
        """
        pair = np.asarray(streams, np.int64), np.asarray(indices, np.int64)
        if any(array.shape != (self.n,) for array in pair):
            raise ConfigError(
                f"{self.n} episodes take as many streams and indices, got shapes "
                f"{pair[0].shape} and {pair[1].shape}."
            )
        slots = np.arange(self.n, dtype=np.int64)
        if self._runner is None:
            self.engine.start(slots, *pair, self._observation)
        else:
            self._runner.start(slots, *pair)
        return [self.dialogue(slot) for slot in range(self.n)]

    def uids(self) -> list[str]:
        """Uid of each episode's task."""
        uids = self.engine.world.data.uids
        return [str(uids[int(query)]) for query in self.engine.episodes["query"]]

    def step(self, texts: Sequence[str | None]) -> Turn:
        """Read one reply in each running episode and act on it.

        Args:
            texts: n replies; of an episode that is over none is read.

        Raises:
            EpisodeOverError: None where an episode is running.
        """
        episodes = self.engine.episodes
        running = [slot for slot in range(self.n) if not episodes[slot]["over"]]
        replies: dict[int, str] = {}
        for slot in running:
            text = texts[slot]
            if text is None:
                raise EpisodeOverError(f"episode {slot} is not over: it needs a text, got None.")
            replies[slot] = text
        results = self._act(replies)
        over = episodes["over"] == 1
        return Turn(
            results["reward"].copy(),
            over,
            [None if over[slot] else self.dialogue(slot) for slot in range(self.n)],
            episodes["quality"].copy(),
            episodes["quality"] - episodes["charge"] * 1e-9,
            episodes["invalid"].astype(np.int64),
        )

    def dialogue(self, slot: int) -> Dialogue:
        """The chat of one episode as it stands, of one that is over too."""
        if self._runner is None:
            return dialogue_of(self.engine, slot, self.options)
        return workflow_dialogue(self._runner, slot)

    def _act(self, replies: dict[int, str]) -> Records:
        if self._runner is not None:
            read = [
                parse_workflow(text, self._runner.offer(slot)) for slot, text in replies.items()
            ]
            return self._runner.run(np.array(list(replies), np.int64), read)
        actions = np.zeros((self.n, 3), np.int64)
        for slot, text in replies.items():
            offer = offer_of(self.engine, slot, self.options)
            line = parse_action(text, offer)
            if isinstance(line, Line):
                self.engine.instruct(slot, line.words)
                actions[slot] = as_action(line, offer)
            else:
                actions[slot] = UNREADABLE_ACTION
        return self.engine.step(actions, self._observation)
