"""From a pool's file to the tables that the compiled core reads."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conductor_gym.data_files import numbers, read_wide_table, recorded_folder
from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.dynamics.quantiles import lognormal_factors, normal_quantiles
from conductor_gym.dynamics.state import N_NORMALS, WORKER_DTYPE, Records
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.types import MICROSECONDS, N_SUBTASKS, Assumptions, Subtask
from conductor_gym.workers.calibration import probit, uncapped_mean
from conductor_gym.workers.pool import Pool, Recording, WorkerCard, resolve
from conductor_gym.workers.recorded import RECORDED_DTYPE
from conductor_gym.workers.simulated import (
    ABILITY_DTYPE,
    DOMAIN_DTYPE,
    MODEL_DTYPE,
    TRAITS_DTYPE,
    SimulatedTables,
)

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
        row["static"] = _static_columns(card)
    return table


def text_direction(uid: str) -> list[float]:
    """Unit vector over public normals 1..15 that tells about this worker's own trouble.

    Public: a function of the worker's uid alone, so it survives a change of key.
    """
    raw = [uid_word(f"direction {j} of {uid}") / 2**63 - 1.0 for j in range(1, N_NORMALS)]
    length = math.sqrt(sum(x * x for x in raw))
    return [round(x / length, 9) for x in raw]


def simulated_tables(
    pool: Pool, domains: Sequence[str], assumptions: Assumptions
) -> SimulatedTables:
    """Tables of a simulated pool on a suite's domains.

    Raises:
        ConfigError: The pool says nothing about one of the domains.
    """
    card, accuracy, biases = pool.model, pool.accuracy, pool.confidence_bias
    if card is None or accuracy is None or biases is None:
        raise ConfigError(f"pool {pool.name!r} is {pool.backend}, it holds nothing to simulate.")
    lacking = [domain for domain in domains if domain not in pool.domains]
    if lacking:
        raise ConfigError(
            f"pool {pool.name!r} says nothing about {', '.join(lacking)}. "
            f"It knows {', '.join(pool.domains)}."
        )
    cap = resolve(pool.output_cap, assumptions)
    tokens = pool.token_means()
    value = {name: resolve(getattr(card, name), assumptions) for name in type(card).model_fields}

    loadings = pool.loadings.values if pool.loadings else {}
    abilities = np.zeros((len(pool.workers), len(domains)), ABILITY_DTYPE)
    for w, worker in enumerate(pool.workers):
        for d, domain in enumerate(domains):
            number = pool.failure(worker.name, domain)
            failure = 0.0 if number is None else resolve(number, assumptions)
            rho = resolve(pool.domains[domain].rho, assumptions)
            row = abilities[w, d]
            row["z"] = probit(accuracy.values[worker.name][domain], failure)
            shared = loadings.get(worker.name, 1.0) ** 2 * rho
            row["on_difficulty"] = math.sqrt(shared)
            row["on_own"] = math.sqrt(1.0 - shared)
            row["format_failure"] = threshold(failure)
            solve = uncapped_mean(tokens[worker.name][domain], value["token_sigma"], cap)
            factors = np.ones(N_SUBTASKS)
            factors[Subtask.VERIFY] = value["verify_tokens"]
            factors[Subtask.REVISE] = value["revise_tokens"]
            factors[Subtask.AGGREGATE] = value["aggregate_tokens"]
            row["tokens"] = solve * factors

    domain_rows = np.zeros(len(domains), DOMAIN_DTYPE)
    for row, domain in zip(domain_rows, domains, strict=True):
        row["attractor"] = threshold(resolve(pool.domains[domain].attractor, assumptions))
        row["tail"] = pool.domains[domain].tail
        row["verify_gap"] = resolve(pool.domains[domain].verify_gap, assumptions)

    sigmas = sorted({worker.ttft_sigma or 0.0 for worker in pool.workers})
    traits = np.zeros(len(pool.workers), TRAITS_DTYPE)
    for row, worker in zip(traits, pool.workers, strict=True):
        sigma = worker.ttft_sigma or 0.0
        # The card states the median, the factor has mean 1.
        mean = (worker.ttft_seconds or 0.0) * math.exp(sigma**2 / 2)
        row["uid"] = uid_word(worker.uid)
        row["direction"] = text_direction(worker.uid)
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
        "revise_critique",
        "aggregate_votes",
    ):
        row[name] = value[name]
    row["verify_persistent"] = math.sqrt(value["verify_persistent"])
    row["verify_fresh"] = math.sqrt(1.0 - value["verify_persistent"])
    row["blind_spot"] = value["verify_blind_spot"]
    row["verify_failure"] = threshold(value["verify_format_failure"])
    row["revise_same"] = value["revise_same_luck"]
    row["revise_new"] = math.sqrt(1.0 - value["revise_same_luck"] ** 2)
    row["revise_keep"] = threshold(value["revise_keep"])

    lognormal = np.stack([lognormal_factors(s) for s in (value["token_sigma"], *sigmas)])
    return SimulatedTables(abilities, domain_rows, traits, model, normal_quantiles(), lognormal)


def no_simulated_tables() -> SimulatedTables:
    """Empty tables of the right types, for backends that do not simulate."""
    return SimulatedTables(
        np.zeros((1, 1), ABILITY_DTYPE),
        np.zeros(1, DOMAIN_DTYPE),
        np.zeros(1, TRAITS_DTYPE),
        np.zeros(1, MODEL_DTYPE),
        normal_quantiles(),
        np.ones((1, 1025)),
    )


def recorded_table(
    pool: Pool, recording: Recording, uids: tuple[str, ...], assumptions: Assumptions
) -> Records:
    """Recorded outcomes of a pool's workers on a split's queries.

    Args:
        pool: A recorded pool.
        recording: Its `[recording]` section.
        uids: Query ids of the split.
        assumptions: Decides on the output cap, where that is assumed.

    Returns:
        `RECORDED_DTYPE` [queries, workers].

    Raises:
        DataFileError: Missing files or columns, cells out of range, queries without a record, or
            outputs longer than the pool's cap.
    """
    names = pool.worker_names
    table = np.zeros((len(uids), len(names)), RECORDED_DTYPE)
    path = recorded_folder() / Path(recording.outcomes)
    outcomes = read_wide_table(path, recording.id_column, names)
    path = recorded_folder() / Path(recording.output_characters)
    characters = read_wide_table(path, recording.id_column, names)
    cap = resolve(pool.output_cap, assumptions)
    if not any(uid in outcomes.rows for uid in uids):
        raise DataFileError(
            f"{outcomes.path} holds none of this suite's queries, such as {uids[0]!r}: "
            f"pool {pool.name!r} and suite come from different recordings."
        )
    for w, name in enumerate(names):
        table["score"][:, w] = numbers(outcomes, name, uids, 0.0, 1.0)
        lengths = numbers(characters, name, uids, 0.0, 1e9)
        bare = np.flatnonzero(np.isnan(table["score"][:, w]) | np.isnan(lengths))
        if len(bare):
            raise DataFileError(
                f"{outcomes.path}: {name!r} has no record of query {uids[bare[0]]!r} and of "
                f"{len(bare) - 1} more. List it under `complete_for` of the suite, or leave the "
                "worker out of the pool."
            )
        tokens = np.ceil(lengths / recording.characters_per_token)
        if tokens.max() > cap:
            raise DataFileError(
                f"{characters.path}: {name!r} wrote {tokens.max():.0f} tokens on query "
                f"{uids[int(tokens.argmax())]!r}, over the pool's output_cap of {cap:.0f}. "
                "Raise output_cap."
            )
        table["tokens_out"][:, w] = tokens.astype(np.int64)
    return table
