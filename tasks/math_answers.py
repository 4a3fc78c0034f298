r"""The verifier `math`: short answers in LaTeX, compared by form with exact numbers.

Only what is certain is equal: numbers as exact fractions, sums in any order, a numeric factor
wherever it stands, `\frac{a}{b}` and `a/b`. Nothing is expanded, simplified or approximated, and
nothing is run. What is not read as mathematics is compared as words.
"""

import re
from collections.abc import Callable

from conductor_gym.tasks.generate import normalized
from conductor_gym.tasks.math_reader import Item, Product, read_items
from conductor_gym.tasks.math_tokens import SPELLINGS, NotReadError, Token, tokens_of
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifier import Verifier

_TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|mbox|mathrm)\s*\{([^{}]*)\}")
_ORDERED = re.compile(r"\border\b|respectively", re.I)


def _form(text: str, lists: bool) -> list[Token] | None:
    """Tokens, without braces around a single character; None where there are words."""
    try:
        tokens = tokens_of(text, lists)
    except NotReadError:
        return None
    form: list[Token] = []
    for token in tokens:
        form.append(token)
        single = len(form) > 2 and token == ("sign", "}") and form[-3] == ("sign", "{")
        if single and (form[-2].kind == "letter" or form[-2].text.isdecimal()):
            inner = form[-2]
            if len(inner.text) == 1:
                form[-3:] = [inner]
    return form


def _words(text: str) -> str:
    plain = normalized(_TEXT.sub(r" \1 ", text.replace("$", " "))).rstrip(".")
    return re.sub(r"^\(\s*(\w)\s*\)$", r"\1", plain)


def _same_item(right: Item, said: Item, mentioned: Callable[[str], bool]) -> bool:
    sides, right_sides = said.sides, right.sides
    if said.relations != right.relations:
        sides, right_sides = _without_name(said), _without_name(right)
    if sides != right_sides:
        return False
    if said.units == right.units:
        return True
    if not said.units:
        return "percent" not in right.units or mentioned("percent")
    return not right.units and all(mentioned(unit) for unit in said.units)


def _without_name(item: Item) -> tuple[Product, ...]:
    """The value of an item such as ``x = 5``, or its sides."""
    named = len(item.sides) == 2 and item.relations[0] == ("sign", "=")
    number, factors = item.sides[0]
    if named and number == 1 and len(factors) == 1 and factors[0][0] == "letter":
        return item.sides[1:]
    return item.sides if not item.relations else ()


def _accepts(task: Task, answer: str) -> bool:
    prompt = task.prompt.casefold()
    lists = "comma" in prompt
    right = read_items(task.reference, lists)
    if right is None:
        form = _form(task.reference, lists)
        if form is not None:
            return form == _form(answer, lists)
        return _words(answer) == _words(task.reference)
    said = read_items(answer, lists)
    if said is None or len(said) != len(right):
        return False
    if not _ORDERED.search(prompt):
        right, said = (tuple(sorted(items, key=_by_sides)) for items in (right, said))
    asked = frozenset(re.findall(r"[a-z]+", prompt))

    def mentioned(unit: str) -> bool:
        if unit == "degree" or unit.startswith("^"):
            return True
        symbol = {"percent": "%", "dollar": "\\$"}.get(unit)
        return bool(asked & set(SPELLINGS[unit])) or (symbol is not None and symbol in prompt)

    return all(_same_item(a, b, mentioned) for a, b in zip(right, said, strict=True))


def _by_sides(item: Item) -> str:
    return repr((item.relations, item.sides))


def _check(task: Task) -> str | None:
    if read_items(task.reference, lists=False) is not None or _words(task.reference):
        return None
    return f"reference {task.reference[:40]!r} says nothing: write a number, formula or word"


def is_mathematics(text: str) -> bool:
    """Whether a reference is read as a number or a formula, not as words."""
    return bool(re.search(r"\d|\\", text)) and read_items(text, lists=False) is not None


MATH = Verifier(_accepts, _check)
"""The verifier `math`."""
