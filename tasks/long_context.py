"""The long-context family: a question, and documents in which the answer stands among others.

The documents are made-up records (purchases, visits, repairs, postings) of a made-up board. What
fits the question stands at drawn depths; beside it stand near misses, which differ from a record
that fits in one thing only: a similar name, another subject, another month or year, or the mark
that the entry is void. No other entry names what is asked about, so there is one right answer.

What decides a task's split is the name that it asks about: of a person (about 17,000 can be drawn)
or a unit (about 18,000). A name that is asked about in one split is asked about in no other,
whatever the kind of question; among other people's entries it may appear anywhere. Where a chain
leads is not asked about.

A task's row holds no documents. `make` makes both from (level, index, settings), so that documents
can be made again from these few numbers; see `conductor_gym.tasks.documents`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conductor_gym.errors import ConfigError
from conductor_gym.tasks.document_forms import Record
from conductor_gym.tasks.document_writer import LONGEST_ENTRY, write_documents
from conductor_gym.tasks.family import Drawn, generator_of
from conductor_gym.tasks.generate import LEVELS
from conductor_gym.tasks.long_plan import Plan, make_plan
from conductor_gym.tasks.long_questions import KINDS, QUESTIONS, Question, period_text
from conductor_gym.tasks.task import MAX_EVIDENCE

NAME = "long-context"
MIN_TOKENS, MAX_TOKENS = 1_000, 2_000_000
"""Tokens of documents that settings may ask for."""

_STEPS = {1: "once", 2: "twice", 3: "three times"}
_FORM_OF_ANSWER = {
    "number": "Answer with the number alone.",
    "exact": "Answer with the name alone, as the documents write it.",
    "items": "Answer with the names alone, as the documents write them, separated by commas.",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A task with its documents.

    Attributes:
        kind: One of `KINDS`.
        key: The name that it asks about.
        prompt: The question.
        reference: The right answer.
        verifier: Name of the verifier.
        texts: The documents.
        tokens: Of all documents.
        evidence: Tokens from the start by which each piece of evidence has been read, ascending.
    """

    kind: str
    key: str
    prompt: str
    reference: str
    verifier: str
    texts: tuple[str, ...]
    tokens: int
    evidence: list[int]


def draw(level: str, index: int, settings: dict[str, Any]) -> Drawn:
    """A task; see `conductor_gym.tasks.family`.

    Args:
        level: One of `LEVELS`.
        index: From 0; the kind of question is `KINDS` in turn.
        settings: ``min_tokens`` and ``max_tokens`` of all documents together; sizes are
            log-uniform between them.

    Raises:
        ConfigError: Settings, level or index that cannot be used.
    """
    made = make(level, index, settings)
    return Drawn(
        kind=made.kind,
        key=made.key,
        prompt=made.prompt,
        reference=made.reference,
        verifier=made.verifier,
        metadata={},
        documents={
            "tokens": made.tokens,
            "evidence": made.evidence,
            "recipe": {
                "family": NAME,
                "level": level,
                "index": index,
                "settings": dict(settings),
                "hash": hash_of(made.texts),
            },
        },
    )


def make(level: str, index: int, settings: Mapping[str, Any]) -> Made:
    """A task with its documents, a pure function; for arguments and errors see `draw`."""
    low, high = _checked(level, index, settings)
    kind, turn = KINDS[index % len(KINDS)], index // len(KINDS)
    uniform = generator_of(NAME, level, index, low, high).random
    tokens = int(low * ((high - LONGEST_ENTRY) / low) ** uniform())
    questions = QUESTIONS[kind]
    question = questions[int(uniform() * len(questions))]
    plan = make_plan(uniform, question, turn, tokens)
    written = write_documents(uniform, plan.cast, plan.planted, tokens)
    verifier = _verifier(question)
    count = "documents are" if len(written.texts) > 1 else "document is"
    prompt = (
        f"The attached {count} from the files of the {plan.cast.board}, about {question.topic}. "
        "Entries that are marked as void do not count.\n"
        f"{_asked(question, plan)}\n{_FORM_OF_ANSWER[verifier]}"
    )
    return Made(
        kind,
        plan.goals[0].fields[question.given[0]],
        prompt,
        _reference(question, [entry.record for entry in plan.fitting]),
        verifier,
        written.texts,
        written.tokens,
        _at_most_eight(written.ends),
    )


def hash_of(texts: tuple[str, ...]) -> str:
    """BLAKE2b of documents, 16 hex digits."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        content = text.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


def _checked(level: str, index: int, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Smallest and largest number of tokens."""
    if level not in LEVELS or type(index) is not int or index < 0:
        raise ConfigError(
            f"level {level!r}, index {index!r}: the level is one of {', '.join(LEVELS)}, the index "
            "a whole number from 0."
        )
    low, high = settings.get("min_tokens"), settings.get("max_tokens")
    if (
        set(settings) != {"min_tokens", "max_tokens"}
        or not (isinstance(low, int) and isinstance(high, int))
        or not MIN_TOKENS <= low <= high - 2 * LONGEST_ENTRY
        or high > MAX_TOKENS
    ):
        raise ConfigError(
            f"settings {dict(settings)!r} of {NAME}: give whole numbers `min_tokens` and "
            f"`max_tokens` and nothing else, from {MIN_TOKENS:,} to {MAX_TOKENS:,} and at least "
            f"{2 * LONGEST_ENTRY} apart."
        )
    return low, high


def _verifier(question: Question) -> str:
    if question.combination == "list":
        return "items"
    counted = question.combination == "count" or question.value in ("number", "quantity")
    return "number" if counted else "exact"


def _asked(question: Question, plan: Plan) -> str:
    starts = sorted({goal.start for goal in plan.goals})
    names = [period_text(start, question.length) for start in starts]
    period = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    steps = _STEPS.get(len(plan.goals) - 1, "") if question.combination == "chain" else ""
    return question.text.format(**plan.goals[0].fields, period=period, steps=steps)


def _reference(question: Question, fitting: list[Record]) -> str:
    if question.combination == "count":
        return str(len(fitting))
    values = [getattr(record, question.value) for record in fitting]
    if question.combination == "sum":
        return str(sum(values))
    if question.combination == "difference":
        return str(abs(values[0] - values[1]))
    return ", ".join(values) if question.combination == "list" else str(values[-1])


def _at_most_eight(ends: list[int]) -> list[int]:
    """Where each eighth of the pieces has been read, where there are more than eight."""
    parts = min(len(ends), MAX_EVIDENCE)
    return [ends[-(-k * len(ends) // parts) - 1] for k in range(1, parts + 1)]
