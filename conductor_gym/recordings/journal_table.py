"""A journal of live calls as rows: for people, plots, and all that reads recordings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.journal_lines import JournalLines, Record
from conductor_gym.types import MICROSECONDS, MISSING, NANO_USD, Status, Subtask

SOLVE_COLUMNS = (
    "query",
    "domain",
    "worker",
    "attempt",
    "score",
    "answer",
    "tokens_in",
    "tokens_out",
    "usd",
    "seconds",
    "status",
)
"""Columns of `solve_table`, as docs/recordings.md tells of them."""


class Call(NamedTuple):
    """One call of a journal that was answered.

    Attributes:
        line: Line of its request in the journal.
        key: Of the request.
        uid: Of the query.
        domain: Of the query or part.
        worker: Name.
        subtask: Lower-case name.
        part: Part of the task, -1 for the whole.
        level: Context level, an index into `CONTEXT_LEVELS`.
        attempt: How often the worker was asked the same before.
        target: Identity of the answer that was verified or revised, None without one.
        status: Lower-case name: of the graded outcome, of the reply where it was not graded.
        answer: Identity or text of the answer, as it was graded; None without one.
        confidence: Stated, in [0, 1]; -1 without one.
        verdict: 1 accepts, 0 rejects, -1 without one.
        score: Grade in [0, 1]; None where it was not graded.
        tokens_in: Input tokens billed.
        tokens_out: Output tokens billed.
        usd: USD billed.
        seconds: Latency.
        text: What the worker said.
        about: All that the request said of where it stands: stream, index, split, ...
    """

    line: int
    key: str
    uid: str
    domain: str
    worker: str
    subtask: str
    part: int
    level: int
    attempt: int
    target: int | None
    status: str
    answer: int | str | None
    confidence: float
    verdict: int
    score: float | None
    tokens_in: int
    tokens_out: int
    usd: float
    seconds: float
    text: str
    about: Mapping[str, Any]

    @property
    def is_single(self) -> bool:
        """Whether it is a solve that saw the query alone: an outcome of its own."""
        return self.subtask == "solve" and self.level == 0


def calls(path: Path | str) -> Iterator[Call]:
    """The answered calls of a journal, in the order in which they were sent.

    Args:
        path: ``.jsonl`` or ``.jsonl.gz``. Lines that are not whole are left out.

    Raises:
        DataFileError: No such file, no journal, or one of a later format.
    """
    asked: dict[str, tuple[int, Record]] = {}
    replies: dict[str, Record] = {}
    outcomes: dict[str, Record] = {}
    for line, record in JournalLines(Path(path)):
        if "request" in record:
            asked[record["key"]] = (line, record["request"])
        if record["kind"] == "reply":
            replies[record["key"]] = record
        elif record["kind"] == "graded":
            outcomes[record["key"]] = record["outcome"]
    for key, (line, request) in asked.items():
        if key in replies:
            yield _call(line, key, request, replies[key], outcomes.get(key, {}))


def solve_table(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The single solves of a journal as a long table, each with its line; the header first.

    A solve is single where it saw the query alone (context level 0). A part of a task is a query
    of its own, ``UID#PART``. Attempts are numbered by stream, index and attempt of the run, not
    by which reply came first.

    Raises:
        DataFileError: No such file, no journal, one of a later format, or no such call in it.
    """
    solves = [call for call in calls(path) if call.is_single]
    if not solves:
        raise DataFileError(
            f"{path}: holds no answered solve at context level 0, so there are no outcomes to read."
        )
    solves.sort(key=_order)
    yield 1, list(SOLVE_COLUMNS)
    made: dict[tuple[str, str], int] = {}
    for call in solves:
        query = call.uid if call.part == MISSING else f"{call.uid}#{call.part}"
        attempt = made[query, call.worker] = made.get((query, call.worker), 0) + 1
        answer = "" if call.answer in (None, MISSING) else str(call.answer)
        score = "" if call.score is None else f"{call.score!r}"
        tokens = [str(call.tokens_in), str(call.tokens_out)]
        measures = [*tokens, f"{call.usd:.9f}", f"{call.seconds:.6f}"]
        row = [query, call.domain, call.worker, str(attempt), score, answer, *measures, call.status]
        yield call.line, row


def _order(call: Call) -> tuple[str, int, str, int, int, int]:
    stream, index = (int(call.about.get(name, 0)) for name in ("stream", "index"))
    return call.uid, call.part, call.worker, stream, index, call.attempt


def _call(line: int, key: str, request: Record, reply: Record, outcome: Record) -> Call:
    about = request["about"]
    return Call(
        line=line,
        key=key,
        uid=str(about.get("uid", "")),
        domain=str(about.get("domain", "")),
        worker=str(about.get("worker", request["worker"])),
        subtask=_name(about.get("subtask", ""), Subtask),
        part=about.get("part", MISSING),
        level=about.get("level", 0),
        attempt=about.get("attempt", request["attempt"]),
        target=about.get("target"),
        status=_name(outcome.get("status", reply["status"]), Status),
        answer=outcome.get("answer"),
        confidence=outcome.get("confidence", float(MISSING)),
        verdict=outcome.get("verdict", MISSING),
        score=outcome.get("score"),
        tokens_in=reply.get("tokens_in", 0),
        tokens_out=reply.get("tokens_out", 0),
        usd=reply.get("cost", 0) / NANO_USD,
        seconds=reply.get("latency", 0) / MICROSECONDS,
        text=reply["text"],
        about=about,
    )


def _name(value: int | str, kind: type[Status] | type[Subtask]) -> str:
    """Lower-case name of a status or subtask that was written as a name or as its number."""
    return kind(value).name.lower() if isinstance(value, int) else value.lower()
