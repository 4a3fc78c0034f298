"""Suites of queries: the schema of a suite's TOML file, and a split ready for the environment."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from conductor_gym.data_files import (
    FileStamp,
    StrictModel,
    file_stamps,
    find_named_toml,
    load_toml,
)
from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.dynamics.state import QUERY_DTYPE, Records
from conductor_gym.errors import DataFileError, unknown_name
from conductor_gym.recordings.detect import is_recording, load_recording_card
from conductor_gym.recordings.recording import stamps_of
from conductor_gym.spaces import EMBEDDING_WIDTH, N_DOMAINS, QUERY_WIDTH, SURFACE_COLUMNS
from conductor_gym.tasks.random_state import random_state_kept
from conductor_gym.tasks.selection_card import SelectionCard
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.text_card import TextCard

SUITES_FOLDER = Path(__file__).with_name("suites")
TASKS_SUFFIX = ".jsonl"
"""A suite of this ending is a file of tasks."""
TOKEN_SCALE = 512.0
"""Prompt tokens at which the observed value is 0.5."""
DOCUMENT_SCALE = 16384.0
"""Document tokens at which the observed value is 0.5."""


class StatisticalDomain(StrictModel):
    """A domain that has no text: only its name and the length of its prompts.

    Attributes:
        prompt_tokens: Mean tokens of a prompt.
    """

    name: str
    prompt_tokens: Annotated[float, Field(gt=0)]
    source: Literal["published", "recorded", "fitted", "assumed"]
    note: str = ""


class StatisticalCard(StrictModel):
    """Queries drawn from domains, without text.

    Attributes:
        sizes: Queries by split, in equal shares of the domains.
        prompt_tokens_sigma: Log-normal spread of prompt lengths.
    """

    sizes: dict[str, Annotated[int, Field(gt=0)]]
    prompt_tokens_sigma: Annotated[float, Field(ge=0)]
    domains: Annotated[tuple[StatisticalDomain, ...], Field(min_length=1, max_length=N_DOMAINS)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [domain.name for domain in self.domains]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"domains appear twice: {', '.join(doubles)}")
        return self


class RecordedCard(StrictModel):
    """Queries of a recording.

    Attributes:
        recording: Shipped recording, or a path to a table, a folder of tables or a card.
        complete_for: Workers of whom every query must have a record; none: all workers.
        shares: Share of the queries by split; empty: the recording's.
        sparse: Whether queries count that any worker has a record of. No recorded pool can replay
            them; a simulated pool, fitted with ``--sparse``, can play on them.
    """

    recording: str
    complete_for: tuple[str, ...] = ()
    sparse: bool = False
    shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shares_are_whole(self) -> Self:
        if self.sparse and self.complete_for:
            raise ValueError("give either sparse or complete_for")
        if self.shares and abs(sum(self.shares.values()) - 1.0) > 1e-9:
            raise ValueError("shares must add up to 1")
        return self


class SuiteCard(StrictModel):
    """A suite file: exactly one of `statistical`, `recorded`, `text` and `selection`."""

    name: str
    version: int
    title: str
    statistical: StatisticalCard | None = None
    recorded: RecordedCard | None = None
    text: TextCard | None = None
    selection: SelectionCard | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        if self.statistical is not None:
            return tuple(self.statistical.sizes)
        if self.text is not None:
            return self.text.splits
        if self.selection is not None:
            return tuple(self.selection.most)
        if self.recorded is None:
            return ()
        return tuple(self.recorded.shares or load_recording_card(self.recorded.recording).shares)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = (self.statistical, self.recorded, self.text, self.selection)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "give either a [statistical], a [recorded], a [text] or a [selection] section"
            )
        return self


@dataclass(frozen=True, eq=False)
class Split:
    """The queries of one split.

    Attributes:
        suite: Name of the suite.
        name: Name of the split.
        domains: Domain names, in the order of the one-hot.
        uids: Immutable query ids, the suite's name first.
        ids: Ids in the recorded table, empty where there is none.
        queries: `QUERY_DTYPE` [queries, then all their parts].
        features: float32 [queries and parts, 56], the observed `query` rows.
        prompts: Text of each query, or None where the suite has none.
        tasks: What grades each query's answers, empty where nothing does.
    """

    suite: str
    name: str
    domains: tuple[str, ...]
    uids: tuple[str, ...]
    ids: tuple[str, ...]
    queries: Records
    features: npt.NDArray[np.float32]
    prompts: tuple[str, ...] | None
    tasks: tuple[Task, ...] = ()

    @property
    def is_recorded(self) -> bool:
        """Whether the queries stand in a recorded table."""
        return bool(self.ids)

    @property
    def domain(self) -> npt.NDArray[np.int64]:
        """Each query's index into `domains`, int64 [queries]."""
        return self.queries["domain"][: len(self.uids)].astype(np.int64)

    def content_hash(self) -> str:
        """BLAKE2b of everything an episode can depend on, 16 hex digits."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update("\n".join((self.suite, self.name, *self.domains, *self.uids)).encode())
        for column in QUERY_DTYPE.names or ():
            digest.update(np.ascontiguousarray(self.queries[column]).tobytes())
        digest.update(self.features.tobytes())
        for prompt in self.prompts or ():
            digest.update(prompt.encode())
        for task in self.tasks:
            digest.update(json.dumps(asdict(task), sort_keys=True).encode())
        return digest.hexdigest()


def make_split(
    suite: str,
    name: str,
    domains: tuple[str, ...],
    uids: tuple[str, ...],
    ids: tuple[str, ...],
    domain: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
    normals: npt.NDArray[np.float64] | None,
    embedding: npt.NDArray[np.float64] | None,
    surface: npt.NDArray[np.float64],
    prompts: tuple[str, ...] | None,
    tasks: tuple[Task, ...] = (),
) -> Split:
    """Lay out a split's tables: a row for each query, then one for each part of the tasks.

    Args:
        suite: Name of the suite.
        name: Name of the split.
        domains: At most 16 names.
        uids: Query ids.
        ids: Ids in the recorded table, empty where there is none.
        domain: int64 [rows], index into `domains`.
        tokens: int64 [rows], tokens of the prompt.
        normals: float64 [rows, 16] public normals, None where there are none.
        embedding: float64 [rows, up to 32] in [-1, 1], None where there is nothing to embed.
        surface: float64 [rows, 8] in [-1, 1]; token columns are filled in here.
        prompts: Texts.
        tasks: What grades each query's answers, empty where nothing does.
    """
    n = len(domain)
    part_uids = [
        f"{uid}/{p}" for uid, t in zip(uids, tasks, strict=False) for p in range(len(t.parts))
    ]
    queries = np.zeros(n, QUERY_DTYPE)
    queries["uid"] = [uid_word(uid) for uid in (*uids, *part_uids)]
    queries["tokens"] = tokens
    queries["domain"] = domain
    if normals is not None:
        queries["normals"] = normals
    _attach(queries, len(uids), tasks)
    features = np.zeros((n, QUERY_WIDTH), np.float32)
    if embedding is not None:
        features[:, : embedding.shape[1]] = embedding
    features[np.arange(n), EMBEDDING_WIDTH + domain] = 1.0
    surface[:, SURFACE_COLUMNS.index("tokens")] = tokens / (tokens + TOKEN_SCALE)
    attached = np.flatnonzero(queries["documents"])
    shown = queries["documents"][attached] / (queries["documents"][attached] + DOCUMENT_SCALE)
    surface[attached, SURFACE_COLUMNS.index("document_tokens")] = shown
    features[:, EMBEDDING_WIDTH + N_DOMAINS :] = surface
    return Split(suite, name, domains, uids, ids, queries, features, prompts, tasks)


def _attach(queries: Records, first_part: int, tasks: tuple[Task, ...]) -> None:
    """Write parts and documents of tasks into their rows."""
    for row, task in zip(queries, tasks, strict=False):
        if task.parts:
            row["parts"], row["first_part"] = len(task.parts), first_part
            first_part += len(task.parts)
        if task.documents is not None:
            evidence = task.documents.evidence
            row["documents"], row["pieces"] = task.documents.tokens, len(evidence)
            row["evidence"][: len(evidence)] = evidence


def list_suites() -> list[str]:
    """Names of the suites that are shipped."""
    return sorted(file.stem for file in SUITES_FOLDER.glob("*.toml"))


def load_suite_card(name: str) -> SuiteCard:
    """Load a suite's file by shipped name or by path; a recording is a suite of its own queries.

    Args:
        name: A shipped suite, a path to a suite's TOML file or to tasks (`.jsonl`), or a recording.

    Raises:
        UnknownNameError: No such shipped suite.
        DataFileError: A file that is missing or not a valid suite.
    """
    if name.endswith(TASKS_SUFFIX) and not is_recording(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise DataFileError(
                f"tasks file {name!r} does not exist (looked in {Path.cwd()}): give the path of a "
                "JSONL file."
            )
        text = TextCard(file=str(path.absolute()))
        return SuiteCard(name=path.stem, version=1, title=f"tasks of {path.name}", text=text)
    if name not in list_suites() and is_recording(name):
        card = load_recording_card(name)
        recorded = RecordedCard(recording=name, shares=card.shares)
        return SuiteCard(name=card.name, version=1, title=card.title, recorded=recorded)
    file = find_named_toml("suite", name, SUITES_FOLDER)
    card = load_toml(file, SuiteCard)
    folder = file.absolute().parent
    if card.text is not None and card.text.file is not None:
        beside = str(folder / Path(card.text.file).expanduser())
        return card.model_copy(update={"text": card.text.model_copy(update={"file": beside})})
    if card.selection is not None:
        named = card.selection.suite
        if named.endswith((".toml", TASKS_SUFFIX)):
            named = str(folder / Path(named).expanduser())
        _check_is_whole(file, named)
        selection = card.selection.model_copy(update={"suite": named})
        return card.model_copy(update={"selection": selection})
    return card


def _check_is_whole(file: Path, named: str) -> None:
    """A selection of a selection is refused, so that none can be one of itself."""
    if named.endswith(TASKS_SUFFIX) or is_recording(named):
        return
    other = load_toml(find_named_toml("suite", named, SUITES_FOLDER), SuiteCard)
    if other.selection is not None:
        raise DataFileError(
            f"{file}: {named!r} is a selection itself. Name the suite that it selects from."
        )


def load_split(suite: str, split: str) -> Split:
    """Load one split; kept in memory until a file changes, so treat the arrays as read only.

    Args:
        suite: As for `load_suite_card`.
        split: ``"train"``, ``"dev"`` or ``"test"``.

    Raises:
        UnknownNameError: Unknown suite or split.
        DataFileError: A broken file.
    """
    card = load_suite_card(suite)
    if split not in card.splits:
        raise unknown_name("split", split, card.splits)
    return _make_split(card.model_dump_json(), split, _stamps(card))


def _stamps(card: SuiteCard) -> tuple[FileStamp, ...]:
    """Of the files that a suite's tasks come from."""
    if card.recorded is not None:
        return stamps_of(load_recording_card(card.recorded.recording))
    if card.text is not None and card.text.file is not None:
        return file_stamps(Path(card.text.file))
    if card.selection is not None:
        named = card.selection.suite
        own = file_stamps(Path(named)) if named.endswith(".toml") else ()
        return own + _stamps(load_suite_card(named))
    return ()


@lru_cache(maxsize=16)
def _make_split(card_json: str, split: str, stamp: tuple[FileStamp, ...]) -> Split:
    del stamp  # part of the key: the tables are read again when they change
    card = SuiteCard.model_validate_json(card_json)
    with random_state_kept():
        return _fresh_split(card, split)


def _fresh_split(card: SuiteCard, split: str) -> Split:
    if card.recorded is not None:
        from conductor_gym.tasks.recorded import recorded_split

        return recorded_split(card.name, card.recorded, split)
    if card.statistical is not None:
        from conductor_gym.tasks.statistical import statistical_split

        return statistical_split(card.name, card.statistical, split)
    if card.text is not None:
        from conductor_gym.tasks.text import text_split

        return text_split(card.name, card.text, split)
    if card.selection is not None:
        from conductor_gym.tasks.selection import selected_split

        return selected_split(card.name, card.selection, split)
    raise DataFileError(f"suite {card.name!r} holds no queries.")
