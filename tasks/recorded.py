"""Suites of real queries that a recorded table holds."""

import numpy as np

from conductor_gym.data_files import numbers, read_wide_table, recorded_folder
from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.errors import DataFileError
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.tasks.suite import RecordedCard, Split, make_split
from conductor_gym.tasks.text_features import hashed_embedding, surface_features


def recorded_split(suite: str, card: RecordedCard, split: str) -> Split:
    """Read one split. Queries are put in the order of a hash of their id and cut by `shares`.

    Args:
        suite: Name of the suite.
        card: Files and columns.
        split: Name of the split.

    Raises:
        DataFileError: Missing or broken files, more than 16 domains, blank texts.
    """
    extra = tuple(name for name in (card.domain_column, card.options_column) if name)
    table = read_wide_table(
        recorded_folder() / card.queries, card.id_column, (*card.text_columns, *extra)
    )
    uids = list(table.rows)
    if card.complete_in is not None:
        path = recorded_folder() / card.complete_in
        outcomes = read_wide_table(path, card.id_column, card.complete_for)
        columns = [numbers(outcomes, name, tuple(uids), 0.0, 1.0) for name in card.complete_for]
        whole = np.flatnonzero(np.isfinite(np.stack(columns)).all(axis=0))
        uids = [uids[i] for i in whole.tolist()]
    domains = (card.domain or "",)
    if card.domain_column is not None:
        at = table.columns.index(card.domain_column)
        domains = tuple(sorted({cells[at] for _, cells in table.rows.values()}))
    if len(domains) > N_DOMAINS:
        raise DataFileError(
            f"{table.path}: {len(domains)} different values in {card.domain_column!r}; "
            f"a suite holds at most {N_DOMAINS} domains."
        )

    # In order of a hash: the same split wherever and however the file was sorted.
    uids.sort(key=lambda uid: uid_word(f"split of {suite}/{uid}"))
    bounds = np.round(np.cumsum([0.0, *card.shares.values()]) * len(uids)).astype(int)
    k = list(card.shares).index(split)
    chosen = tuple(uids[bounds[k] : bounds[k + 1]])
    if not chosen:
        raise DataFileError(f"{table.path}: {len(uids)} queries leave none for split {split!r}.")

    texts = [table.columns.index(name) for name in card.text_columns]
    prompts = tuple("\n\n".join(table.rows[uid][1][i] for i in texts) for uid in chosen)
    for uid, prompt in zip(chosen, prompts, strict=True):
        if not prompt.strip():
            raise DataFileError(f"{table.path}, line {table.rows[uid][0]}: the text is blank.")
    domain = np.zeros(len(chosen), np.int64)
    if card.domain_column is not None:
        at = table.columns.index(card.domain_column)
        domain[:] = [domains.index(table.rows[uid][1][at]) for uid in chosen]
    options = None
    if card.options_column is not None:
        options = numbers(table, card.options_column, chosen, 0.0, 1000.0)
    tokens = np.array([-(-len(p) // card.characters_per_token) for p in prompts]).astype(np.int64)
    return make_split(
        suite,
        split,
        domains,
        tuple(f"{suite}/{uid}" for uid in chosen),
        chosen,
        domain,
        tokens,
        None,
        hashed_embedding(prompts),
        surface_features(prompts, options),
        prompts,
    )
