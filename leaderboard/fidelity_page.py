"""The fidelity page: one Markdown file with figures, simulated beside real."""

from pathlib import Path
from typing import Any

from conductor_gym.data_files import make_folder, write_beside_and_rename
from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.fidelity import measures

SIMULATED, REAL, INSIDE, OUTSIDE = "#3b6fb6", "#c4572c", "#4c9a5f", "#c23b3b"
TITLES = {
    "accuracy_mae": "accuracy by worker and domain, mean absolute",
    "best_single_error": "best single worker",
    "best_by_domain_error": "best worker by domain",
    "oracle_error": "oracle (any worker right)",
    "phi_mae": "phi (correlation of two workers' errors), mean absolute",
    "majority_error": "majority right",
    "how_many_distance": "how many workers are right, total variation",
    "cascade_mae": "solved by the first k workers of a cascade, mean absolute",
    "tokens_error": "output tokens by worker, relative",
    "cost_error": "cost by worker, relative",
    "cascade_cost_error": "cost of a cascade's first k workers, relative",
    "rank_tau": "Kendall tau of the ranking of agents (higher is better)",
    "rank_regret": "regret of deploying the simulation's winner",
}


def write_page(found: dict[str, Any], page: Path) -> list[Path]:
    """Write the page and its figures beside it.

    Args:
        found: What `conductor-gym fidelity --json` prints.
        page: Markdown file.

    Returns:
        The files written, the page first.

    Raises:
        MissingExtraError: matplotlib is not installed.
        DataFileError: The folder cannot be written.
    """
    make_folder(page.absolute().parent)
    lines = _head(found)
    written: list[Path] = []
    if found["tables"]:
        figure = page.with_name(f"{page.stem}-tables.png")
        draw_tables(found["tables"], figure)
        written.append(figure)
        lines += _tables(found["tables"], figure.name)
    if "random_pools" in found:
        lines += _random_pools(found["random_pools"])
    if "held" in found:
        from conductor_gym.leaderboard.held_assumptions import Held
        from conductor_gym.leaderboard.held_page import picture, section

        figure = page.with_name(f"{page.stem}-held.png")
        picture([Held.from_dict(row) for row in found["held"]["rows"]], figure)
        written.append(figure)
        lines += section(found["held"], figure.name)
    if "carried" in found:
        from conductor_gym.leaderboard import ranking_carry, slopes

        figure = page.with_name(f"{page.stem}-carried.png")
        slopes.plot_carried(found["carried"], figure)
        written.append(figure)
        lines += ranking_carry.section(found["carried"], figure.name)
    if "paper" in found:
        from conductor_gym.leaderboard.predictions import draw_predictions

        figure = page.with_name(f"{page.stem}-paper.png")
        draw_predictions(found["paper"], figure)
        written.append(figure)
        lines += _paper(found["paper"], figure.name)
    write_beside_and_rename(page, ("\n".join(lines).rstrip() + "\n").encode())
    return [page, *written]


def _head(found: dict[str, Any]) -> list[str]:
    return [
        "# Does the simulation agree with reality?",
        "",
        f"Written by `{found['command']}`.",
        "",
        "A pool is fitted to one part of a table of real outcomes and then held against queries "
        "that the fit did not see. Every difference stands beside its **noise floor**: the 95 % "
        "quantile of the same difference between two *real* parts of these sizes, over 200 random "
        "splits. A difference below it cannot be told from the luck of which queries were drawn. "
        "For the rank correlation the floor is the mean tau between two real parts, of which 0.9 "
        "must be reached (below 0.5 the table itself cannot rank these agents, and nothing is "
        "asked). *Within* means no more than: not to be told apart at this number of queries.",
        "",
    ]


def _cell(one: dict[str, Any] | None, name: str) -> str:
    if one is None or name not in one:
        return "n/a"
    measure = one[name]
    text = f"{measure['value']:.3f} / {measure['noise_floor']:.3f}"
    return text if measure["within"] else f"**{text}**"


def _tables(tables: dict[str, Any], figure: str) -> list[str]:
    lines = ["## Recorded tables", "", f"![simulated and real]({figure})", ""]
    lines += [
        "| held-out difference / noise floor | " + " | ".join(f"`{n}`" for n in tables) + " |"
    ]
    lines += ["| :-- |" + " --: |" * len(tables)]
    for key, title in TITLES.items():
        if any(key in one for one in tables.values()):
            cells = " | ".join(_cell(one, key) for one in tables.values())
            lines.append(f"| {title} | {cells} |")
    lines += [
        "",
        "Bold: outside the noise floor. n/a: the table counts neither tokens nor money.",
        "",
        "| table | workers | fitted on | held against | left out |",
        "| :-- | --: | --: | --: | :-- |",
    ]
    for name, one in tables.items():
        out = [f"{d} (graded)" for d in one["graded_domains_left_out"]]
        if one["queries_without_every_record"]:
            out.append(f"{one['queries_without_every_record']:,} queries without every record")
        lines.append(
            f"| `{name}` | {len(one['workers'])} | {one['fitted_on']['queries']:,} | "
            f"{one['held_out']['queries']:,} | {'; '.join(out) or '-'} |"
        )
    ranked = {name: one for name, one in tables.items() if "rank_tau" in one}
    if ranked:
        lines += ["", "### Does a ranking carry over?", ""]
        lines += [
            "Single-call agents (every worker, random mixes, routers by domain and by text) learn "
            "in simulation and are ranked on simulated and on real outcomes of held-out queries.",
            "",
            "| table | agents | tau [95 %] | real against real [95 %] | winner in simulation | "
            "winner on real outcomes | regret / floor |",
            "| :-- | --: | --: | --: | :-- | :-- | --: |",
        ]
        for name, one in ranked.items():
            tau, regret = one["rank_tau"], one["rank_regret"]
            lines.append(
                f"| `{name}` | {tau['agents']} | {_interval(tau['value'], tau['interval'])} | "
                f"{_interval(tau['noise_floor'], tau['noise_interval'])} | "
                f"{regret['simulated_winner']} | {regret['real_winner']} | "
                f"{regret['value']:.3f} / {regret['noise_floor']:.3f} |"
            )
    return [*lines, ""]


def _interval(value: float, ends: list[float]) -> str:
    return f"{value:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"


def _random_pools(found: dict[str, Any]) -> list[str]:
    lines = [
        "## Random pools of 4 to 12 workers",
        "",
        "Random workers, and random queries to fit and to hold out. Share of pools within the "
        "noise floor, and median of difference over floor. Real outcomes held against other real "
        "outcomes would be within in 95 % of the cases.",
        "",
        "| measure | " + " | ".join(f"`{n}` ({one['pools']} pools)" for n, one in found.items()),
        "| :-- |" + " --: |" * len(found),
    ]
    lines[-2] += " |"
    for key, title in TITLES.items():
        cells = [one["measures"].get(key) for one in found.values()]
        if any(cells):
            shown = ("n/a" if c is None else f"{c['within']:.0%} ({c['ratio']:.2f})" for c in cells)
            lines.append(f"| {title} | {' | '.join(shown)} |")
    return [*lines, ""]


def _paper(found: dict[str, Any], figure: str) -> list[str]:
    cover = found["coverage"]
    lines = [
        "## The paper's table",
        "",
        "Published accuracies of single calls are inputs. What several calls reach is predicted "
        "from them, as a range over the assumed parameters, which are frozen in "
        "[`workers/pools/`](../workers/pools) and in "
        "[`assumed_cases.py`](../leaderboard/assumed_cases.py) before the comparison. All in "
        "percent, all predictions simulated.",
        "",
        f"![predicted ranges and published values]({figure})",
        "",
        "| method (pool-wide, and where published) | regime | worker | benchmark | low | mid | "
        "high | published |",
        "| :-- | :-- | :-- | :-- | --: | --: | --: | --: |",
    ]
    for row in found["predicted_rows"]:
        if row["published"] is None and row["worker"] is not None:
            continue
        published = "" if row["published"] is None else f"{row['published']:.1f}"
        lines.append(
            f"| {row['method']} | {row['regime']} | {row['worker'] or 'all'} | {row['benchmark']} "
            f"| {row['low']:.1f} | {row['mid']:.1f} | {row['high']:.1f} | {published} |"
        )
    lines += ["", "Coverage of the ranges, in points where not a count:", ""]
    lines += [f"- {key.replace('_', ' ')}: {_short(value)}" for key, value in cover.items()]
    lines += [
        "",
        "Read it soberly: a wide range is easily met, and where mid lies on one side of every "
        "published value the assumptions are off in one direction. Only these published cells test "
        "what happens after the first call; everything above on recorded tables tests first calls. "
        "What the ranges leave out:",
        "",
        *(f"- {text}" for text in found["assumptions"]["not_covered"]),
    ]
    lines += [
        "",
        "Trained systems, as what a policy reached between the best single worker (0) and the "
        "best single call in hindsight (1). Above 1: several calls beat any single one. Blank: the "
        "two references are too close. The informed oracle knows each query's difficulty and each "
        "worker's own trouble, but not the attempt's luck:",
        "",
    ]
    lines += _trained(found["trained_rows"])
    return [*lines, ""]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return str(value)


def _trained(rows: list[dict[str, Any]]) -> list[str]:
    keys = ("regime", "method", "benchmark", "best_single", "best_by_domain", "published")
    lines = ["| " + " | ".join(key.replace("_", " ") for key in keys)]
    lines[0] += " | informed oracle | best call in hindsight | position |"
    lines.append("| :-- | :-- | :-- |" + " --: |" * 6)
    cells = [
        [
            *(_short(row[key]) for key in keys),
            _short(row["informed"]["mid"]),
            _short(row["clairvoyant"]["mid"]),
            "" if row["position"] is None else _short(row["position"]),
        ]
        for row in rows
    ]
    return [*lines, *(f"| {' | '.join(row)} |" for row in cells)]


def draw_tables(tables: dict[str, Any], path: Path) -> None:
    """Draw four panels for each table: accuracies, how many are right, cascade, differences.

    Args:
        tables: Comparisons by name.
        path: PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing figures", "report") from None
    figure: Any = Figure(figsize=(16, 3.1 * len(tables)), layout="constrained")
    axes: Any = figure.subplots(len(tables), 4, squeeze=False)
    for row, (name, one) in zip(axes, tables.items(), strict=True):
        _draw_accuracies(row[0], name, one)
        _draw_how_many(row[1], one)
        _draw_cascade(row[2], one)
        _draw_measures(row[3], one)
    figure.savefig(path, dpi=110)


def _draw_accuracies(axes: Any, name: str, one: dict[str, Any]) -> None:
    for worker, by_domain in one["real"]["accuracy_by_domain"].items():
        made = one["simulated"]["accuracy_by_domain"][worker]
        known = [d for d, value in by_domain.items() if value is not None and made[d] is not None]
        axes.scatter(
            [by_domain[d] for d in known], [made[d] for d in known], s=9, color="#888888", alpha=0.5
        )
    real, made = one["real"]["accuracy"], one["simulated"]["accuracy"]
    axes.scatter(list(real.values()), [made[w] for w in real], s=26, color=SIMULATED, zorder=3)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.set(xlabel="real accuracy", ylabel="simulated", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"{name}: workers (blue), by domain (grey)", fontsize=9)


def _draw_how_many(axes: Any, one: dict[str, Any]) -> None:
    made, real = one["simulated"]["how_many"], one["real"]["how_many"]
    places = range(len(real))
    axes.bar([x - 0.2 for x in places], made, 0.4, color=SIMULATED, label="simulated")
    axes.bar([x + 0.2 for x in places], real, 0.4, color=REAL, label="real")
    axes.set(xlabel="workers right", ylabel="share of queries", xticks=list(places))
    axes.legend(fontsize=8, frameon=False)


def _draw_cascade(axes: Any, one: dict[str, Any]) -> None:
    places = range(1, len(one["real"]["cascade"]) + 1)
    axes.plot(places, one["simulated"]["cascade"], "o-", color=SIMULATED, markersize=4)
    axes.plot(places, one["real"]["cascade"], "s--", color=REAL, markersize=4)
    axes.set(xlabel="cheapest k workers", ylabel="any of them right", xticks=list(places))


def _draw_measures(axes: Any, one: dict[str, Any]) -> None:
    found = {name: m for name, m in measures(one).items() if name != "rank_tau"}
    names = list(found)[::-1]
    ratios = [found[n]["value"] / max(found[n]["noise_floor"], 1e-9) for n in names]
    shown = [min(ratio, 2.0) for ratio in ratios]
    colours = [INSIDE if found[n]["within"] else OUTSIDE for n in names]
    axes.barh(range(len(names)), shown, color=colours)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), [n.replace("_", " ") for n in names], fontsize=7)
    axes.set(xlabel="difference / noise floor", xlim=(0, 2))
