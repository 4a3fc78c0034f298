"""Choices made with `Random.random` alone, the one method that Python promises never to change."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Uniform = Callable[[], float]
"""Gives the next number in [0, 1)."""


def whole(uniform: Uniform, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(uniform() * (high - low + 1))


def pick(uniform: Uniform, items: Sequence[T]) -> T:
    """One of the items."""
    return items[int(uniform() * len(items))]


def shuffled(uniform: Uniform, items: Sequence[T]) -> list[T]:
    """The items in another order."""
    mixed = list(items)
    for last in range(len(mixed) - 1, 0, -1):
        other = int(uniform() * (last + 1))
        mixed[last], mixed[other] = mixed[other], mixed[last]
    return mixed
