"""How far the calls of a run are."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import NamedTuple

from conductor_gym.types import Status

_WINDOW_S = 10.0


class Progress(NamedTuple):
    """How far the calls of a run are.

    Attributes:
        calls: Calls that came back, whatever their status.
        cached: Calls whose reply the journal held.
        in_flight: Calls under way.
        failed: Calls that came back by status, without `OK`.
        spent: nano-USD, earlier runs of the same journal included.
        reserved: nano-USD that the calls under way may cost.
        per_second: Calls that came back a second, over the last ten seconds.
    """

    calls: int
    cached: int
    in_flight: int
    failed: Mapping[Status, int]
    spent: int
    reserved: int
    per_second: float


class Meter:
    """Counts calls."""

    def __init__(self) -> None:
        self.cached = 0
        self.in_flight = 0
        self._by_status: Counter[Status] = Counter()
        self._started = time.monotonic()
        self._ends: deque[float] = deque()

    def came_back(self, status: Status) -> None:
        """Count a call that came back."""
        self._by_status[status] += 1
        self._ends.append(time.monotonic())
        self._forget()

    def read(self, spent: int, reserved: int) -> Progress:
        """The counts, beside the money (nano-USD)."""
        self._forget()
        seconds = min(_WINDOW_S, max(1.0, time.monotonic() - self._started))
        failed = {s: n for s, n in sorted(self._by_status.items()) if s != Status.OK}
        return Progress(
            self._by_status.total(),
            self.cached,
            self.in_flight,
            failed,
            spent,
            reserved,
            len(self._ends) / seconds,
        )

    def _forget(self) -> None:
        oldest = time.monotonic() - _WINDOW_S
        while self._ends and self._ends[0] < oldest:
            self._ends.popleft()
