"""Finding a recording: a shipped card by name, a card by path, or a table that needs none."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conductor_gym.data_files import load_toml
from conductor_gym.errors import DataFileError, unknown_name
from conductor_gym.recordings.card import (
    SHIPPED_FOLDER,
    OutcomeColumns,
    QueryColumns,
    RecordingCard,
    list_recordings,
)
from conductor_gym.recordings.journal_lines import JOURNAL_SUFFIXES, is_journal
from conductor_gym.recordings.table_file import SUFFIXES, TableFile, open_table

KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "query": ("query", "uid", "id", "query_id", "question_id", "sample_id", "task_id"),
    "text": ("text", "prompt", "question", "query_text", "input", "problem"),
    "domain": ("domain", "category", "subject", "task", "task_name", "eval_name", "dataset"),
    "choices": ("choices", "options", "n_options"),
    "documents": ("documents", "context"),
    "worker": ("worker", "model", "model_name", "model_id", "llm"),
    "score": ("score", "correct", "is_correct", "performance"),
    "answer": ("answer", "prediction", "pred", "model_response", "response"),
    "tokens_in": ("tokens_in", "input_tokens", "prompt_tokens"),
    "tokens_out": ("tokens_out", "output_tokens", "completion_tokens"),
    "usd": ("usd", "cost_usd", "cost", "total_cost"),
    "seconds": ("seconds", "latency_s", "latency", "duration"),
    "attempt": ("attempt", "trial", "repeat"),
    "subtask": ("subtask",),
    "status": ("status",),
}
"""The format's columns, each with the names that it is found under; the first is ours."""
QUERY_LEVEL = ("query", "text", "domain", "choices", "documents")
PER_WORKER = ("answer", "tokens_in", "tokens_out", "usd", "seconds")
SHOWN_FILES = 8
SEPARATOR = "|"
"""Between a worker and a measure in a wide table's column, such as ``gpt-4|tokens_out``."""


@dataclass(frozen=True)
class Found:
    """Columns of a table by what they mean."""

    by_meaning: dict[str, str]

    def get(self, meaning: str) -> str | None:
        """The column of a meaning, or None."""
        return self.by_meaning.get(meaning)


def find_columns(columns: tuple[str, ...]) -> Found:
    """Recognize columns by name, whatever their case."""
    lower = {name.strip().lower(): name for name in reversed(columns)}
    found: dict[str, str] = {}
    for meaning, names in KNOWN_COLUMNS.items():
        hit = next((lower[name] for name in names if name in lower), None)
        if hit is not None:
            found[meaning] = hit
    return Found(found)


def load_recording_card(name: str) -> RecordingCard:
    """The card of a recording.

    Args:
        name: A shipped recording, a card (``.toml``), a CSV or Parquet table, a journal of live
            calls, or a folder with ``queries``, ``outcomes`` and ``workers`` tables.

    Raises:
        UnknownNameError: None of these.
        DataFileError: A broken card or table, or columns that are not understood.
    """
    path = Path(name).expanduser()
    if name in list_recordings():
        return load_toml(SHIPPED_FOLDER / f"{name}.toml", RecordingCard)
    if name.endswith(".toml"):
        return _beside(path, load_toml(path, RecordingCard))
    if path.is_dir():
        return _from_folder(path.absolute())
    if name.endswith(SUFFIXES) or is_journal(path):
        return _from_file(path.absolute())
    raise unknown_name(
        "recording",
        name,
        list_recordings(),
        f"A path to a table ({', '.join(SUFFIXES)}), a folder of tables, a card (.toml) or a "
        "journal of live calls works too; docs/recordings.md describes the format.",
    )


def is_recording(name: str) -> bool:
    """Whether a name is meant for `load_recording_card` and not for a pool or a suite."""
    path = Path(name).expanduser()
    if name.endswith(SUFFIXES) or name in list_recordings() or is_journal(path):
        return True
    return _is_card(path) if name.endswith(".toml") else path.is_dir()


def _is_card(path: Path) -> bool:
    """Whether a TOML file has the section that only a recording's card has."""
    try:
        with path.open("rb") as file:
            return "outcomes" in tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def _beside(path: Path, card: RecordingCard) -> RecordingCard:
    """A card whose files are named from the folder that the card lies in."""
    here = path.absolute().parent

    def full(name: str | None) -> str | None:
        return None if name is None else str(here / name)

    outcomes, queries = card.outcomes, card.queries
    return card.model_copy(
        update={
            "queries": queries.model_copy(
                update={"files": tuple(str(here / file) for file in queries.files)}
            ),
            "outcomes": outcomes.model_copy(
                update={
                    "files": tuple(str(here / file) for file in outcomes.files),
                    "output_characters": full(outcomes.output_characters),
                }
            ),
            "workers_file": full(card.workers_file),
            "downloads": tuple(
                d.model_copy(update={"save_as": str(here / d.save_as)}) for d in card.downloads
            ),
        }
    )


def _stem(path: Path) -> str:
    for suffix in (*SUFFIXES, *JOURNAL_SUFFIXES):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def _from_file(path: Path) -> RecordingCard:
    table = open_table(path)
    found = find_columns(table.columns)
    return RecordingCard(
        name=_stem(path),
        title=f"outcomes in {path.name}",
        queries=_query_columns(found, ()),
        outcomes=_outcome_columns(table, found),
    )


def _from_folder(folder: Path) -> RecordingCard:
    def one(kind: str) -> Path | None:
        return next((p for s in SUFFIXES if (p := folder / f"{kind}{s}").is_file()), None)

    outcomes, queries, workers = one("outcomes"), one("queries"), one("workers")
    if outcomes is None:
        raise _not_a_recording(folder)
    table = open_table(outcomes)
    found = find_columns(table.columns)
    told = find_columns(open_table(queries).columns) if queries is not None else found
    return RecordingCard(
        name=folder.name,
        title=f"outcomes in {folder.name}",
        queries=_query_columns(told, (str(queries),) if queries is not None else ()),
        outcomes=_outcome_columns(table, found),
        workers_file=None if workers is None else str(workers),
    )


def _not_a_recording(folder: Path) -> DataFileError:
    holds = sorted(file.name for file in folder.iterdir())
    cards = [load_toml(SHIPPED_FOLDER / f"{n}.toml", RecordingCard) for n in list_recordings()]
    names = [
        card.name
        for card in cards
        if all((folder.parent / file).is_file() for file in card.outcomes.files)
        and any(Path(file).parent.name == folder.name for file in card.outcomes.files)
    ]
    hint = f" The files of {', '.join(names)} lie here: give that name instead." if names else ""
    more = ", ..." if len(holds) > SHOWN_FILES else ""
    return DataFileError(
        f"folder {folder} holds no table named outcomes ({', '.join(SUFFIXES)}); it holds "
        f"{', '.join(holds[:SHOWN_FILES]) or 'nothing'}{more}.{hint} docs/recordings.md describes "
        "the format."
    )


def _query_columns(found: Found, files: tuple[str, ...]) -> QueryColumns:
    text = found.get("text")
    return QueryColumns(
        files=files,
        uid=found.get("query"),
        text=(text,) if text else (),
        domain=found.get("domain"),
        choices=found.get("choices"),
        documents=found.get("documents"),
    )


def _outcome_columns(table: TableFile, found: Found) -> OutcomeColumns:
    worker, score = found.get("worker"), found.get("score")
    if worker is not None and score is not None:
        optional: dict[str, Any] = {
            name: found.get(name) for name in (*PER_WORKER, "attempt", "subtask", "status")
        }
        return OutcomeColumns(
            layout="long",
            files=(str(table.path),),
            uid=found.get("query"),
            worker=worker,
            score=score,
            **optional,
        )
    if worker is not None:
        raise DataFileError(
            f"{table.path}, line 1: column {worker!r} names workers, but no column holds their "
            f"scores ({', '.join(KNOWN_COLUMNS['score'])})."
        )
    marked = {name.rpartition(SEPARATOR)[2] for name in table.columns if SEPARATOR in name}
    measures: dict[str, Any] = {
        name: next((known for known in KNOWN_COLUMNS[name] if known in marked), None)
        for name in PER_WORKER
    }
    answer = measures.pop("answer")
    return OutcomeColumns(
        layout="wide",
        files=(str(table.path),),
        uid=found.get("query"),
        answers=None if answer is None else "{worker}" + SEPARATOR + answer,
        **measures,
    )
