"""`conductor-gym play`: walk through an episode by hand, with the task's text."""

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conductor_gym.errors import ConductorError, ConfigError, InvalidActionError, unknown_name
from conductor_gym.types import CONTEXT_LEVELS, N_SUBTASKS, Subtask

if TYPE_CHECKING:
    from conductor_gym.env import ConductorEnv

SUBTASKS = tuple(subtask.name.lower() for subtask in Subtask)
FREE = ("vote", "submit")
SHOWN = 2000
"""Characters of a task's first document that are shown."""
HOW = (
    "WORKER SUBTASK [CONTEXT TOKENS], such as `1 solve` or `2 verify 4k`; `vote`, `submit`, `quit`"
)
_SIZE = re.compile(r"(\d+)(k?)")


def play(
    pool: Annotated[str, typer.Option(help="Shipped pool or path.")] = "mixed",
    suite: Annotated[str, typer.Option(help="Shipped suite or path.")] = "core-v1",
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "train",
    domain: Annotated[
        str | None, typer.Option(help="The first episode of this domain from the index on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Stream.")] = 0,
    index: Annotated[int, typer.Option(min=0, help="Episode of the stream.")] = 0,
    cost_weight: Annotated[float, typer.Option(help="Quality points per US cent.")] = 0.05,
) -> None:
    """Walk through an episode: read the task, choose each action, see what comes back."""
    from conductor_gym.env import ConductorEnv

    env = ConductorEnv(
        pool=pool, suite=suite, split=split, cost_weight=cost_weight, render_mode="ansi"
    )
    console = Console(highlight=False, soft_wrap=True)
    index = _find(env, domain, seed, index)
    env.reset(seed=seed, options={"episode_index": index})
    told = _tell_task(env, console)
    while not env.engine.episodes[0]["over"]:
        console.print(f"[dim]{_valid(env)}[/]")
        try:
            line = input("> ").strip()
        except EOFError:
            line = "quit"
        if not sys.stdin.isatty():
            console.print(escape(line))
        if line in ("quit", "q", "exit"):
            return
        try:
            env.step(np.array(read_action(line, env.engine.world.pool.worker_names)))
        except ConductorError as error:
            console.print(f"[red]{escape(str(error))}[/]")
            continue
        lines = str(env.render()).splitlines()
        console.print(escape("\n".join(lines[told:])))
        told = len(lines)
    query = int(env.engine.episodes[0]["query"])
    if env.engine.world.data.tasks:
        reference = env.engine.world.data.tasks[query].reference
        console.print(f"[bold]A right answer[/]\n{escape(reference)}")


def read_action(line: str, workers: tuple[str, ...]) -> tuple[int, int, int]:
    """An action from what a person wrote.

    Args:
        line: As in `HOW`.
        workers: Names in slot order; a number from 1 on stands for one, too.

    Raises:
        InvalidActionError: Not of that form.
        UnknownNameError: No such worker or subtask.
    """
    words = line.split()
    if len(words) == 1 and words[0] in FREE:
        return 0, SUBTASKS.index(words[0]), 0
    if len(words) not in (2, 3):
        raise InvalidActionError(f"cannot read {line!r}. Write {HOW}.")
    who, what = words[0], words[1].lower()
    if who.isdecimal() and 1 <= int(who) <= len(workers):
        worker = int(who) - 1
    elif who in workers:
        worker = workers.index(who)
    else:
        raise unknown_name("worker", who, workers, f"Or a number from 1 to {len(workers)}.")
    if what not in SUBTASKS:
        raise unknown_name("subtask", what, SUBTASKS)
    return worker, SUBTASKS.index(what), _level(words[2] if len(words) == 3 else "0")


def _level(size: str) -> int:
    """The lowest context level that holds so many tokens."""
    found = _SIZE.fullmatch(size.lower())
    tokens = int(found[1]) * (1024 if found[2] else 1) if found else -1
    if not 0 <= tokens <= CONTEXT_LEVELS[-1]:
        raise InvalidActionError(
            f"{size!r} is no context size. Write tokens from 0 to {CONTEXT_LEVELS[-1]:,}, or 4k."
        )
    return next(level for level, most in enumerate(CONTEXT_LEVELS) if tokens <= most)


def _find(env: "ConductorEnv", domain: str | None, seed: int, index: int) -> int:
    """The first index from `index` on whose query is of the domain."""
    if domain is None:
        return index
    data = env.engine.world.data
    if domain not in data.domains:
        raise unknown_name("domain", domain, data.domains)
    for later in range(index, index + 2 * len(data.uids)):
        _, info = env.reset(seed=seed, options={"episode_index": later})
        if info["domain"] == domain:
            return later
    raise ConfigError(
        f"split {env.config.split!r} has no task of domain {domain!r}. "
        "Name another --split or --domain."
    )


def _tell_task(env: "ConductorEnv", console: Console) -> int:
    """Show the workers and the task; return how many lines of the story are told."""
    from conductor_gym.tasks.documents import documents_of

    world = env.engine.world
    table = Table(show_edge=False, pad_edge=False)
    for column in ("", "worker", "USD per M in / out", "window", "tokens/s"):
        table.add_column(column, justify="left" if column == "worker" else "right")
    for number, card in enumerate(world.pool.workers, 1):
        speed = "" if card.tokens_per_second is None else f"{card.tokens_per_second:g}"
        prices = f"{card.usd_per_m_input:g} / {card.usd_per_m_output:g}"
        table.add_row(str(number), card.name, prices, f"{card.window:,}", speed)
    console.print(table)
    lines = str(env.render()).splitlines()
    console.print(escape("\n".join(("", *lines[:2]))))
    if world.data.tasks:
        task = world.data.tasks[int(env.engine.episodes[0]["query"])]
        console.print(f"\n[bold]Task, level {task.level}[/]\n{escape(task.prompt)}\n")
        if task.documents is not None:
            documents = documents_of(task)
            console.print(f"[bold]Documents: {len(documents)}, {task.documents.tokens:,} tokens[/]")
            more = " ..." if len(documents[0]) > SHOWN else ""
            console.print(f"{escape(documents[0][:SHOWN])}{more}\n")
    elif world.data.prompts is not None:
        console.print(f"\n{escape(world.data.prompts[int(env.engine.episodes[0]['query'])])}\n")
    console.print(f"Write {HOW}.")
    return len(lines)


def _valid(env: "ConductorEnv") -> str:
    """What can be asked for now."""
    mask: Any = env.action_masks()
    first = env.config.max_workers
    names = [
        name for name, ok in zip(SUBTASKS, mask[first : first + N_SUBTASKS], strict=True) if ok
    ]
    return "now: " + ", ".join(names)
