"""Make the tasks of datasets and families: a program that reads orders and prints rows.

`python -m conductor_gym.tasks.generate` reads one `Order` a line as JSON and answers each with one
line, ``{"rows": [...]}`` or ``{"error": "..."}``. It is a process of its own because reasoning-gym
uses the process-wide random state, may hang and depends on the order of sets.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Literal, TypedDict, cast

LEVELS = ("easy", "medium", "hard")
MAX_PROMPT = 4_000
"""Characters of a prompt."""
MAX_ANSWER = 90
"""Characters of a reference that may be graded by containment: above, one more would pass."""
MAX_TRIES = 80
"""Draws per task that is wanted, before a level counts as too poor."""
PASS = 0.99
"""Score from which a dataset counts its task as solved."""


class Order(TypedDict):
    """One dataset or family to make; see `DatasetCard` and `FamilyCard` for the fields."""

    source: Literal["reasoning-gym", "family"]
    name: str
    domain: str
    verifier: str
    split_by: list[dict[str, Any]]
    levels: dict[str, dict[str, Any]]
    tasks: dict[str, int]


class MultiPartOrder(TypedDict):
    """Multi-part tasks to make; see `MultiPartCard` for the fields."""

    domain: str
    domains: list[str]
    parts: dict[str, int]
    levels: dict[str, int]
    tasks: dict[str, int]


class GenerationError(Exception):
    """A dataset that cannot give what was ordered."""


def normalized(text: str) -> str:
    """Text without case and with single spaces: what counts as the same prompt."""
    return " ".join(text.casefold().split())


def place(text: str) -> float:
    """A point in [0, 1) that depends on the text alone (BLAKE2b)."""
    word = hashlib.blake2b(text.encode(), digest_size=8, person=b"split").digest()
    return int.from_bytes(word) / 2**64


def split_at(point: float, shares: Mapping[str, float]) -> str:
    """Split of a point in [0, 1).

    Args:
        point: From `place`.
        shares: Share of each split, in the order of the splits; need not add up to 1.
    """
    total, reached = sum(shares.values()), 0.0
    for name, share in shares.items():
        reached += share / total
        if point < reached:
            return name
    return list(shares)[-1]


def split_key(entry: dict[str, Any], split_by: list[dict[str, Any]]) -> str:
    """What of an entry decides its split.

    Args:
        entry: ``question``, ``answer`` and ``metadata`` as reasoning-gym gives them.
        split_by: Parts of the construction; empty: the normalized prompt.
    """
    if not split_by:
        return normalized(entry["question"])
    parts: list[Any] = []
    for part in split_by:
        value: Any = entry["answer"]
        if part.get("metadata"):
            value = entry["metadata"]
            for step in part["metadata"].split("."):
                value = value[int(step) if step.isdecimal() else step]
        if part.get("pattern"):
            found = re.search(part["pattern"], str(value))
            if found is None:
                raise GenerationError(f"{part['pattern']!r} is not in {value!r}")
            value = found.group()
        parts.append(value)
    return json.dumps(parts, sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers of other libraries as JSON's."""
    return value.item() if hasattr(value, "item") else str(value)


def _rounded(value: Any) -> Any:
    """Floats to nine digits: the last bits of a cosine differ between machines."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in cast(list[Any], value)]
    return value


def _draw(order: Order, level: str, dataset: Any, graded_by_containment: bool) -> Iterator[Any]:
    """Usable entries of one level as (index, entry, metadata for the grader)."""
    for i in range(MAX_TRIES * sum(order["tasks"].values())):
        try:
            made = dataset[i]
        except Exception:  # some draws have no solution
            continue
        if not isinstance(made["answer"], str) or not made["answer"].strip():
            continue
        entry = _rounded(json.loads(json.dumps(made, default=_plain)))
        entry["metadata"].pop("difficulty", None)
        if len(entry["question"]) > MAX_PROMPT:
            continue
        if graded_by_containment and len(entry["answer"]) > MAX_ANSWER:
            continue
        if not dataset.score_answer(entry["answer"].strip(), entry) >= PASS:
            continue
        needed: dict[str, Any] = {} if graded_by_containment else entry["metadata"]
        yield i, entry, {"dataset": order["name"], "entry": needed}
    raise GenerationError(f"{order['name']}, {level}: too few different tasks")


def make_rows(order: Order) -> list[dict[str, Any]]:
    """Rows of one dataset, level by level, each split filled to its number.

    Raises:
        GenerationError: A level has too few different tasks.
    """
    # untyped, and too heavy to import without need
    factory: Any = import_module("reasoning_gym.factory")
    base: Any = import_module("reasoning_gym.dataset").ProceduralDataset

    name = order["name"]
    if name not in factory.DATASETS:
        raise GenerationError(f"reasoning-gym has no dataset {name!r}")
    contained = factory.DATASETS[name][0].score_answer is base.score_answer
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    for number, level in enumerate(LEVELS, 1):
        seed = int(place(f"seed of {name}/{level}") * 2**31)
        dataset = factory.create_dataset(name, seed=seed, size=2**31, **order["levels"][level])
        wanted = dict(order["tasks"])
        for i, entry, metadata in _draw(order, level, dataset, contained):
            split = split_at(place(f"{name}/{split_key(entry, order['split_by'])}"), order["tasks"])
            content = normalized(entry["question"])
            if not wanted[split] or content in seen:
                continue
            seen.add(content)
            wanted[split] -= 1
            rows.append(
                {
                    "uid": f"{order['domain']}/{name}/{level}/{i}",
                    "domain": order["domain"],
                    "level": number,
                    "split": split,
                    "prompt": entry["question"].strip(),
                    "reference": entry["answer"].strip(),
                    "verifier": order["verifier"],
                    "metadata": metadata,
                }
            )
            if not any(wanted.values()):
                break
    return rows


def main() -> None:
    """Answer orders until there are no more."""
    family: Any = import_module("conductor_gym.tasks.family")  # which imports this module
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        try:
            order: Order = json.loads(line)
            if order["source"] == "family":
                answer: dict[str, Any] = {"rows": family.make_family_rows(order)}
            else:
                answer = {"rows": make_rows(order)}
        except Exception as error:  # whatever a dataset raises is told to the one who ordered
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
