"""What a verifier is. `conductor_gym.tasks.verifiers` holds all of them by name."""

from collections.abc import Callable
from dataclasses import dataclass

from conductor_gym.tasks.task import Task


@dataclass(frozen=True)
class Verifier:
    """A way to grade.

    Attributes:
        accepts: Whether an answer, stripped and not empty, is right.
        check: What a task lacks to be graded this way and its repair, or None.
    """

    accepts: Callable[[Task, str], bool]
    check: Callable[[Task], str | None]
