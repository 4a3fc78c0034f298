"""The lines of a journal of live calls: JSON with a checksum, read back whatever befell the file.

A line is one JSON object, in ASCII, whose last field ``sum`` is BLAKE2b-4 of what stands before
it. Kinds of lines, by their field ``kind``:

* ``header``: format, version, and what the run was: pool, suite, prompts.
* ``sent``: a call that is about to be sent: its key, its worst price in nano-USD, and once for
  each key the request.
* ``dropped``: that a call that was sent ended without a reply and without a bill.
* ``reply``: how it came back: status, text, tokens, nano-USD, microseconds.
* ``graded``: what the reply was taken for: status, answer, confidence, verdict, score.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from conductor_gym.errors import DataFileError

FORMAT = 1
JOURNAL_SUFFIXES = (".jsonl", ".jsonl.gz")
FIRST_BYTES = b'{"kind":"header"'
MAX_WARNINGS = 10

_START = b'{"kind":'
_SUM_BYTES = 4
_TAIL_BYTES = len(',"sum":""}') + 2 * _SUM_BYTES
_END_OF_LINE = re.compile(rb'(?<=,"sum":"[0-9a-f]{8}"\})')

Record = dict[str, Any]


def to_line(record: Record) -> bytes:
    """A record as one line, its newline included. ``kind`` comes first, ``sum`` last."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False, default=_plain)
    body = text[:-1].encode()
    return b'%b,"sum":"%b"}\n' % (body, _sum(body))


def from_line(line: bytes) -> Record | None:
    """The record of a line, None where the line is not whole."""
    line = line.rstrip(b"\n")
    if len(line) <= _TAIL_BYTES or _tail(line[:-_TAIL_BYTES]) != line[-_TAIL_BYTES:]:
        return None
    return cast(Record, json.loads(line))


def _tail(body: bytes) -> bytes:
    """How a line goes on after everything but its checksum."""
    return b',"sum":"%b"}' % _sum(body)


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM_BYTES).hexdigest().encode()


def _plain(value: Any) -> Any:
    """A NumPy number as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON value, a journal cannot hold {value!r}")


class JournalLines:
    """Reads a journal, plain or gzipped.

    A line that is not whole is skipped and told of, never an error: the file was cut, its writer
    was killed while writing, or a byte has changed.

    Args:
        path: The journal.

    Attributes:
        warnings: What could not be read, after the last record.
        ends_whole: Whether the file ends with a newline, after the last record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: tuple[str, ...] = ()
        self.ends_whole = True

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Every whole record with its line, from 1.

        Raises:
            DataFileError: The file cannot be read, is no journal, or is of a later format.
        """
        self.warnings, self.ends_whole = (), True
        broken: list[str] = []
        found = number = 0
        for number, line in enumerate(self._lines(broken), start=1):
            self.ends_whole = line.endswith(b"\n")
            records = _records(line)
            for record in records:
                if record is None:
                    broken.append(self._lost(number))
                    continue
                self._check_format(record)
                found += 1
                yield number, record
        if number and not found and (self.ends_whole or not self._is_cut_header()):
            raise DataFileError(
                f"{self.path} is no journal: no line of it is one. It was left as it is; name "
                "another file."
            )
        more = len(broken) - MAX_WARNINGS
        self.warnings = tuple(broken[:MAX_WARNINGS])
        if more > 0:
            self.warnings += (f"{self.path}: {more} more lines are not whole",)

    def _lines(self, broken: list[str]) -> Iterator[bytes]:
        zipped = self.path.suffix == ".gz"
        opened: Any = gzip.open if zipped else open
        try:
            with opened(self.path, "rb") as file:
                yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile):
            broken.append(f"{self.path} ends too early or is damaged: what came after is missing")
        except OSError as error:
            raise DataFileError(f"{self.path}: cannot be read ({error.strerror}).") from None

    def _lost(self, number: int) -> str:
        what = f"{self.path}, line {number}: "
        what += "not whole, skipped" if self.ends_whole else "cut off at the end of the file"
        return f"{what}; if it was a reply, that call may be asked again"

    def _is_cut_header(self) -> bool:
        with self.path.open("rb") as file:
            start = file.read(len(FIRST_BYTES))
        return FIRST_BYTES.startswith(start)

    def _check_format(self, record: Record) -> None:
        if record["kind"] == "header" and record["format"] != FORMAT:
            raise DataFileError(
                f"{self.path} has format {record['format']}, this version reads format {FORMAT}. "
                "Update conductor-gym or name another file."
            )


def _records(line: bytes) -> list[Record | None]:
    """The record of a line, and those that a lost newline glued to it; None for what is broken."""
    record = from_line(line)
    if record is not None:
        return [record]
    if not line.strip():
        return []
    pieces = [piece for piece in _END_OF_LINE.split(line) if piece.strip()]
    return [from_line(piece[max(0, piece.find(_START)) :]) for piece in pieces]


def is_journal(path: Path) -> bool:
    """Whether a file is a journal, by its name and first bytes."""
    if not path.name.endswith(JOURNAL_SUFFIXES):
        return False
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            return file.read(len(FIRST_BYTES)) == FIRST_BYTES
    except (OSError, EOFError, zlib.error):
        return False
