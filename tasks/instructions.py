"""A family of writing tasks whose rules on form can be checked exactly.

A task names a genre and a topic, "a postcard about a rusty lighthouse", and rules of kinds that can
stand together; the topic's words must be used. The reference is written first and the rules'
parameters with it, so that no set of rules contradicts itself.

The noun of the topic decides the split (`key`): no noun of a topic in one split is the noun of a
topic in another. Adjectives, genres, kinds of rule and the other words that rules name are shared.
"""

from typing import Any

from conductor_gym.errors import ConfigError
from conductor_gym.tasks.constraints import KINDS, broken_rules, rules_of
from conductor_gym.tasks.family import Drawn, generator_of
from conductor_gym.tasks.instruction_words import GENRES, TOPIC_ADJECTIVES, TOPIC_NOUNS
from conductor_gym.tasks.instruction_writer import write

MAX_CONSTRAINTS = 8
"""Constraints of a task besides the topic's words."""
_TRIES = 6
_SENTENCE = ("sentences", "sentence_words", "sentence_growth", "sentence_letters")
_LAYOUT = (
    *("lines", "line_words", "line_start", "acrostic", "bullets", "numbered_lines"),
    *("paragraphs", "json_object", "title"),
)
_CASE = ("lowercase", "uppercase", "title_case", "capital_words")
_APART: dict[str, tuple[str, ...]] = {
    "json_object": (
        *(*_SENTENCE, "first_word", "end_phrase", "quoted", "placeholders", "numbers"),
        *("uppercase", "title_case", "no_commas", "no_letter", "word_length", "alphabetical"),
        "no_repeats",
    ),
    "alphabetical": (
        *("first_word", "end_phrase", "title", "acrostic", "line_start", "sentence_letters"),
        *("word_count", "word_order", "numbers", "numbered_lines", "placeholders"),
    ),
    "no_repeats": ("word_count", "title", "line_start"),
    "quoted": tuple(kind for kind in _LAYOUT if kind != "paragraphs"),
    "first_word": ("acrostic", "line_start", "sentence_letters", "title", "numbered_lines"),
    "end_phrase": ("line_words",),
    "sentence_letters": ("sentences", "acrostic", "line_start"),
    "sentence_growth": ("line_words",),
    "title": _SENTENCE,
    "numbered_lines": (*_SENTENCE, "numbers"),
    "highlights": ("bullets",),
}
CONFLICTS: frozenset[frozenset[str]] = frozenset(
    frozenset((kind, other))
    for kind, others in (
        *_APART.items(),
        *((kind, group) for group in (_LAYOUT, _CASE) for kind in group),
    )
    for other in others
    if kind != other
)
"""Pairs of kinds that are not drawn together: they contradict, repeat or blur each other."""
DRAWN_KINDS: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "mention")


def _bounds(settings: dict[str, Any]) -> tuple[int, int]:
    known = {"min_constraints", "max_constraints"}
    low, high = settings.get("min_constraints"), settings.get("max_constraints")
    if (
        set(settings) == known
        and isinstance(low, int)
        and isinstance(high, int)
        and 1 <= low <= high <= MAX_CONSTRAINTS
    ):
        return low, high
    raise ConfigError(
        f"instructions: settings {settings!r}. Give whole numbers `min_constraints` and "
        f"`max_constraints` from 1 to {MAX_CONSTRAINTS}, the first not above the second."
    )


def draw(level: str, index: int, settings: dict[str, Any]) -> Drawn | None:
    """Draw a task.

    Args:
        level: Part of what is drawn from; the settings make it easy or hard.
        index: Of the draw.
        settings: `min_constraints` and `max_constraints`, the topic's words not counted.

    Returns:
        The task, or None where no text was found for these kinds of rule.

    Raises:
        ConfigError: Other settings, or numbers out of range.
    """
    low, high = _bounds(settings)
    rng = generator_of("instructions", level, index)
    topic = rng.choice(TOPIC_ADJECTIVES), rng.choice(TOPIC_NOUNS)
    genre, wanted = rng.choice(GENRES), rng.randint(low, high)
    kinds: list[str] = []
    for kind in rng.sample(DRAWN_KINDS, len(DRAWN_KINDS)):
        if len(kinds) < wanted and not any(frozenset((kind, k)) in CONFLICTS for k in kinds):
            kinds.append(kind)
    if len(kinds) < low:
        return None
    for _ in range(_TRIES):
        written = write(rng, topic, kinds)
        if written is None or broken_rules(written[1], written[0]):
            continue
        reference, constraints = written
        return Drawn(
            kind="instructions",
            key=topic[1],
            prompt=_prompt(genre, " ".join(topic), rules_of(constraints)),
            reference=reference,
            verifier="constraints",
            metadata={"constraints": constraints},
        )
    return None


def _prompt(genre: str, topic: str, rules: str) -> str:
    return (
        f"Write {_one(genre)} about {_one(topic)}. Keep all of these rules:\n{rules} "
        "Answer with the text alone."
    )


def _one(name: str) -> str:
    """A name with its article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
