"""The verifier `constraints`: whether a text keeps rules on its form.

`metadata` is ``{"constraints": [{"kind": NAME, parameter: value, ...}, ...]}``. An answer is right
if it keeps every rule and has some substance: `MIN_WORDS` words, `MIN_DIFFERENT` different ones,
no word more than a third of all. A prompt states this in the words of `rules_of`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

from conductor_gym.tasks.constraint_kind import DEFINITIONS, Kind, Text
from conductor_gym.tasks.constraint_shapes import SHAPE_KINDS
from conductor_gym.tasks.constraint_words import WORD_KINDS
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifier import Verifier

KINDS: dict[str, Kind] = WORD_KINDS | SHAPE_KINDS
"""Every kind of constraint by its name."""
MIN_WORDS = 12
MIN_DIFFERENT = 8
SUBSTANCE = (
    f"Use at least {MIN_WORDS} words, at least {MIN_DIFFERENT} of them different; no word makes up "
    "more than a third of all words."
)
"""The rule that every answer must keep besides."""

Constraint = Mapping[str, Any]


def _has_substance(text: Text) -> bool:
    counts = Counter(text.words)
    enough = len(text.words) >= MIN_WORDS and len(counts) >= MIN_DIFFERENT
    return enough and 3 * max(counts.values()) <= len(text.words)


def broken_rules(constraints: Sequence[Constraint], answer: str) -> list[str]:
    """Rules that an answer breaks, in the words of the prompt.

    Args:
        constraints: Valid ones: `problem_of` finds nothing in them.
        answer: The answer alone.
    """
    text = Text(answer)
    broken = [] if _has_substance(text) else [SUBSTANCE]
    for constraint in constraints:
        kind = KINDS[constraint["kind"]]
        if not kind.holds(text, constraint):
            broken.append(kind.describe(constraint))
    return broken


def rules_of(constraints: Sequence[Constraint]) -> str:
    """The rules as numbered lines, and below them what is a word, a sentence and a line."""
    rules = [KINDS[each["kind"]].describe(each) for each in constraints]
    units = {"word", *(unit for each in constraints for unit in KINDS[each["kind"]].units)}
    told = [text for unit, text in DEFINITIONS.items() if unit in units]
    lines = [f"{i}. {rule}" for i, rule in enumerate([*rules, SUBSTANCE], 1)]
    return "\n".join([*lines, "", " ".join([*told, "Case does not make words different."])])


def problem_of(constraints: Any) -> str | None:
    """What is wrong in the value of `metadata.constraints` and its repair, or None."""
    if not isinstance(constraints, list | tuple) or not constraints:
        return 'put {"constraints": [{"kind": NAME, ...}, ...]} under `metadata`'
    for number, constraint in enumerate(cast(list[Any], constraints), 1):
        problem = _problem(constraint)
        if problem is not None:
            return f"constraint {number}: {problem}"
    return None


def _problem(constraint: Any) -> str | None:
    if not isinstance(constraint, Mapping) or "kind" not in constraint:
        return 'write an object such as {"kind": "sentences", "count": 4}'
    given = cast(Constraint, constraint)
    name = given["kind"]
    if not isinstance(name, str) or name not in KINDS:
        near = get_close_matches(str(name), sorted(KINDS), n=1, cutoff=0.5)
        told = f"did you mean {near[0]!r}? Known" if near else "known"
        return f"unknown kind {name!r}; {told}: {', '.join(sorted(KINDS))}"
    parameters = KINDS[name].parameters
    for key, must_be in parameters.items():
        if key not in given:
            return f"{name} lacks {key!r}: give {must_be(None)}"
        wanted = must_be(given[key])
        if wanted is not None:
            return f"{name}: {key!r} is {str(given[key])[:40]!r}; give {wanted}"
    unknown = sorted(str(key) for key in given if key != "kind" and key not in parameters)
    if unknown:
        known = ", ".join(parameters) or "no parameters"
        return f"{name} has no {unknown[0]!r}: it takes {known}"
    if {"least", "most"} <= set(parameters) and given["least"] > given["most"]:
        return f"{name}: 'least' is above 'most': swap them"
    return None


def _accepts(task: Task, answer: str) -> bool:
    constraints = task.metadata.get("constraints")
    return problem_of(constraints) is None and not broken_rules(
        cast(list[Constraint], constraints), answer
    )


def _check(task: Task) -> str | None:
    constraints = task.metadata.get("constraints")
    problem = problem_of(constraints)
    if problem is not None:
        return problem
    broken = broken_rules(cast(list[Constraint], constraints), task.reference)
    if broken:
        return f"the reference breaks the rule {broken[0]!r}: repair one of them"
    return None


CONSTRAINTS = Verifier(_accepts, _check)
"""Grades a text by the rules in `metadata`."""
