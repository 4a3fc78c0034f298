"""Simulated pools for domains without published accuracies: a documented map to benchmarks.

A map says of which published benchmarks a domain's queries are assumed to be a mixture, and by how
many probits a worker without published rows lies below a named sibling. From it and the published
pool follow the sections of a pool file that depend on the domains. `docs/pools.md` tells how.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel, find_named_toml, load_toml
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.types import Assumptions
from conductor_gym.workers.calibration import probit
from conductor_gym.workers.pool import Pool, load_pool, resolve

MAPS_FOLDER = Path(__file__).with_name("pools") / "maps"

LEVELS = cast(tuple[Assumptions, ...], get_args(Assumptions))


class MappedDomain(StrictModel):
    """Benchmarks that a domain's queries are assumed to be a mixture of.

    Attributes:
        weights: Share of the queries by benchmark of the published pool, 1 in all.
        note: Why.
    """

    weights: dict[str, Annotated[float, Field(gt=0.0, le=1.0)]]
    source: Literal["assumed"]
    note: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _weights_are_whole(self) -> Self:
        if abs(sum(self.weights.values()) - 1.0) > 1e-9:
            raise ValueError(f"weights sum to {sum(self.weights.values()):g}, not to 1")
        return self


class Sibling(StrictModel):
    """A worker without published rows, by its distance from one that has them.

    Attributes:
        of: Worker of the published pool.
        gap: Probits below it, on every benchmark.
        note: Why.
    """

    of: str
    gap: Annotated[float, Field(ge=0.0, le=5.0)]
    source: Literal["assumed"]
    note: Annotated[str, Field(min_length=1)]


class Spread(StrictModel):
    """Half the distance between an assumed number's low and high.

    Attributes:
        value: In the number's own unit.
        note: Why.
    """

    value: Annotated[float, Field(ge=0.0, le=0.1)]
    source: Literal["assumed"]
    note: Annotated[str, Field(min_length=1)]


class DomainMap(StrictModel):
    """A map file.

    Attributes:
        published: Pool whose benchmarks and workers the map names.
        rho_spread: Around the mapped rho.
        domains: By domain of the suite.
        siblings: By worker; a worker of the published pool needs no entry.
    """

    name: str
    title: str
    published: str
    rho_spread: Spread
    domains: Annotated[dict[str, MappedDomain], Field(min_length=1)]
    siblings: dict[str, Sibling] = Field(default_factory=dict)


def list_maps() -> list[str]:
    """Names of the maps that are shipped."""
    return sorted(file.stem for file in MAPS_FOLDER.glob("*.toml"))


def load_map(name: str) -> DomainMap:
    """Load a map by shipped name or by path to a TOML file.

    Raises:
        UnknownNameError: No such shipped map.
        DataFileError: A file that is missing or not a valid map.
    """
    return load_toml(find_named_toml("map", name, MAPS_FOLDER), DomainMap)


def _mean(weights: Mapping[str, float], values: Mapping[str, float]) -> float:
    return sum(weight * values[benchmark] for benchmark, weight in weights.items())


def _by_benchmark(pool: Pool, name: str, level: Assumptions) -> dict[str, float]:
    """One of a domain card's numbers, by benchmark."""
    return {b: resolve(getattr(card, name), level) for b, card in pool.domains.items()}


def _failures(pool: Pool, worker: str, level: Assumptions) -> dict[str, float]:
    """Share of malformed answers by benchmark."""
    numbers = {benchmark: pool.failure(worker, benchmark) for benchmark in pool.domains}
    return {b: 0.0 if n is None else resolve(n, level) for b, n in numbers.items()}


def _accuracies(pool: Pool, worker: str, gap: float) -> dict[str, float]:
    """Accuracy by benchmark, `gap` probits below the published worker's.

    The gap is one of ability given that the format holds; format failures stay the same.
    """
    published = pool.accuracy.values[worker] if pool.accuracy is not None else {}
    failures = _failures(pool, worker, "mid")
    if gap == 0.0:
        return {benchmark: published[benchmark] for benchmark in pool.domains}
    return {
        b: (1.0 - failures[b]) * NormalDist().cdf(probit(published[b], failures[b]) - gap)
        for b in pool.domains
    }


def _origin(domain_map: DomainMap, pool: Pool, worker: str) -> tuple[str, float]:
    """Published worker that a worker's rows come from, and the gap to it in probits."""
    if worker in pool.worker_names:
        return worker, 0.0
    if worker not in domain_map.siblings:
        raise unknown_name(
            "worker",
            worker,
            {*pool.worker_names, *domain_map.siblings},
            f"Map {domain_map.name!r} needs an entry [siblings.NAME] for it.",
        )
    sibling = domain_map.siblings[worker]
    if sibling.of not in pool.worker_names:
        raise unknown_name(
            "worker", sibling.of, pool.worker_names, f"Pool {pool.name!r} must hold siblings."
        )
    return sibling.of, sibling.gap


def _assumed(numbers: Mapping[str, float], digits: int, note: str) -> dict[str, Any]:
    rounded = {level: round(numbers[level], digits) for level in LEVELS}
    return {**rounded, "source": "assumed", "note": note}


def _domain_card(domain_map: DomainMap, pool: Pool, domain: str) -> dict[str, Any]:
    weights = domain_map.domains[domain].weights
    note = f"by map {domain_map.name} from pool {pool.name}"
    rho = _mean(weights, _by_benchmark(pool, "rho", "mid"))
    spread = domain_map.rho_spread.value
    # Much that is shared leaves little to gain from asking others: the high end of rho is `low`.
    rhos = {"low": rho + spread, "mid": rho, "high": rho - spread}
    card: dict[str, Any] = {"rho": _assumed(rhos, 4, f"{note}; +-{spread:g}")}
    for name in ("attractor", "verify_gap"):
        numbers = {a: _mean(weights, _by_benchmark(pool, name, a)) for a in LEVELS}
        card[name] = _assumed(numbers, 4, note)
    return card | {"tail": 0}  # open answers: outside the attractor no two coincide


def mapped_sections(domain_map: DomainMap, workers: Sequence[str]) -> dict[str, Any]:
    """The sections of a pool file that follow from a map; ready for `tomli_w.dumps`.

    Means are weighted by the map's shares of benchmarks: a mixture of queries is answered as well
    as the mean over it.

    Args:
        domain_map: The map.
        workers: Names, each a published worker or a sibling that the map knows.

    Returns:
        `accuracy` (shares), `output_tokens` (mean tokens of a solve), `format_failure` (shares)
        and `domains`, all `assumed`.

    Raises:
        UnknownNameError: A worker, a sibling or a benchmark that nobody knows.
        ConfigError: The published pool is a recorded one.
    """
    pool = load_pool(domain_map.published)
    if pool.accuracy is None or pool.format_failure is None:
        raise ConfigError(
            f"pool {pool.name!r} is {pool.backend}: a map needs a pool that states accuracies."
        )
    for domain in domain_map.domains.values():
        for benchmark in domain.weights:
            if benchmark not in pool.domains:
                raise unknown_name("benchmark", benchmark, pool.domains, f"Pool {pool.name!r}.")
    shares = {name: domain.weights for name, domain in domain_map.domains.items()}
    tokens = pool.token_means()
    note = f"by map {domain_map.name} from pool {pool.name}"
    accuracy: dict[str, dict[str, float]] = {}
    lengths: dict[str, dict[str, float]] = {}
    failures: dict[str, dict[str, Any]] = {}
    for worker in workers:
        origin, gap = _origin(domain_map, pool, worker)
        right = _accuracies(pool, origin, gap)
        malformed = {level: _failures(pool, origin, level) for level in LEVELS}
        accuracy[worker] = {d: round(_mean(w, right), 4) for d, w in shares.items()}
        lengths[worker] = {d: round(_mean(w, tokens[origin]), 1) for d, w in shares.items()}
        failures[worker] = {
            d: _assumed({a: _mean(w, malformed[a]) for a in LEVELS}, 4, note)
            for d, w in shares.items()
        }
    return {
        "accuracy": {"source": "assumed", "note": note, "values": accuracy},
        "output_tokens": [{"source": "assumed", "note": note, "values": lengths}],
        "format_failure": {
            "default": pool.format_failure.default.model_dump(exclude_none=True),
            "exceptions": failures,
        },
        "domains": {domain: _domain_card(domain_map, pool, domain) for domain in shares},
    }
