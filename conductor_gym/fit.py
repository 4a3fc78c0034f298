"""`conductor-gym fit`: a simulated pool from the single calls of a recording."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.recordings.detect import is_recording
from conductor_gym.recordings.recording import Recording, load_recording
from conductor_gym.spaces import EMBEDDING_WIDTH, N_DOMAINS, QUERY_WIDTH
from conductor_gym.tasks.recorded import recorded_split
from conductor_gym.tasks.suite import RecordedCard, Split
from conductor_gym.workers.fitted_pool import fitted_pool
from conductor_gym.workers.fitting import Fitted, Table, fit_outcomes
from conductor_gym.workers.outcome_rows import rows_of
from conductor_gym.workers.pool import FittedOn, Pool, list_pools, load_pool
from conductor_gym.workers.recording_pool import recording_pool
from conductor_gym.workers.sparse_fit import fit_sparse, sparse_pool

TEXT_COLUMNS = (*range(EMBEDDING_WIDTH), *range(EMBEDDING_WIDTH + N_DOMAINS, QUERY_WIDTH))


@dataclass(frozen=True, eq=False)
class Source:
    """What is fitted, or held against a fit: some workers of a recording.

    Attributes:
        table: As it was named: a recorded pool or a recording.
        pool: Recorded pool of these workers, with prices.
        recording: The outcomes.
        card: Which queries: those with a record of every one of these workers.
        salt: Another one cuts the queries into other splits.
    """

    table: str
    pool: Pool
    recording: Recording
    card: RecordedCard
    salt: str = ""

    def split(self, name: str) -> Split:
        """The queries of one split."""
        return recorded_split(self.recording.card.name, self.card, name, self.salt)

    @property
    def has_costs(self) -> bool:
        """Whether tokens or USD are recorded, so that costs can be held against real ones."""
        found = self.recording.outcomes
        return found.tokens_out is not None or found.usd is not None

    @property
    def left_out(self) -> int:
        """Queries without a record of every worker that are not used."""
        if self.card.sparse:
            return 0
        kept = len(self.recording.complete_for(self.card.complete_for))
        return len(self.recording.queries.uids) - kept

    def scores(self, split: Split) -> npt.NDArray[np.float64]:
        """Real scores float64 [queries, workers] of a split, first attempts; NaN without one."""
        return self.table_of(split).scores[:, :, 0]

    def table_of(self, split: Split) -> Table:
        """A split's outcomes in the form that a fit takes."""
        found = self.recording.outcomes
        rows, columns = rows_of(self.recording, split.ids, self.pool.worker_names)

        def first(table: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64] | None:
            return None if table is None else table[rows][:, columns, 0]

        told = self.recording.queries
        return Table(
            self.pool.worker_names,
            split.domains,
            split.domain,
            found.score[rows][:, columns],
            None
            if split.prompts is None
            else split.features[:, list(TEXT_COLUMNS)].astype(np.float64),
            self._tokens(first(found.tokens_out), first(found.usd)),
            first(found.seconds),
            None if found.answer is None else found.answer[rows][:, columns, 0],
            None if found.malformed is None else found.malformed[rows][:, columns],
            None if told.choices is None else told.choices[rows],
            Path(self.recording.card.outcomes.files[0]).name,
        )

    def _tokens(
        self, tokens: npt.NDArray[np.float64] | None, usd: npt.NDArray[np.float64] | None
    ) -> npt.NDArray[np.float64] | None:
        """Output tokens; where only bills are recorded, those that the pool's prices stand for."""
        if tokens is not None or usd is None:
            return tokens
        prices = np.array([card.usd_per_m_output for card in self.pool.workers])
        return usd * 1e6 / np.maximum(prices, 1e-9)


def find_source(
    table: str,
    workers: tuple[str, ...] | None = None,
    prices: Path | None = None,
    sparse: bool = False,
) -> Source:
    """Find what `fit` and `fidelity` work on.

    Args:
        table: A recorded pool (its workers and prices), a recording's name, or a path to a table,
            a folder of tables or a card.
        workers: Workers to keep; None for all.
        prices: Table of workers with their prices.
        sparse: Use queries that only some workers have a record of, too.

    Raises:
        ConfigError: A simulated pool.
        UnknownNameError: No such table or worker.
        DataFileError: A broken table.
    """
    if table in list_pools() or (table.endswith(".toml") and not is_recording(table)):
        pool = load_pool(table)
        if pool.recording is None and pool.journal is not None:
            pool = pool.model_copy(update={"recording": pool.journal, "backend": "recorded"})
        if pool.recording is None:
            raise ConfigError(
                f"pool {table!r} is {pool.backend}: a fit needs recorded outcomes. "
                "See `conductor-gym list recordings`."
            )
        if workers is not None:
            strangers = [name for name in workers if name not in pool.worker_names]
            if strangers:
                raise ConfigError(
                    f"pool {table!r} has no worker {', '.join(strangers)}. "
                    f"It has {', '.join(pool.worker_names)}."
                )
            kept = tuple(card for card in pool.workers if card.name in workers)
            pool = pool.model_copy(update={"workers": kept})
        name = pool.recording or ""
    else:
        name = table
        pool = recording_pool(name, workers, prices, assume_prices=True)
    recording = load_recording(name)
    card = RecordedCard(recording=name, sparse=True)
    if not sparse:
        card = RecordedCard(recording=name, complete_for=pool.worker_names)
    return Source(table, pool, recording, card)


def fit_source(source: Source, split: str, name: str) -> tuple[Pool, Fitted]:
    """Fit a source's outcomes on one split.

    Args:
        source: From `find_source`.
        split: Split whose outcomes are fitted; keep another one for `fidelity`.
        name: Of the new pool.

    Raises:
        DataFileError: Too little or unfit data; says which.
    """
    if split not in source.recording.card.shares:
        raise DataFileError(
            f"{source.table}: unknown split {split!r}. "
            f"Known: {', '.join(source.recording.card.shares)}."
        )
    data = source.split(split)
    sparse, found = source.card.sparse, source.table_of(data)
    fitted = fit_sparse(found) if sparse else fit_outcomes(found)
    fitted_on = FittedOn(
        table=source.table,
        split=split,
        queries=len(data.uids),
        content=source.recording.content_hash(),
    )
    make = sparse_pool if sparse else fitted_pool
    return make(name, source.pool, data.domains, fitted, fitted_on), fitted


def write_pool(pool: Pool, path: Path) -> None:
    """Write a pool as TOML, whole or not at all."""
    import tomli_w

    from conductor_gym.data_files import write_beside_and_rename

    head = (
        "# Made by `conductor-gym fit`. Every number names its source; fitted ones carry standard\n"
        "# errors or an interval, assumed ones low / mid / high.\n\n"
    )
    values = pool.model_dump(exclude_none=True, exclude_defaults=False)
    if pool.journal is not None:
        values["journal"] = os.path.relpath(pool.journal, path.absolute().parent)
    write_beside_and_rename(path, (head + tomli_w.dumps(values)).encode())
