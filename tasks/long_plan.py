"""What must stand in the documents of one question: records that fit it, and near misses."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from conductor_gym.tasks.document_forms import (
    DAYS_A_YEAR,
    FIRMS,
    OTHERS_ARE_PEOPLE,
    WHATS,
    YEARS,
    Record,
)
from conductor_gym.tasks.document_words import WORDS
from conductor_gym.tasks.document_writer import QUANTITIES, Cast, Planted, numbers_of
from conductor_gym.tasks.drawing import Uniform, pick, shuffled, whole
from conductor_gym.tasks.long_questions import Question

TOKENS_OF_ENTRY = 75
"""More than an entry takes on average; decides how many may be planted."""
MAX_NEAR, MAX_LIST, MAX_COUNT = 12, 8, 24
"""Near misses of a task, items of a list and records to be counted, at most."""
_PLANTED = 40  # no task plants more than 36
_SIMILAR = 6
_GOLDEN = 0.6180339887498949  # steps of this share fill [0, 1) evenly
_PERSON = (WORDS.first_names, WORDS.last_names)
_UNIT = (WORDS.unit_stems, WORDS.unit_middles, WORDS.unit_kinds)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a record must be to fit.

    Attributes:
        fields: Values of fields of a record.
        start: First day of the month or year.
    """

    fields: dict[str, str]
    start: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planted, and whom the other entries are about.

    Attributes:
        goals: One for each record that fits; the same one again for counts and lists.
        fitting: The records that fit: a chain's in the order of its steps, others by depth.
        planted: Those and the near misses.
        cast: Of the other entries; it names nobody and no unit that a goal or near miss names.
    """

    goals: list[Goal]
    fitting: list[Planted]
    planted: list[Planted]
    cast: Cast


def make_plan(uniform: Uniform, question: Question, turn: int, tokens: int) -> Plan:
    """Plan one task.

    Args:
        uniform: Where choices come from.
        question: What is asked.
        turn: Number of the task among those of its kind: depths of single facts follow it.
        tokens: Of all documents together.
    """
    room = tokens // TOKENS_OF_ENTRY
    names = _Names(uniform, question)
    goals = _goals(uniform, question, names, room)
    people = names.people(2 * _PLANTED + room // 8)
    units = names.units(_PLANTED + room // 40)
    board = pick(uniform, WORDS.boards)
    cast = Cast(question.topic, board, people[: 12 + room // 8], units[: 8 + room // 40])
    fresh = _fresh(uniform, question.topic, people, units, names.asked.get("what", ""))

    depths = [(i + uniform()) / len(goals) for i in range(len(goals))]
    if question.combination == "one":
        depths = [turn * _GOLDEN % 1.0]
    fitting = [
        Planted(depth, _record(uniform, question, goal, fresh), False, True)
        for depth, goal in zip(shuffled(uniform, depths), goals, strict=True)
    ]
    changes = [*question.given, "period", "void"]
    near: list[Planted] = []
    for i in range(min(MAX_NEAR, 4 + room // 10)):
        change, goal = changes[i % len(changes)], pick(uniform, goals)
        fields = {field: goal.fields[field] for field in question.given}
        start = goal.start
        if change == "period":
            start = _other_start(uniform, question, start, goals)
        elif change != "void":
            fields[change] = next(names.similar.get(change, fresh["what"]))
        record = _record(uniform, question, Goal(fields, start), fresh)
        near.append(Planted(uniform(), record, change == "void", False))
    if question.combination != "chain":
        fitting.sort()
    return Plan(goals, fitting, fitting + near, cast)


class _Names:
    """What is asked about and names similar to it; no name is given twice.

    Attributes:
        asked: Values of the fields that the question states.
        similar: For each of these that is a name: names that differ in one word.
    """

    def __init__(self, uniform: Uniform, question: Question) -> None:
        self._uniform = uniform
        self._taken: set[str] = set()
        self.asked: dict[str, str] = {}
        self.similar: dict[str, Iterator[str]] = {}
        for field in question.given:
            if field == "what":
                self.asked[field] = pick(uniform, WHATS[question.topic])
                continue
            parts = _UNIT if field == "unit" else _PERSON
            self.asked[field] = self._new(parts)
            words = [(word,) for word in self.asked[field].split()]
            near: list[str] = []
            for i in range(_SIMILAR):
                changed = i % len(parts)
                near.append(self._new((*words[:changed], parts[changed], *words[changed + 1 :])))
            self.similar[field] = iter(near)

    def _new(self, parts: tuple[tuple[str, ...], ...]) -> str:
        """A name with one word of each part."""
        while True:
            name = " ".join(pick(self._uniform, words) for words in parts)
            if name not in self._taken:
                self._taken.add(name)
                return name

    def people(self, number: int) -> list[str]:
        """More names of people."""
        return [self._new(_PERSON) for _ in range(number)]

    def units(self, number: int) -> list[str]:
        """More names of units."""
        return [self._new(_UNIT) for _ in range(number)]


def _goals(uniform: Uniform, question: Question, names: _Names, room: int) -> list[Goal]:
    start = _start(uniform, question)
    if question.combination == "chain":
        people = [names.asked["person"], *names.people(whole(uniform, 1, 3))]
        links = [{"person": a, "other": b} for a, b in pairwise(people)]
        return [Goal(fields, start) for fields in [*links, {"person": people[-1]}]]
    if question.combination in ("sum", "difference"):
        goals = [Goal(names.asked, start)]
        for _ in range(whole(uniform, 1, 3) if question.combination == "sum" else 1):
            goals.append(Goal(names.asked, _other_start(uniform, question, start, goals)))
        return goals
    most = {"one": 1, "list": min(MAX_LIST, 3 + room // 4), "count": min(MAX_COUNT, 5 + room // 4)}
    least = {"one": 1, "list": 3, "count": 5}
    number = whole(uniform, least[question.combination], most[question.combination])
    return [Goal(names.asked, start)] * number


def _start(uniform: Uniform, question: Question) -> int:
    """First day of some month or year, as the question names them."""
    return question.length * int(uniform() * (YEARS * DAYS_A_YEAR // question.length))


def _other_start(uniform: Uniform, question: Question, start: int, goals: list[Goal]) -> int:
    """The same month of another year, another month of the same year, or another year."""
    while True:
        other = _start(uniform, question)
        if question.length < DAYS_A_YEAR:
            year, month = start // DAYS_A_YEAR, other % DAYS_A_YEAR
            if uniform() < 0.5:
                year, month = other // DAYS_A_YEAR, start % DAYS_A_YEAR
            other = year * DAYS_A_YEAR + month
        if all(other != goal.start for goal in goals):
            return other


def _fresh(
    uniform: Uniform, topic: str, people: list[str], units: list[str], asked_what: str
) -> dict[str, Iterator[Any]]:
    """Values of fields that planted records need besides their goal, each given once."""
    people = shuffled(uniform, people)
    others = people[_PLANTED:] if topic in OTHERS_ARE_PEOPLE else shuffled(uniform, FIRMS)
    low, high = numbers_of(topic)
    numbers = dict.fromkeys(whole(uniform, low, high) for _ in range(4 * _PLANTED))
    return {
        "person": iter(people[:_PLANTED]),
        "unit": iter(shuffled(uniform, units)),
        "what": iter(shuffled(uniform, [w for w in WHATS[topic] if w != asked_what])),
        "number": iter(numbers),
        "quantity": iter(shuffled(uniform, range(QUANTITIES[0], QUANTITIES[1] + 1))),
        "other": iter(others),
        "town": iter(shuffled(uniform, WORDS.towns)),
    }


def _record(
    uniform: Uniform, question: Question, goal: Goal, fresh: dict[str, Iterator[Any]]
) -> Record:
    values: dict[str, Any] = {
        field: goal.fields[field] if field in goal.fields else next(fresh[field])
        for field in Record._fields
        if field != "day"
    }
    return Record(day=goal.start + int(uniform() * question.length), **values)
