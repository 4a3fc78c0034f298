"""Documents of a wanted length: entries that matter at their depths, others around them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from conductor_gym.tasks.document_forms import (
    DAYS_A_YEAR,
    FIRMS,
    FORMS,
    OTHERS_ARE_PEOPLE,
    SENTENCES,
    WHATS,
    YEARS,
    Form,
    Record,
)
from conductor_gym.tasks.document_words import WORDS
from conductor_gym.tasks.drawing import Uniform, pick, shuffled, whole
from conductor_gym.tasks.task import CHARACTERS_PER_TOKEN, count_tokens

MAX_DOCUMENTS = 3
LONGEST_ENTRY = 150
"""Tokens by which documents may be longer than wanted."""
QUANTITIES = (2, 60)
"""Range of `Record.quantity`."""
_DAYS = YEARS * DAYS_A_YEAR
_SHARE_VOID = 0.04
_SHARE_WITH_REMARK = 0.4


class Planted(NamedTuple):
    """A record that the question is about, or nearly.

    Attributes:
        depth: Where it stands in all documents together, in [0, 1).
        record: The record.
        void: Whether the entry is marked as void.
        needed: Whether it is a piece of evidence.
    """

    depth: float
    record: Record
    void: bool
    needed: bool


@dataclass(frozen=True, slots=True)
class Cast:
    """Whom and what the other entries are about.

    Attributes:
        topic: One of `TOPICS`.
        board: Whose records these are.
        people: Names, at least 2.
        units: Names of units.
    """

    topic: str
    board: str
    people: list[str]
    units: list[str]


@dataclass(frozen=True, slots=True)
class Written:
    """Documents as they came out.

    Attributes:
        texts: The documents.
        tokens: Of all documents.
        ends: Tokens from the start by which each needed entry has been read, ascending.
    """

    texts: tuple[str, ...]
    tokens: int
    ends: list[int]


def numbers_of(topic: str) -> tuple[int, int]:
    """Range of `Record.number`: minutes of visits, else crowns."""
    return (5, 480) if topic == "visits" else (120, 9900)


def write_documents(uniform: Uniform, cast: Cast, planted: list[Planted], tokens: int) -> Written:
    """Write 1 to `MAX_DOCUMENTS` documents of different forms.

    Args:
        uniform: Where choices come from.
        cast: Of the entries around the planted ones.
        planted: Entries that must be there.
        tokens: Wanted of all documents; up to `LONGEST_ENTRY` more come out, or what the planted
            entries need.
    """
    forms = shuffled(uniform, list(FORMS))[: 1 + int(MAX_DOCUMENTS * uniform())]
    weights = [0.4 + uniform() for _ in forms]
    shares = [reached / sum(weights) for reached in accumulate(weights)]
    shares[-1] = 1.0
    texts: list[str] = []
    ends: list[int] = []
    characters = before = 0
    start = 0.0
    for name, share in zip(forms, shares, strict=True):
        own = [
            entry._replace(depth=(entry.depth - start) / (share - start))
            for entry in sorted(planted)
            if start <= entry.depth < share
        ]
        wanted = int(share * tokens * CHARACTERS_PER_TOKEN) - characters
        text, own_ends = _document(uniform, cast, name, own, wanted)
        ends += [before + count_tokens(text[:end]) for end in own_ends]
        texts.append(text)
        characters += len(text)
        before += count_tokens(text)
        start = share
    return Written(tuple(texts), before, ends)


def _document(
    uniform: Uniform, cast: Cast, name: str, planted: list[Planted], wanted: int
) -> tuple[str, list[int]]:
    """One document and the characters from its start at which each needed entry ends."""
    form = FORMS[name]
    sentences = SENTENCES[cast.topic, name]
    if not form.mixed:
        sentences = (pick(uniform, sentences),)

    title = (
        f"{form.name} of {cast.topic}, {cast.board}\n"
        "Entries stand in the order in which they were filed, not by date.\n\n"
    )
    around = len(form.prefix % 0) + len(form.between)
    own = [_entry(uniform, form, sentences, entry.record, entry.void) for entry in planted]
    left = wanted - len(title) - sum(map(len, own)) - around * len(own)
    fillers: list[str] = []
    record = _records(uniform, cast)
    while left > 0:
        text = _entry(uniform, form, sentences, record(), uniform() < _SHARE_VOID)
        fillers.append(text)
        left -= len(text) + around

    entries: list[str] = []
    needed: list[int] = []
    taken = 0
    for entry, text in zip(planted, own, strict=True):
        at = int(entry.depth * (len(fillers) + 1))
        entries += fillers[taken:at]
        if entry.needed:
            needed.append(len(entries))
        entries.append(text)
        taken = at
    entries += fillers[taken:]
    entries = [form.prefix % number + text for number, text in enumerate(entries, 1)]
    lengths = list(accumulate((len(text) + len(form.between) for text in entries), initial=0))
    ends = [len(title) + lengths[i] + len(entries[i]) for i in needed]
    return title + form.between.join(entries) + "\n", ends


def _entry(
    uniform: Uniform, form: Form, sentences: tuple[str, ...], record: Record, void: bool
) -> str:
    """One entry without its number."""
    text = pick(uniform, sentences).format(form.dates[record.day], *record)
    if form.remarks and uniform() < _SHARE_WITH_REMARK:
        text += " " + pick(uniform, WORDS.remarks)
    return text + form.void if void else text


def _records(uniform: Uniform, cast: Cast) -> Callable[[], Record]:
    """A function that gives one record of the cast after another."""
    people, units, whats, towns = cast.people, cast.units, WHATS[cast.topic], WORDS.towns
    n_people, n_units, n_whats, n_towns = map(len, (people, units, whats, towns))
    low, high = numbers_of(cast.topic)
    between_people = cast.topic in OTHERS_ARE_PEOPLE

    def record() -> Record:
        person = int(uniform() * n_people)
        if between_people:  # never to oneself
            other = people[(person + 1 + int(uniform() * (n_people - 1))) % n_people]
        else:
            other = FIRMS[int(uniform() * len(FIRMS))]
        return Record(
            int(uniform() * _DAYS),
            people[person],
            units[int(uniform() * n_units)],
            whats[int(uniform() * n_whats)],
            whole(uniform, low, high),
            whole(uniform, *QUANTITIES),
            other,
            towns[int(uniform() * n_towns)],
        )

    return record
