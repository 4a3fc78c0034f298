"""Writes a text that keeps rules of given kinds, and with it the rules' parameters.

What a rule needs of every word or of the structure is settled before the text is written; what can
be counted is read off the text afterwards. So each set of rules has a text that keeps all of them.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from conductor_gym.tasks import instruction_words as lists
from conductor_gym.tasks.constraint_kind import Text, words_of
from conductor_gym.tasks.constraints import MIN_WORDS
from conductor_gym.tasks.instruction_sentences import (
    Limits,
    Sentences,
    StuckError,
    Token,
    free_tokens,
    put_numbers,
    taken,
)

_FEW_WORDS = 14
_LINED = ("lines", "line_words", "line_start", "acrostic", "bullets", "numbered_lines")
_LETTERS = tuple("abcdefghilmnoprstuwy")


class _Draft:
    """One try at a text; a method raises `StuckError` where it fails."""

    def __init__(self, rng: random.Random, topic: tuple[str, str], kinds: Sequence[str]) -> None:
        self.rng, self.topic, self.kinds = rng, topic, frozenset(kinds)
        self.found: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        self.found["mention"] = {"words": list(topic)}
        self.limits = self._limits()
        self._choose_words()
        found = self.found
        self.phrase = found.get("end_phrase", {}).get("phrase", "")
        keyword = found.get("word_count", {}).get("word", "")
        kept = {*topic, *words_of(self.phrase), keyword, found.get("first_word", {}).get("word")}
        if self.limits.unique:
            kept |= set(found.get("word_order", {}).get("words", ()))
        self.writer = Sentences(rng, self.limits, sorted(filter(None, kept)))
        self.banned = {keyword}

    def _limits(self) -> Limits:
        rng, letter, longest, banned = self.rng, "", 99, list[str]()
        if "no_letter" in self.kinds:
            letter = self._one([c for c in "aeiosntrhldu" if c not in "".join(self.topic)])
            self.found["no_letter"] = {"letter": letter}
        if "word_length" in self.kinds:
            longest = max(*map(len, self.topic), 6) + rng.randint(0, 2)
            self.found["word_length"] = {"most": longest}
        if "forbidden_words" in self.kinds:
            banned = rng.sample(lists.FUNCTION_WORDS, rng.randint(2, 4))
            self.found["forbidden_words"] = {"words": banned}
        return Limits(letter, longest, frozenset(banned), "no_repeats" in self.kinds)

    def _one(self, values: Sequence[str]) -> str:
        if not values:
            raise StuckError
        return self.rng.choice(values)

    def _choose_words(self) -> None:
        """Words that rules ask for."""
        rng, found, allow = self.rng, self.found, self.limits.allow
        nouns = [noun for noun in lists.NOUNS if allow(noun)]
        if len(nouns) < 8:
            raise StuckError
        rng.shuffle(nouns)
        openers = [word for word in lists.OPENERS if allow(word)]
        initials = {word[0] for word in openers}
        spelled = [word for word in lists.ACROSTICS if set(word) <= initials]
        for kind, values in found.items():
            if kind == "word_count":
                values |= {"word": nouns.pop(), "count": rng.randint(2, 4)}
            elif kind == "word_order":
                values["words"] = [nouns.pop() for _ in range(rng.randint(3, 4))]
            elif kind == "first_word":
                values["word"] = self._one(openers)
            elif kind == "end_phrase":
                values["phrase"] = self._one([text for text in lists.END_PHRASES if allow(text)])
            elif kind in ("acrostic", "sentence_letters"):
                values["letters"] = self._one(spelled)
            elif kind == "line_start":
                values["letter"] = self._one([c for c in _LETTERS if c in initials])

    def _lengths(self) -> list[int]:
        """Words of each sentence."""
        rng, kinds = self.rng, self.kinds
        short = self.limits.unique or "alphabetical" in kinds
        letters = "".join(v.get("letters", "") for v in self.found.values())
        crowded = len(kinds & {"word_count", "word_order", "placeholders", "numbers"})
        sentences = rng.randint(2, 3) if short else rng.randint(3, 5) + crowded // 2
        if kinds & set(_LINED):
            sentences = max(3, sentences)
        sentences = len(letters) or sentences
        longest = 6 if short else 10
        if "sentence_growth" in kinds:
            sentences, length = max(3, sentences), rng.randint(4, 6)
            lengths = [length]
            for _ in range(sentences - 1):
                lengths.append(lengths[-1] + (1 if short else rng.randint(1, 3)))
        elif "line_words" in kinds:
            lengths = [rng.randint(5, longest)] * sentences
        else:
            lengths = [rng.randint(5, longest) for _ in range(sentences)]
        if self.phrase:
            lengths[-1] = max(lengths[-1], len(self.phrase.split()) + 4)
        if sum(lengths) < _FEW_WORDS:
            raise StuckError
        return lengths

    def _opener(self, number: int) -> str:
        """First word of a sentence, where it is not the subject's."""
        if number == 0 and "first_word" in self.kinds:
            return self.found["first_word"]["word"]
        for kind in ("acrostic", "sentence_letters"):
            if kind in self.kinds:
                return self.writer.draw("opener", self.found[kind]["letters"][number])
        if "line_start" in self.kinds:
            return self.writer.draw("opener", self.found["line_start"]["letter"])
        return self.writer.draw("opener") if self.rng.random() < 0.2 else ""

    def _sentences(self) -> list[list[Token]]:
        lengths = self._lengths()
        if "alphabetical" in self.kinds:
            return self.writer.alphabetical(lengths, self.topic)
        end = self.phrase.split()
        lengths[-1] -= len(end)
        roomy = [i for i, length in enumerate(lengths) if length >= 5]
        if not roomy:
            raise StuckError
        subject = self.rng.choice(roomy)
        made: list[list[Token]] = []
        for i, length in enumerate(lengths):
            opener = self._opener(i)
            made.append(self.writer.sentence(length, opener, self.topic if i == subject else ()))
            if opener and "no_commas" not in self.kinds and self.rng.random() < 0.5:
                made[-1][0].after = ","
        made[-1] += [Token(word, "fixed", free=False) for word in end]
        return made

    def _put_words(self, made: list[list[Token]]) -> None:
        """Put what rules ask for in the place of other words."""
        rng, found = self.rng, self.found
        if "word_order" in found:
            words = found["word_order"]["words"]
            places = taken(rng, free_tokens(made, "noun"), len(words))
            for token, word in zip(places, words, strict=True):
                token.text = word
        if "word_count" in found:
            for token in taken(rng, free_tokens(made, "noun"), found["word_count"]["count"]):
                token.text = found["word_count"]["word"]
        if "numbers" in found:
            found["numbers"] = {"count": rng.randint(1, 2)}
            put_numbers(rng, made, found["numbers"]["count"])
        if "placeholders" in found:
            found["placeholders"] = {"count": rng.randint(1, 3)}
            for token in taken(rng, free_tokens(made, "noun"), found["placeholders"]["count"]):
                token.text = f"[{self.writer.draw('label')}]"
        if "highlights" in found:
            found["highlights"] = {"count": rng.randint(1, 3)}
            for token in taken(rng, free_tokens(made), found["highlights"]["count"]):
                token.text = f"*{token.text}*"
        if "capital_words" in found:
            found["capital_words"] = {"count": rng.randint(2, 4)}
            for token in taken(rng, free_tokens(made), found["capital_words"]["count"]):
                token.text = token.text.upper()

    def _marked(self, made: list[list[Token]]) -> None:
        """Put the marks at and in the sentences."""
        marked: list[list[Token]] = []
        inner = [token for tokens in made for token in tokens[:-1]]
        if "mark_count" in self.kinds:
            mark = self.rng.choice("?!;")
            count = self.rng.randint(1, 3 if mark == ";" else len(made))
            self.found["mark_count"] = {"mark": mark, "count": count}
            if mark == ";":
                for token in self.rng.sample(inner, count):
                    token.after = mark
            else:
                marked = self.rng.sample(made, count)
                for tokens in marked:
                    tokens[-1].after = mark
        for tokens in made:
            tokens[-1].after = tokens[-1].after or "."

    def _in_case(self, text: str, start: bool) -> str:
        """A token in the case that it needs, `start` where it begins a sentence or title."""
        if "lowercase" in self.kinds:
            return text.lower()
        if "uppercase" in self.kinds:
            return text.upper()
        if start or "title_case" in self.kinds:
            at = next((i for i, c in enumerate(text) if c.isalnum()), 0)
            return text[:at] + text[at].upper() + text[at + 1 :]
        return text

    def _groups(self, parts: list[str], count: int) -> list[str]:
        """Sentences as so many texts, in their order."""
        if len(parts) < count:
            raise StuckError
        cuts = [0, *sorted(self.rng.sample(range(1, len(parts)), count - 1)), len(parts)]
        return [" ".join(parts[a:b]) for a, b in pairwise(cuts)]

    def _laid_out(self, parts: list[str]) -> str:
        rng, found = self.rng, self.found
        for kind in ("lines", "line_start", "bullets", "numbered_lines", "sentences"):
            if kind in found:
                found[kind]["count"] = len(parts)
        if "bullets" in found:
            marker = found["bullets"]["marker"] = rng.choice("-*+")
            return "\n".join(f"{marker} {part}" for part in parts)
        if "numbered_lines" in found:
            return "\n".join(f"{i}. {part}" for i, part in enumerate(parts, 1))
        if self.kinds & set(_LINED):
            return "\n".join(parts)
        if "paragraphs" in found:
            count, separator = rng.randint(2, 3), rng.choice(("blank line", "***", "---"))
            found["paragraphs"] = {"count": count, "separator": separator}
            between = "\n\n" if separator == "blank line" else f"\n{separator}\n"
            return between.join(self._groups(parts, count))
        if "json_object" in found:
            return self._json(parts)
        text = " ".join(parts)
        if "title" in found:
            found["title"] = {"most": rng.randint(2, 5)}
            title = " ".join(self._in_case(word, start=True) for word in self.topic)
            return f"<<{title}>>\n{text}"
        return f'"{text}"' if "quoted" in found else text

    def _json(self, parts: list[str]) -> str:
        rng = self.rng
        fit = [key for key in lists.JSON_KEYS if self.limits.allow(key) and key not in self.banned]
        texts = rng.sample(fit, 2)
        types = dict.fromkeys(texts, "string")
        listed = rng.choice(lists.JSON_LISTS)
        if rng.random() < 0.5:
            types[listed] = "list"
        values: dict[str, Any] = {}
        for key, text in zip(types, self._groups(parts, len(types)), strict=True):
            values[key] = [text] if key == listed else text
        for kind, keys in lists.JSON_FACTS.items():
            key = rng.choice(keys)
            types[key] = kind
            values[key] = rng.random() < 0.5 if kind == "boolean" else rng.randint(2, 99)
        order = rng.sample(sorted(types), len(types))
        self.found["json_object"] = {"keys": {key: types[key] for key in order}}
        return json.dumps({key: values[key] for key in order}, indent=2)

    def _measure(self, answer: str) -> None:
        """Read off the text what its rules count."""
        rng, found, text = self.rng, self.found, Text(answer)
        if "word_range" in found:
            count = len(text.words)
            least = max(MIN_WORDS, count - rng.randint(0, 3))
            found["word_range"] = {"least": least, "most": count + rng.randint(1, 5)}
        if "character_limit" in found:
            most = -(-len(text.raw) // 10) * 10 + 10 * rng.randint(0, 3)
            found["character_limit"] = {"most": most}
        if "line_words" in found:
            count = len(words_of(text.lines[0]))
            found["line_words"] = {"lines": len(text.lines), "words": count}
        if "sentence_growth" in found:
            found["sentence_growth"] = {"least": len(text.sentences)}
        if "sentence_words" in found:
            sizes = [len(words) for words in text.sentences]
            found["sentence_words"] = {"least": min(sizes), "most": max(sizes) + rng.randint(0, 1)}
        if "long_words" in found:
            length = rng.randint(6, 8)
            least = sum(len(word) >= length for word in text.words)
            if least < 2:
                raise StuckError
            found["long_words"] = {"length": length, "least": least}
        if "starts_with" in found:
            initials = Counter(word[0] for word in text.words if word[0].isalpha())
            letter = self._one(sorted(c for c, count in initials.items() if count >= 3))
            found["starts_with"] = {"letter": letter, "least": initials[letter]}
        if "letter_count" in found:
            counts = {c: text.folded.count(c) for c in "bcfghjkmpqvwxyz"}
            letter = self._one([c for c, count in counts.items() if 1 <= count <= 5])
            found["letter_count"] = {"letter": letter, "count": counts[letter]}

    def write(self) -> str:
        """The text; the rules' parameters are then in `found`."""
        made = self._sentences()
        self._put_words(made)
        self._marked(made)
        parts = [
            " ".join(self._in_case(t.text, i == 0) + t.after for i, t in enumerate(tokens))
            for tokens in made
        ]
        answer = self._laid_out(parts)
        self._measure(answer)
        return answer


def write(
    rng: random.Random, topic: tuple[str, str], kinds: Sequence[str]
) -> tuple[str, list[dict[str, Any]]] | None:
    """Write a text about a topic that keeps rules of these kinds.

    Args:
        rng: Decides everything that is open.
        topic: Adjective and noun.
        kinds: Kinds of constraint that can stand together.

    Returns:
        The text and its constraints, `mention` of the topic first; None where this try fails.
    """
    try:
        draft = _Draft(rng, topic, kinds)
        answer = draft.write()
    except StuckError:
        return None
    found = draft.found
    return answer, [{"kind": kind, **found[kind]} for kind in ("mention", *kinds)]
