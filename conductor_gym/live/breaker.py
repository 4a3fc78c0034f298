"""A circuit breaker: a worker that fails again and again is left alone for a while."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from pybreaker import STATE_OPEN, CircuitBreaker, CircuitBreakerError, CircuitMemoryStorage

Admission = Literal["call", "trial"]
"""How a call passes: like any other, or as the one trial after a pause."""


class _CallFailedError(Exception):
    """Tells pybreaker that a call failed."""


def _fail() -> None:
    raise _CallFailedError


def _succeed() -> None:
    pass


class Breaker:
    """pybreaker's circuit breaker with one trial at a time, for calls that overlap in time.

    pybreaker holds counts, states and times. It is told of a call when the call is over, because
    its own wrapper would count a cancelled call as a success.
    """

    def __init__(self, fail_max: int = 8, reset_s: float = 30.0) -> None:
        """Start closed.

        Args:
            fail_max: Failures in a row after which it opens.
            reset_s: Seconds that it stays open before one trial is let through.
        """
        self._reset_s = reset_s
        self._storage = CircuitMemoryStorage("closed")
        self._circuit = CircuitBreaker(
            fail_max=fail_max, reset_timeout=reset_s, state_storage=self._storage
        )
        self._trial = False

    @property
    def is_open(self) -> bool:
        """Whether calls are held back, or one trial is under way."""
        return self._circuit.current_state == STATE_OPEN

    @property
    def due_s(self) -> float:
        """Seconds until a trial may go out, 0 where it may now or where calls are let through."""
        opened = self._storage.opened_at
        if not self.is_open or opened is None:
            return 0.0
        return max(0.0, self._reset_s - (datetime.now(UTC) - opened).total_seconds())

    def admit(self) -> Admission | None:
        """Let a call out, or not. One that goes out must end in `report` or `release`."""
        if not self.is_open:
            return "call"
        if self._trial or self.due_s > 0.0:
            return None
        self._trial = True
        return "trial"

    def release(self, admitted: Admission) -> None:
        """A call ended without telling anything about the worker.

        Args:
            admitted: What `admit` called it.
        """
        if admitted == "trial":
            self._trial = False

    def report(self, admitted: Admission, reached: bool) -> None:
        """A call ended.

        Args:
            admitted: What `admit` called it.
            reached: Whether the worker answered, if only to say no.
        """
        self.release(admitted)
        with suppress(_CallFailedError, CircuitBreakerError):
            self._circuit.call(_succeed if reached else _fail)
