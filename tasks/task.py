"""One task with text, its parts and its documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conductor_gym.types import MAX_EVIDENCE as MAX_EVIDENCE
from conductor_gym.types import MAX_PARTS as MAX_PARTS

CHARACTERS_PER_TOKEN = 4
"""Tokens are counted as characters divided by this, rounded up: `assumed`."""


def count_tokens(text: str) -> int:
    """Tokens of a text, as suites count them."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Documents:
    """What a task is attached to: texts as given, or a recipe from which they are made on demand.

    Attributes:
        tokens: Of all documents together, in the order in which a context shows them.
        evidence: Tokens from the start by which each piece of evidence has been read, at most
            `MAX_EVIDENCE`, ascending. All pieces are needed.
        texts: The documents, empty where there is a recipe.
        recipe: What `conductor_gym.tasks.documents.documents_of` makes them from.
    """

    tokens: int
    evidence: tuple[int, ...]
    texts: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None


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
        parts: Parts that are all needed, none or 2 to `MAX_PARTS`; they have no parts or documents
            of their own.
        documents: What is attached; None without.
    """

    uid: str
    domain: str
    level: int
    prompt: str
    reference: str
    verifier: str
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parts: tuple["Task", ...] = ()
    documents: Documents | None = None
