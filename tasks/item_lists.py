"""The verifier `items`: a list of names, in any order, with none missing and none too many."""

import re
from collections import Counter

from conductor_gym.tasks.generate import normalized
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifier import Verifier

_SEPARATOR = re.compile(r"[,;\n]")
_MARK = re.compile(r"\s*(?:[-*\u2022\u2013]|\(?\d{1,3}[.)])\s+(?=\S)")
"""A bullet or number before an item."""


def items_of(text: str) -> list[str]:
    """Items of a list: separated by commas, semicolons or line ends, maybe with bullets.

    Case, runs of space and a full stop at the end of an item do not count; empty items are
    dropped.
    """
    items = (normalized(_MARK.sub("", part, count=1)) for part in _SEPARATOR.split(text))
    return [item for item in (item.rstrip(". ") for item in items) if item]


def _accepts(task: Task, answer: str) -> bool:
    """Whether the same items are named; naming one twice does not count against an answer."""
    right, said = set(items_of(task.reference)), items_of(answer)
    if set(said) == right:
        return True
    if not said:
        return False
    # "a, b and c", "a, b, and c"
    head, word, tail = f" {said[-1]}".rpartition(" and ")
    last = [item for item in (head.strip(), tail.strip()) if item]
    return bool(word) and {*said[:-1], *last} == right


def _check(task: Task) -> str | None:
    items = items_of(task.reference)
    if not items:
        return "the reference names no item: write them separated by commas, such as 'a, b, c'"
    doubles = [item for item, times in Counter(items).items() if times > 1]
    if doubles:
        return f"the reference names {doubles[0]!r} more than once: name each item once"
    return None


ITEMS = Verifier(_accepts, _check)
"""Right is an answer with the same items as the reference, in any order."""
