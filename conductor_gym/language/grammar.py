"""What a reply may consist of, for decoding that can only write valid actions."""

from functools import lru_cache
from typing import Protocol

from conductor_gym.language.lines import FREE, Line, write_line
from conductor_gym.language.offer import Offer
from conductor_gym.types import Subtask


class Grammar(Protocol):
    """Replies line by line."""

    def choices(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """Lines that may come next; an empty one ends the reply.

        Args:
            lines: Those that stand there.
        """
        ...

    def regex(self) -> str:
        """A regular expression of the whole reply, for servers that take one."""
        ...


class ActionGrammar:
    """The text interface: one line, any valid action without words.

    Args:
        offer: What can be chosen.
    """

    def __init__(self, offer: Offer) -> None:
        self._lines = valid_lines(offer)

    def choices(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """See `Grammar.choices`."""
        return ("",) if lines else self._lines

    def regex(self) -> str:
        """See `Grammar.regex`."""
        return "|".join(self._lines)


@lru_cache(maxsize=4096)
def valid_lines(offer: Offer) -> tuple[str, ...]:
    """Every valid action in its canonical form, without words."""
    lines: list[str] = []
    for subtask in sorted(offer.subtasks):
        if subtask in FREE:
            lines.append(subtask.name.lower())
            continue
        lines += [
            write_line(Line(Subtask(subtask), worker, level), offer.levels)
            for worker in offer.affordable
            for level in range(offer.levels)
        ]
    return tuple(lines)
