"""Families of tasks that this project makes itself: what each offers, and how splits are filled.

A family draws tasks one by one, each a pure function of (level, index). What of a task's
construction decides its split is its `key`: no key is in two splits.
"""

import random
from collections.abc import Callable
from importlib import import_module
from typing import Any, NotRequired, TypedDict, cast

from conductor_gym.tasks.generate import (
    LEVELS,
    MAX_TRIES,
    GenerationError,
    Order,
    normalized,
    place,
    split_at,
)


class Drawn(TypedDict):
    """One task as a family draws it.

    Attributes:
        kind: Which of the family's kinds it is; part of the uid.
        key: What of the construction decides the split.
        prompt: What a worker is asked.
        reference: A right answer.
        verifier: Name of the verifier.
        metadata: What the verifier needs besides; plain JSON values.
        documents: ``{"tokens", "evidence", "recipe"}``, see `Documents`.
    """

    kind: str
    key: str
    prompt: str
    reference: str
    verifier: str
    metadata: dict[str, Any]
    documents: NotRequired[dict[str, Any]]


Draw = Callable[[str, int, dict[str, Any]], Drawn | None]
"""``draw(level, index, settings)``: a task, or None where this index gives none."""

FAMILIES: dict[str, str] = {
    "long-context": "conductor_gym.tasks.long_context",
    "instructions": "conductor_gym.tasks.instructions",
    "code": "conductor_gym.tasks.code_tasks",
}
"""Modules with a function `draw`."""


def generator_of(*names: object) -> random.Random:
    """A random generator of its own for what is named, the same everywhere."""
    return random.Random(int(place("/".join(map(str, names))) * 2**53))


def make_family_rows(order: Order) -> list[dict[str, Any]]:
    """Rows of one family, level by level, each split filled to its number.

    Raises:
        GenerationError: A level gives too few different tasks.
    """
    draw = cast(Draw, import_module(FAMILIES[order["name"]]).draw)
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    for number, level in enumerate(LEVELS, 1):
        wanted = dict(order["tasks"])
        for i in range(MAX_TRIES * sum(wanted.values())):
            drawn = draw(level, i, order["levels"][level])
            if drawn is None:
                continue
            split = split_at(place(f"{order['name']}/{drawn['key']}"), order["tasks"])
            content = normalized(drawn["prompt"])
            if not wanted[split] or content in seen:
                continue
            seen.add(content)
            wanted[split] -= 1
            row: dict[str, Any] = {
                "uid": f"{order['domain']}/{drawn['kind']}/{level}/{i}",
                "domain": order["domain"],
                "level": number,
                "split": split,
                "prompt": drawn["prompt"],
                "reference": drawn["reference"],
                "verifier": drawn["verifier"],
                "metadata": drawn["metadata"],
            }
            if "documents" in drawn:
                row["documents"] = drawn["documents"]
            rows.append(row)
            if not any(wanted.values()):
                break
        else:
            raise GenerationError(f"{order['name']}, {level}: too few different tasks")
    return rows
