"""From a recording to the table that the recorded backend replays."""

import numpy as np

from conductor_gym.dynamics.state import Records, Tables
from conductor_gym.errors import DataFileError
from conductor_gym.recordings.recording import Recording
from conductor_gym.types import MICROSECONDS, NANO_USD, Assumptions, Status
from conductor_gym.workers.pool import Pool, resolve
from conductor_gym.workers.recorded import RECORDED_DTYPE

UNBILLED = (int(Status.OVERFLOW), int(Status.THROTTLED), int(Status.UNAVAILABLE))
"""Statuses that cost nothing unless a bill is recorded."""


def recorded_table(
    pool: Pool, recording: Recording, uids: tuple[str, ...], assumptions: Assumptions
) -> Records:
    """Recorded outcomes of a pool's workers on a split's queries.

    Args:
        pool: A recorded pool.
        recording: What it replays.
        uids: Query ids of the split.
        assumptions: Decides on the output cap, where that is assumed.

    Returns:
        `RECORDED_DTYPE` [queries, workers, attempts].

    Raises:
        DataFileError: Unknown workers, queries without a record, or outputs longer than the
            pool's cap.
    """
    where = recording.card.outcomes.files[0]
    positions = {uid: i for i, uid in enumerate(recording.queries.uids)}
    known = [uid for uid in uids if uid in positions]
    if not known:
        raise DataFileError(
            f"{where} holds none of this suite's queries, such as {uids[0]!r}: "
            f"pool {pool.name!r} and suite come from different recordings."
        )
    rows = np.array([positions.get(uid, -1) for uid in uids])
    columns = np.array([recording.column(name) for name in pool.worker_names])
    found = recording.outcomes
    score = found.score[rows][:, columns]
    score[rows < 0] = np.nan
    for w, name in enumerate(pool.worker_names):
        bare = np.flatnonzero(np.isnan(score[:, w, 0]))
        if len(bare):
            raise DataFileError(
                f"{where}: {name!r} has no record of query {uids[bare[0]]!r} and of "
                f"{len(bare) - 1} more. List it under `complete_for` of the suite, or leave the "
                "worker out of the pool."
            )
    table = np.zeros(score.shape, RECORDED_DTYPE)
    recorded = np.isfinite(score)
    table["score"] = np.where(recorded, score, 0.0)
    table["attempts"] = recorded.sum(axis=2, keepdims=True)
    for name in ("tokens_in", "cost", "answer"):
        table[name] = -1
    if found.tokens_in is not None:
        tokens = found.tokens_in[rows][:, columns]
        table["tokens_in"] = np.where(np.isfinite(tokens), np.ceil(tokens), -1)
    if found.tokens_out is not None:
        tokens = found.tokens_out[rows][:, columns]
        counted = recording.card.outcomes.output_characters or where
        _check_cap(pool, counted, uids, np.where(recorded, tokens, 0.0), assumptions)
        table["tokens_out"] = np.where(np.isfinite(tokens), np.ceil(tokens), 0)
    if found.usd is not None:
        usd = found.usd[rows][:, columns]
        if found.tokens_out is None:
            # Tokens that the bill would have paid for.
            prices = np.array([worker.usd_per_m_output for worker in pool.workers])[:, None]
            implied = np.divide(usd * 1e6, prices, where=prices > 0, out=np.zeros_like(usd))
            table["tokens_out"] = np.nan_to_num(np.floor(implied + 0.5))
        table["cost"] = np.where(np.isfinite(usd), np.floor(usd * NANO_USD + 0.5), -1)
    if found.seconds is not None:
        seconds = found.seconds[rows][:, columns]
        table["latency"] = np.where(np.isfinite(seconds), np.rint(seconds * MICROSECONDS), 0)
    if found.answer is not None:
        answer = found.answer[rows][:, columns]
        # An answer that is not recorded agrees with no other one.
        own = np.arange(answer.size, dtype=np.int64).reshape(answer.shape)
        table["answer"] = np.where(answer < 0, own, answer)
    if found.status is not None:
        status = found.status[rows][:, columns]
        table["status"] = np.where(recorded, status, int(Status.OK))
        failed = table["status"] != int(Status.OK)
        table["score"][failed] = 0.0
        table["answer"][failed] = -1
        free = np.isin(table["status"], UNBILLED) & (table["cost"] < 0)
        table["cost"][free] = 0
    return table


def check_bills(pool: Pool, recording: Recording, tables: Tables, recorded: Records) -> None:
    """No recorded call may cost more than the worst price that is held against the budget.

    Args:
        pool: A recorded pool.
        recording: What it replays.
        tables: Shared tables of the pool and the split.
        recorded: `RECORDED_DTYPE` [queries, workers, attempts].

    Raises:
        DataFileError: A bill above the worst price; names worker and query.
    """
    workers, tokens = tables.workers, tables.queries["tokens"] + tables.rules[0]["overhead"]
    price_in, price_out = (workers[name][:, None] for name in ("price_in", "price_out"))
    tokens_in = np.where(recorded["tokens_in"] < 0, tokens[:, None, None], recorded["tokens_in"])
    priced = (tokens_in * price_in + recorded["tokens_out"] * price_out + 500) // 1000
    bill = np.where(recorded["cost"] < 0, priced, recorded["cost"])
    most = tables.rules[0]["output_cap"] * price_out
    worst = (tokens[:, None, None] * price_in + most + 500) // 1000
    over = np.argwhere(bill > worst)
    if len(over):
        q, w, k = over[0].tolist()
        raise DataFileError(
            f"{recording.card.outcomes.files[0]}: {pool.worker_names[w]!r} was paid "
            f"{bill[q, w, k] / NANO_USD:.6f} USD for a call that pool {pool.name!r} expects to "
            f"cost at most {worst[q, w, 0] / NANO_USD:.6f} USD (and {len(over) - 1} more such "
            "calls), so a budget could be exceeded. Raise output_cap or overhead_tokens, or "
            "correct the worker's prices."
        )


def _check_cap(
    pool: Pool,
    where: str,
    uids: tuple[str, ...],
    tokens: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    assumptions: Assumptions,
) -> None:
    cap = resolve(pool.output_cap, assumptions)
    for w, name in enumerate(pool.worker_names):
        most = np.nan_to_num(tokens[:, w]).max(axis=1)
        if most.max() > cap:
            raise DataFileError(
                f"{where}: {name!r} wrote {most.max():.0f} tokens on query "
                f"{uids[int(most.argmax())]!r}, over the pool's output_cap of {cap:.0f}. "
                "Raise output_cap."
            )
