"""Templates of functions: what each says in English and in Python, with the same parameters."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template as Text

Choice = int | str | tuple[str, str]
"""A value of a parameter; a pair is one for the English and one for the Python."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline.

    Attributes:
        name: Unique among steps.
        takes: Kind of value that it works on, see `KINDS`.
        gives: Kind of value that it makes.
        says: The English, an imperative; ``$name`` stands for a parameter.
        code: The Python, statements that change ``x``.
        choices: Values of each parameter.
    """

    name: str
    takes: str
    gives: str
    says: str
    code: str
    choices: Mapping[str, Sequence[Choice]]


Picks = dict[str, int]
"""Index of the chosen value of each parameter."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes:
        argument: Name of an argument that holds one.
        annotation: Its type.
        told: What it is, in English.
        edge: What may surprise about one that is given, in English.
    """

    argument: str
    annotation: str
    told: str
    edge: str = "It may be empty."


KINDS: dict[str, Kind] = {
    "ints": Kind("numbers", "list[int]", "a list of integers"),
    "text": Kind("text", "str", "a string"),
    "words": Kind("words", "list[str]", "a list of strings"),
    "counts": Kind("counts", "dict[str, int]", "a dict from strings to integers"),
    "grid": Kind(
        "grid",
        "list[list[int]]",
        "a list of rows of integers",
        "All rows are equally long, and there is at least one row and one column.",
    ),
    "int": Kind("number", "int", "an integer"),
}


def pick(rng: random.Random, template: Step) -> Picks:
    """A random value for each parameter."""
    return {name: rng.randrange(len(values)) for name, values in template.choices.items()}


def other_picks(template: Step, picks: Picks) -> list[Picks]:
    """Picks that differ in one parameter: its next and its previous value."""
    others: list[Picks] = []
    for name, values in template.choices.items():
        near = {(picks[name] + 1) % len(values), (picks[name] - 1) % len(values)} - {picks[name]}
        others += [picks | {name: i} for i in sorted(near)]
    return others


def english(template: Step, picks: Picks) -> str:
    """The specification."""
    return _filled(template, template.says, picks, 0)


def python(template: Step, picks: Picks) -> str:
    """The statements."""
    return _filled(template, template.code, picks, 1).strip("\n")


def key_of(template: Step, picks: Picks) -> str:
    """The template with its parameters, in words that stay when values are added."""
    told = ", ".join(
        f"{name}={_part(values[picks[name]], 0)}" for name, values in template.choices.items()
    )
    return f"{template.name}({told})"


def _filled(template: Step, text: str, picks: Picks, side: int) -> str:
    chosen = {name: _part(values[picks[name]], side) for name, values in template.choices.items()}
    return Text(text).substitute(chosen)


def _part(choice: Choice, side: int) -> str:
    return choice[side] if isinstance(choice, tuple) else str(choice)
