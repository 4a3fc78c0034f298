"""The card of a recording: which files hold it, what their columns mean, whose it is.

A card is a TOML file. A table whose columns have names that are known needs none: see `detect.py`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel

SHIPPED_FOLDER = Path(__file__).with_name("shipped")
CHARACTERS_PER_TOKEN = 4.0
"""Assumed where a table counts characters and not tokens."""


class QueryColumns(StrictModel):
    """Where the queries stand. Without files they are read from the outcome files.

    Attributes:
        files: CSV or Parquet files, one row a query; several are read as one.
        uid: Column of the query's id. Without one, the id is a hash of domain and text.
        text: Columns joined by a blank line into the prompt.
        domain: Column of the domain.
        domain_name: Domain of all queries where no column holds it.
        choices: Column with the options of a multiple-choice question, a number or a JSON list.
        documents: Column with attached text.
        repeated: What to do with a query that stands in the files twice.
        left_out: Values by column; rows that hold one of them are left out.
    """

    files: tuple[str, ...] = ()
    uid: str | None = None
    text: tuple[str, ...] = ()
    domain: str | None = None
    domain_name: str = "all"
    choices: str | None = None
    documents: str | None = None
    repeated: Literal["error", "first"] = "error"
    left_out: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class OutcomeColumns(StrictModel):
    """Where the outcomes stand: `wide` with one column a worker, or `long` with one row a call.

    Attributes:
        layout: ``"wide"`` or ``"long"``.
        files: CSV or Parquet files.
        uid: Column of the query's id; None: the same as the queries'.
        workers: Wide: worker columns; empty: every column with nothing but scores.
        output_characters: Wide: another file of the same form that counts output characters.
        answers: Wide: name of a worker's answer column, with ``{worker}`` in it.
        answers_are: What is compared between answers: the text, or the last number in it.
        worker: Long: column of the worker's name.
        score: Long: column of the score in [0, 1].
        answer: Long: column of the answer.
        tokens_in: Column of billed input tokens; wide: ``WORKER|tokens_in``, and so on below.
        tokens_out: Column of billed output tokens.
        usd: Column of the bill in USD.
        seconds: Column of the latency.
        attempt: Long: column that tells repeated calls apart.
        subtask: Long: column of the subtask; rows other than ``solve`` are not single calls.
        status: Long: column of the status; ``malformed`` is a visible format failure.
    """

    layout: Literal["wide", "long"]
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    uid: str | None = None
    workers: tuple[str, ...] = ()
    output_characters: str | None = None
    answers: str | None = None
    answers_are: Literal["text", "last number"] = "text"
    worker: str = "worker"
    score: str = "score"
    answer: str | None = None
    tokens_in: str | None = None
    tokens_out: str | None = None
    usd: str | None = None
    seconds: str | None = None
    attempt: str | None = None
    subtask: str | None = None
    status: str | None = None

    @model_validator(mode="after")
    def _answers_name_the_worker(self) -> Self:
        if self.answers is not None and "{worker}" not in self.answers:
            raise ValueError("answers must hold {worker}, such as '{worker}_response'")
        return self


class RecordedWorker(StrictModel):
    """What is known of a worker besides its outcomes; prices in USD per million tokens."""

    name: Annotated[str, Field(min_length=1)]
    usd_per_m_input: Annotated[float, Field(ge=0.0, le=1e5)] | None = None
    usd_per_m_output: Annotated[float, Field(ge=0.0, le=1e5)] | None = None
    window: Annotated[int, Field(gt=0, le=1_000_000_000)] | None = None


class Download(StrictModel):
    """One table of a public set: where `conductor-gym fetch` gets it and how it is known again.

    Attributes:
        save_as: The table in the folder of recorded tables; compressed if it ends in ``.gz``.
        url: Where it lies, pinned to a commit; ``{part}`` stands for each of the parts.
        parts: Files that are put below each other; empty: one file.
        part_column: Column that each part's name is written into, before the others.
        sha256: Of the table's text before compression; None: the first download is trusted.
        megabytes: About how much is downloaded.
        untested: The address was never reached by whoever wrote the card.
    """

    save_as: Annotated[str, Field(pattern=r"\.csv(\.gz)?$")]
    url: Annotated[str, Field(pattern=r"^https?://")]
    parts: tuple[str, ...] = ()
    part_column: str = "part"
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    megabytes: Annotated[float, Field(ge=0.0)] = 0.0
    untested: bool = False

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address."""
        return tuple(self.url.replace("{part}", part) for part in self.parts) or (self.url,)

    @model_validator(mode="after")
    def _is_plain(self) -> Self:
        if self.url.lower().endswith((".pkl", ".pickle", ".pt")):
            raise ValueError("a pickle runs code when it is opened: name a CSV file")
        if ".." in Path(self.save_as).parts:
            raise ValueError("save_as must stay in its folder")
        if bool(self.parts) != ("{part}" in self.url):
            raise ValueError("url must hold {part} where there are parts, and only there")
        return self


class RecordingCard(StrictModel):
    """A recording's card.

    Attributes:
        name: Of the recording; its queries' uids begin with it.
        licence: SPDX identifier of the data.
        origin: Where the data comes from.
        characters_per_token: Of prompts, and of outputs where only characters are counted.
        shares: Share of the queries by split.
    """

    name: str
    title: str
    licence: str = "unknown"
    origin: str = ""
    note: str = ""
    characters_per_token: Annotated[float, Field(gt=0.0, le=100.0)] = CHARACTERS_PER_TOKEN
    shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=lambda: {"train": 0.5, "dev": 0.1, "test": 0.4}
    )
    queries: QueryColumns = QueryColumns()
    outcomes: OutcomeColumns
    workers: tuple[RecordedWorker, ...] = ()
    workers_file: str | None = None
    downloads: tuple[Download, ...] = ()

    @property
    def query_files(self) -> tuple[str, ...]:
        """Files that the queries are read from."""
        return self.queries.files or self.outcomes.files

    @property
    def files(self) -> tuple[str, ...]:
        """Every file, once."""
        extra = (self.outcomes.output_characters, self.workers_file)
        named = (*self.query_files, *self.outcomes.files, *(name for name in extra if name))
        return tuple(dict.fromkeys(named))


def list_recordings() -> list[str]:
    """Names of the recordings whose cards are shipped; the data itself never is."""
    return sorted(file.stem for file in SHIPPED_FOLDER.glob("*.toml"))
