"""Inputs of pipelines: what each kind of value looks like, at its edges and at random."""

import random
from collections.abc import Callable, Mapping
from typing import Any

_SYLLABLES = (
    *("al", "be", "Co", "da", "en", "fir", "Go", "ha", "it", "lo", "mm", "no", "pet", "Ra"),
    *("se", "ta", "un", "ver", "ee", "Ar", "n", "s", "t", "o", "a"),
)
_CHARACTERS = "aaabcdeeefghiklmnnoooprrssttuvyz" + "ABEGHNRST" + "0123456789" + "  --.,;()[]"


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randrange(1, 4)))


def _ints(rng: random.Random) -> list[int]:
    low, high = rng.choice(((-12, 21), (-5, 6), (0, 10), (-40, 120)))
    return [rng.randrange(low, high) for _ in range(rng.randrange(1, 13))]


def _text(rng: random.Random) -> str:
    if rng.random() < 0.5:
        words = [_word(rng) for _ in range(rng.randrange(2, 7))]
        words.insert(rng.randrange(len(words)), str(rng.randrange(1000)))
        return rng.choice((" ", " ", "-")).join(words)
    text = ""
    for _ in range(rng.randrange(4, 18)):
        text += rng.choice(_CHARACTERS) * rng.choice((1, 1, 1, 2, 3))
    return text


def _words(rng: random.Random) -> list[str]:
    words = [_word(rng) for _ in range(rng.randrange(2, 8))]
    for _ in range(rng.randrange(4)):
        old = rng.choice(words)
        new = rng.choice((old, old.lower(), old[::-1], old.upper(), "", old[:2]))
        words.insert(rng.randrange(len(words) + 1), new)
    return words


def _counts(rng: random.Random) -> dict[str, int]:
    return {word: rng.randrange(10) for word in dict.fromkeys(_words(rng))}


def _grid(rng: random.Random) -> list[list[int]]:
    width, low, high = rng.randrange(2, 6), *rng.choice(((-4, 10), (0, 5), (-9, 25)))
    return [[rng.randrange(low, high) for _ in range(width)] for _ in range(rng.randrange(2, 6))]


INPUTS: Mapping[str, Callable[[random.Random], Any]] = {
    "ints": _ints,
    "text": _text,
    "words": _words,
    "counts": _counts,
    "grid": _grid,
}
"""A random value of each kind that a pipeline may begin with."""

EDGES: Mapping[str, tuple[Any, ...]] = {
    "ints": ([], [7], [3, 3, 3, 3]),
    "text": ("", "a", "zzzz"),
    "words": ([], ["one"], ["", "Aa", "aA", ""]),
    "counts": ({}, {"": 2}),
    "grid": ([[5]], [[1, 2, 3]]),
}
"""Values at the edges of each kind."""
