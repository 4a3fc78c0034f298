"""A reader of the long-context family: answers from the text of question and documents alone."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORDS: dict[str, list[str]] = tomllib.loads(
    (Path(__file__).parents[1] / "tasks" / "document_words.toml").read_text(encoding="utf-8")
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
STEPS = {"once": 1, "twice": 2, "three times": 3}


def any_of(*lists: str) -> str:
    """A pattern of one word from each list."""
    return r"\b" + " ".join(f"(?:{'|'.join(WORDS[name])})" for name in lists) + r"\b"


PERSON = any_of("first_names", "last_names")
UNIT = any_of("unit_stems", "unit_middles", "unit_kinds")
FIRM = any_of("firm_stems", "firm_kinds")
WHAT = {
    "purchases": any_of("goods"),
    "visits": any_of("purposes"),
    "repairs": any_of("devices"),
    "postings": any_of("posts"),
}
MONTH = "|".join(MONTHS)


@dataclass(frozen=True)
class Entry:
    """One entry as it was read."""

    text: str
    month: str
    void: bool
    person: str
    other: str
    unit: str
    what: str
    value: str

    @property
    def year(self) -> str:
        return self.month.split(" ")[1]


def only(pattern: str, text: str) -> str:
    """The one thing in a text that fits a pattern; '' where there is none."""
    found = set(re.findall(pattern, text))
    assert len(found) <= 1, (pattern, text)
    return found.pop() if found else ""


def month_of(text: str) -> str:
    """Month and year of the one date in a text."""
    found: list[str] = []
    found += [f"{MONTHS[int(m) - 1]} {y}" for y, m in re.findall(r"\b(\d{4})-(\d\d)-\d\d\b", text)]
    found += [f"{MONTHS[int(m) - 1]} {y}" for m, y in re.findall(r"\b\d\d\.(\d\d)\.(\d{4})", text)]
    found += [f"{m} {y}" for m, y in re.findall(rf"\b\d+ ({MONTH}) (\d{{4}})\b", text)]
    found += [f"{m} {y}" for m, y in re.findall(rf"\b({MONTH}) \d+, (\d{{4}})\b", text)]
    (month,) = found
    return month


def entries_of(document: str, topic: str) -> list[str]:
    """Texts of a document's entries."""
    title, body = document.split("\n\n", 1)
    assert topic in title
    between = "\n" if title.startswith(("Register", "Log")) else "\n\n"
    return body.removesuffix("\n").split(between)


def read_entry(text: str, topic: str, value: str) -> Entry:
    """Read one entry; `value` is a pattern of what the question asks for."""
    other = only(rf"(?:reports to|host) ({PERSON})", text)
    people = set(re.findall(PERSON, text)) - {other}
    assert len(people) == 1, text
    return Entry(
        text,
        month_of(text),
        re.search(r"\bvoid\b", text) is not None,
        people.pop(),
        other,
        only(UNIT, text),
        only(WHAT[topic], text),
        only(value, text).replace(",", ""),
    )


@cache
def read_all(prompt: str, texts: tuple[str, ...]) -> list[Entry]:
    """All entries of a task's documents."""
    topic, value = topic_of(prompt), value_of(prompt)
    return [
        read_entry(text, topic, value) for document in texts for text in entries_of(document, topic)
    ]


def topic_of(prompt: str) -> str:
    """What the documents are about."""
    found = re.search(r", about (\w+)\.", prompt)
    assert found
    return found[1]


def value_of(prompt: str) -> str:
    """A pattern of what a question asks for in an entry."""
    question = prompt.split("\n")[1]
    if "crowns" in question:
        return r"([\d,]+) crowns"
    if "minutes" in question:
        return r"(\d+) minutes"
    if "hours" in question:
        return r"(\d+) hours"
    if "firm" in question:
        return FIRM
    if "In which town" in question:
        return rf"\bin ({'|'.join(WORDS['towns'])})\b"
    return r"(?:reports to|host) (\w+ \w+)"


def conditions(prompt: str) -> dict[str, Callable[[Entry], bool]]:
    """What a question states of an entry, by name."""
    question = prompt.split("\n")[1]
    periods = re.findall(rf"(?:(?:{MONTH}) )?\b20\d\d\b", question)
    person, unit, what = (
        only(pattern, question) for pattern in (PERSON, UNIT, WHAT[topic_of(prompt)])
    )
    stated: dict[str, Callable[[Entry], bool]] = {
        "period": lambda entry: entry.month in periods or entry.year in periods,
        "void": lambda entry: not entry.void,
    }
    if person and "they report to" in question:
        stated["other"] = lambda entry: entry.other == person
    elif person and "Start with" not in question:
        stated["person"] = lambda entry: entry.person == person
    if unit:
        stated["unit"] = lambda entry: entry.unit == unit
    if what:
        stated["what"] = lambda entry: entry.what == what
    return stated


def answer_of(prompt: str, texts: tuple[str, ...]) -> tuple[str, list[Entry]]:
    """The answer, and the entries that it rests on."""
    question = prompt.split("\n")[1]
    stated = conditions(prompt)
    fits = [e for e in read_all(prompt, texts) if all(holds(e) for holds in stated.values())]
    climb = re.search(rf"Start with ({PERSON}) and go (once|twice|three times)", question)
    if climb:
        path: list[Entry] = []
        name = climb[1]
        for _ in range(STEPS[climb[2]] + 1):
            (entry,) = [entry for entry in fits if entry.person == name]
            path.append(entry)
            name = entry.other
        return path[-1].value, path
    numbers = [int(entry.value) for entry in fits if entry.value.isdecimal()]
    if "in all" in question:
        return str(sum(numbers)), fits
    if "differ?" in question:
        low, high = sorted(numbers)
        return str(high - low), fits
    if re.search(r"How many (purchases|visits|times|people)", question):
        return str(len(fits)), fits
    if question.startswith("Which "):
        field = "unit" if "places" in question else "what"
        return ", ".join(getattr(entry, field) for entry in fits), fits
    if question.startswith(("Who bought", "Who visited", "Who repaired", "Who took")):
        return ", ".join(entry.person for entry in fits), fits
    (entry,) = fits
    return entry.value, fits
