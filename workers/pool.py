"""Pools as data: the schema of a pool's TOML file. Every number names its source."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel, find_named_toml, load_toml
from conductor_gym.types import Assumptions

POOLS_FOLDER = Path(__file__).with_name("pools")

Source = Literal["published", "recorded", "fitted", "assumed"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Accuracy = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class Known(StrictModel):
    """A published, recorded or fitted number, with the interval it is known to."""

    value: float
    low: float | None = None
    high: float | None = None
    source: Literal["published", "recorded", "fitted"]
    note: str = ""


class Assumed(StrictModel):
    """An assumed number. `low` helps acting on answers least, `high` most, `mid` is the default."""

    low: float
    mid: float
    high: float
    source: Literal["assumed"]
    note: str = ""


Number = Annotated[Known | Assumed, Field(discriminator="source")]


def resolve(number: Known | Assumed, assumptions: Assumptions) -> float:
    """The value to simulate with."""
    return number.value if isinstance(number, Known) else getattr(number, assumptions)


class WorkerCard(StrictModel):
    """One worker. Accuracies and tokens of simulated workers stand in the pool's tables.

    Attributes:
        uid: Immutable; all of the worker's luck hangs on it.
        name: For people; may change.
        usd_per_m_input: USD per million input tokens. No default: an unpriced worker is an error.
        usd_per_m_output: USD per million output tokens.
        window: Context window in tokens.
        tokens_per_second: Decode speed, None where nothing is known.
        ttft_seconds: Median time to first token, None where nothing is known.
        ttft_sigma: Log-normal spread of it.
        modalities: Beyond text.
        note: Where the card's figures come from.
    """

    uid: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    provider: str = ""
    usd_per_m_input: NonNegative
    usd_per_m_output: NonNegative
    window: Annotated[int, Field(gt=0)]
    tokens_per_second: Positive | None = None
    ttft_seconds: Positive | None = None
    ttft_sigma: NonNegative | None = None
    modalities: tuple[Literal["image", "audio"], ...] = ()
    source: Source
    note: str


class AccuracyTable(StrictModel):
    """Accuracy in [0, 1] by worker name and domain."""

    source: Source
    note: str
    values: dict[str, dict[str, Accuracy]]


class TokenTable(StrictModel):
    """Mean output tokens of a `solve` by worker name and domain, after the cap."""

    source: Source
    note: str
    values: dict[str, dict[str, Positive]]


class FormatTable(StrictModel):
    """Probability of a malformed answer: a default and exceptions by worker name and domain."""

    default: Number
    exceptions: dict[str, dict[str, Number]] = Field(default_factory=dict)


class DomainCard(StrictModel):
    """What a domain adds to the statistical model.

    Attributes:
        rho: Share of variance that the query's difficulty explains, shared by all workers.
        attractor: Probability that a wrong answer is the common one.
        tail: Other wrong answers there are; 0: a wrong answer outside the attractor never
            coincides with another.
        verify_gap: Sensitivity (d') of a verifier at margin 0.
        published_oracle: Share of queries that any worker gets right, where published.
    """

    rho: Number
    attractor: Number
    tail: Annotated[int, Field(ge=0)]
    verify_gap: Number
    published_oracle: Known | None = None


class ModelCard(StrictModel):
    """Parameters that all workers and domains share; meanings in `simulated.py`."""

    r2_delta: Number
    r2_eta: Number
    kappa: Number
    token_sigma: Number
    distraction: Number
    confidence_bias: Number
    confidence_slope: Number
    confidence_noise: Number
    verify_slope: Number
    verify_seen: Number
    verify_criterion: Number
    verify_persistent: Number
    verify_blind_spot: Number
    verify_format_failure: Number
    verify_tokens: Number
    revise_same_luck: Number
    revise_seen: Number
    revise_critique: Number
    revise_keep: Number
    revise_tokens: Number
    aggregate_votes: Number
    aggregate_tokens: Number


class Recording(StrictModel):
    """Where a recorded pool's outcomes stand, relative to the folder of recorded tables."""

    outcomes: str
    output_characters: str
    id_column: str
    characters_per_token: Positive
    note: str


class Pool(StrictModel):
    """A pool file.

    Attributes:
        output_cap: Most output tokens of a call; a call's worst price is its input plus this.
        overhead_tokens: Instruction tokens that every call adds to its input.
        prices_as_of: Date of the price table, ``YYYY-MM``.
    """

    name: str
    title: str
    backend: Literal["simulated", "recorded"]
    prices_as_of: str
    output_cap: Number
    overhead_tokens: Number
    workers: Annotated[tuple[WorkerCard, ...], Field(min_length=1)]
    accuracy: AccuracyTable | None = None
    output_tokens: tuple[TokenTable, ...] = ()
    format_failure: FormatTable | None = None
    model: ModelCard | None = None
    domains: dict[str, DomainCard] = Field(default_factory=dict)
    recording: Recording | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [worker.name for worker in self.workers]
        for label, given in (("name", names), ("uid", [w.uid for w in self.workers])):
            doubles = sorted({text for text in given if given.count(text) > 1})
            if doubles:
                raise ValueError(f"worker {label} appears twice: {', '.join(doubles)}")
        if self.backend == "recorded":
            if self.recording is None:
                raise ValueError("a recorded pool needs a [recording] section")
            return self
        for section in ("accuracy", "output_tokens", "format_failure", "model"):
            if not getattr(self, section):
                raise ValueError(f"a simulated pool needs a [{section}] section")
        if not self.domains:
            raise ValueError("a simulated pool needs at least one [domains.NAME] section")
        for worker in self.workers:
            if worker.tokens_per_second is None or worker.ttft_seconds is None:
                raise ValueError(f"worker {worker.name!r} needs tokens_per_second and ttft_seconds")
        accuracy = self.accuracy.values if self.accuracy else {}
        for section, values in (("accuracy", accuracy), ("output_tokens", self.token_means())):
            for name in names:
                missing = sorted(set(self.domains) - set(values.get(name, {})))
                if missing:
                    raise ValueError(f"{section}: {name!r} lacks {', '.join(missing)}")
            strangers = sorted(set(values) - set(names))
            if strangers:
                raise ValueError(f"{section}: no worker is named {', '.join(strangers)}")
        return self

    def content_hash(self) -> str:
        """BLAKE2b of everything the file says, 16 hex digits."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=8).hexdigest()

    def token_means(self) -> dict[str, dict[str, float]]:
        """Mean output tokens of a solve by worker name and domain, all tables together."""
        merged: dict[str, dict[str, float]] = {}
        for table in self.output_tokens:
            for name, by_domain in table.values.items():
                merged.setdefault(name, {}).update(by_domain)
        return merged

    @property
    def worker_names(self) -> tuple[str, ...]:
        """Names in slot order."""
        return tuple(worker.name for worker in self.workers)


def list_pools() -> list[str]:
    """Names of the pools that are shipped."""
    return sorted(file.stem for file in POOLS_FOLDER.glob("*.toml"))


def load_pool(name: str) -> Pool:
    """Load a pool by shipped name or by path to a TOML file.

    Raises:
        UnknownNameError: No such shipped pool.
        DataFileError: A file that is missing or not a valid pool.
    """
    return load_toml(find_named_toml("pool", name, POOLS_FOLDER), Pool)
