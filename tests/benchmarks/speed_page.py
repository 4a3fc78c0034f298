"""Write the page of a benchmark run: `python speed_page.py speed.json PAGE.md`, with pictures."""

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "numba",
    "gymnasium",
    "stable-baselines3",
    "torch",
    "envpool",
    "gem-llm",
)


@dataclass(frozen=True)
class Target:
    """A ratio that is aimed at.

    Attributes:
        top: Subject whose speed is divided.
        bottom: Subject that it is divided by.
        aim: The ratio.
    """

    top: str
    bottom: str
    aim: float


TARGETS = (
    Target("ours, native, n = 1024", "plain loop, n = 1024", 0.6),
    Target("ours, native, n = 8192", "plain loop, n = 8192", 0.6),
    Target("ours, native, n = 1024", "CartPole, native, n = 1024", 0.4),
    Target("ours, native, n = 1024", "CartPole, EnvPool, n = 1024", 3.0),
    Target("ours, native, n = 1024", "GEM, sync, n = 64", 15.0),
    Target("ours, native, n = 1024", "ours, SyncVectorEnv, n = 64", 40.0),
    Target("ours, gym.make", "CartPole, gym.make", 0.4),
)
TRAINING_TARGET = Target("ours, 1024", "DummyVecEnv, 8", 8.0)
LIMITS = {"memory": 4096.0, "compiled": 1.5, "cold": 15.0}
"""Bytes an environment, seconds to the first step."""


def of_kind(runs: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Runs of one kind by name."""
    chosen = [run for run in runs if run["extra_info"].get("kind") == kind]
    return {run["extra_info"]["name"]: run for run in chosen}


def rate(run: dict[str, Any]) -> float:
    """Steps a second in the best round."""
    return run["extra_info"]["steps"] / run["stats"]["min"]


def verdict(met: bool) -> str:
    """A word for the table."""
    return "met" if met else "missed"


def speed_table(runs: dict[str, dict[str, Any]]) -> list[str]:
    """Steps a second, sorted."""
    lines = ["| subject | steps a second | ns a step |", "| :-- | --: | --: |"]
    for name, run in sorted(runs.items(), key=lambda item: -rate(item[1])):
        lines.append(f"| {name} | {rate(run):,.0f} | {1e9 / rate(run):,.0f} |")
    return lines


def ratio_rows(runs: dict[str, dict[str, Any]], targets: tuple[Target, ...]) -> list[str]:
    """A row of the table of ratios for each target whose subjects were run."""
    rows: list[str] = []
    for target in targets:
        label = f"| {target.top} : {target.bottom}"
        if target.top not in runs or target.bottom not in runs:
            rows.append(f"{label} | {target.aim:g} | not run | |")
            continue
        got = rate(runs[target.top]) / rate(runs[target.bottom])
        rows.append(f"{label} | {target.aim:g} | {got:.2f} | {verdict(got >= target.aim)} |")
    return rows


def limit_rows(runs: list[dict[str, Any]]) -> list[str]:
    """Memory and time to the first step beside what is allowed."""
    rows: list[str] = []
    for name, run in of_kind(runs, "memory").items():
        got = run["extra_info"]["bytes"]
        met = verdict(got <= LIMITS["memory"])
        rows.append(f"| bytes an environment, n = {name} | at most 4,096 | {got:,.0f} | {met} |")
    for name, run in of_kind(runs, "first step").items():
        got = run["stats"]["min"]
        met = verdict(got <= LIMITS[name])
        rows.append(
            f"| seconds from process start to first step, {name} "
            f"| at most {LIMITS[name]:g} | {got:.2f} | {met} |"
        )
    return rows


def draw_curve(runs: dict[str, dict[str, Any]], title: str, path: Path) -> list[str]:
    """A picture of nanoseconds a step by size; returns the numbers as a table."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    sizes = [run["extra_info"]["size"] for run in runs.values()]
    times = [1e9 / rate(run) for run in runs.values()]
    figure, axes = plt.subplots(figsize=(5, 3))
    axes.plot(  # pyright: ignore[reportUnknownMemberType]
        sizes, times, marker="o"
    )
    axes.set(xscale="log", xlabel=title, ylabel="ns a step, n = 1024", ylim=(0, 1.2 * max(times)))
    figure.tight_layout()
    figure.savefig(path, dpi=120)  # pyright: ignore[reportUnknownMemberType]
    head = "| " + " | ".join([title, *(f"{size:,}" for size in sizes)]) + " |"
    row = "| " + " | ".join(["ns a step", *(f"{time:.0f}" for time in times)]) + " |"
    return [head, "| :-- |" + " --: |" * len(sizes), row]


def machine(report: dict[str, Any]) -> str:
    """The processor and the versions."""
    found: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    cpu = report["machine_info"]["cpu"]
    name = cpu.get("brand_raw", platform.processor())
    commit = report["commit_info"].get("id", "unknown")[:8]
    return (
        f"Commit {commit}, {report['datetime'][:10]}, {name}, one core, "
        f"Python {platform.python_version()}, {', '.join(found)}."
    )


def page(report: dict[str, Any], folder: Path) -> str:
    """The whole page; pictures go to the folder."""
    runs = report["benchmarks"]
    steps, training = of_kind(runs, "steps"), of_kind(runs, "training")
    lines = [
        "# Speed",
        "",
        "Printed by `make bench`: everything in one run on one core. Speeds are those of the best",
        "round. Our environments play the default pool and suite with the full observation, under",
        "actions that a random policy drew beforehand among the valid ones. The plain loop is the",
        "limit of this design: it writes the same bytes of fresh observation, makes as many keyed",
        "draws and does nothing else. The aims are the project's own; where one is missed, the",
        "number says by how much.",
        "",
        machine(report),
        "",
        "| ratio or amount | aim | got | |",
        "| :-- | --: | --: | :-- |",
        *ratio_rows(steps, TARGETS),
        *ratio_rows(training, (TRAINING_TARGET,)),
        *limit_rows(runs),
        "",
        *speed_table(steps),
        "",
        "Stable-Baselines3's PPO, learning included (rollouts of 16,384 steps, batches of 2,048,",
        "four epochs):",
        "",
        *speed_table(training),
    ]
    for kind, title in (("tasks", "tasks in the suite"), ("workers", "workers in the pool")):
        curve = of_kind(runs, kind)
        if curve:
            name = f"speed-{kind}.png"
            lines += ["", *draw_curve(curve, title, folder / name), "", f"![{title}]({name})"]
    for run in of_kind(runs, "board").values():
        lines += [
            "",
            "Scoring every agent that needs no training on track standard, at all cost weights and",
            f"under low, mid and high assumptions, took {run['stats']['min']:.0f} s.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, write, print."""
    source, target = (Path(word) for word in sys.argv[1:3])
    text = page(json.loads(source.read_text(encoding="utf-8")), target.parent)
    target.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
