"""Suites of real queries that a recording holds."""

from collections import Counter
from pathlib import Path

import numpy as np

from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.errors import DataFileError
from conductor_gym.recordings.journal_lines import is_journal
from conductor_gym.recordings.recording import Recording, load_recording
from conductor_gym.spaces import N_DOMAINS, SURFACE_COLUMNS
from conductor_gym.tasks.selection import cut
from conductor_gym.tasks.suite import (
    RecordedCard,
    Split,
    list_suites,
    load_split,
    load_suite_card,
    make_split,
)
from conductor_gym.tasks.text_features import hashed_embedding, surface_features

OTHER = "other"
"""Domain of the queries whose own domain is too small, or one of too many."""
SMALLEST_DOMAIN = 60
"""Queries of a domain that stays one of its own."""


def merged_domains(names: list[str]) -> dict[str, str]:
    """Domain to the one it counts as: small ones, and the smallest of too many, are merged.

    Args:
        names: Domain of every query.
    """
    sizes = Counter(names)
    by_size = sorted(sizes, key=lambda name: (-sizes[name], name))
    kept = [name for name in by_size if sizes[name] >= SMALLEST_DOMAIN]
    if len(by_size) == 1 or (len(kept) == len(by_size) <= N_DOMAINS):
        return {name: name for name in by_size}
    kept = kept[: N_DOMAINS - 1]
    return {name: name if name in kept else OTHER for name in by_size}


def recorded_split(suite: str, card: RecordedCard, split: str, salt: str = "") -> Split:
    """Read one split. A hash of a query's id alone decides which split it belongs to.

    Args:
        suite: Name of the suite.
        card: Which queries of which recording.
        split: Name of the split.
        salt: Another one cuts the queries in another way; the suite's own splits have none.

    Raises:
        DataFileError: Missing or broken files, or too few queries.
    """
    recording = load_recording(card.recording)
    if card.sparse:
        rows = recording.told_by_any()
    else:
        rows = recording.complete_for(card.complete_for or recording.outcomes.workers)
    told = recording.queries
    if is_journal(Path(recording.card.outcomes.files[0])):
        of_suite = _of_suite(suite, split, [told.uids[row] for row in rows.tolist()])
        if of_suite is not None:
            return of_suite
    merged = merged_domains(list(told.domains))
    domains = tuple(sorted(set(merged.values())))

    shares = card.shares or recording.card.shares
    bounds = np.cumsum([0.0, *shares.values()])
    k = list(shares).index(split)
    low, high = bounds[k], bounds[k + 1] if k + 1 < len(shares) else 1.0
    # Of the query alone: it stays in its split whatever workers and queries are left out.
    head = f"split{salt} of {recording.card.name}"
    place = {i: uid_word(f"{head}/{told.uids[i]}") / 2**64 for i in rows.tolist()}
    inside = [i for i, at in place.items() if low <= at < high]
    chosen = sorted(inside, key=place.__getitem__)
    if not chosen:
        found = recording.outcomes
        counts = np.isfinite(found.score[:, :, 0]).sum(axis=0)
        fewest = int(counts.argmin())
        raise DataFileError(
            f"{recording.card.query_files[0]}: {len(rows)} queries with a record of every worker "
            f"leave none for split {split!r}. {found.workers[fewest]!r} has the fewest, "
            f"{counts[fewest]}: leave it out under `complete_for` of a suite file, or add queries. "
            "A log of one worker a query: see docs/traces.md."
        )
    return _split(suite, split, recording, domains, merged, chosen)


def _of_suite(suite: str, split: str, uids: list[str]) -> Split | None:
    """The queries of a journal as a shipped suite has them, with its texts, domains and splits.

    None where they are of no shipped suite: then the journal alone tells of them.
    """
    named = uids[0].partition("/")[0]
    if named not in list_suites() or split not in load_suite_card(named).splits:
        return None
    whole, known = load_split(named, split), set(uids)
    rows = [row for row, uid in enumerate(whole.uids) if uid in known]
    return cut(suite, whole, rows, tuple(whole.uids[row] for row in rows)) if rows else None


def _split(
    suite: str,
    split: str,
    recording: Recording,
    domains: tuple[str, ...],
    merged: dict[str, str],
    chosen: list[int],
) -> Split:
    told = recording.queries
    ids = tuple(told.uids[i] for i in chosen)
    domain = np.array([domains.index(merged[told.domains[i]]) for i in chosen], np.int64)
    prompts = None
    embedding = None
    tokens = recording.prompt_tokens()[chosen]
    if told.prompts is not None:
        prompts = tuple(told.prompts[i] for i in chosen)
        embedding = hashed_embedding(prompts)
        options = None if told.choices is None else told.choices[np.array(chosen)]
        surface = surface_features(prompts, options)
    else:
        surface = np.full((len(chosen), len(SURFACE_COLUMNS)), -1.0)
        surface[:, SURFACE_COLUMNS.index("has_text")] = 0.0
    return make_split(
        suite,
        split,
        domains,
        tuple(f"{suite}/{uid}" for uid in ids),
        ids,
        domain,
        tokens,
        None,
        embedding,
        surface,
        prompts,
    )
