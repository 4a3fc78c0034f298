"""Tokens of a short answer in LaTeX or plain text, for `conductor_gym.tasks.math_answers`."""

import re
from typing import NamedTuple

MAX_CHARACTERS = 2_000
"""Longer text is not read."""

SPELLINGS: dict[str, tuple[str, ...]] = {
    "": ("unit", "units", "square", "sq", "cubic", "per"),
    "degree": ("degree", "degrees", "deg"),
    "percent": ("percent",),
    "dollar": ("dollar", "dollars"),
    "cent": ("cent", "cents"),
    "mm": ("mm", "millimeter", "millimeters"),
    "cm": ("cm", "centimeter", "centimeters"),
    "m": ("m", "meter", "meters"),
    "km": ("km", "kilometer", "kilometers"),
    "inch": ("inch", "inches"),
    "foot": ("ft", "foot", "feet"),
    "yard": ("yd", "yard", "yards"),
    "mile": ("mi", "mile", "miles"),
    "g": ("g", "gram", "grams"),
    "kg": ("kg", "kilogram", "kilograms"),
    "pound": ("lb", "lbs", "pound", "pounds"),
    "ounce": ("oz", "ounce", "ounces"),
    "liter": ("l", "liter", "liters"),
    "second": ("s", "sec", "second", "seconds"),
    "minute": ("min", "minute", "minutes"),
    "hour": ("h", "hr", "hour", "hours"),
    "day": ("day", "days"),
    "week": ("week", "weeks"),
    "year": ("year", "years"),
    "mph": ("mph",),
}
"""How each unit is written. Those of the empty name say nothing about which unit it is."""

_UNIT_OF = {spelling: unit for unit, all_ in SPELLINGS.items() for spelling in all_}
_PLAIN = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": "*",
        "\u00b7": "*",
        "\u00f7": "/",
        "\u03c0": "\\pi ",
        "\u221e": "\\infty ",
        "\u221a": "\\sqrt ",
        "\u2264": "\\le ",
        "\u2265": "\\ge ",
        "\u2260": "\\ne ",
        "\u222a": "\\cup ",
        "\u00b0": "\\degree ",
        "\u00b2": "^{2}",
        "\u00b3": "^{3}",
    }
)
_TOKEN = re.compile(
    r"\\(?:text|textrm|textbf|textit|mbox|mathrm)\s*\{(?P<words>[^{}]*)\}"
    r"|\\(?P<command>[A-Za-z]+|[\s\S])"
    r"|(?P<number>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<word>[A-Za-z]{2,})"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<sign>\S)",
    re.A,
)
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))")
_SPACED_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,|,\\!)(?=\d{3}(?!\d))", re.A)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", re.A)
_BRACKETS = re.compile(r"[(\[]|\\\{|\\lbrace")

_DROPPED = frozenset(
    (
        *("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "bigg", "Bigg"),
        *("displaystyle", "textstyle", "quad", "qquad", ",", ";", ":", "!", " ", "\n", "\t"),
    )
)
_SAME = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), "frac"),
    **dict.fromkeys(("leq", "leqslant"), "le"),
    **dict.fromkeys(("geq", "geqslant"), "ge"),
    **dict.fromkeys(("neq",), "ne"),
    **dict.fromkeys(("varnothing",), "emptyset"),
}
_SIGNS = {
    **dict.fromkeys(("cdot", "times", "ast"), "*"),
    **{"div": "/", "{": "\\{", "}": "\\}", "lbrace": "\\{", "rbrace": "\\}"},
    **{"lt": "<", "gt": ">"},
}
_UNIT_COMMANDS = {"%": "percent", "$": "dollar", "degree": "degree"}


class Token(NamedTuple):
    """A token: `number`, `letter`, `command`, `sign` or `unit`, and its text."""

    kind: str
    text: str


class NotReadError(Exception):
    """Text that is not read as mathematics."""


def tokens_of(text: str, lists: bool) -> list[Token]:
    """Tokens of an answer without its delimiters, boxes, spaces and sizes of brackets.

    Args:
        text: The whole answer.
        lists: Whether a comma always separates: ``1,200`` is two numbers.

    Raises:
        NotReadError: Too long, or words that are neither a unit nor "and" or "or".
    """
    if len(text) > MAX_CHARACTERS:
        raise NotReadError
    plain = _without_wrappers(text).translate(_PLAIN)
    plain = _SPACED_THOUSANDS.sub("", _DEGREES.sub(r"\\degree ", plain))
    if not lists and not _BRACKETS.search(plain):
        plain = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), plain)
    tokens: list[Token] = []
    for found in _TOKEN.finditer(plain):
        kind = str(found.lastgroup)
        tokens += _tokens(kind, found[kind])
    return tokens


def _tokens(kind: str, text: str) -> list[Token]:
    if kind == "words":
        return [token for word in text.split() for token in _word(word)]
    if kind == "word":
        known = text in ("and", "or") or text.casefold() in _UNIT_OF
        return _word(text) if known else [Token("letter", letter) for letter in text]
    if kind == "sign" and text == "%":
        return [Token("unit", "percent")]
    if kind == "sign" and text == "~":
        return []
    if kind == "command":
        if text in _DROPPED:
            return []
        if text in _UNIT_COMMANDS:
            return [Token("unit", _UNIT_COMMANDS[text])]
        if text in _SIGNS:
            return [Token("sign", _SIGNS[text])]
        return [Token("command", _SAME.get(text, text))]
    return [Token(kind, text)]


def _word(word: str) -> list[Token]:
    if word in ("and", "or"):
        return [Token("sign", ",")]
    if word.casefold() not in _UNIT_OF:
        raise NotReadError
    return [Token("unit", _UNIT_OF[word.casefold()])]


def _without_wrappers(text: str) -> str:
    """Text without what encloses all of it: dollars, a box, a final full stop."""
    while True:
        text = text.strip()
        inner = text
        if text.endswith(".") and not text.endswith("\\."):
            inner = text[:-1]
        elif text.startswith(("\\(", "\\[")) and text.endswith(("\\)", "\\]")):
            inner = text[2:-2]
        elif text.startswith(("\\boxed{", "\\fbox{")) and _closes_at_the_end(text):
            inner = text[text.index("{") + 1 : -1]
        elif "$" in text:
            inner = _without_dollars(text)
        if inner == text:
            return text
        text = inner


def _without_dollars(text: str) -> str:
    """Text without dollars around formulas; a single one in front is money."""
    bare = text.replace("\\$", "")
    if bare.count("$") % 2 == 0:
        return re.sub(r"(?<!\\)\$", " ", text)
    return f"\\{text}" if text.startswith("$") else text


def _closes_at_the_end(text: str) -> bool:
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0 and character == "}":
            return i == len(text) - 1
    return False
