"""From a pool's file to the tables that the compiled core reads."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.dynamics.quantiles import lognormal_factors, normal_quantiles
from conductor_gym.dynamics.state import N_NORMALS, WORKER_DTYPE, Records
from conductor_gym.errors import ConfigError
from conductor_gym.spaces import (
    EMBEDDING_WIDTH,
    N_DOMAINS,
    N_STATIC_WORKER_COLUMNS,
    QUERY_WIDTH,
    WORKER_COLUMNS,
)
from conductor_gym.types import MICROSECONDS, MISSING, N_SUBTASKS, Assumptions, Subtask
from conductor_gym.workers.calibration import probit, skewed_probit, solve_rho, uncapped_mean
from conductor_gym.workers.pool import Pool, TextTable, WorkerCard, end_points, resolve
from conductor_gym.workers.simulated_tables import (
    ABILITY_DTYPE,
    DOMAIN_DTYPE,
    MODEL_DTYPE,
    TRAITS_DTYPE,
    SimulatedTables,
)


class SuiteTables(NamedTuple):
    """What the simulator reads of a suite's split.

    Attributes:
        domains: Names of its domains.
        queries: `QUERY_DTYPE` [queries, then all their parts].
        features: float32 [queries and parts, 56], the observed `query` rows.
    """

    domains: tuple[str, ...]
    queries: Records
    features: npt.NDArray[np.float32]


NANO_PER_1000_TOKENS = 1_000_000
"""nano-USD per 1,000 tokens at one USD per million tokens."""


def threshold(probability: float) -> int:
    """Unsigned 64-bit threshold: a keyed word lies below it with this probability."""
    return min(2**64 - 1, round(probability * 2**64))


def _static_columns(card: WorkerCard) -> list[float]:
    def price_column(usd: float) -> float:  # 0.01 USD or less: 0, 100 USD per million: 1
        return min(1.0, max(0.0, (math.log10(max(usd, 0.01)) + 2) / 4))

    speed = card.tokens_per_second
    columns = [
        price_column(card.usd_per_m_input),
        price_column(card.usd_per_m_output),
        min(1.0, max(0.0, (math.log2(card.window) - 10) / 11)),  # 1k: 0, 2M: 1
        -1.0 if speed is None else min(1.0, max(0.0, math.log10(speed) / 3)),  # 1: 0, 1,000: 1
        float("image" in card.modalities),
        float("audio" in card.modalities),
    ]
    return [round(column, 6) for column in columns]


def worker_table(pool: Pool) -> Records:
    """`WORKER_DTYPE` [workers], the part of a pool that every backend shares."""
    table = np.zeros(len(pool.workers), WORKER_DTYPE)
    for row, card in zip(table, pool.workers, strict=True):
        row["uid"] = uid_word(card.uid)
        row["price_in"] = round(card.usd_per_m_input * NANO_PER_1000_TOKENS)
        row["price_out"] = round(card.usd_per_m_output * NANO_PER_1000_TOKENS)
        row["window"] = card.window
    return table


def shown_workers(pool: Pool, max_workers: int) -> npt.NDArray[np.float32]:
    """What is observed of the workers before the first call, float32 [max_workers * 12]."""
    rows = np.full((max_workers, len(WORKER_COLUMNS)), MISSING, np.float32)
    for row, card in zip(rows, pool.workers, strict=False):
        row[:N_STATIC_WORKER_COLUMNS] = _static_columns(card)
        for name in ("calls", "errors"):
            row[WORKER_COLUMNS.index(name)] = 0.0
        row[WORKER_COLUMNS.index("valid")] = 1.0
    return rows.reshape(-1)


def text_direction(uid: str) -> list[float]:
    """Unit vector over public normals 1..15 that tells about this worker's own trouble.

    Public: a function of the worker's uid alone, so it survives a change of key.
    """
    raw = [uid_word(f"direction {j} of {uid}") / 2**63 - 1.0 for j in range(1, N_NORMALS)]
    length = math.sqrt(sum(x * x for x in raw))
    return [round(x / length, 9) for x in raw]


def told_by_normals(pool: Pool, normals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What a suite's public normals tell: entry 0 of difficulty, the others of own trouble.

    Args:
        pool: A simulated pool.
        normals: float64 [queries and parts, 16].

    Returns:
        float64 [queries and parts, 1 + workers].
    """
    told = np.zeros((len(normals), 1 + len(pool.workers)))
    told[:, 0] = normals[:, 0]
    for w, worker in enumerate(pool.workers):
        for j, weight in enumerate(text_direction(worker.uid)):
            told[:, 1 + w] += weight * normals[:, j + 1]
    return told


def told_by_text(pool: Pool, text: TextTable, data: SuiteTables) -> npt.NDArray[np.float64]:
    """What the text features tell by a fitted pool's weights.

    Summed column by column, so that every machine gets the same bits.

    Returns:
        float64 [queries and parts, 1 + workers].
    """
    columns = [*range(EMBEDDING_WIDTH), *range(EMBEDDING_WIDTH + N_DOMAINS, QUERY_WIDTH)]
    told = np.zeros((len(data.queries), 1 + len(pool.workers)))
    rows = (text.delta, *(text.eta.get(name) for name in pool.worker_names))
    for k, function in enumerate(rows):
        if function is None:
            continue
        offsets = np.array([function.offsets.get(name, 0.0) for name in data.domains])
        told[:, k] = offsets[data.queries["domain"]]
        for weight, column in zip(function.weights, columns, strict=True):
            told[:, k] += weight * data.features[:, column].astype(np.float64)
    return told


def _rho(
    pool: Pool, domain: str, accuracy: dict[str, dict[str, float]], assumptions: Assumptions
) -> float:
    """Shared share of variance; solved again from a published oracle at the ends of assumptions.

    The file's value meets the oracle at mid format failures. With others it would miss it.
    """
    card = pool.domains[domain]
    if card.published_oracle is None or assumptions == "mid":
        return resolve(card.rho, assumptions)
    names = pool.worker_names
    failures = [pool.failure(name, domain) for name in names]
    try:
        return solve_rho(
            card.published_oracle.value,
            [accuracy[name][domain] for name in names],
            [0.0 if f is None else resolve(f, assumptions) for f in failures],
        )
    except ValueError:  # no rho meets the oracle at these failures
        return resolve(card.rho, assumptions)


def _part_rows(data: SuiteTables) -> npt.NDArray[np.int64]:
    """Rows of `queries` that are parts."""
    whole = data.queries[data.queries["parts"] > 0]
    counts = whole["parts"].astype(np.int64)
    within: npt.NDArray[np.int64] = np.arange(int(counts.sum())) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return np.repeat(whole["first_part"].astype(np.int64), counts) + within


def _mean_threshold(thresholds: npt.NDArray[np.uint64]) -> int:
    """Mean of unsigned 64-bit thresholds, in exact arithmetic."""
    return sum(thresholds.tolist()) // len(thresholds)


def simulated_tables(pool: Pool, data: SuiteTables, assumptions: Assumptions) -> SimulatedTables:
    """Tables of a simulated pool on a suite's queries.

    Raises:
        ConfigError: The pool says nothing about one of the domains, or reads what the suite does
            not have.
    """
    card, accuracy, biases = pool.model, pool.accuracy, pool.confidence_bias
    if card is None or accuracy is None or biases is None:
        raise ConfigError(f"pool {pool.name!r} is {pool.backend}, it holds nothing to simulate.")
    has_parts = data.queries["parts"] > 0
    answered: list[int] = np.unique(data.queries["domain"][~has_parts]).tolist()
    lacking = [data.domains[d] for d in answered if data.domains[d] not in pool.domains]
    if lacking:
        raise ConfigError(
            f"pool {pool.name!r} says nothing about {', '.join(lacking)}. "
            f"It knows {', '.join(pool.domains)}. Choose a pool and a suite that go together: "
            "pool= and suite= are two settings, and one that is not given has its default."
        )
    # A whole of several parts has no ability of its own: its other numbers are means over them.
    wholes: list[int] = np.unique(data.queries["domain"][has_parts]).tolist()
    composite = [d for d in wholes if data.domains[d] not in pool.domains]
    joined = np.unique(data.queries["domain"][_part_rows(data)])
    domains = {d: name for d, name in enumerate(data.domains) if name in pool.domains}
    has_normals = bool(data.queries["normals"].any())
    reads = max(*end_points(card.r2_delta), *end_points(card.r2_eta)) > 0.0
    if reads and not has_normals and pool.text is None:
        raise ConfigError(
            f"pool {pool.name!r} says that public normals tell about difficulty, but this suite "
            "has none: a suite with text takes them from its train split, which is empty or too "
            "small. Add tasks there, or use a pool with r2_delta = 0 and r2_eta = 0, one that "
            "`conductor-gym fit` made from this suite's table, or a statistical suite."
        )
    cap = resolve(pool.output_cap, assumptions)
    tokens = pool.token_means()
    value = {name: resolve(getattr(card, name), assumptions) for name in type(card).model_fields}

    skew = value["difficulty_skew"]
    rhos = {name: _rho(pool, name, accuracy.values, assumptions) for name in domains.values()}
    abilities = np.zeros((len(pool.workers), len(data.domains)), ABILITY_DTYPE)
    for w, worker in enumerate(pool.workers):
        for d, domain in domains.items():
            number = pool.failure(worker.name, domain)
            failure = 0.0 if number is None else resolve(number, assumptions)
            rho = rhos[domain]
            row = abilities[w, d]
            loadings = pool.loadings_of(worker.name, domain)
            share = accuracy.values[worker.name][domain]
            row["z"] = probit(share, failure)
            if skew:
                first = np.array([loadings[0] * math.sqrt(rho)])
                row["z"] = skewed_probit(np.array([share / (1.0 - failure)]), first, skew)[0]
            for factor, loading in enumerate(loadings):
                row["on_shared"][factor] = loading * math.sqrt(rho)
            row["on_own"] = math.sqrt(1.0 - rho * sum(a * a for a in loadings))
            row["format_failure"] = threshold(failure)
            solve = uncapped_mean(tokens[worker.name][domain], value["token_sigma"], cap)
            factors = np.ones(N_SUBTASKS)
            factors[Subtask.VERIFY] = value["verify_tokens"]
            factors[Subtask.REVISE] = value["revise_tokens"]
            factors[Subtask.AGGREGATE] = value["aggregate_tokens"]
            factors[Subtask.PLAN] = value["plan_tokens"]
            row["tokens"] = solve * factors
    for d in composite:
        for w, rows in enumerate(abilities[:, joined]):
            abilities[w, d]["tokens"] = rows["tokens"].mean(axis=0)
            abilities[w, d]["format_failure"] = _mean_threshold(rows["format_failure"])

    domain_rows = np.zeros(len(data.domains), DOMAIN_DTYPE)
    for d, domain in domains.items():
        row = domain_rows[d]
        row["attractor"] = threshold(resolve(pool.domains[domain].attractor, assumptions))
        row["tail"] = pool.domains[domain].tail
        row["verify_gap"] = resolve(pool.domains[domain].verify_gap, assumptions)
    for d in composite:
        domain_rows[d]["attractor"] = _mean_threshold(domain_rows["attractor"][joined])
        domain_rows[d]["verify_gap"] = domain_rows["verify_gap"][joined].mean()

    sigmas = sorted({worker.ttft_sigma or 0.0 for worker in pool.workers})
    traits = np.zeros(len(pool.workers), TRAITS_DTYPE)
    for row, worker in zip(traits, pool.workers, strict=True):
        sigma = worker.ttft_sigma or 0.0
        # The card states the median, the factor has mean 1.
        mean = (worker.ttft_seconds or 0.0) * math.exp(sigma**2 / 2)
        row["uid"] = uid_word(worker.uid)
        bias = biases.exceptions.get(worker.name, biases.default)
        row["confidence_bias"] = resolve(bias, assumptions)
        row["first_token"] = round(mean * MICROSECONDS, 3)
        row["per_token"] = round(MICROSECONDS / (worker.tokens_per_second or math.inf), 6)
        row["first_token_row"] = 1 + sigmas.index(sigma)

    model = np.zeros(1, MODEL_DTYPE)
    row = model[0]
    for name, share in (("delta", value["r2_delta"]), ("eta", value["r2_eta"])):
        row[f"text_{name}"] = math.sqrt(share)
        row[f"noise_{name}"] = math.sqrt(1.0 - share)
    row["own"] = math.sqrt(value["kappa"])
    row["attempt"] = math.sqrt(1.0 - value["kappa"])
    for name in (
        "distraction",
        "confidence_slope",
        "confidence_noise",
        "verify_slope",
        "verify_seen",
        "verify_criterion",
        "revise_seen",
        "revise_own",
        "revise_critique",
        "aggregate_votes",
        "part_load",
        "plan_gap",
        "plan_slope",
        "join_gap",
        "evidence_lack",
        "document_distraction",
        "condense_gap",
        "condense_slope",
        "condense_tokens",
    ):
        row[name] = value[name]
    row["verify_persistent"] = math.sqrt(value["verify_persistent"])
    row["verify_fresh"] = math.sqrt(1.0 - value["verify_persistent"])
    row["blind_spot"] = value["verify_blind_spot"]
    row["verify_failure"] = threshold(value["verify_format_failure"])
    row["revise_same"] = value["revise_same_luck"]
    row["revise_new"] = math.sqrt(1.0 - value["revise_same_luck"] ** 2)
    row["revise_keep"] = threshold(value["revise_keep"])

    row["skew"], row["skew_scale"] = skew, 1.0 / math.sqrt(1.0 + 2.0 * skew**2)
    row["factors"] = pool.factors

    if pool.text is not None:
        told = told_by_text(pool, pool.text, data)
    else:
        told = told_by_normals(pool, data.queries["normals"])
    lognormal = np.stack([lognormal_factors(s) for s in (value["token_sigma"], *sigmas)])
    return SimulatedTables(
        abilities, domain_rows, traits, model, told, normal_quantiles(), lognormal
    )


def no_simulated_tables() -> SimulatedTables:
    """Empty tables of the right types, for backends that do not simulate."""
    return SimulatedTables(
        np.zeros((1, 1), ABILITY_DTYPE),
        np.zeros(1, DOMAIN_DTYPE),
        np.zeros(1, TRAITS_DTYPE),
        np.zeros(1, MODEL_DTYPE),
        np.zeros((1, 2)),
        normal_quantiles(),
        np.ones((1, 1025)),
    )
