"""One task with text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """A task whose answer can be checked.

    Attributes:
        uid: Immutable id within its suite.
        domain: Name of the domain.
        level: Difficulty as the suite counts it; no observation shows it.
        prompt: What a worker is asked.
        reference: A right answer.
        verifier: Name of the verifier that grades an answer.
        choices: Options of a multiple-choice task.
        metadata: What the verifier needs besides.
    """

    uid: str
    domain: str
    level: int
    prompt: str
    reference: str
    verifier: str
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
