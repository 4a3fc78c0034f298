"""Kinds of constraint on words, letters and case."""

from itertools import pairwise

from conductor_gym.tasks.constraint_kind import (
    Kind,
    Parameters,
    Text,
    letter,
    listed,
    number_of,
    phrase,
    times,
    whole,
    word,
    words,
    words_of,
)


def _folded(values: list[str]) -> list[str]:
    return [value.lower() for value in values]


def _mention(text: Text, p: Parameters) -> bool:
    return set(_folded(p["words"])) <= set(text.words)


def _word_order(text: Text, p: Parameters) -> bool:
    left = iter(text.words)
    return all(any(value == seen for seen in left) for value in _folded(p["words"]))


def _forbidden(text: Text, p: Parameters) -> bool:
    return not set(_folded(p["words"])) & set(text.words)


def _end_phrase(text: Text, p: Parameters) -> bool:
    end = _folded(words_of(p["phrase"]))
    return text.words[-len(end) :] == end


def _in_capitals(written: str) -> bool:
    return written.isupper() and sum(c.isalpha() for c in written) >= 2


def _capital_words(text: Text, p: Parameters) -> bool:
    return sum(map(_in_capitals, text.written)) == p["count"]


def _range(p: Parameters) -> str:
    return f"{p['least']} to {p['most']}"


WORD_KINDS: dict[str, Kind] = {
    "mention": Kind(
        lambda p: (
            f"Use {'this word' if len(p['words']) == 1 else 'these words'}: {listed(p['words'])}."
        ),
        _mention,
        {"words": words},
    ),
    "word_range": Kind(
        lambda p: f"Use {_range(p)} words in all.",
        lambda t, p: p["least"] <= len(t.words) <= p["most"],
        {"least": whole(1, 4000), "most": whole(1, 4000)},
    ),
    "character_limit": Kind(
        lambda p: f"Use at most {p['most']} characters, spaces and line breaks included.",
        lambda t, p: len(t.raw) <= p["most"],
        {"most": whole(20, 20_000)},
    ),
    "first_word": Kind(
        lambda p: f'The first word is "{p["word"]}".',
        lambda t, p: t.words[:1] == [p["word"].lower()],
        {"word": word},
    ),
    "end_phrase": Kind(
        lambda p: f'The last words are "{p["phrase"]}"; only punctuation may follow.',
        _end_phrase,
        {"phrase": phrase},
    ),
    "word_count": Kind(
        lambda p: f'Use the word "{p["word"]}" exactly {times(p["count"])}.',
        lambda t, p: t.words.count(p["word"].lower()) == p["count"],
        {"word": word, "count": whole(1, 200)},
    ),
    "word_order": Kind(
        lambda p: (
            f"Use these words in this order: {listed(p['words'])}. "
            "Other words may stand between them."
        ),
        _word_order,
        {"words": words},
    ),
    "forbidden_words": Kind(
        lambda p: f"Do not use any of these words: {listed(p['words'], 'or')}.",
        _forbidden,
        {"words": words},
    ),
    "no_letter": Kind(
        lambda p: f'Do not use the letter "{p["letter"]}" anywhere, small or capital.',
        lambda t, p: p["letter"] not in t.folded,
        {"letter": letter},
    ),
    "letter_count": Kind(
        lambda p: (
            f'Use the letter "{p["letter"]}", small or capital, exactly {times(p["count"])} in all.'
        ),
        lambda t, p: t.folded.count(p["letter"]) == p["count"],
        {"letter": letter, "count": whole(1, 2000)},
    ),
    "no_repeats": Kind(
        lambda p: "Do not use any word twice.",
        lambda t, p: len(set(t.words)) == len(t.words),
    ),
    "alphabetical": Kind(
        lambda p: "All words stand in alphabetical order from the first to the last.",
        lambda t, p: all(a <= b for a, b in pairwise(t.words)),
    ),
    "word_length": Kind(
        lambda p: f"No word is longer than {number_of(p['most'], 'character')}.",
        lambda t, p: all(len(each) <= p["most"] for each in t.written),
        {"most": whole(1, 100)},
    ),
    "long_words": Kind(
        lambda p: (
            f"Use at least {number_of(p['least'], 'word')} of {p['length']} or more "
            "characters; a word that is used again counts again."
        ),
        lambda t, p: sum(len(each) >= p["length"] for each in t.written) >= p["least"],
        {"length": whole(2, 30), "least": whole(1, 2000)},
    ),
    "starts_with": Kind(
        lambda p: (
            f"At least {number_of(p['least'], 'word')} must begin with the letter "
            f'"{p["letter"]}"; a word that is used again counts again.'
        ),
        lambda t, p: sum(each.startswith(p["letter"]) for each in t.words) >= p["least"],
        {"letter": letter, "least": whole(1, 2000)},
    ),
    "lowercase": Kind(
        lambda p: "Use no capital letters.",
        lambda t, p: not any(c.isupper() or c.istitle() for c in t.raw),
    ),
    "uppercase": Kind(
        lambda p: "Use capital letters only, no small ones.",
        lambda t, p: not any(c.islower() for c in t.raw),
    ),
    "title_case": Kind(
        lambda p: "Every word begins with a capital letter or a digit.",
        lambda t, p: all(each[0].isupper() or each[0].isdecimal() for each in t.written),
    ),
    "capital_words": Kind(
        lambda p: (
            f"Write exactly {number_of(p['count'], 'word')} in capital letters only; "
            "a word of one letter does not count."
        ),
        _capital_words,
        {"count": whole(0, 2000)},
    ),
}
