"""Asking an agent for actions, so that a fault of its costs it one episode and not the run.

An agent may raise, return something that is no action, or not return at all. The rows on which it
does are found by asking again about fewer rows at a time; all others get their actions.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Agent, Observations, Online, Outcome
from conductor_gym.errors import SpendingCeilingError, WorkersDownError, one_line
from conductor_gym.leaderboard.reading import TIME_LIMIT_S, language_of
from conductor_gym.types import MISSING, N_LEVELS, N_SUBTASKS, Subtask

FAN_OUT = 16
"""Into how many pieces rows are split where a call fails."""
MAX_HANGS = 20
"""Calls past the time limit after which an agent is not asked again in this run."""


class _TimeIsUp(BaseException):
    """Not an `Exception`: an agent that catches those must not catch this."""


class Supervisor:
    """Asks one agent.

    Args:
        agent: The policy.
        workers: Worker slots of the action space.
        time_limit_s: Seconds that one call of `act` may take. It is kept by a signal, so only in
            the main thread and where the system has one; a call that is stuck in compiled code is
            stopped when that code returns.

    Attributes:
        hangs: Calls that went past the time limit.
    """

    def __init__(self, agent: Agent, workers: int, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.hangs = 0
        self._agent = agent
        self._bounds = np.array([workers, N_SUBTASKS, N_LEVELS])
        self._reads = language_of(agent) is not None
        self._limit = time_limit_s

    def ask(self, observation: Observations) -> tuple[Actions, dict[int, str]]:
        """Actions of every row, and why there is none for some.

        Args:
            observation: Batched observations.

        Returns:
            int64 [n, 3], which submits where the agent gave no action, and the reasons by row. Of
            an agent that reads, `UNREADABLE_ACTION` is one.

        Raises:
            SpendingCeilingError: Of a language model: whatever it is asked about is not lost then.
            WorkersDownError: Likewise.
        """
        n = len(observation["budget"])
        table = np.zeros((n, 3), np.int64)
        table[:, 1] = Subtask.SUBMIT
        failures: dict[int, str] = {}
        self._ask(observation, np.arange(n), table, failures)
        return table, failures

    def tell(self, learner: Online, outcome: Outcome) -> str | None:
        """Let a learner observe an outcome; why it failed, None where it did not."""
        if self.hangs >= MAX_HANGS:
            return None  # its episodes are lost already
        try:
            with _alarm(self._limit):
                learner.observe(outcome)
        except _TimeIsUp:
            self.hangs += 1
            return f"observe() took more than {self._limit:g} s"
        except (Exception, SystemExit) as error:
            return f"observe() raised {one_line(error)}"
        return None

    def _ask(
        self,
        observation: Observations,
        rows: npt.NDArray[np.int64],
        table: Actions,
        failures: dict[int, str],
    ) -> None:
        if self.hangs >= MAX_HANGS:
            reason = f"not asked: act() took more than {self._limit:g} s {MAX_HANGS} times before"
            failures |= dict.fromkeys(rows.tolist(), reason)
            return
        whole = len(rows) == len(table)
        asked = observation if whole else {k: v[rows] for k, v in observation.items()}
        given, reason = self._call(asked)
        if reason is None:
            good, reasons = self._read(given, len(rows))
            if good is not None:
                table[rows[reasons == ""]] = good[reasons == ""]
                wrong = np.flatnonzero(reasons != "")
                failures |= {int(rows[i]): str(reasons[i]) for i in wrong}
                return
            reason = str(reasons[0])
        if len(rows) == 1:
            failures[int(rows[0])] = reason
            return
        for piece in np.array_split(rows, min(FAN_OUT, len(rows))):
            self._ask(observation, piece, table, failures)

    def _call(self, observation: Observations) -> tuple[object, str | None]:
        """What `act` returned, or why it did not."""
        try:
            with _alarm(self._limit):
                return self._agent.act(observation), None
        except _TimeIsUp:
            self.hangs += 1
            return None, f"act() took more than {self._limit:g} s"
        except (SpendingCeilingError, WorkersDownError):
            raise
        except (Exception, SystemExit) as error:
            return (
                None,
                f"act() raised {one_line(error)}",
            )

    def _read(self, given: object, n: int) -> tuple[Actions | None, npt.NDArray[np.object_]]:
        """Actions, and why a row is none (empty: it is one); None where the whole is of no use."""
        reasons = np.full(n, "", object)
        try:
            found = np.asarray(given)
            numbers = found.dtype.kind in "iuf" and found.shape == (n, 3)
        except Exception:
            found, numbers = np.asarray(None), False
        if not numbers:
            reasons[:] = (
                f"act() returned shape {found.shape} of {found.dtype}, expected integers of shape "
                f"({n}, 3)"
            )
            return None, reasons
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(found) & (found == np.floor(found))
            inside = whole & (found >= 0) & (found < self._bounds)
            if self._reads:
                inside |= (found == MISSING).all(axis=1)[:, None]
            table = np.where(inside, found, 0).astype(np.int64)
        for row in np.flatnonzero(~inside.all(axis=1)).tolist():
            what = "is out of range" if whole[row].all() else "is not made of whole numbers"
            reasons[row] = f"action {found[row].tolist()} {what}"
        return table, reasons


@contextmanager
def _alarm(seconds: float) -> Generator[None]:
    """Raise `_TimeIsUp` in the block after so many seconds, and again where it is swallowed."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return
    armed = True

    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        if armed:
            raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds / 10.0, 0.01))
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
