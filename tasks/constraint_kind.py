"""What a kind of constraint is, how a text is cut into words, sentences and lines, parameters."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_CLOSERS = "\"'\u201d\u2019)]}*_>\u00bb"
"""What may stand between the mark that ends a sentence and the white space after it."""

DEFINITIONS: dict[str, str] = {
    "word": "A word is an unbroken run of letters and digits; an apostrophe or a hyphen inside it "
    "belongs to it.",
    "sentence": "A sentence ends wherever . ! or ? is followed by white space or by the end of the "
    "text (closing quotation marks, brackets and asterisks may stand between).",
    "line": "Blank lines do not count as lines.",
}
"""Units that rules speak of, as prompts explain them."""


def words_of(text: str) -> list[str]:
    """Words as they are written."""
    return _WORD.findall(text)


class Text:
    r"""An answer and what rules count in it, each cut once and in linear time.

    Attributes:
        raw: The answer without space around it, with `\n` as the only line break.
        folded: The same without case.
    """

    def __init__(self, answer: str) -> None:
        self.raw = answer.replace("\r\n", "\n").replace("\r", "\n").strip()
        self.folded = self.raw.lower()

    @cached_property
    def written(self) -> list[str]:
        """Words as they are written."""
        return words_of(self.raw)

    @cached_property
    def words(self) -> list[str]:
        """Words without case."""
        return [word.lower() for word in self.written]

    @cached_property
    def sentences(self) -> list[list[str]]:
        """Words of each sentence, without case; what holds no word is no sentence."""
        found: list[list[str]] = [[]]
        for chunk in self.raw.split():
            found[-1] += [word.lower() for word in words_of(chunk)]
            if found[-1] and chunk.rstrip(_CLOSERS).endswith((".", "!", "?")):
                found.append([])
        return [words for words in found if words]

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without space around them."""
        return [line.strip() for line in self.raw.split("\n") if line.strip()]

    @cached_property
    def blocks(self) -> int:
        """Groups of lines with blank lines between them."""
        filled = [bool(line.strip()) for line in self.raw.split("\n")]
        return sum(
            now and not before for now, before in zip(filled, [False, *filled], strict=False)
        )


Parameters = Mapping[str, Any]
Parameter = Callable[[Any], str | None]
"""What a value must be where it is not that, else None."""


@dataclass(frozen=True)
class Kind:
    """A kind of constraint.

    Attributes:
        describe: The rule in English, exactly as it is checked.
        holds: Whether a text keeps it.
        parameters: What each parameter may be; all are needed.
        units: Entries of `DEFINITIONS` that the rule speaks of.
    """

    describe: Callable[[Parameters], str]
    holds: Callable[[Text, Parameters], bool]
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    units: tuple[str, ...] = ()


def whole(low: int, high: int) -> Parameter:
    """A whole number in [low, high]."""

    def check(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"a whole number from {low} to {high}"

    return check


def one_of(*values: str) -> Parameter:
    """One of these texts."""

    def check(value: Any) -> str | None:
        return None if value in values else f"one of {', '.join(map(repr, values))}"

    return check


def word(value: Any) -> str | None:
    """One word."""
    fits = isinstance(value, str) and _WORD.fullmatch(value)
    return None if fits else "one word, such as 'harbor'"


def phrase(value: Any) -> str | None:
    """A text with a word in it."""
    fits = isinstance(value, str) and words_of(value)
    return None if fits else "a text that holds a word, such as 'and nobody asked why'"


def letter(value: Any) -> str | None:
    """One small letter from a to z."""
    fits = isinstance(value, str) and re.fullmatch("[a-z]", value)
    return None if fits else "one small letter from a to z"


def letters(value: Any) -> str | None:
    """Small letters from a to z."""
    fits = isinstance(value, str) and re.fullmatch("[a-z]{2,40}", value)
    return None if fits else "2 to 40 small letters from a to z, such as 'otter'"


def words(value: Any) -> str | None:
    """A list of words."""
    fits = isinstance(value, list | tuple) and 0 < len(cast(list[Any], value)) <= 40
    if fits and all(word(each) is None for each in cast(list[Any], value)):
        return None
    return "a list of 1 to 40 words, such as ['harbor', 'rust']"


def listed(values: list[str] | tuple[str, ...], join: str = "and") -> str:
    """Quoted values as a list in a sentence."""
    quoted = [f'"{value}"' for value in values]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} {join} {quoted[-1]}"


def number_of(count: int, noun: str) -> str:
    """A number with its noun: `1 line`, `2 lines`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def times(count: int) -> str:
    """How often: `once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"
