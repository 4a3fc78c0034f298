"""Questions of the long-context family: which records answer them, and what of these is asked."""

from dataclasses import dataclass
from typing import Literal

from conductor_gym.tasks.document_forms import DAYS_A_MONTH, DAYS_A_YEAR, FIRST_YEAR, MONTHS

KINDS = ("single-fact", "several-facts", "count", "extract")
Combination = Literal["one", "sum", "difference", "chain", "count", "list"]


@dataclass(frozen=True, slots=True)
class Question:
    """A way to ask.

    Attributes:
        kind: One of `KINDS`.
        combination: What is made of the records that fit.
        topic: Of the documents.
        given: Fields of a record that the question states; the first is what it asks about, and
            its value is the task's key.
        value: Field that is asked for; of no meaning for a count.
        text: Has the fields of `given` and ``{period}``; a chain's also ``{steps}``.
    """

    kind: str
    combination: Combination
    topic: str
    given: tuple[str, ...]
    value: str
    text: str

    @property
    def length(self) -> int:
        """Days in the period that the question names: a month or a year."""
        by_month = self.combination in ("one", "sum", "difference")
        return DAYS_A_MONTH if by_month else DAYS_A_YEAR


def period_text(start: int, length: int) -> str:
    """Name of the month or year that begins on a day, such as ``March 2017`` or ``2017``."""
    year = str(FIRST_YEAR + start // DAYS_A_YEAR)
    if length == DAYS_A_YEAR:
        return year
    return f"{MONTHS[start // DAYS_A_MONTH % 12]} {year}"


_CLIMB = (
    "Look only at posts that began in {period}. Start with {person} and go {steps} from a person "
    "to the one to whom that person reports."
)
_ALL = (
    Question(
        *("single-fact", "one", "purchases", ("person", "what"), "number"),
        "How many crowns were paid for the {what} that {person} bought in {period}?",
    ),
    Question(
        *("single-fact", "one", "purchases", ("person", "unit"), "number"),
        "How many crowns were paid for what {person} bought for {unit} in {period}?",
    ),
    Question(
        *("single-fact", "one", "purchases", ("person", "what"), "other"),
        "From which firm did {person} buy {what} in {period}?",
    ),
    Question(
        *("single-fact", "one", "visits", ("person", "unit"), "number"),
        "How many minutes did the visit of {person} to {unit} in {period} take?",
    ),
    Question(
        *("single-fact", "one", "visits", ("person", "what"), "other"),
        "Who was the host when {person} came for a {what} in {period}?",
    ),
    Question(
        *("single-fact", "one", "repairs", ("person", "what"), "number"),
        "How many crowns did it cost when {person} repaired the {what} in {period}?",
    ),
    Question(
        *("single-fact", "one", "repairs", ("person", "unit"), "quantity"),
        "How many hours did the repair that {person} made for {unit} in {period} take?",
    ),
    Question(
        *("single-fact", "one", "postings", ("person",), "town"),
        "In which town did {person} take up a post in {period}?",
    ),
    Question(
        *("single-fact", "one", "postings", ("person", "unit"), "other"),
        "To whom did {person} report in the post with {unit} that began in {period}?",
    ),
    Question(
        *("several-facts", "sum", "purchases", ("person", "what"), "number"),
        "How many crowns in all were paid for the {what} that {person} bought in {period}?",
    ),
    Question(
        *("several-facts", "sum", "visits", ("person", "unit"), "number"),
        "How many minutes in all did the visits of {person} to {unit} in {period} take?",
    ),
    Question(
        *("several-facts", "sum", "repairs", ("person", "what"), "number"),
        "How many crowns in all did it cost when {person} repaired the {what} in {period}?",
    ),
    Question(
        *("several-facts", "difference", "purchases", ("person", "what"), "number"),
        "By how many crowns do the prices of the {what} that {person} bought in {period} differ?",
    ),
    Question(
        *("several-facts", "difference", "visits", ("person", "unit"), "number"),
        "By how many minutes do the visits of {person} to {unit} in {period} differ?",
    ),
    Question(
        *("several-facts", "chain", "postings", ("person",), "town"),
        f"{_CLIMB} In which town is the post of the person at whom you arrive?",
    ),
    Question(
        *("several-facts", "chain", "postings", ("person",), "other"),
        f"{_CLIMB} To whom does the person at whom you arrive report?",
    ),
    Question(
        *("count", "count", "purchases", ("unit", "what"), "person"),
        "How many purchases of {what} for {unit} were there in {period}?",
    ),
    Question(
        *("count", "count", "visits", ("unit", "what"), "person"),
        "How many visits to {unit} for a {what} were there in {period}?",
    ),
    Question(
        *("count", "count", "repairs", ("unit", "what"), "person"),
        "How many times was a {what} of {unit} repaired in {period}?",
    ),
    Question(
        *("count", "count", "postings", ("unit", "what"), "person"),
        "How many people took up a post as {what} with {unit} in {period}?",
    ),
    Question(
        *("extract", "list", "purchases", ("unit", "what"), "person"),
        "Who bought {what} for {unit} in {period}?",
    ),
    Question(
        *("extract", "list", "purchases", ("person",), "what"),
        "Which goods did {person} buy in {period}?",
    ),
    Question(
        *("extract", "list", "visits", ("unit", "what"), "person"),
        "Who visited {unit} for a {what} in {period}?",
    ),
    Question(
        *("extract", "list", "visits", ("person",), "unit"),
        "Which places did {person} visit in {period}?",
    ),
    Question(
        *("extract", "list", "repairs", ("unit",), "what"),
        "Which devices were repaired for {unit} in {period}?",
    ),
    Question(
        *("extract", "list", "repairs", ("unit", "what"), "person"),
        "Who repaired a {what} for {unit} in {period}?",
    ),
    Question(
        *("extract", "list", "postings", ("other",), "person"),
        "Who took up a post in {period} in which they report to {other}?",
    ),
)

QUESTIONS: dict[str, tuple[Question, ...]] = {
    kind: tuple(question for question in _ALL if question.kind == kind) for kind in KINDS
}
"""All questions by kind."""
