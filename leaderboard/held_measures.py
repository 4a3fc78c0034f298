"""What played scripts tell about each assumed parameter: solving, verifying, seeing others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.state import Records
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.query_sums import (
    Array,
    Measure,
    Shares,
    Sums,
    acceptance,
    common_correlation,
    over,
    shared_variance,
)
from conductor_gym.leaderboard.scripted_calls import SOLVE, VERIFY, Played
from conductor_gym.types import Status

Bools = npt.NDArray[np.bool_]
Column = npt.NDArray[np.float64] | npt.NDArray[np.bool_] | npt.NDArray[np.int64]
Shape = tuple[tuple[int, int, bool], ...]
"""Worker, subtask, and whether it sees what came before."""

OK = int(Status.OK)
MALFORMED = int(Status.MALFORMED)
ATTEMPTS, VERDICTS, WRONG = "Attempts", "Verdicts", "Wrong answers"
CONTEXT, CONFIDENCE = "Context", "Confidence"
BINS = 101


def find(played: Played, shape: Shape) -> Records | None:
    """The first steps of a script that begins in this way, [queries, steps]; None without one."""
    for script, steps in played.steps.items():
        begins = tuple((worker, subtask, level > 0) for worker, subtask, level in script)
        if begins[: len(shape)] == shape:
            return steps[:, : len(shape)]
    return None


def bools(values: Any) -> Bools:
    """A comparison of columns of records, of which type checkers know nothing."""
    return np.asarray(values, np.bool_)


def came(steps: Records) -> Bools:
    """Which steps came back in good form."""
    return bools(steps["status"] == OK)


def right(steps: Records) -> Bools:
    """Which steps gave a right answer."""
    return came(steps) & bools(steps["score"] >= 0.5)


def wrong(steps: Records) -> Bools:
    """Which steps gave a wrong answer in good form."""
    return came(steps) & bools(steps["score"] < 0.5)


def accepts(steps: Records) -> Bools:
    """Which steps accept an answer."""
    return came(steps) & bools(steps["verdict"] == 1)


def rejects(steps: Records) -> Bools:
    """Which steps reject an answer."""
    return came(steps) & bools(steps["verdict"] == 0)


def same_answer(steps: Records, one: int, other: int) -> Bools:
    """Where two steps of a script gave the same answer."""
    return bools(steps["answer"][:, one] == steps["answer"][:, other])


def attempts(played: Played, worker: int) -> Records:
    """All unseen solves of a worker, [queries, attempts].

    Raises:
        ConfigError: No script begins with one.
    """
    found = None
    length = 1
    while (more := find(played, ((worker, SOLVE, False),) * length)) is not None:
        found, length = more, length + 1
    if found is None:
        raise ConfigError(f"no script in which {played.workers[worker]} solves unseen was played.")
    return found


def stacked(columns: Sequence[Column]) -> Array:
    """Columns float64 [queries] side by side."""
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def kappa(played: Played) -> Measure:
    """Share of a worker's own luck that stays at every attempt, in the simulator's own form.

    Two attempts of a worker correlate by c + (1 - c)·kappa, with c the part that it shares with
    others, from the pair correlations of first attempts and one factor. Thresholds by domain.
    """
    workers, domains = len(played.workers), len(played.domains)
    tables = [attempts(played, w) for w in range(workers)]
    first, second = np.tril_indices(workers)
    sums = np.zeros((len(played.domain), len(first), domains, 5))
    rows = np.arange(len(played.domain))
    for k, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        ok, other = came(tables[a]), came(tables[b])
        n, m = ok.sum(axis=1), other.sum(axis=1)
        x = right(tables[a]).sum(axis=1)
        y = right(tables[b]).sum(axis=1)
        known = (n >= 2) if a == b else (n >= 1) & (m >= 1)
        n, m = np.maximum(n, 1), np.maximum(m, 1)
        both = x * (x - 1) / np.maximum(n * (n - 1), 1) if a == b else x / n * (y / m)
        cells = stacked([known, x / n, y / m, both, x / n * (y / m)]) * known[:, None]
        sums[rows, k, played.domain] = cells
    shape = sums.shape[1:]

    def of(flat: Array) -> Array:
        found = common_correlation(flat.reshape(*flat.shape[:-1], *shape))
        table = np.zeros((*flat.shape[:-1], workers, workers))
        table[..., first, second] = table[..., second, first] = found
        own = np.diagonal(table, axis1=-2, axis2=-1)
        shared = shared_variance(table)
        return np.clip((own - shared) / (1.0 - shared), -1.0, 1.0)

    return Measure(
        ATTEMPTS,
        "share of a worker's own luck that stays at every attempt",
        ("kappa",),
        played.workers,
        sums.reshape(len(sums), -1),
        of,
    )


def second_attempts(played: Played) -> Measure:
    """How often a fresh second attempt is right where the first was wrong."""
    columns: list[Column] = []
    for w in range(len(played.workers)):
        table = attempts(played, w)[:, :2]
        asked = wrong(table)[:, 0] & came(table)[:, -1]
        columns += [asked & right(table)[:, -1], asked]
    return Measure(
        ATTEMPTS,
        "wrong first attempts that a fresh second one repairs",
        ("kappa",),
        played.workers,
        stacked(columns),
        Shares(len(played.workers)),
    )


def judged(played: Played, writer: int, verifier: int) -> Records | None:
    """Steps of an answer and verdicts on it, [queries, 2 or 3]."""
    shape: Shape = ((writer, SOLVE, False), (verifier, VERIFY, False), (verifier, VERIFY, False))
    twice = find(played, shape)
    return find(played, shape[:2]) if twice is None else twice


def verdicts(played: Played) -> list[Measure]:
    """Sensitivity, criterion, own-answer bias and malformed replies of verifiers."""
    workers = len(played.workers)
    counts = np.zeros((len(played.domain), workers, 2, 4))  # own, others'
    failures: list[Column] = []
    for v in range(workers):
        asked = np.zeros((len(played.domain), 2))
        for w in range(workers):
            steps = judged(played, w, v)
            if steps is None:
                continue
            said, yes = came(steps)[:, 1], accepts(steps)[:, 1]
            good, bad = right(steps)[:, 0] & said, wrong(steps)[:, 0] & said
            counts[:, v, int(w != v)] += stacked([good, good & yes, bad, bad & yes])
            malformed = bools(steps["status"][:, 1] == MALFORMED)
            asked += stacked([malformed, said | malformed])
        failures += [asked[:, 0], asked[:, 1]]
    flat = counts.reshape(len(counts), -1)

    def rates(sums: Array) -> tuple[Array, Array]:
        return acceptance(sums.reshape(*sums.shape[:-1], workers, 2, 4))

    def sensitivity(sums: Array) -> Array:
        hits, alarms = rates(sums)
        return hits - alarms

    def criterion(sums: Array) -> Array:
        hits, alarms = rates(sums)
        return -0.5 * (hits + alarms)

    def bias(sums: Array) -> Array:
        return criterion(sums)[..., 0] - criterion(sums)[..., 1]

    def accepted(sums: Array, whose: int, grade: int) -> Array:
        table = sums.reshape(*sums.shape[:-1], workers, 2, 4)[..., whose, :]
        return over(table[..., grade + 1], table[..., grade])

    others = ("verify_gap", "verify_slope", "verify_blind_spot")
    found: list[tuple[str, tuple[str, ...], Sums]] = [
        ("others' right answers that are accepted", others, lambda s: accepted(s, 1, 0)),
        ("others' wrong answers that are accepted", others, lambda s: accepted(s, 1, 2)),
        ("one's own right answers that are accepted", (), lambda s: accepted(s, 0, 0)),
        ("one's own wrong answers that are accepted", (), lambda s: accepted(s, 0, 2)),
        ("d' on others' answers", others, lambda s: sensitivity(s)[..., 1]),
        ("d' on one's own answers", (), lambda s: sensitivity(s)[..., 0]),
        ("criterion on others' answers", ("verify_criterion",), lambda s: criterion(s)[..., 1]),
        ("criterion on one's own, minus on others'", ("verify_blind_spot",), bias),
    ]
    made = [Measure(VERDICTS, name, which, played.workers, flat, of) for name, which, of in found]
    made.append(
        Measure(
            VERDICTS,
            "malformed verdicts",
            ("verify_format_failure",),
            played.workers,
            stacked(failures),
            Shares(workers),
        )
    )
    return made


def persistence(played: Played) -> Measure:
    """Correlation of two verdicts of one verifier on the same answer, beyond right and wrong."""
    workers = len(played.workers)
    sums = np.zeros((len(played.domain), workers, 2 * workers, 5))
    for v in range(workers):
        for w in range(workers):
            steps = judged(played, w, v)
            if steps is None or steps.shape[1] < 3:
                continue
            said = came(steps)[:, 1] & came(steps)[:, 2]
            one, two = accepts(steps)[:, 1], accepts(steps)[:, 2]
            for stratum, mask in enumerate((right(steps)[:, 0], wrong(steps)[:, 0])):
                m = said & mask
                cells = stacked([m, m & one, m & two, m & one & two, m & one & two])
                sums[:, v, 2 * w + stratum] = cells
    shape = sums.shape[1:]

    def of(flat: Array) -> Array:
        return common_correlation(flat.reshape(*flat.shape[:-1], *shape))

    return Measure(
        VERDICTS,
        "correlation of two verdicts on the same answer",
        ("verify_persistent",),
        played.workers,
        sums.reshape(len(sums), -1),
        of,
    )


def coinciding(played: Played) -> list[Measure]:
    """How often wrong answers are the same."""
    workers = len(played.workers)
    tables = [attempts(played, w) for w in range(workers)]
    firsts = np.stack([table[:, 0] for table in tables], axis=1)
    bad, answer = wrong(firsts), firsts["answer"]
    by_pair: list[Column] = []
    names: list[str] = []
    by_domain = np.zeros((len(bad), len(played.domains), 2))
    rows = np.arange(len(bad))
    for a in range(workers):
        for b in range(a):
            both = bad[:, a] & bad[:, b]
            same = both & bools(answer[:, a] == answer[:, b])
            by_pair += [same, both]
            names.append(f"{played.workers[b]}, {played.workers[a]}")
            by_domain[rows, played.domain] += stacked([same, both])
    own: list[Column] = []
    for table in tables:
        miss, said = wrong(table), table["answer"]
        i, j = np.tril_indices(table.shape[1], -1)
        both = miss[:, i] & miss[:, j]
        own += [(both & bools(said[:, i] == said[:, j])).sum(axis=1), both.sum(axis=1)]
    where = ("attractor", "tail")
    name = "two workers' wrong answers that are the same"
    pairs = Shares(len(names))
    found = [Measure(WRONG, name, where, tuple(names), stacked(by_pair), pairs)] if names else []
    domains = len(played.domains)
    found.append(
        Measure(
            WRONG,
            "attractor that these imply, by domain",
            where,
            played.domains,
            by_domain.reshape(len(bad), -1),
            lambda sums: np.sqrt(Shares(domains)(sums)),
        )
    )
    name = "two wrong attempts of one worker that are the same"
    found.append(Measure(WRONG, name, where, played.workers, stacked(own), Shares(workers)))
    if workers > 2:
        three = bools(bad[:, :3].all(axis=1))
        same = three & bools((answer[:, :3] == answer[:, :1]).all(axis=1))
        name = "three workers' wrong answers that are all the same"
        found.append(Measure(WRONG, name, where, ("",), stacked([same, three]), Shares(1)))
    return found


def seen_answers(played: Played) -> list[Measure]:
    """What seeing an answer does to a solve, beside an unseen solve of the same worker."""
    workers = len(played.workers)
    sums = np.zeros((5, len(played.domain), workers, 2))
    for v in range(workers):
        for w in range(workers):
            steps = find(played, ((w, SOLVE, False), (v, SOLVE, True)))
            if steps is None:
                continue
            own = int(v == w)  # its second attempt, whose luck is that of the unseen second one
            alone = attempts(played, v)[:, own : own + 1]
            if alone.shape[1] == 0:
                continue
            both = came(steps)[:, 1] & came(alone)[:, 0]
            change = right(steps)[:, 1].astype(float) - right(alone)[:, 0]
            for k, mask in enumerate((right(steps)[:, 0] & both, wrong(steps)[:, 0] & both)):
                sums[2 * own + k, :, v] += stacked([change * mask, mask])
            shown = steps["answer"][:, 0]
            differs = wrong(steps)[:, 0] & both & bools(alone["answer"][:, 0] != shown)
            if not own:
                sums[4, :, v] += stacked([differs & same_answer(steps, 0, 1), differs])
    names = (
        "accuracy on seeing another's right answer, beyond an unseen solve",
        "accuracy on seeing another's wrong answer, beyond an unseen solve",
        "accuracy on seeing one's own right answer, beyond an unseen second attempt",
        "accuracy on seeing one's own wrong answer, beyond an unseen second attempt",
        "wrong answers of others that are taken over on seeing them",
    )
    return [
        Measure(CONTEXT, name, ("distraction",), played.workers, table, Shares(workers))
        for name, table in zip(names, sums.reshape(len(sums), len(played.domain), -1), strict=True)
    ]


def confidence(played: Played) -> list[Measure]:
    """How well stated confidence tells right from wrong unseen solves, and how far it is off."""
    workers = len(played.workers)
    counts = np.zeros((len(played.domain), workers, 2, BINS))
    rows = np.arange(len(played.domain))
    for w in range(workers):
        table = attempts(played, w)
        stated = came(table) & (table["confidence"] >= 0.0)
        bins = np.clip(np.rint(table["confidence"] * 100.0), 0, BINS - 1).astype(np.int64)
        for k in range(table.shape[1]):
            which = right(table)[:, k].astype(np.int64)
            counts[rows, w, which, bins[:, k]] += stated[:, k]
    shape = counts.shape[1:]
    centres = np.arange(BINS) / 100.0

    def split(flat: Array) -> tuple[Array, Array]:
        table = flat.reshape(*flat.shape[:-1], *shape)
        return table[..., 0, :], table[..., 1, :]

    def area(flat: Array) -> Array:
        bad, good = split(flat)
        below = np.cumsum(bad, axis=-1) - 0.5 * bad
        pairs = bad.sum(axis=-1) * good.sum(axis=-1)
        return over((good * below).sum(axis=-1), pairs)

    def bias(flat: Array) -> Array:
        bad, good = split(flat)
        size = (bad + good).sum(axis=-1)
        return over(((bad + good) * centres).sum(axis=-1) - good.sum(axis=-1), size)

    def slope(flat: Array) -> Array:
        bad, good = split(flat)
        size = np.maximum((bad + good).sum(axis=-1), 1.0)
        mean = ((bad + good) * centres).sum(axis=-1) / size
        off = centres - mean[..., None]
        spread = ((bad + good) * off**2).sum(axis=-1)
        known = spread / size > 1e-4
        return np.where(known, (good * off).sum(axis=-1) / np.where(known, spread, 1.0), np.nan)

    noise = ("confidence_noise", "confidence_slope")
    found = (
        ("area under the curve of confidence, right against wrong", noise, area),
        ("mean confidence minus accuracy", ("confidence_bias",), bias),
        ("slope of accuracy on confidence", noise, slope),
    )
    flat = counts.reshape(len(counts), -1)
    return [Measure(CONFIDENCE, name, which, played.workers, flat, of) for name, which, of in found]
