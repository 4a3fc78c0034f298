"""How one record is written down: topics, forms of documents and their sentences.

A document of a form (register, log, memos, report) holds entries about records of a topic. Every
sentence of a topic tells the person, the unit, what it was about, the date and the fields that
questions ask for, so that a question has the same answer whatever sentences are drawn.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from conductor_gym.tasks.document_words import WORDS

FIRST_YEAR, YEARS = 2014, 10
DAYS_A_MONTH = 28
DAYS_A_YEAR = 12 * DAYS_A_MONTH
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
FIRMS = tuple(f"{stem} {kind}" for stem in WORDS.firm_stems for kind in WORDS.firm_kinds)


class Record(NamedTuple):
    """One thing that happened, whatever the topic.

    Attributes:
        day: From the start of `FIRST_YEAR`, in years of `DAYS_A_YEAR` days.
        person: Who bought, visited, repaired or was posted.
        unit: For whom, or where.
        what: Goods, purpose, device or post.
        number: Crowns or minutes.
        quantity: Pieces, number of a badge, hours or number of a room.
        other: A firm, a host or a manager.
        town: Of the firm or the visitor, or where the post is.
    """

    day: int
    person: str
    unit: str
    what: str
    number: int
    quantity: int
    other: str
    town: str


@dataclass(frozen=True, slots=True)
class Form:
    """How documents of one kind look.

    Attributes:
        name: As the title says it.
        prefix: Before each entry, with its number; always of the same length.
        between: What separates entries.
        dates: Every day as this form writes it.
        void: What follows an entry that does not count.
        remarks: Whether entries may end with a remark.
        mixed: Whether sentences change from entry to entry, not only from document to document.
    """

    name: str
    prefix: str
    between: str
    dates: tuple[str, ...]
    void: str
    remarks: bool
    mixed: bool


def _dates(pattern: str) -> tuple[str, ...]:
    return tuple(
        pattern.format(
            year=FIRST_YEAR + day // DAYS_A_YEAR,
            month=day // DAYS_A_MONTH % 12 + 1,
            name=MONTHS[day // DAYS_A_MONTH % 12],
            day=day % DAYS_A_MONTH + 1,
        )
        for day in range(YEARS * DAYS_A_YEAR)
    )


FORMS: dict[str, Form] = {
    "register": Form(
        "Register",
        "No. %05d  ",
        "\n",
        _dates("{year}-{month:02}-{day:02}"),
        " [void]",
        False,
        False,
    ),
    "log": Form(
        "Log", "#%05d ", "\n", _dates("{day:02}.{month:02}.{year}"), " - void", False, True
    ),
    "memos": Form(
        *("Memos", "Memo %05d\n", "\n\n", _dates("{day} {name} {year}")),
        *(" This memo is void.", True, True),
    ),
    "report": Form(
        *("Report", "%05d. ", "\n\n", _dates("{name} {day}, {year}")),
        *(" (This entry is void.)", True, True),
    ),
}

TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "purchases": {
        "register": (
            "{date} | {person} | {unit} | {quantity} {what} | {number:,} crowns | {other}, {town}",
            "{unit}; {quantity} {what}; {other}; {number:,} crowns; bought by {person} on {date}",
        ),
        "log": (
            "{date} order by {person} for {unit}: {quantity} {what}, {number:,} crowns, from "
            "{other}",
            "{date} {unit} received {quantity} {what} from {other}, bought by {person} for "
            "{number:,} crowns",
            "{date} {other} delivers {quantity} {what} to {unit}, paid {number:,} crowns, buyer "
            "{person}",
        ),
        "memos": (
            "Date: {date}\nFrom: {person}\nFor {unit} I have bought {quantity} {what} from "
            "{other} in {town}. The invoice came to {number:,} crowns.",
            "Date: {date}\nSubject: {what}\n{person} has bought {quantity} of them for {unit}. "
            "{other} charged {number:,} crowns.",
            "Date: {date}\nTo: {unit}\nThe {quantity} {what} that {person} bought for you from "
            "{other} are on their way. We have paid {number:,} crowns.",
        ),
        "report": (
            "On {date} {person} bought {quantity} {what} for {unit}. {other} of {town} supplied "
            "them for {number:,} crowns.",
            "{unit} was short of {what}, so {person} bought {quantity} of them from {other}; "
            "{number:,} crowns were paid on {date}.",
            "The {what} that {person} bought for {unit} on {date} cost {number:,} crowns; "
            "{other} sent {quantity} of them.",
        ),
    },
    "visits": {
        "register": (
            "{date} | {person}, {town} | {unit} | {what} | {number} minutes | host {other}",
            "{person} ({town}); {unit}; {what}; {date}; host {other}; stayed {number} minutes",
        ),
        "log": (
            "{date} {unit}: {person} signed in for a {what}, host {other}, left after {number} "
            "minutes",
            "{date} badge {quantity} to {person} from {town}, {what} at {unit}, host {other}, "
            "{number} minutes",
            "{date} {what}, {unit}, visitor {person}, host {other}, {number} minutes in all",
        ),
        "memos": (
            "Date: {date}\nTo: all at {unit}\n{person} was here for a {what} and stayed "
            "{number} minutes, host {other}. Badge {quantity} was returned.",
            "Date: {date}\nSubject: {what}\nVisitor: {person}, {town}\nIt took {number} minutes "
            "at {unit}, host {other}.",
            "Date: {date}\nFrom: {unit}\nWe had {person} of {town} in the house, host {other}. "
            "The reason was a {what} of {number} minutes.",
        ),
        "report": (
            "{person} of {town} came to {unit} on {date} for a {what}. The visit, host {other}, "
            "took {number} minutes.",
            "A {what} brought {person} to {unit} on {date}. It took {number} minutes; the host "
            "{other} was present throughout.",
            "On {date} the host {other} received {person} at {unit}. The reason was a {what}, "
            "and it took {number} minutes.",
        ),
    },
    "repairs": {
        "register": (
            "{date} | {unit} | {what} | {person} | {quantity} hours | {number:,} crowns | {other}",
            "{unit}; {what}; repaired by {person} on {date}; {quantity} hours; {number:,} "
            "crowns; parts from {other}",
        ),
        "log": (
            "{date} {unit}: {what} repaired by {person}, {quantity} hours, {number:,} crowns, "
            "parts from {other}",
            "{date} {person} at {unit}, {what} runs again after {quantity} hours, bill of "
            "{number:,} crowns",
            "{date} {what}, {unit}, {quantity} hours, {number:,} crowns, technician {person}",
        ),
        "memos": (
            "Date: {date}\nFrom: {person}\nThe {what} of {unit} runs again. I worked on it for "
            "{quantity} hours, and the bill is {number:,} crowns.",
            "Date: {date}\nSubject: {what}, {unit}\n{person} repaired it in {quantity} hours "
            "with parts from {other}, which makes {number:,} crowns.",
            "Date: {date}\nTo: {unit}\nYour {what} is in order after {quantity} hours of work "
            "by {person}. {number:,} crowns have been charged.",
        ),
        "report": (
            "On {date} {person} repaired the {what} of {unit}. The work took {quantity} hours "
            "and cost {number:,} crowns, parts from {other} of {town} included.",
            "At {unit} the {what} had failed. {person} needed {quantity} hours to repair it; "
            "the bill of {date} came to {number:,} crowns.",
            "The {what} of {unit} was repaired by {person} on {date}, in {quantity} hours and "
            "for {number:,} crowns.",
        ),
    },
    "postings": {
        "register": (
            "{date} | {person} | {what} | {unit} | in {town} | reports to {other}",
            "{person}; {what}; {unit}; in {town}; reports to {other}; from {date}",
        ),
        "log": (
            "{date} {person} starts as {what} for {unit} in {town}, reports to {other}",
            "{date} {unit} has a new {what}, {person}, in {town}, who reports to {other}",
            "{date} new badge for {person}, {what} in {town}, {unit}, room {quantity}, reports "
            "to {other}",
        ),
        "memos": (
            "Date: {date}\nSubject: new {what}\n{person} joins {unit} and works in {town}, room "
            "{quantity}. In this post {person} reports to {other}.",
            "Date: {date}\nFrom: {unit}\nWe welcome {person} as {what} in {town}. The new "
            "colleague reports to {other}.",
            "Date: {date}\nTo: {unit}\nFrom today {person} is with you as {what} and reports to "
            "{other}. The place of work is in {town}.",
        ),
        "report": (
            "On {date} {person} took up a post as {what} with {unit}. The place of work is in "
            "{town}; {person} reports to {other}.",
            "{unit} filled the post of {what} on {date}: {person} works in {town} and reports "
            "to {other}.",
            "Since {date} {person} reports to {other}. The post is that of {what} with {unit} "
            "in {town}.",
        ),
    },
}

WHATS: dict[str, tuple[str, ...]] = {
    "purchases": WORDS.goods,
    "visits": WORDS.purposes,
    "repairs": WORDS.devices,
    "postings": WORDS.posts,
}
"""What records of a topic can be about."""
OTHERS_ARE_PEOPLE = ("visits", "postings")
"""Topics whose `other` is a person; in the rest it is a firm."""


def _by_position(sentence: str) -> str:
    """A sentence for `format(date, *record)`, which takes half the time of named fields."""
    names = ("date", *Record._fields)
    return re.sub(r"\{(\w+)", lambda found: "{" + str(names.index(found[1])), sentence)


SENTENCES: dict[tuple[str, str], tuple[str, ...]] = {
    (topic, form): tuple(map(_by_position, sentences))
    for topic, forms in TOPICS.items()
    for form, sentences in forms.items()
}
"""Sentences of a topic and form, each to be filled by ``format(date, *record)``."""
