"""The journal of a live run: every call stands on the disk before its result is used.

It is the run's memory: a killed run is started again with the same command, finds the replies that
it has paid for, and goes on. It is a recording too: `replay.py` and `recordings/journal_table.py`.
"""

import json
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from conductor_gym.data_files import make_folder
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.live.ballast import MEBIBYTE
from conductor_gym.live.journal_file import NO_ROOM, JournalFile
from conductor_gym.live.journal_read import Calls, load_journal, reply_record, request_record
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.recordings.journal_lines import FORMAT, Record, to_line
from conductor_gym.types import Status
from conductor_gym.version import __version__

BYTES_PER_TOKEN = 12
"""Room that is held for a token of a reply: two characters that ASCII writes as six (assumed)."""
BYTES_PER_LINE = 1024
"""Room that is held for the rest of a reply's line."""
NAMED = {"workers": "hash of the workers' uids and prices", "prompts": "version of the prompts"}
NOT_COMPARED = ("kind", "format", "version")
"""Fields of a header in which a run that goes on may differ from the one before."""


class Journal:
    """An append-only file of calls that survives SIGKILL at any moment; see `open`.

    A line is handed to the operating system whole before the method returns: a process that dies
    loses nothing that it was told is written. Lines are synced to the disk within about a second
    and at `close`: a power cut may lose the last second, and those calls are asked again.

    A file beside it, ``.NAME.ballast``, holds room for the replies of all calls in flight, at
    least 1 MiB. When the disk is full, no further call is accepted, and those in flight are
    still written. Methods may be called from several threads.

    Replies are kept in memory: about their text and 500 bytes each.

    Args:
        file: The file, locked.
        calls: What it holds.
        header: What it begins with, where it holds no header yet.

    Attributes:
        path: The file.
        warnings: What could not be read back of an earlier run, for people.

    Raises:
        DataFileError: The disk is full or the file cannot be written.
    """

    def __init__(self, file: JournalFile, calls: Calls, header: Mapping[str, Any]) -> None:
        self.path = file.path
        self.warnings = (*calls.warnings, *([file.warning] if file.warning else []))
        self._file = file
        self._lock = threading.Lock()
        self._replies, self._outcomes = calls.replies, calls.outcomes
        self._requests = set(calls.requests)
        self._worst = {key: calls.worst[key] for key in calls.unanswered}
        self._billed = sum(reply.cost for reply in calls.replies.values())
        self._room: dict[str, int] = {}
        self._held = 0
        self._closed = False
        try:
            file.hold(MEBIBYTE)
            if not calls.ends_whole:
                file.write(b"\n")
            if not calls.header:
                first = {"kind": "header", "format": FORMAT, "version": __version__}
                file.write(to_line(first | dict(header)))
        except OSError as error:
            raise DataFileError(
                f"{self.path}: 1 MiB cannot be held for replies ({error.strerror}). Free space or "
                "name a journal on another disk."
            ) from None

    @classmethod
    def open(
        cls, path: Path | str, header: Mapping[str, Any], forget: Collection[Status] = ()
    ) -> Self:
        """Open a journal, or start one.

        Args:
            path: A file that ends in ``.jsonl``; folders are made.
            header: What the run is: pool and its content hash, suite, version of the prompts; JSON
                values. An earlier run's header must say the same.
            forget: Statuses of replies that do not count as replies: those calls are made again.

        Raises:
            ConfigError: The journal belongs to another run; says what differs.
            DataFileError: The file is no journal, cannot be written, is in use by another process,
                or the disk is full.
        """
        path = Path(os.path.realpath(path))
        if path.suffix != ".jsonl":
            hint = " (a compressed one can only be replayed)" if path.suffix == ".gz" else ""
            raise ConfigError(f"journal {path.name!r} must end in .jsonl{hint}.")
        make_folder(path.parent)
        file = JournalFile(path)
        try:
            calls = load_journal(path)
            _check_header(calls, json.loads(json.dumps(dict(header))))
            known = calls.replies.items()
            calls.replies = {key: reply for key, reply in known if reply.status not in forget}
            return cls(file, calls, header)
        except BaseException:
            file.close()
            raise

    @property
    def spent(self) -> int:
        """nano-USD of all replies, and the worst price of every call without one."""
        with self._lock:
            return self._billed + sum(self._worst.values())

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Keys of calls that were sent and have no reply (yet): they may have been billed."""
        with self._lock:
            return tuple(self._worst)

    @property
    def unanswered_costs(self) -> dict[str, int]:
        """nano-USD that `spent` counts for each of them: its worst price."""
        with self._lock:
            return dict(self._worst)

    def reply_to(self, key: str) -> ChatReply | None:
        """The reply to an equal request, of this run or an earlier one."""
        return self._replies.get(key)

    def sent(self, request: ChatRequest, worst_cost: int) -> None:
        """Write down that a call is about to be sent.

        Args:
            request: The call.
            worst_cost: nano-USD that it may cost at most.

        Raises:
            DataFileError: The disk is full or the file cannot be written: do not send it, let the
                calls in flight come back, then stop.
        """
        key, room = request.key, BYTES_PER_LINE + BYTES_PER_TOKEN * request.max_tokens
        with self._lock:
            self._check_sync()
            record: Record = {"kind": "sent", "key": key, "worst": worst_cost}
            line = to_line(self._with_request(record, request))
            try:
                self._file.hold(self._held + room + len(line))
                self._file.write(line)
            except OSError as error:
                raise self._refusal(error) from None
            self._requests.add(key)
            self._worst[key] = worst_cost
            self._held += room - self._room.get(key, 0)
            self._room[key] = room

    def replied(self, request: ChatRequest, reply: ChatReply) -> None:
        """Write down how a call came back, before the reply is used.

        Raises:
            DataFileError: The file cannot be written; not for a full disk, as long as the reply has
                no more text than its request allows.
        """
        key = request.key
        with self._lock:
            record: Record = {"kind": "reply", "key": key, **reply_record(reply)}
            try:
                self._file.write(to_line(self._with_request(record, request)), must=True)
            except OSError as error:
                raise self._file.error(error) from None
            self._requests.add(key)
            self._came_back(key)
            before = self._replies.get(key)
            self._billed += reply.cost - (before.cost if before else 0)
            self._replies[key] = reply

    def dropped(self, request: ChatRequest) -> None:
        """Write down that a call that was sent ended without a reply and without a bill.

        Raises:
            DataFileError: The file cannot be written.
        """
        with self._lock:
            self._note({"kind": "dropped", "key": request.key})
            self._came_back(request.key)

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Write down what a reply was taken for.

        On a full disk it is left out: room is for replies, and grading again costs nothing.

        Args:
            key: Of the request.
            outcome: Status, answer, confidence, verdict, score; JSON values.

        Raises:
            DataFileError: The file cannot be written.
        """
        said = dict(outcome)
        with self._lock:
            if self._outcomes.get(key) != said:
                self._note({"kind": "graded", "key": key, "outcome": said})
                self._outcomes[key] = said

    def close(self) -> None:
        """Sync and let others have the file. May be called twice.

        Raises:
            DataFileError: What was written may not have reached the disk.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._file.close()
            self._check_sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_request(self, record: Record, request: ChatRequest) -> Record:
        """A record, with the request where the journal does not hold it yet."""
        if request.key in self._requests:
            return record
        return record | {"request": request_record(request)}

    def _came_back(self, key: str) -> None:
        self._worst.pop(key, None)
        self._held -= self._room.pop(key, 0)

    def _note(self, record: Record) -> None:
        """Write a line that a full disk may go without."""
        if self._file.full:
            return
        try:
            self._file.write(to_line(record))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise self._file.error(error) from None

    def _check_sync(self) -> None:
        if self._file.failed_sync:
            raise DataFileError(
                f"{self.path}: the disk did not take what was written ({self._file.failed_sync}). "
                "The last calls may be missing: run the same command again."
            )

    def _refusal(self, error: OSError) -> DataFileError:
        if error.errno not in NO_ROOM:
            return self._file.error(error)
        return DataFileError(
            f"{self.path}: the disk is full or the file may not grow further. No further call is "
            f"sent; room is held for the replies of the {len(self._room)} calls in flight. Free "
            "space and run the same command again: nothing is paid twice."
        )


def _check_header(calls: Calls, given: Mapping[str, Any]) -> None:
    differs = [
        f"{NAMED.get(name, name)} is {calls.header.get(name)!r} there and {value!r} now"
        for name, value in given.items()
        if calls.header and name not in NOT_COMPARED and calls.header.get(name) != value
    ]
    if differs:
        raise ConfigError(
            f"journal {calls.path} belongs to another run: {'; '.join(differs)}. Name another "
            "file, or run it as it was."
        )
