"""Suites that are some tasks of another suite."""

from difflib import get_close_matches

import numpy as np

from conductor_gym.errors import DataFileError, unknown_name
from conductor_gym.tasks.selection_card import SelectionCard, beginnings, own_part
from conductor_gym.tasks.suite import Split, load_split, load_suite_card


def selected_split(suite: str, card: SelectionCard, split: str) -> Split:
    """Some tasks of one split of another suite; rows, features, prompts and tasks are its own.

    Args:
        suite: Name of the selection.
        card: What is selected.
        split: Name of the split.

    Raises:
        UnknownNameError: No such suite or split there.
        DataFileError: A beginning that no uid has, no task in the split, or a broken file.
    """
    check_splits(card)
    whole = load_split(card.suite, split)
    rows = _chosen(card, whole, split)
    found = {_prefix(card, whole.uids[row]) for row in rows}
    missing = [prefix for prefix in card.tasks if prefix not in found]
    for prefix in missing:
        _check_exists(suite, card, prefix)
    if not rows:
        raise DataFileError(
            f"suite {suite!r}: none of its tasks is in split {split!r} of {card.suite!r}. Take "
            f"{split!r} out of `most`, or name other tasks."
        )
    return cut(suite, whole, rows)


def check_splits(card: SelectionCard) -> None:
    """Whether the other suite exists and has the splits.

    Raises:
        UnknownNameError: It has not.
    """
    there = load_suite_card(card.suite).splits
    for split in card.most:
        if split not in there:
            raise unknown_name("split", split, there, f"These are the splits of {card.suite!r}.")


def _prefix(card: SelectionCard, uid: str) -> str | None:
    """The selection's beginning that a uid has; at most one, because they lie apart."""
    wanted = set(card.tasks)
    return next((path for path in beginnings(own_part(uid)) if path in wanted), None)


def _chosen(card: SelectionCard, whole: Split, split: str) -> list[int]:
    """Rows of the queries, in the other suite's order."""
    left = dict.fromkeys(card.tasks, card.most[split])
    rows: list[int] = []
    for row, uid in enumerate(whole.uids):
        prefix = _prefix(card, uid)
        if prefix is not None and left[prefix]:
            left[prefix] -= 1
            rows.append(row)
    return rows


def _check_exists(suite: str, card: SelectionCard, prefix: str) -> None:
    """A cell may be empty in one split, but not in all of them."""
    known: dict[str, None] = {}
    for split in card.most:
        for uid in load_split(card.suite, split).uids:
            known |= dict.fromkeys(beginnings(own_part(uid)))
    if prefix in known:
        return
    near = get_close_matches(prefix, list(known), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataFileError(
        f"suite {suite!r}: no task of {card.suite!r} begins with {prefix!r}.{hint} A beginning is "
        f"that of a uid without the suite's name, such as {next(iter(known))!r}."
    )


def cut(suite: str, whole: Split, rows: list[int], ids: tuple[str, ...] | None = None) -> Split:
    """Some queries of a split: their rows, then those of their parts.

    Args:
        suite: Name of the suite that they are put into.
        whole: The split.
        rows: Of its queries.
        ids: Of these queries in a recorded table; None: as in the split.
    """
    queries = len(rows)
    parts: list[int] = []
    firsts: list[int] = []
    for row in rows:
        firsts.append(queries + len(parts))
        first = int(whole.queries["first_part"][row])
        parts += range(first, first + int(whole.queries["parts"][row]))
    every = np.array([*rows, *parts], np.int64)
    table = whole.queries[every]
    has_parts = np.flatnonzero(table["parts"][:queries])
    table["first_part"][has_parts] = np.array(firsts, np.int64)[has_parts]

    def of(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(texts[row] for row in rows) if texts else ()

    return Split(
        suite=suite,
        name=whole.name,
        domains=whole.domains,
        uids=of(whole.uids),
        ids=of(whole.ids) if ids is None else ids,
        queries=table,
        features=whole.features[every],
        prompts=None if whole.prompts is None else of(whole.prompts),
        tasks=tuple(whole.tasks[row] for row in rows) if whole.tasks else (),
    )
