"""The engine over live workers: what calls come back with is asked for, the rest is the same."""

import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.call import Fate
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.kernels import OUTCOME_DTYPE
from conductor_gym.live.background import Background
from conductor_gym.live.caller import NOTHING, Caller, Came, Said, Situation
from conductor_gym.types import MISSING, N_LEVELS, N_SUBTASKS
from conductor_gym.world import World

Slots = npt.NDArray[np.int64]

QUIET_S = 1.0
"""Seconds that a stop waits for replies before it says so."""


class LiveEngine(Engine):
    """n episode slots whose calls are made by a `Caller`, many at the same time.

    Outcomes of calls, and nothing else, come from outside: validity, budgets, votes, rewards and
    the end are those of every other backend.

    Args:
        config: The settings.
        n: Number of slots.
        world: Pool and suite already joined.
        caller: Makes the calls.
        background: Where they run.
        warnings: What could not be read of the journal, for people.
    """

    def __init__(
        self,
        config: EnvConfig,
        n: int,
        world: World,
        caller: Caller,
        background: Background,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(config, n, world)
        self.caller = caller
        self.warnings = warnings
        self._background = background
        self._said: list[list[Said]] = [[] for _ in range(n)]
        self._words = [""] * n
        self._actions = np.zeros((n, 3), np.int64)
        self._running: dict[int, Future[Came] | None] = {}
        live = [card.live for card in world.pool.workers if card.live is not None]
        self._longest_s = max((endpoint.deadline_s for endpoint in live), default=0.0)
        self._bounds = np.array([config.max_workers, N_SUBTASKS, N_LEVELS])
        # Compiled now, not while calls wait for it.
        nobody = np.zeros(0, np.int64)
        self.plan(nobody, self._actions)
        self.step_told(nobody, self._actions, np.zeros(n, OUTCOME_DTYPE), self.new_observation())

    def start(self, slots: Slots, streams: Slots, indices: Slots, observation: Observation) -> None:
        """See `Engine.start`."""
        super().start(slots, streams, indices, observation)
        for slot in slots.tolist():
            self._said[slot], self._words[slot] = [], ""

    def instruct(self, slot: int, words: str) -> None:
        """See `Engine.instruct`; they stand in the prompt of that call."""
        self._words[slot] = words

    def step(
        self, actions: npt.NDArray[np.int64], observation: Observation, restart: bool = False
    ) -> Records:
        """See `Engine.step`; returns when all calls are back.

        Raises:
            ConductorError: A call that no attempt can make. No episode has moved, and what came
                back is kept: the same step again asks for none of it twice.
        """
        over = self.episodes["over"] == 1
        outside = np.flatnonzero(~over & ~self.inside(actions))
        if len(outside):
            raise self.out_of_range(actions, int(outside[0]))
        waiting, moving = np.flatnonzero(over), np.flatnonzero(~over)
        self.begin(moving, actions)
        try:
            wait([future for future in self._running.values() if future is not None])
            results = self.finish(moving, observation)
        except BaseException:
            self.settle()
            raise
        if restart and len(waiting):
            rows = self.episodes
            self.start(waiting, rows["stream"][waiting], rows["index"][waiting] + 1, observation)
        elif len(waiting):
            nothing = np.zeros(self.n, OUTCOME_DTYPE)
            told = self.step_told(waiting, self._actions, nothing, observation)
            results[waiting] = told[waiting]
        return results

    def answer_text(self, slot: int, step: int) -> str:
        """See `Engine.answer_text`."""
        said = self._said[slot]
        return said[step].answer if step < len(said) else ""

    def inside(self, actions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which actions lie in the action space, bool [n]."""
        within = (actions >= 0) & (actions < self._bounds)
        return np.asarray(within.all(axis=1) | (actions == MISSING).all(axis=1))

    def begin(self, slots: Slots, actions: npt.NDArray[np.int64]) -> None:
        """Start the calls that actions ask for in some slots; no episode moves.

        Args:
            slots: int64 [k], none over and none with a call under way.
            actions: int64 [n, 3], in range where used.
        """
        self._actions[slots] = actions[slots]
        calls = self.plan(slots, self._actions)
        for slot in slots.tolist():
            future = None
            if calls[slot]["fate"] == Fate.CALL:
                situation = self._situation(slot, calls[slot])
                future = self._background.submit(self.caller.call(situation))
            self._running[slot] = future

    def ready(self) -> Slots:
        """Slots whose call is back, after waiting for at least one; int64 [k], sorted."""
        futures = [future for future in self._running.values() if future is not None]
        if len(futures) == len(self._running):
            wait(futures, return_when=FIRST_COMPLETED)
        done = (s for s, future in self._running.items() if future is None or future.done())
        return np.array(sorted(done), np.int64)

    def finish(self, slots: Slots, observation: Observation) -> Records:
        """Step slots whose call is back.

        Args:
            slots: int64 [k].
            observation: Arrays of all n slots, the k rows are written.

        Returns:
            `RESULT_DTYPE` [n], zeros elsewhere.

        Raises:
            ConductorError: A call that no attempt can make. No episode has moved.
        """
        outcomes = np.zeros(self.n, OUTCOME_DTYPE)
        said: dict[int, Said] = dict.fromkeys(slots.tolist(), NOTHING)
        for slot in said:
            future = self._running[slot]
            if future is not None:
                outcomes[slot], said[slot] = future.result()
        for slot, words in said.items():
            self._said[slot].append(words)
            self._words[slot] = ""
            del self._running[slot]
        return self.step_told(slots, self._actions, outcomes, observation)

    def drop(self, slots: Iterable[Any]) -> None:
        """Give up the calls under way in some slots."""
        for slot in slots:
            future = self._running.pop(int(slot), None)
            if future is not None:
                future.cancel()

    def settle(self) -> None:
        """Wait for the calls that were sent, whatever they come to: what is paid for is kept.

        Those that were not sent yet are given up, and so are all after the longest deadline of a
        worker or on Ctrl-C. No episode moves.
        """
        calls = [future for future in self._running.values() if future is not None]
        self.caller.allow(False)
        try:
            told = self.caller.progress()
            if told is not None and wait(calls, QUIET_S).not_done:
                print(self._waiting_for(told.in_flight), file=sys.stderr)
                wait(calls, self._longest_s)
        finally:
            self.drop(list(self._running))
            self.caller.allow(True)

    def _waiting_for(self, calls: int) -> str:
        return (
            f"waiting for the replies to {calls} calls that were sent, {self._longest_s:g} s at "
            "most; Ctrl-C gives them up, and those without a reply are asked and paid again"
        )

    def close(self) -> None:
        """Give up what is under way and close connections and journal. May be called twice."""
        if self._background.closed:
            return
        self.drop(list(self._running))
        try:
            self._background.run(self.caller.close())
        finally:
            self._background.close()

    def _situation(self, slot: int, call: Any) -> Situation:
        episode, steps = self.episodes[slot], self.state.steps[slot]
        n = int(episode["steps"])
        return Situation(
            stream=int(episode["stream"]),
            index=int(episode["index"]),
            query=int(episode["query"]),
            worker=int(call["worker"]),
            subtask=int(call["subtask"]),
            level=int(call["level"]),
            part=int(call["part"]),
            target=int(call["target"]),
            target_answer=int(call["target_answer"]),
            attempt=int(call["attempt"]),
            opened=bool(episode["opened"]),
            condensed=int(episode["condensed"]),
            part_answers=tuple(episode["part_answers"].tolist()),
            steps=steps[:n].copy(),
            said=tuple(self._said[slot]),
            words=self._words[slot],
        )
