"""The picture of how a language model was trained."""

from pathlib import Path
from typing import Any


def draw_llm_curve(card: dict[str, Any], path: Path) -> None:
    """Losses of fine-tuning, then returns, entropy and flat groups of GRPO, where matplotlib is.

    Args:
        card: Of the model.
        path: Of the picture.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    panels: list[tuple[str, list[tuple[str, list[float], list[float]]]]] = []
    for stage in card["stages"]:
        if stage["stage"] == "sft":
            lines = [
                (name, [x for x, _ in stage[key]], [y for _, y in stage[key]])
                for name, key in (("train", "losses"), ("dev", "dev_losses"))
            ]
            panels.append(("fine-tuning: loss per token of a reply", lines))
            continue
        log = stage["log"]
        steps = [float(k + 1) for k in range(len(log["mean_return"]))]
        panels.append(("GRPO: mean return", [("", steps, log["mean_return"])]))
        names = ("entropy", "flat_groups", "invalid_share", "largest_worker_share")
        panels.append(("GRPO: watched", [(name, steps, log[name]) for name in names]))
    figure: Any = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, lines) in zip(grid[0], panels, strict=True):
        for name, steps, values in lines:
            axes.plot(steps, values, label=name, linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("optimizer steps")
        axes.grid(alpha=0.25)
        if len(lines) > 1:
            axes.legend(fontsize=8)
    figure.suptitle(f"{card['base']['name']}, seed {card['seed']}", fontsize=9)
    figure.savefig(path, dpi=110)
