"""Kinds of constraint on sentences, lines, layout and marks."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NoReturn, cast

from conductor_gym.tasks.constraint_kind import (
    Kind,
    Parameters,
    Text,
    letter,
    letters,
    number_of,
    one_of,
    times,
    whole,
    words_of,
)

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_HIGHLIGHT = re.compile(r"\*[^*\n]+\*")
_DIGITS = re.compile(r"[0-9]+")
_MARKS = {"?": "question mark", "!": "exclamation mark", ";": "semicolon"}


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _list(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(map(_text, cast(list[Any], value)))


JSON_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("a string that is not blank", _text),
    "integer": ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "boolean": ("true or false", lambda v: isinstance(v, bool)),
    "list": ("a list of one or more strings that are not blank", _list),
}
"""Types of a value in a JSON object: in words, and whether a value has it."""


def _json_keys(value: Any) -> str | None:
    if isinstance(value, dict) and value:
        pairs = cast(dict[str, Any], value)
        if all(_text(key) and kind in JSON_TYPES for key, kind in pairs.items()):
            return None
    return f"an object from keys to types, of {', '.join(JSON_TYPES)}, such as {{'name': 'string'}}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _json_object(text: Text, p: Parameters) -> bool:
    try:
        value: Any = json.loads(text.raw, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or set(cast(dict[str, Any], value)) != set(p["keys"]):
        return False
    return all(JSON_TYPES[kind][1](value[key]) for key, kind in p["keys"].items())


def _describe_json(p: Parameters) -> str:
    parts = [f'"{key}" ({JSON_TYPES[kind][0]})' for key, kind in p["keys"].items()]
    return (
        "The answer is one JSON object, without a code fence, with exactly these keys: "
        f"{', '.join(parts)}."
    )


def _bullets(text: Text, p: Parameters) -> bool:
    fits = all(line.startswith(p["marker"] + " ") and words_of(line) for line in text.lines)
    return fits and len(text.lines) == p["count"]


def _numbered(text: Text, p: Parameters) -> bool:
    starts = [(line, f"{i}. ") for i, line in enumerate(text.lines, 1)]
    fits = all(line.startswith(start) and words_of(line[len(start) :]) for line, start in starts)
    return fits and len(text.lines) == p["count"]


def _line_words(text: Text, p: Parameters) -> bool:
    fits = all(len(words_of(line)) == p["words"] for line in text.lines)
    return fits and len(text.lines) == p["lines"]


def _line_start(text: Text, p: Parameters) -> bool:
    fits = all(line.lower().startswith(p["letter"]) for line in text.lines)
    return fits and len(text.lines) == p["count"]


def _paragraphs(text: Text, p: Parameters) -> bool:
    if p["separator"] == "blank line":
        return text.blocks == p["count"]
    parts: list[list[str]] = [[]]
    for line in text.lines:
        if line == p["separator"]:
            parts.append([])
        else:
            parts[-1] += words_of(line)
    return len(parts) == p["count"] and all(parts)


def _describe_paragraphs(p: Parameters) -> str:
    count = number_of(p["count"], "paragraph")
    if p["separator"] == "blank line":
        return f"Write exactly {count}, with a blank line between two paragraphs and nowhere else."
    return f"Write exactly {count}, with a line that holds only {p['separator']} between two."


def _title(text: Text, p: Parameters) -> bool:
    first = text.lines[0] if len(text.lines) > 1 else ""
    fits = len(first) > 4 and first.startswith("<<") and first.endswith(">>")
    return fits and 1 <= len(words_of(first)) <= p["most"] and text.raw.count("<<") == 1


def _quoted(text: Text, p: Parameters) -> bool:
    return len(text.raw) > 2 and text.raw[0] == text.raw[-1] == '"' and text.raw.count('"') == 2


SHAPE_KINDS: dict[str, Kind] = {
    "sentences": Kind(
        lambda p: f"Write exactly {number_of(p['count'], 'sentence')}.",
        lambda t, p: len(t.sentences) == p["count"],
        {"count": whole(1, 1000)},
        ("sentence",),
    ),
    "sentence_words": Kind(
        lambda p: f"Every sentence has {p['least']} to {p['most']} words.",
        lambda t, p: all(p["least"] <= len(each) <= p["most"] for each in t.sentences),
        {"least": whole(1, 500), "most": whole(1, 500)},
        ("sentence",),
    ),
    "sentence_growth": Kind(
        lambda p: f"Write {p['least']} or more sentences; each has more words than the one before.",
        lambda t, p: (
            len(t.sentences) >= p["least"]
            and all(len(a) < len(b) for a, b in pairwise(t.sentences))
        ),
        {"least": whole(2, 100)},
        ("sentence",),
    ),
    "sentence_letters": Kind(
        lambda p: (
            f"Write exactly {number_of(len(p['letters']), 'sentence')}; the first letters of "
            f'their first words spell "{p["letters"]}".'
        ),
        lambda t, p: "".join(each[0][0] for each in t.sentences) == p["letters"],
        {"letters": letters},
        ("sentence",),
    ),
    "lines": Kind(
        lambda p: f"Write exactly {number_of(p['count'], 'line')}.",
        lambda t, p: len(t.lines) == p["count"],
        {"count": whole(1, 1000)},
        ("line",),
    ),
    "line_words": Kind(
        lambda p: (
            f"Write exactly {number_of(p['lines'], 'line')}; each has exactly "
            f"{number_of(p['words'], 'word')}."
        ),
        _line_words,
        {"lines": whole(1, 1000), "words": whole(1, 500)},
        ("line",),
    ),
    "line_start": Kind(
        lambda p: (
            f"Write exactly {number_of(p['count'], 'line')}; each begins with the letter "
            f'"{p["letter"]}".'
        ),
        _line_start,
        {"letter": letter, "count": whole(1, 1000)},
        ("line",),
    ),
    "acrostic": Kind(
        lambda p: (
            f"Write exactly {number_of(len(p['letters']), 'line')}; their first letters "
            f'spell "{p["letters"]}" from top to bottom.'
        ),
        lambda t, p: "".join(line[0] for line in t.lines).lower() == p["letters"],
        {"letters": letters},
        ("line",),
    ),
    "bullets": Kind(
        lambda p: (
            f"Write exactly {number_of(p['count'], 'line')} and nothing else; each begins "
            f'with "{p["marker"]} " (the mark and a space) and holds a word.'
        ),
        _bullets,
        {"count": whole(1, 1000), "marker": one_of("-", "*", "+")},
        ("line",),
    ),
    "numbered_lines": Kind(
        lambda p: (
            f"Write exactly {number_of(p['count'], 'line')} and nothing else, numbered "
            f'"1. " to "{p["count"]}. "; the numbers count as words.'
        ),
        _numbered,
        {"count": whole(1, 1000)},
        ("line",),
    ),
    "paragraphs": Kind(
        _describe_paragraphs,
        _paragraphs,
        {"count": whole(1, 200), "separator": one_of("blank line", "***", "---")},
    ),
    "json_object": Kind(_describe_json, _json_object, {"keys": _json_keys}),
    "title": Kind(
        lambda p: (
            "The first line is a title in double angle brackets, <<like this>>, of at most "
            f"{number_of(p['most'], 'word')}; the text follows below it, without another <<."
        ),
        _title,
        {"most": whole(1, 100)},
        ("line",),
    ),
    "quoted": Kind(
        lambda p: (
            'The whole answer stands between two straight double quotation marks ("); it '
            "holds no other."
        ),
        _quoted,
    ),
    "no_commas": Kind(lambda p: "Use no commas.", lambda t, p: "," not in t.raw),
    "mark_count": Kind(
        lambda p: f"Use the {_MARKS[p['mark']]} ({p['mark']}) exactly {times(p['count'])}.",
        lambda t, p: t.raw.count(p["mark"]) == p["count"],
        {"mark": one_of(*_MARKS), "count": whole(0, 1000)},
    ),
    "placeholders": Kind(
        lambda p: (
            f"Use exactly {number_of(p['count'], 'placeholder')} in square brackets, such as "
            "[date]; the words in it count as words."
        ),
        lambda t, p: len(_PLACEHOLDER.findall(t.raw)) == p["count"],
        {"count": whole(0, 1000)},
    ),
    "highlights": Kind(
        lambda p: (
            f"Highlight exactly {number_of(p['count'], 'passage')} between single asterisks, "
            "*like this*, each within one line."
        ),
        lambda t, p: len(_HIGHLIGHT.findall(t.raw)) == p["count"],
        {"count": whole(0, 1000)},
    ),
    "numbers": Kind(
        lambda p: (
            f"Use exactly {number_of(p['count'], 'number')} written in digits: an unbroken "
            "run of the digits 0 to 9 is one number, and it counts as a word."
        ),
        lambda t, p: len(_DIGITS.findall(t.raw)) == p["count"],
        {"count": whole(0, 1000)},
    ),
}
