"""The paper's table of multi-call methods, predicted from single calls alone.

Inputs are each worker's published accuracy in one call, by benchmark, and the published oracle of
the seven workers where there is one (constrained regime, four benchmarks). Nothing published about
a multi-call method or a trained policy enters a prediction. What acting on answers does rests on
assumed parameters, so each prediction is a range over the cases of `assumed_cases`, which were
fixed before any prediction was compared; `prediction_runs` says how the numbers are made.

What a range does not cover stands in `NOT_COVERED` and in what `paper_predictions` returns.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conductor_gym.agents.single import BestByDomain
from conductor_gym.config import whole_number
from conductor_gym.errors import MissingExtraError, unknown_name
from conductor_gym.leaderboard.assumed_cases import (
    CLAIRVOYANT,
    GROUPS,
    INFORMED,
    MID,
    ONE_AT_A_TIME,
    TOGETHER,
)
from conductor_gym.leaderboard.prediction_runs import (
    AGENT_OF,
    ONE_WORKER,
    SHARE_MOVED,
    Accuracy,
    Runs,
    episodes_needed,
    run_regime,
)
from conductor_gym.leaderboard.published import Cell, Names, Published, published_values
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import make_world

TRACK_OF = {"constrained": "paper", "unconstrained": "paper-unconstrained"}
"""Regimes of the paper."""
ORACLE = "oracle-of-7-workers"
KEYS = 6
"""Standard errors at mid are then 0.25 points on average and 0.42 at most; two to three minutes."""
SMALLEST_GAP = 0.01
"""Positions between two references that lie closer than this are not shown."""

NOT_COVERED = (
    "Methods are played as our agents read them: who aggregates, prompts and stopping rules of the "
    "paper's baselines are not known here.",
    "`aggregate` picks among the answers it sees; it never writes one that nobody gave.",
    "A `solve` that sees earlier attempts gains nothing from them, it is only distracted.",
    "Rereading one's own answer shifts the margin by -0.1 to 0.1 probits, once and not with every "
    "turn.",
    "Format failures are drawn anew at each attempt; a worker that always fails on a query is not "
    "simulated.",
    "Loadings are 1 and errors normal given one shared difficulty; families of related workers are "
    "not simulated.",
    "Sampling noise of the published figures themselves (30 questions in AIME25) is left out.",
    "Mixed corners: two or more groups moved while others stay at mid.",
)


def _percent(share: float) -> float:
    return round(100.0 * share, 3)


def _range(by_case: dict[str, Accuracy]) -> dict[str, Any]:
    """Low, mid and high of one cell, in percent, and which cases gave the ends."""
    low = min(by_case, key=lambda name: by_case[name].value)
    high = max(by_case, key=lambda name: by_case[name].value)
    return {
        "low": _percent(by_case[low].value),
        "mid": _percent(by_case[MID.name].value),
        "high": _percent(by_case[high].value),
        "low_case": low,
        "high_case": high,
        "standard_error": _percent(by_case[MID.name].error),
        "largest_standard_error": _percent(max(by_case[n].error for n in (low, MID.name, high))),
    }


def _shown(published: Published | None) -> dict[str, Any]:
    return {
        "published": None if published is None else published.accuracy,
        "published_note": None if published is None else published.note,
        "own_row": published is not None and published.own,
    }


def _predicted_rows(regime: str, runs: Runs, published: dict[Cell, Published]) -> list[Any]:
    rows: list[Any] = []
    for (method, worker), by_domain in runs.accuracy.items():
        if method not in AGENT_OF:
            continue
        for benchmark, by_case in by_domain.items():
            rows.append(
                {"regime": regime, "method": method, "worker": worker, "benchmark": benchmark}
                | _shown(published.get((regime, method, worker, benchmark)))
                | _range(by_case)
            )
    return rows


def _single_accuracy(runs: Runs, worker: str, benchmark: str) -> float:
    table = runs.world.pool.accuracy
    return table.values[worker][benchmark] if table is not None else float("nan")


def _trained_rows(regime: str, runs: Runs, published: dict[Cell, Published]) -> list[Any]:
    """What policies reached, between best single (0) and the clairvoyant single call (1)."""
    policy = BestByDomain(find_track(TRACK_OF[regime]).setting(0.0))
    workers, domains = runs.world.pool.worker_names, runs.world.data.domains
    rows: list[Any] = []
    for (of_regime, method, worker, benchmark), row in published.items():
        if of_regime != regime or method in AGENT_OF or method == ORACLE:
            continue
        best = workers[policy.worker]
        by_domain = workers[int(policy.by_domain[domains.index(benchmark), 0])]
        single = 100.0 * _single_accuracy(runs, best, benchmark)
        specialist = 100.0 * _single_accuracy(runs, by_domain, benchmark)
        informed = _range(runs.accuracy[INFORMED, None][benchmark])
        top = _range(runs.accuracy[CLAIRVOYANT, None][benchmark])

        def position(base: float, ceiling: float, reached: float = row.accuracy) -> float | None:
            gap = ceiling - base
            return round((reached - base) / gap, 3) if gap >= 100.0 * SMALLEST_GAP else None

        rows.append(
            {"regime": regime, "method": method, "worker": worker, "benchmark": benchmark}
            | _shown(row)
            | {
                "best_single": round(single, 3),
                "best_single_worker": best,
                "best_by_domain": round(specialist, 3),
                "best_by_domain_worker": by_domain,
                "informed": {end: informed[end] for end in ("low", "mid", "high")},
                "clairvoyant": {end: top[end] for end in ("low", "mid", "high")},
                "position": position(single, top["mid"]),
                "position_from_best_by_domain": position(specialist, top["mid"]),
                "position_if_clairvoyant_high": position(single, top["high"]),
                "position_if_clairvoyant_low": position(single, top["low"]),
            }
        )
    return rows


def _input_rows(regime: str, runs: Runs, published: dict[Cell, Published]) -> list[Any]:
    """Published numbers that went in, beside what the simulation made of them."""
    rows: list[Any] = []

    def add(method: str, worker: str | None, benchmark: str, given: float, seen: Accuracy) -> None:
        row = {"regime": regime, "method": method, "worker": worker, "benchmark": benchmark}
        errors = {"simulated": _percent(seen.value), "standard_error": _percent(seen.error)}
        rows.append(row | {"published": round(given, 3)} | errors)

    for worker, by_domain in runs.first.items():
        for benchmark, seen in by_domain.items():
            given = 100.0 * _single_accuracy(runs, worker, benchmark)
            add("single-call", worker, benchmark, given, seen)
    for benchmark, card in runs.world.pool.domains.items():
        if card.published_oracle is not None:
            seen = runs.accuracy[CLAIRVOYANT, None][benchmark][MID.name]
            oracle = published.get((regime, ORACLE, None, benchmark))
            given = 100.0 * card.published_oracle.value if oracle is None else oracle.accuracy
            add(ORACLE, None, benchmark, given, seen)
    return rows


def coverage(rows: Sequence[dict[str, Any]], single: Callable[[Any], float]) -> dict[str, Any]:
    """How predictions stand to what is published.

    Args:
        rows: Predicted rows.
        single: Accuracy in percent that a row's worker (pool-wide methods: the best single worker)
            has in one call: the guess that more calls change nothing.
    """
    known = [row for row in rows if row["published"] is not None]

    def mean(values: list[float]) -> float | None:
        return round(float(np.mean(values)), 3) if values else None

    outside = [row for row in known if not row["low"] <= row["published"] <= row["high"]]
    names = ("regime", "method", "worker", "benchmark")
    return {
        "predicted_cells": len(rows),
        "published_cells": len(known),
        "inside": len(known) - len(outside),
        "share_inside": mean([float(row not in outside) for row in known]),
        "mean_width_points": mean([row["high"] - row["low"] for row in known]),
        "mean_absolute_error_of_mid": mean([abs(row["mid"] - row["published"]) for row in known]),
        "mean_error_of_mid": mean([row["mid"] - row["published"] for row in known]),
        "mean_absolute_error_of_single_call": mean(
            [abs(single(row) - row["published"]) for row in known]
        ),
        "mean_width_points_of_all": mean([row["high"] - row["low"] for row in rows]),
        "largest_standard_error": max((row["largest_standard_error"] for row in rows), default=0.0),
        "outside": [{name: row[name] for name in names} for row in outside],
    }


def _mean_changes(runs: dict[str, Runs]) -> dict[str, dict[str, float]]:
    """Points by which each case moves a method from mid, mean over workers, benchmarks, regimes."""
    changes: dict[str, dict[str, list[float]]] = {}
    for run in runs.values():
        for (method, _), by_domain in run.accuracy.items():
            for by_case in by_domain.values():
                for name, found in by_case.items():
                    moved = 100.0 * (found.value - by_case[MID.name].value)
                    changes.setdefault(method, {}).setdefault(name, []).append(moved)
    return {
        method: {name: round(float(np.mean(moved)), 3) for name, moved in cases.items()}
        for method, cases in changes.items()
    }


def _assumptions(runs: dict[str, Runs], keys: int, queries: int) -> dict[str, Any]:
    return {
        "inputs": "published accuracy of each worker in one call; the published oracle of the "
        "seven where there is one, from which rho is solved in every case",
        "range": "smallest and largest accuracy over the cases",
        "cases": {
            MID.name: "every assumed parameter at mid",
            **{case.name: f"every group at {case.everything}" for case in TOGETHER},
            **{case.name: "this group alone, the others at mid" for case in ONE_AT_A_TIME},
        },
        "groups": {
            name: {
                "parameters": [*group.of_model, *group.of_domain] or [name],
                "touches": sorted(group.touches),
            }
            for name, group in GROUPS.items()
        },
        "mean_change_points": _mean_changes(runs),
        "agents": AGENT_OF,
        "not_covered": list(NOT_COVERED),
        "pools": {
            regime: {"pool": run.world.pool.name} | run.world.content_hashes()
            for regime, run in runs.items()
        },
        "keys": keys,
        "keys_one_at_a_time": max(1, keys // SHARE_MOVED),
        "queries_per_key": queries,
    }


def paper_predictions(
    published: Path | None = None,
    keys: int = KEYS,
    queries: int | None = None,
    regimes: Sequence[str] = tuple(TRACK_OF),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Predict the paper's multi-call methods and set what is published beside them.

    Args:
        published: A CSV of further published accuracies, see `published`; shown, never used.
        keys: Keys to simulate under; the standard error falls with their root.
        queries: Episodes under each key; the whole train split where None.
        regimes: ``"constrained"``, ``"unconstrained"``.
        progress: Called with the episodes played and those to play in all.

    Returns:
        Plain values. ``predicted_rows``: low, mid and high in percent, the cases that gave the
        ends, standard errors of the simulation in points. ``trained_rows``: what published policies
        reached beside the references of single calls, and their position between best single (0)
        and clairvoyant (1). ``input_rows``: what went in. ``coverage``. ``assumptions``.

    Raises:
        UnknownNameError: No such regime.
        ConfigError: `keys` or `queries` out of range.
        DataFileError: A wrong file of published accuracies.
    """
    for regime in regimes:
        if regime not in TRACK_OF:
            raise unknown_name("regime", regime, TRACK_OF)
    pool = load_pool(find_track(TRACK_OF["constrained"]).pool)
    names = Names(TRACK_OF, tuple(pool.domains), pool.worker_names, ONE_WORKER)
    values = published_values(names, published)

    size = len(make_world(find_track(TRACK_OF["constrained"]).training()).data.uids)
    whole_number("keys", keys, 1, 1000)
    queries = whole_number("queries", size if queries is None else queries, 100, size)
    total = len(regimes) * episodes_needed(len(pool.workers), keys, queries)
    done = 0

    def advance(episodes: int) -> None:
        nonlocal done
        done += episodes
        if progress is not None:
            progress(done, total)

    runs: dict[str, Runs] = {}
    rows: dict[str, list[Any]] = {"predicted_rows": [], "trained_rows": [], "input_rows": []}
    best: dict[str, str] = {}
    for regime in regimes:
        track = find_track(TRACK_OF[regime])
        run = runs[regime] = run_regime(track, keys, queries, advance)
        best[regime] = run.world.pool.worker_names[BestByDomain(track.setting(0.0)).worker]
        rows["predicted_rows"] += _predicted_rows(regime, run, values)
        rows["trained_rows"] += _trained_rows(regime, run, values)
        rows["input_rows"] += _input_rows(regime, run, values)

    def single(row: Any) -> float:
        worker = row["worker"] or best[row["regime"]]
        return 100.0 * _single_accuracy(runs[row["regime"]], worker, row["benchmark"])

    return {
        **rows,
        "coverage": coverage(rows["predicted_rows"], single),
        "assumptions": _assumptions(runs, keys, queries),
    }


def draw_predictions(found: dict[str, Any], path: Path) -> None:
    """Draw what `paper_predictions` returned: ranges as bars, what is published as crosses.

    Args:
        found: As `paper_predictions` returns it.
        path: Where the picture (PNG) is written.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("the figure of predictions", "report") from None
    rows: list[Any] = found["predicted_rows"]

    def in_order(column: str) -> list[Any]:
        return list(dict.fromkeys(row[column] for row in rows))

    regimes, methods, benchmarks = in_order("regime"), in_order("method"), in_order("benchmark")
    figure: Any = Figure(figsize=(7 * len(regimes), 2.4 * len(methods)), layout="constrained")
    grid = figure.subplots(len(methods), len(regimes), squeeze=False, sharey="row")
    colors = colormaps["tab10"].resampled(10)
    for i, method in enumerate(methods):
        for j, regime in enumerate(regimes):
            axes = grid[i, j]
            here = [row for row in rows if (row["regime"], row["method"]) == (regime, method)]
            workers = list(dict.fromkeys(row["worker"] for row in here))
            for row in here:
                w = workers.index(row["worker"])
                x = benchmarks.index(row["benchmark"]) + (w + 0.5) / len(workers) * 0.8 - 0.4
                height = row["high"] - row["low"]
                color = colors(w)
                axes.bar(x, height, 0.7 / len(workers), row["low"], color=color, alpha=0.6)
                axes.plot(x, row["mid"], "_", color="black", markersize=4)
                if row["published"] is not None:
                    axes.plot(x, row["published"], "x", color="red", markersize=7, zorder=3)
            if i == 0 and j == 0:
                axes.plot([], [], "_", color="black", label="mid")
                axes.plot([], [], "x", color="red", label="published")
                axes.legend(fontsize=7)
            elif len(workers) > 1 and j == 0 and method == methods[-1]:
                for w, worker in enumerate(workers):
                    axes.bar(0, 0, color=colors(w), alpha=0.6, label=worker)
                axes.legend(fontsize=5, ncols=2)
            axes.set_title(f"{method}, {regime}", fontsize=8)
            axes.set_xticks(range(len(benchmarks)), benchmarks, fontsize=7)
            axes.set_ylim(0, 100)
            axes.set_ylabel("accuracy, %", fontsize=7)
            axes.grid(axis="y", alpha=0.25)
    figure.suptitle(
        "Predicted from single calls: range over the assumed parameters. Simulated.", fontsize=9
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
