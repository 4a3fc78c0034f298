"""Sentences of a given length from the words that rules leave, and what is put into them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from conductor_gym.tasks import instruction_words
from conductor_gym.tasks.constraint_kind import words_of

POOLS: dict[str, tuple[str, ...]] = {
    "noun": instruction_words.NOUNS,
    "adjective": instruction_words.ADJECTIVES,
    "verb": instruction_words.VERBS,
    "adverb": instruction_words.ADVERBS,
    "preposition": instruction_words.PREPOSITIONS,
    "determiner": instruction_words.DETERMINERS,
    "conjunction": instruction_words.CONJUNCTIONS,
    "opener": instruction_words.OPENERS,
    "label": instruction_words.LABELS,
}


class StuckError(Exception):
    """The words that are left give no text; another try may."""


@dataclass
class Token:
    """One word of a sentence.

    Attributes:
        part: Its part of speech, a key of `POOLS`, or "fixed".
        after: What stands right after it.
        free: Whether it may be replaced.
    """

    text: str
    part: str
    after: str = ""
    free: bool = True


@dataclass(frozen=True)
class Limits:
    """What the rules forbid a word to be.

    Attributes:
        letter: Not in any word; empty for none.
        longest: Characters of a word.
        banned: Words that are not used.
        unique: No word is used twice.
    """

    letter: str
    longest: int
    banned: frozenset[str]
    unique: bool

    def allow(self, text: str) -> bool:
        """Whether all words of a text may be used."""
        found = [word.lower() for word in words_of(text)]
        if self.letter and self.letter in text.lower():
            return False
        return all(len(word) <= self.longest and word not in self.banned for word in found)


class Sentences:
    """Builds sentences, each a list of tokens."""

    def __init__(self, rng: random.Random, limits: Limits, kept: Sequence[str]) -> None:
        """Args: `kept` are words that come in from elsewhere and are not drawn."""
        self._rng, self._unique = rng, limits.unique
        self._pools = {
            part: [word for word in pool if limits.allow(word) and word not in kept]
            for part, pool in POOLS.items()
        }

    def draw(self, part: str, letter: str = "") -> str:
        """A word of a part of speech that begins with a letter.

        Raises:
            StuckError: None is left.
        """
        pool = [word for word in self._pools[part] if word.startswith(letter)]
        if not pool:
            raise StuckError
        word = self._rng.choice(pool)
        if self._unique or part == "label":
            self._pools = {
                name: [other for other in words if other != word]
                for name, words in self._pools.items()
            }
        return word

    def alphabetical(self, lengths: Sequence[int], topic: Sequence[str]) -> list[list[Token]]:
        """Different words in alphabetical order, cut into sentences."""
        every = {word for part, pool in self._pools.items() if part != "label" for word in pool}
        if len(every) < sum(lengths):
            raise StuckError
        words = sorted([*topic, *self._rng.sample(sorted(every), sum(lengths) - len(topic))])
        tokens = iter([Token(word, "fixed") for word in words])
        return [[next(tokens) for _ in range(length)] for length in lengths]

    def sentence(self, length: int, opener: str, topic: Sequence[str]) -> list[Token]:
        """A sentence of so many words.

        Args:
            length: Words.
            opener: First word, or empty.
            topic: Adjective and noun of the subject, or empty.
        """
        tokens = [Token(opener, "fixed", free=False)] if opener else []
        tokens.append(self._token("determiner"))
        if topic:
            tokens += [Token(topic[0], "adjective", free=False), Token(topic[1], "noun", "", False)]
        else:
            tokens.append(self._token("noun"))
        tokens.append(self._token("verb"))
        if len(tokens) > length:
            raise StuckError
        while len(tokens) < length:
            room = length - len(tokens)
            if room >= 4 and self._rng.random() < 0.3:
                tokens += map(self._token, ("conjunction", "determiner", "noun", "verb"))
            elif room >= 3 and self._rng.random() < 0.8:
                tokens += map(self._token, ("preposition", "determiner", "noun"))
            else:
                self._insert(tokens)
        return tokens

    def _token(self, part: str) -> Token:
        return Token(self.draw(part), part)

    def _insert(self, tokens: list[Token]) -> None:
        """Insert an adverb after a verb that has none, or an adjective before a noun."""
        parts = [token.part for token in tokens]
        verbs = [
            i + 1
            for i, part in enumerate(parts)
            if part == "verb" and parts[i + 1 : i + 2] != ["adverb"]
        ]
        bare = [i for i, part in enumerate(parts) if part == "noun" and parts[i - 1] != "adjective"]
        if verbs and (not bare or self._rng.random() < 0.5):
            tokens.insert(self._rng.choice(verbs), self._token("adverb"))
        else:
            nouns = bare or [i for i, part in enumerate(parts) if part == "noun"]
            tokens.insert(self._rng.choice(nouns), self._token("adjective"))


def free_tokens(sentences: list[list[Token]], part: str = "") -> list[Token]:
    """Tokens that may be replaced, of one part of speech or of any, in their order."""
    return [
        token for tokens in sentences for token in tokens if token.free and part in ("", token.part)
    ]


def taken(rng: random.Random, tokens: list[Token], count: int) -> list[Token]:
    """So many of these tokens in their order, no longer free.

    Raises:
        StuckError: There are fewer.
    """
    if len(tokens) < count:
        raise StuckError
    chosen = [tokens[i] for i in sorted(rng.sample(range(len(tokens)), count))]
    for token in chosen:
        token.free = False
    return chosen


def put_numbers(rng: random.Random, sentences: list[list[Token]], count: int) -> None:
    """Turn `under the bridge` into `under bridge 47`, so many times.

    Raises:
        StuckError: There are fewer places.
    """
    places: list[tuple[Token, Token]] = []
    for tokens in sentences:
        for before, first, second in zip(tokens, tokens[1:], tokens[2:], strict=False):
            parts = (before.part, first.part, second.part)
            if parts == ("preposition", "determiner", "noun") and first.free and second.free:
                places.append((first, second))
    if len(places) < count:
        raise StuckError
    numbers = rng.sample(range(10, 100), count)
    for (first, second), number in zip(rng.sample(places, count), numbers, strict=True):
        first.text, second.text = second.text, str(number)
        first.free = second.free = False
