"""What played scripts tell about acting on answers: revising, aggregating, and their length."""

from collections.abc import Callable
from itertools import product

import numpy as np

from conductor_gym.dynamics.state import Records
from conductor_gym.leaderboard.held_measures import (
    Bools,
    Column,
    Shape,
    attempts,
    bools,
    came,
    find,
    rejects,
    right,
    same_answer,
    stacked,
    wrong,
)
from conductor_gym.leaderboard.query_sums import Array, Measure, Shares, over
from conductor_gym.leaderboard.scripted_calls import (
    AGGREGATE,
    CANDIDATES,
    REVISE,
    SOLVE,
    VERIFY,
    Played,
)

REVISIONS, AGGREGATES, LENGTHS = "Revisions", "Aggregates", "Length"
Wanted = Callable[[int, int], Shape | None]
"""The script of a writer and an actor, None where they have none."""
Counted = Callable[[Records], tuple[Column, Bools]]
"""What is counted of a script's steps, and among which queries."""


def _own(writer: int, actor: int) -> Shape | None:
    return ((writer, SOLVE, False), (actor, REVISE, False)) if writer == actor else None


def _others(writer: int, actor: int) -> Shape | None:
    return ((writer, SOLVE, False), (actor, REVISE, False)) if writer != actor else None


def _after_critique(writer: int, actor: int) -> Shape | None:
    """The actor's own answer, judged by the writer of others."""
    return None if writer == actor else _reviewed(actor, writer)


def _reviewed(writer: int, verifier: int) -> Shape:
    """The writer revises its own answer and sees another's verdict on it."""
    return ((writer, SOLVE, False), (verifier, VERIFY, False), (writer, REVISE, True))


def _repaired(steps: Records) -> tuple[Bools, Bools]:
    asked = wrong(steps)[:, 0] & came(steps)[:, -1]
    return asked & right(steps)[:, -1], asked


def _broken(steps: Records) -> tuple[Bools, Bools]:
    asked = right(steps)[:, 0] & came(steps)[:, -1]
    return asked & wrong(steps)[:, -1], asked


def _gained(steps: Records) -> tuple[Array, Bools]:
    asked = came(steps)[:, 0] & came(steps)[:, -1]
    change = right(steps)[:, -1].astype(float) - right(steps)[:, 0]
    return change * asked, asked


def _kept(steps: Records) -> tuple[Bools, Bools]:
    asked = wrong(steps)[:, 0] & wrong(steps)[:, -1]
    return asked & same_answer(steps, 0, -1), asked


def _rejected(counted: Counted) -> Counted:
    """The same among answers that the verdict rejected."""

    def of(steps: Records) -> tuple[Column, Bools]:
        part, asked = counted(steps)
        rejected = rejects(steps)[:, 1]
        return part * rejected, asked & rejected

    return of


_FOUND: tuple[tuple[str, tuple[str, ...], Wanted, Counted], ...] = (
    (
        "one's own wrong answers that revising repairs",
        ("revise_same_luck", "kappa"),
        _own,
        _repaired,
    ),
    ("one's own right answers that revising breaks", ("revise_same_luck", "kappa"), _own, _broken),
    ("gain of accuracy by revising one's own answer", ("revise_own",), _own, _gained),
    ("others' wrong answers that revising repairs", ("revise_same_luck",), _others, _repaired),
    ("others' right answers that revising breaks", ("revise_same_luck",), _others, _broken),
    ("wrong answers that stay wrong and stay the same", ("revise_keep",), _own, _kept),
    ("others' wrong answers that stay wrong and stay the same", ("revise_keep",), _others, _kept),
    (
        "one's own wrong answers repaired on seeing another's rejection",
        ("revise_critique",),
        _after_critique,
        _rejected(_repaired),
    ),
    (
        "one's own right answers broken on seeing another's rejection",
        ("revise_critique",),
        _after_critique,
        _rejected(_broken),
    ),
)


def revisions(played: Played) -> list[Measure]:
    """What revising repairs and breaks, and what a solve from the start would have done."""
    return [
        *(_by_actor(played, *one) for one in _FOUND),
        _critique_gain(played),
        _against_solving(played, "wrong", wrong),
        _against_solving(played, "right", right),
    ]


def _by_actor(
    played: Played, name: str, parameters: tuple[str, ...], wanted: Wanted, counted: Counted
) -> Measure:
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, 2))
    for writer, actor in product(range(workers), repeat=2):
        shape = wanted(writer, actor)
        steps = None if shape is None else find(played, shape)
        if steps is not None:
            sums[:, actor] += stacked(counted(steps))
    flat = sums.reshape(len(sums), -1)
    return Measure(REVISIONS, name, parameters, played.workers, flat, Shares(workers))


def _critique_gain(played: Played) -> Measure:
    """Own answers that another rejected: accuracy after revising with, minus without, seeing it."""
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, 2))
    for verifier, writer in product(range(workers), repeat=2):
        seen = find(played, _reviewed(writer, verifier))
        unseen = find(played, ((writer, SOLVE, False), (writer, REVISE, False)))
        if verifier == writer or seen is None or unseen is None:
            continue
        asked = rejects(seen)[:, 1] & came(seen)[:, 2] & came(unseen)[:, 1]
        change = right(seen)[:, 2].astype(float) - right(unseen)[:, 1]
        sums[:, writer] += stacked([change * asked, asked])
    name = "revising one's own rejected answer: gain by seeing output and rejection"
    flat = sums.reshape(len(sums), -1)
    which = ("revise_critique", "revise_own")
    return Measure(REVISIONS, name, which, played.workers, flat, Shares(workers))


def _against_solving(played: Played, word: str, which: Callable[[Records], Bools]) -> Measure:
    """Accuracy of revising another's answer minus that of one's own unseen solve."""
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, 2))
    for writer, actor in product(range(workers), repeat=2):
        steps = find(played, ((writer, SOLVE, False), (actor, REVISE, False)))
        if writer == actor or steps is None:
            continue
        alone = attempts(played, actor)[:, :1]
        asked = which(steps)[:, 0] & came(steps)[:, 1] & came(alone)[:, 0]
        change = right(steps)[:, 1].astype(float) - right(alone)[:, 0]
        sums[:, actor] += stacked([change * asked, asked])
    name = f"revising another's {word} answer, accuracy beyond solving it oneself"
    flat = sums.reshape(len(sums), -1)
    return Measure(REVISIONS, name, ("revise_same_luck",), played.workers, flat, Shares(workers))


def aggregates(played: Played) -> list[Measure]:
    """What an aggregate makes of three workers' first answers, and of one worker's three."""
    workers = len(played.workers)
    first = [(w, SOLVE, False) for w in range(workers)]
    of_all = [((*first, (v, AGGREGATE, True)),) for v in range(workers)]
    of_one = [
        tuple((*[(w, SOLVE, False)] * CANDIDATES, (v, AGGREGATE, True)) for w in range(workers))
        for v in range(workers)
    ]
    found = _aggregates(played, "three attempts of one worker", of_one)
    return [*_aggregates(played, "the workers' answers", of_all), *found] if workers > 1 else found


def _aggregates(played: Played, among: str, shapes: list[tuple[Shape, ...]]) -> list[Measure]:
    workers, queries = len(played.workers), len(played.domain)
    picks = np.zeros((CANDIDATES, queries, workers, 2))
    gains = np.zeros((3, queries, workers, 2))
    for v, of_one in enumerate(shapes):
        for shape in of_one:
            steps = find(played, shape)
            if steps is None:
                continue
            good, given = right(steps)[:, :-1], came(steps)[:, :-1]
            asked = came(steps)[:, -1] & bools(given.any(axis=1))
            score = right(steps)[:, -1].astype(float)
            count, size = good.sum(axis=1), np.maximum(given.sum(axis=1), 1)
            for k in range(CANDIDATES):
                some = asked & bools(count == k) & bools(size >= CANDIDATES)
                picks[k, :, v] += stacked([score * some, some])
            vote = _plurality(steps)
            beyond = (score - count / size, score - vote, (count > 0) - score)
            for k, change in enumerate(beyond):
                gains[k, :, v] += stacked([change * asked, asked])
    which = ("aggregate_votes", "verify_gap", "verify_slope")
    names = ("none of three", "one of three", "two of three")
    table = [
        (f"aggregate of {among} right where {name} is", picks[k]) for k, name in enumerate(names)
    ]
    table += [
        (f"aggregate of {among}, accuracy beyond {name}", gains[k])
        for k, name in enumerate(("a candidate picked at random", "their plurality"))
    ]
    table.append((f"oracle among {among}, accuracy beyond the aggregate", gains[2]))
    found = [
        Measure(AGGREGATES, name, which, played.workers, t.reshape(queries, -1), Shares(workers))
        for name, t in table
    ]
    if len(shapes[0]) == 1:
        found.append(_beyond_best(played, [of_one[0] for of_one in shapes], which))
    return found


def _plurality(steps: Records) -> Array:
    """Whether the plurality of the candidates is right, ties to the newest, as `vote` has it."""
    answers, given = steps["answer"][:, :-1], came(steps)[:, :-1]
    same = (answers[:, :, None] == answers[:, None, :]) & given[:, :, None] & given[:, None, :]
    votes = np.where(given, same.sum(axis=2), -1)
    newest = votes.shape[1] - 1 - votes[:, ::-1].argmax(axis=1)
    return right(steps)[:, :-1][np.arange(len(steps)), newest].astype(float)


def _beyond_best(played: Played, shapes: list[Shape], parameters: tuple[str, ...]) -> Measure:
    """Accuracy of aggregates minus that of the one worker that is best over all queries."""
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, workers + 2))
    for v, shape in enumerate(shapes):
        steps = find(played, shape)
        if steps is not None:
            asked = came(steps)[:, -1]
            sums[:, v] = np.column_stack([asked, right(steps) & asked[:, None]])
    shape_of = sums.shape[1:]

    def of(flat: Array) -> Array:
        table = flat.reshape(*flat.shape[:-1], *shape_of)
        best = table[..., 1:-1].max(axis=-1)
        return over(table[..., -1] - best, table[..., 0])

    name = "aggregate of the workers' answers, accuracy beyond the best worker"
    flat_sums = sums.reshape(len(sums), -1)
    return Measure(AGGREGATES, name, parameters, played.workers, flat_sums, of)


def lengths(played: Played) -> list[Measure]:
    """Output tokens of acting on answers, relative to a worker's own first solves."""
    return [
        _length(played, "verdict", VERIFY, "verify_tokens"),
        _length(played, "revision", REVISE, "revise_tokens"),
        _length(played, "aggregate", AGGREGATE, "aggregate_tokens"),
    ]


def _length(played: Played, word: str, subtask: int, parameter: str) -> Measure:
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, 4))
    for script, steps in played.steps.items():
        for t, (worker, code, _) in enumerate(script):
            if code == subtask:
                said = came(steps)[:, t]
                sums[:, worker, :2] += stacked([steps["tokens_out"][:, t] * said, said])
    for worker in range(workers):
        first = attempts(played, worker)[:, :1]
        said = came(first)[:, 0]
        sums[:, worker, 2:] = stacked([first["tokens_out"][:, 0] * said, said])

    def of(flat: Array) -> Array:
        table = flat.reshape(*flat.shape[:-1], workers, 4)
        act, solve = over(table[..., 0], table[..., 1]), over(table[..., 2], table[..., 3])
        return act / solve

    name = f"output tokens of a {word} relative to a solve"
    return Measure(LENGTHS, name, (parameter,), played.workers, sums.reshape(len(sums), -1), of)
