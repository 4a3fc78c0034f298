"""From a recording to the table that the recorded backend replays."""

import numpy as np

from conductor_gym.dynamics.state import Records
from conductor_gym.errors import DataFileError
from conductor_gym.recordings.recording import Recording
from conductor_gym.types import MICROSECONDS, NANO_USD, Assumptions, Status
from conductor_gym.workers.pool import Pool, resolve
from conductor_gym.workers.recorded import RECORDED_DTYPE


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
        DataFileError: Unknown workers, queries without a record, outputs longer than the pool's
            cap, or bills above the worst price that the cap allows.
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
        _check_cap(pool, where, uids, np.where(recorded, tokens, 0.0), assumptions)
        table["tokens_out"] = np.where(np.isfinite(tokens), np.ceil(tokens), 0)
    if found.usd is not None:
        usd = found.usd[rows][:, columns]
        table["cost"] = np.where(np.isfinite(usd), np.floor(usd * NANO_USD + 0.5), -1)
    if found.seconds is not None:
        seconds = found.seconds[rows][:, columns]
        table["latency"] = np.where(np.isfinite(seconds), np.rint(seconds * MICROSECONDS), 0)
    if found.answer is not None:
        table["answer"] = found.answer[rows][:, columns]
    if found.malformed is not None:
        malformed = found.malformed[rows][:, columns]
        table["status"] = np.where(malformed, int(Status.MALFORMED), int(Status.OK))
        table["score"][malformed] = 0.0
        table["answer"][malformed] = -1
    return table


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
