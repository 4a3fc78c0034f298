"""The journal of a live run: every call stands on the disk before its result is used.

It is the run's memory: a killed run is started again with the same command, finds the replies that
it has paid for, and goes on. It is a recording too: see `replay.py` and `journal_table.py`.
"""

import errno
import fcntl
import json
import os
import resource
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from conductor_gym.data_files import make_folder
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.live.ballast import Ballast, holder_of
from conductor_gym.live.journal_read import load_journal, reply_record, request_record
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.recordings.journal_lines import FORMAT, Record, to_line
from conductor_gym.version import __version__

SYNC_EVERY_S = 1.0
BYTES_PER_TOKEN = 12
"""Room that is held for a token of a reply: three characters that ASCII writes as six, and spare
for a token that stands for more (assumed)."""
BYTES_PER_LINE = 1024
"""Room that is held for the rest of a reply's line."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_COMPARED = ("kind", "format", "version")
"""Fields of a header in which a run that goes on may differ from the one before."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Journal:
    """An append-only file of calls that survives SIGKILL at any moment; made by `open`.

    A line is handed to the operating system whole before the method returns: a process that dies
    loses nothing that it was told is written. Lines are synced to the disk within about a second
    and at `close`: a power cut may lose the last second, and those calls are asked again.

    A file beside it, ``.NAME.ballast``, holds room for the replies of all calls in flight, at
    least 1 MiB. When the disk is full, no further call is accepted, and those in flight are
    still written. Methods may be called from several threads.

    Attributes:
        path: The file.
        warnings: What could not be read back of an earlier run, for people.
        unanswered: Keys that an earlier run sent and that have no reply yet: they may have been
            billed.
    """

    def __init__(self, path: Path, fd: int, header: Mapping[str, Any]) -> None:
        self.path, self._fd = path, fd
        calls = load_journal(path)
        self.warnings = calls.warnings
        self._check_header(calls.header, header)
        self._replies, self._outcomes = calls.replies, calls.outcomes
        self._requests = set(calls.requests)
        self._worst = {key: calls.worst[key] for key in calls.unanswered}
        self._billed = sum(reply.cost for reply in calls.replies.values())
        self._room: dict[str, int] = {}
        self._held = 0
        self._full = self._unsynced = False
        self._failed_sync = ""
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._ballast = self._make_ballast()
        try:
            if not calls.ends_whole:
                self._append(b"\n")
            if not calls.header:
                first = {"kind": "header", "format": FORMAT, "version": __version__}
                self._append(to_line(first | dict(header)))
        except DataFileError:
            self._ballast.close()
            raise
        self._syncing = threading.Thread(target=self._sync_often, daemon=True)
        self._syncing.start()

    @classmethod
    def open(cls, path: Path | str, header: Mapping[str, Any]) -> Self:
        """Open a journal, or start one.

        Args:
            path: A file that ends in ``.jsonl``; folders are made.
            header: What the run is: pool and its content hash, suite, version of the prompts; JSON
                values. An earlier run's header must say the same.

        Raises:
            ConfigError: The journal belongs to another run; says what differs.
            DataFileError: The file is no journal, cannot be written, is in use by another process,
                or the disk is full.
        """
        path = Path(os.path.realpath(path))
        if path.suffix != ".jsonl":
            raise ConfigError(
                f"journal {path.name!r} must end in .jsonl"
                + (" (a compressed one can only be replayed)." if path.suffix == ".gz" else ".")
            )
        make_folder(path.parent)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataFileError(f"{path}: cannot be written ({error.strerror}).") from None
        try:
            unlocked = _lock(path, fd)
            journal = cls(path, fd, header)
        except BaseException:
            os.close(fd)
            raise
        if unlocked:
            journal.warnings += (unlocked,)
        return journal

    @property
    def spent(self) -> int:
        """nano-USD of all replies, and the worst price of every call without one."""
        with self._lock:
            return self._billed + sum(self._worst.values())

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Keys of calls that were sent and have no reply (yet)."""
        with self._lock:
            return tuple(self._worst)

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
        room = BYTES_PER_LINE + BYTES_PER_TOKEN * request.max_tokens
        with self._lock:
            if self._failed_sync:
                raise DataFileError(f"{self.path}: cannot be written ({self._failed_sync}).")
            record = {"kind": "sent", "key": request.key, "worst": worst_cost}
            line = to_line(self._with_request(record, request))
            try:
                self._hold(len(line), room)
                self._write(line, spare=False)
            except OSError as error:
                raise self._refusal(error) from None
            self._requests.add(request.key)
            self._worst[request.key] = worst_cost
            self._held += room - self._room.get(request.key, 0)
            self._room[request.key] = room

    def replied(self, request: ChatRequest, reply: ChatReply) -> None:
        """Write down how a call came back, before the reply is used.

        Raises:
            DataFileError: Not even the ballast had room for it.
        """
        with self._lock:
            record = {"kind": "reply", "key": request.key, **reply_record(reply)}
            self._append(to_line(self._with_request(record, request)))
            self._requests.add(request.key)
            self._worst.pop(request.key, None)
            self._held -= self._room.pop(request.key, 0)
            before = self._replies.get(request.key)
            self._billed += reply.cost - (before.cost if before else 0)
            self._replies[request.key] = reply

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Write down what a reply was taken for.

        On a full disk it is left out: room is for replies, and grading again costs nothing.

        Args:
            key: Of the request.
            outcome: Status, answer, confidence, verdict, score; JSON values.
        """
        said = dict(outcome)
        with self._lock:
            if self._full or self._outcomes.get(key) == said:
                return
            try:
                self._write(to_line({"kind": "graded", "key": key, "outcome": said}), spare=False)
            except OSError as error:
                if error.errno not in FULL:
                    raise self._refusal(error) from None
                self._full = True
            self._outcomes[key] = said

    def close(self) -> None:
        """Sync and let others have the file. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._syncing.join()
        self._sync()
        self._ballast.close()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_request(self, record: Record, request: ChatRequest) -> Record:
        """A record, with the request where the journal does not hold it yet."""
        if request.key in self._requests:
            return record
        return record | {"request": request_record(request)}

    def _append(self, line: bytes) -> None:
        try:
            self._write(line, spare=True)
        except OSError as error:
            raise DataFileError(f"{self.path}: cannot be written ({error.strerror}).") from None

    def _write(self, line: bytes, spare: bool) -> None:
        """Write a line whole or not at all, giving up ballast for it where `spare` is set."""
        start = os.fstat(self._fd).st_size
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except OSError as error:
                full = error.errno in FULL
                self._full = self._full or full
                if not (full and spare and self._ballast.give(len(rest))):
                    os.ftruncate(self._fd, start)  # no half line before the next one
                    raise
        self._unsynced = True

    def _hold(self, line: int, room: int) -> None:
        """Make sure of room for the replies of all calls in flight and one more.

        Raises:
            OSError: There is none, or the disk was full before.
        """
        needed = self._held + room
        if not self._full:
            try:
                self._ballast.grow(needed)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._full = True
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if most != resource.RLIM_INFINITY:
            self._full |= os.fstat(self._fd).st_size + line + needed > most
        if self._full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _refusal(self, error: OSError) -> DataFileError:
        if error.errno not in FULL:
            return DataFileError(f"{self.path}: cannot be written ({error.strerror}).")
        return DataFileError(
            f"{self.path}: the disk is full or the file may not grow further. No further call is "
            f"sent; room is held for the replies of the {len(self._room)} calls in flight. Free "
            "space and run the same command again: nothing is paid twice."
        )

    def _make_ballast(self) -> Ballast:
        path = _ballast_path(self.path)
        try:
            return Ballast(path)
        except OSError as error:
            raise DataFileError(
                f"{path}: 1 MiB cannot be held for replies ({error.strerror}). Free space or "
                "name a journal on another disk."
            ) from None

    def _check_header(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        differs = [
            f"{name} is {found.get(name)!r} there and {value!r} now"
            for name, value in json.loads(json.dumps(dict(given))).items()
            if found and name not in NOT_COMPARED and found.get(name) != value
        ]
        if differs:
            raise ConfigError(
                f"journal {self.path} belongs to another run: {'; '.join(differs)}. Name another "
                "file, or run it as it was."
            )

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            self._sync()

    def _sync(self) -> None:
        if not self._unsynced:
            return
        self._unsynced = False
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._failed_sync = error.strerror or str(error)


def _ballast_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.ballast")


def _lock(path: Path, fd: int) -> str:
    """Lock a journal; a warning where this filesystem has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return f"{path} lies on a filesystem without locks: take care that one run writes it"
        raise DataFileError(
            f"journal {path} is in use by {holder_of(_ballast_path(path))}. Wait for it, stop it, "
            "or name another file."
        ) from None
    return ""
