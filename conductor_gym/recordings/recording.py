"""A recording in memory: queries, workers, and one array for each thing that was measured."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from conductor_gym.data_files import FileStamp, file_stamps
from conductor_gym.errors import DataFileError, unknown_name
from conductor_gym.recordings.card import RecordedWorker, RecordingCard
from conductor_gym.recordings.detect import load_recording_card
from conductor_gym.recordings.long import read_long
from conductor_gym.recordings.outcomes import Outcomes
from conductor_gym.recordings.queries import Queries, read_queries
from conductor_gym.recordings.table_file import table_path
from conductor_gym.recordings.wide import read_wide
from conductor_gym.recordings.workers_file import read_workers

TOKENS_WITHOUT_TEXT = 128
"""Prompt tokens of a query whose text is not recorded (assumed)."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that was read.

    Attributes:
        card: Its card.
        queries: Its queries.
        outcomes: Its outcomes, rows in the order of the queries.
        workers: What is known of each worker, in the order of the outcomes' columns.
    """

    card: RecordingCard
    queries: Queries
    outcomes: Outcomes
    workers: tuple[RecordedWorker, ...]

    def complete_for(self, workers: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Rows of the queries with a first attempt of every one of these workers.

        Raises:
            DataFileError: A worker that is not in the table or has no record at all.
        """
        columns = [self.column(worker) for worker in workers]
        first = np.isfinite(self.outcomes.score[:, columns, 0])
        for worker, known in zip(workers, first.T, strict=True):
            if not known.any():
                raise DataFileError(
                    f"{self.card.outcomes.files[0]}: worker {worker!r} has no record of any "
                    "query. Leave it out (--workers names the ones to keep)."
                )
        return np.flatnonzero(first.all(axis=1))

    def told_by_any(self) -> npt.NDArray[np.int64]:
        """Rows of the queries with a first attempt of at least one worker."""
        return np.flatnonzero(np.isfinite(self.outcomes.score[:, :, 0]).any(axis=1))

    def column(self, worker: str) -> int:
        """Position of a worker.

        Raises:
            DataFileError: Not in the table.
        """
        if worker not in self.outcomes.workers:
            missing = unknown_name("worker", worker, self.outcomes.workers)
            raise DataFileError(f"{self.card.outcomes.files[0]}: {missing}")
        return self.outcomes.workers.index(worker)

    def content_hash(self) -> str:
        """BLAKE2b of queries and outcomes, 16 hex digits."""
        told, found = self.queries, self.outcomes
        digest = hashlib.blake2b(digest_size=8)
        for names in (told.uids, told.domains, told.prompts or (), found.workers):
            digest.update("\0".join(names).encode() + b"\1")
        for name in ("score", "tokens_in", "tokens_out", "usd", "seconds", "answer", "status"):
            values = getattr(found, name)
            digest.update(b"-" if values is None else values.tobytes())
        return digest.hexdigest()

    def prompt_tokens(self) -> npt.NDArray[np.int64]:
        """int64 [queries]: tokens of each prompt, counted from its characters, rounded up."""
        prompts = self.queries.prompts
        if prompts is None:
            return np.full(len(self.queries.uids), TOKENS_WITHOUT_TEXT, np.int64)
        lengths = np.array([len(prompt) for prompt in prompts])
        return np.ceil(lengths / self.card.characters_per_token).astype(np.int64)


def stamps_of(card: RecordingCard) -> tuple[FileStamp, ...]:
    """Stamps of a card's files."""
    return file_stamps(*(table_path(name) for name in card.files))


def load_recording(name: str) -> Recording:
    """Read a recording; kept in memory until a file changes, so treat the arrays as read only.

    Args:
        name: As in `load_recording_card`.

    Raises:
        UnknownNameError: No such recording.
        DataFileError: A broken card or table; names file, line and repair.
    """
    card = load_recording_card(name)
    gone = [table_path(file) for file in card.files if not table_path(file).is_file()]
    if gone and card.downloads:
        raise DataFileError(
            f"table {gone[0]} does not exist. `conductor-gym fetch {name}` gets it "
            f"({card.licence}, {card.origin})."
        )
    return _read(card.model_dump_json(), stamps_of(card))


@lru_cache(maxsize=8)
def _read(card_json: str, stamps: tuple[FileStamp, ...]) -> Recording:
    del stamps  # part of the key: the tables are read again when they change
    card = RecordingCard.model_validate_json(card_json)
    queries, keys = read_queries(card)
    read = read_wide if card.outcomes.layout == "wide" else read_long
    outcomes = read(card, queries, keys)
    workers = {worker.name: worker for worker in card.workers}
    if card.workers_file is not None:
        workers |= {w.name: w for w in read_workers(table_path(card.workers_file))}
    return Recording(
        card,
        queries,
        outcomes,
        tuple(workers.get(name, RecordedWorker(name=name)) for name in outcomes.workers),
    )
