"""Pools as data: the schema of a pool's TOML file. Every number names its source."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, model_validator

from conductor_gym.data_files import StrictModel, find_named_toml, load_toml
from conductor_gym.recordings.detect import is_recording
from conductor_gym.types import Assumptions, Backend
from conductor_gym.workers.endpoint import Endpoint, ProviderLimits
from conductor_gym.workers.fitted_sections import FittedOn, LoadingTable, Source, TextTable
from conductor_gym.workers.prices import list_price

POOLS_FOLDER = Path(__file__).with_name("pools")

MAX_SHARED = 0.9999
"""Largest share of a worker's variance that shared factors may explain."""

Accuracy = Annotated[float, Field(gt=0.0, lt=1.0)]
Tokens = Annotated[float, Field(gt=0.0, le=1e6)]
UsdPerMillion = Annotated[float, Field(ge=0.0, le=1e5)]


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


def _within(low: float, high: float) -> AfterValidator:
    """Every value of a number lies in [low, high]."""

    def check(number: Known | Assumed) -> Known | Assumed:
        values = number.model_dump(exclude={"source", "note"}, exclude_none=True)
        for name, value in values.items():
            if not low <= value <= high:
                raise ValueError(f"{name} = {value!r} must lie in [{low:g}, {high:g}]")
        return number

    return AfterValidator(check)


Share = Annotated[Number, _within(0.0, 1.0)]
Correlation = Annotated[Number, _within(0.0, 0.9999)]
Probits = Annotated[Number, _within(-10.0, 10.0)]
Size = Annotated[Number, _within(0.0, 10.0)]
Noise = Annotated[Number, _within(0.0, 100.0)]
Sigma = Annotated[Number, _within(0.0, 3.0)]
Skewness = Annotated[Number, _within(-0.3, 0.3)]
Failure = Annotated[Number, _within(0.0, 0.99)]
TokenNumber = Annotated[Number, _within(1.0, 1e6)]
Overhead = Annotated[Number, _within(0.0, 1e6)]


def resolve(number: Known | Assumed, assumptions: Assumptions) -> float:
    """The value to simulate with."""
    return number.value if isinstance(number, Known) else getattr(number, assumptions)


def end_points(number: Known | Assumed) -> tuple[float, ...]:
    """Every value that some choice of assumptions resolves to."""
    if isinstance(number, Known):
        return (number.value,)
    return (number.low, number.mid, number.high)


class WorkerCard(StrictModel):
    """One worker. Accuracies and tokens of simulated workers stand in the pool's tables.

    Attributes:
        uid: Immutable; all of the worker's luck hangs on it.
        name: For people; may change.
        usd_per_m_input: USD per million input tokens. No default: an unpriced worker is an error.
            Only for a worker that LiteLLM reaches both prices may be left out: then they are those
            of its table, and `note` says so.
        usd_per_m_output: USD per million output tokens.
        window: Context window in tokens.
        tokens_per_second: Decode speed, None where nothing is known.
        ttft_seconds: Median time to first token, None where nothing is known.
        ttft_sigma: Log-normal spread of it.
        modalities: Beyond text.
        note: Where the card's figures come from.
        live: How it is reached, None for a worker that only exists in a simulation or recording.
    """

    uid: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    provider: str = ""
    usd_per_m_input: UsdPerMillion
    usd_per_m_output: UsdPerMillion
    window: Annotated[int, Field(gt=0, le=1_000_000_000)]
    tokens_per_second: Annotated[float, Field(ge=0.01, le=1e6)] | None = None
    ttft_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] | None = None
    ttft_sigma: Annotated[float, Field(ge=0.0, le=3.0)] | None = None
    modalities: tuple[Literal["image", "audio"], ...] = ()
    source: Source
    note: str
    live: Endpoint | None = None

    @model_validator(mode="before")
    @classmethod
    def _price(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        card = cast(dict[str, Any], given)
        live = card.get("live")
        endpoint = cast(dict[str, Any], live) if isinstance(live, dict) else {}
        stated = {"usd_per_m_input", "usd_per_m_output"} & card.keys()
        if stated or endpoint.get("client") != "litellm":
            return card
        price = list_price(str(endpoint.get("model")))
        return card | {
            "usd_per_m_input": price.usd_per_m_input,
            "usd_per_m_output": price.usd_per_m_output,
            "note": "; ".join(str(n) for n in (card.get("note"), price.note) if n),
        }


class AccuracyTable(StrictModel):
    """Accuracy in [0, 1] by worker name and domain, with standard errors where it was fitted."""

    source: Source
    note: str
    values: dict[str, dict[str, Accuracy]]
    standard_errors: dict[str, dict[str, float]] = Field(default_factory=dict)


class TokenTable(StrictModel):
    """Mean output tokens of a `solve` by worker name and domain, after the cap."""

    source: Source
    note: str
    values: dict[str, dict[str, Tokens]]


class FormatTable(StrictModel):
    """Probability of a malformed answer: a default and exceptions by worker name and domain."""

    default: Failure
    exceptions: dict[str, dict[str, Failure]] = Field(default_factory=dict)


class ConfidenceTable(StrictModel):
    """Bias of stated confidence, in probits of the margin: a default and exceptions by worker."""

    default: Probits
    exceptions: dict[str, Probits] = Field(default_factory=dict)


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

    rho: Correlation
    attractor: Share
    tail: Annotated[int, Field(ge=0, le=1_000_000)]
    verify_gap: Size
    published_oracle: Known | None = None


class ModelCard(StrictModel):
    """Parameters that all workers and domains share; meanings in `simulated.py`."""

    difficulty_skew: Skewness
    r2_delta: Share
    r2_eta: Share
    kappa: Share
    token_sigma: Sigma
    distraction: Size
    confidence_slope: Size
    confidence_noise: Noise
    verify_slope: Size
    verify_seen: Size
    verify_criterion: Probits
    verify_persistent: Share
    verify_blind_spot: Size
    verify_format_failure: Failure
    verify_tokens: Size
    revise_same_luck: Share
    revise_seen: Probits
    revise_own: Probits
    revise_critique: Probits
    revise_keep: Share
    revise_tokens: Size
    aggregate_votes: Size
    aggregate_tokens: Size
    part_load: Size
    plan_gap: Probits
    plan_slope: Size
    plan_tokens: Size
    join_gap: Probits
    evidence_lack: Size
    document_distraction: Size
    condense_gap: Probits
    condense_slope: Size
    condense_tokens: TokenNumber


class Pool(StrictModel):
    """A pool file.

    Attributes:
        output_cap: Most output tokens of a call; a call's worst price is its input plus this.
        overhead_tokens: Instruction tokens that every call adds to its input.
        prices_as_of: Date of the price table, ``YYYY-MM``, or ``unknown``.
        recording: Recording that a recorded pool replays.
        fitted_on: Where a fitted pool's numbers come from.
        journal: Journal of live calls that a recorded pool replays, from the folder of the pool's
            file.
        limits: What providers allow live calls, by `provider` of the workers.
    """

    name: str
    title: str
    backend: Backend
    prices_as_of: str
    output_cap: TokenNumber
    overhead_tokens: Overhead
    workers: Annotated[tuple[WorkerCard, ...], Field(min_length=1)]
    accuracy: AccuracyTable | None = None
    loadings: LoadingTable | None = None
    output_tokens: tuple[TokenTable, ...] = ()
    format_failure: FormatTable | None = None
    confidence_bias: ConfidenceTable | None = None
    model: ModelCard | None = None
    domains: dict[str, DomainCard] = Field(default_factory=dict)
    text: TextTable | None = None
    recording: str | None = None
    fitted_on: FittedOn | None = None
    journal: str | None = None
    limits: dict[str, ProviderLimits] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [worker.name for worker in self.workers]
        for label, given in (("name", names), ("uid", [w.uid for w in self.workers])):
            doubles = sorted({text for text in given if given.count(text) > 1})
            if doubles:
                raise ValueError(f"worker {label} appears twice: {', '.join(doubles)}")
        strangers = sorted(set(self.limits) - {worker.provider for worker in self.workers})
        if strangers:
            raise ValueError(f"limits: no worker has provider {', '.join(strangers)}")
        if self.backend == "recorded":
            if (self.recording is None) == (self.journal is None):
                raise ValueError("a recorded pool needs `recording`, the name of one, or `journal`")
            return self
        if self.backend == "live":
            if self.unreachable:
                bare = ", ".join(self.unreachable)
                raise ValueError(f"these workers need a [workers.live] section: {bare}")
            return self
        needed = ("accuracy", "output_tokens", "format_failure", "confidence_bias", "model")
        for section in needed:
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
        self._check_exceptions(accuracy)
        return self

    def _check_exceptions(self, accuracy: dict[str, dict[str, float]]) -> None:
        failures = self.format_failure.exceptions if self.format_failure else {}
        biases = self.confidence_bias.exceptions if self.confidence_bias else {}
        loadings = self.loadings.values if self.loadings else {}
        read = self.text.eta if self.text else {}
        strangers = sorted({*failures, *biases, *loadings, *read} - set(self.worker_names))
        if strangers:
            raise ValueError(
                f"exceptions, loadings and text: no worker is named {', '.join(strangers)}"
            )
        for name in self.worker_names:
            strangers = sorted(set(failures.get(name, {})) - set(self.domains))
            if strangers:
                raise ValueError(f"format_failure: {name!r}: no domain {', '.join(strangers)}")
            for domain in self.domains:
                number = self.failure(name, domain)
                most = max(end_points(number)) if number is not None else 0.0
                if accuracy[name][domain] > 1.0 - most:
                    raise ValueError(
                        f"accuracy of {name!r} on {domain} is {accuracy[name][domain]:g}, but "
                        f"{most:g} of its answers are malformed"
                    )
                for rho in end_points(self.domains[domain].rho):
                    shared = rho * sum(a * a for a in self.loadings_of(name, domain))
                    if shared > MAX_SHARED:
                        raise ValueError(
                            f"loadings of {name!r} on {domain} explain {shared:.4f} of its "
                            f"variance, at most {MAX_SHARED} is possible"
                        )

    def failure(self, worker: str, domain: str) -> Known | Assumed | None:
        """Probability of a malformed answer, None where the pool states none."""
        table = self.format_failure
        if table is None:
            return None
        return table.exceptions.get(worker, {}).get(domain, table.default)

    def loadings_of(self, worker: str, domain: str) -> tuple[float, ...]:
        """Loadings on the shared factors, relative to sqrt(rho)."""
        return (1.0,) if self.loadings is None else self.loadings.of(worker, domain)

    @property
    def factors(self) -> int:
        """Shared factors: 1 where only the query's difficulty is shared."""
        return max(len(self.loadings_of(w, d)) for w in self.worker_names for d in self.domains)

    def content_hash(self) -> str:
        """BLAKE2b of what the file says, 16 hex digits; how workers are reached is left out."""
        said = self.model_dump_json(
            exclude={"journal": True, "limits": True, "workers": {"__all__": {"live"}}}
        )
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def token_means(self) -> dict[str, dict[str, float]]:
        """Mean output tokens of a solve by worker name and domain, all tables together."""
        merged: dict[str, dict[str, float]] = {}
        for table in self.output_tokens:
            for name, by_domain in table.values.items():
                merged.setdefault(name, {}).update(by_domain)
        return merged

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Names of the workers that cannot be called live."""
        return tuple(worker.name for worker in self.workers if worker.live is None)

    @property
    def worker_names(self) -> tuple[str, ...]:
        """Names in slot order."""
        return tuple(worker.name for worker in self.workers)


def list_pools() -> list[str]:
    """Names of the pools that are shipped."""
    return sorted(file.stem for file in POOLS_FOLDER.glob("*.toml"))


def load_pool(name: str) -> Pool:
    """Load a pool by shipped name or by path to a TOML file; a recording is a pool of its workers.

    Args:
        name: A shipped pool, a path to a pool's TOML file, or a recording.

    Raises:
        UnknownNameError: No such shipped pool.
        DataFileError: A file that is missing or not a valid pool, or a recording without prices.
    """
    if name not in list_pools() and is_recording(name):
        from conductor_gym.workers.recording_pool import recording_pool

        return recording_pool(name)
    file = find_named_toml("pool", name, POOLS_FOLDER)
    pool = load_toml(file, Pool)
    if pool.journal is None:
        return pool
    beside = file.absolute().parent / Path(pool.journal).expanduser()
    return pool.model_copy(update={"journal": str(beside)})
