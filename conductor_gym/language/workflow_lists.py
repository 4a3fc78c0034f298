"""The paper's form of a workflow: three lists, read as text and never run.

    model_ids = [2, 0, 1]
    subtasks = ["Solve the task.", "Solve it another way.", "Say which answer is right."]
    access_lists = [[], [], "all"]

As in Sakana's "RL Conductor" (arXiv 2512.04388): a worker, a text and what it sees, by step; steps
are counted from 0 there. JSON and Python's way of writing are both read.
"""

import re
from typing import Any, NamedTuple

from conductor_gym.language.lines import Refusal
from conductor_gym.types import Subtask

_LIST = re.compile(
    r"\b(?:(?P<worker>(?:model|worker)(?:_?ids?|s)?)|(?P<subtask>subtasks?)"
    r"|(?P<access>access(?:_?lists?)?))[\"'`*]{0,4}\s{0,9}[:=]\s{0,9}(?=\[)",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d{1,9}(?![\d.]))"
    r"|(?P<name>[A-Za-z]{1,9})|(?P<mark>[\[\],]))",
    re.DOTALL,
)
_TOLD = re.compile(
    rf"[^A-Za-z\n]{{0,20}}(?:step\s*\d+\s*:)?\W{{0,9}}(?:{'|'.join(s.name for s in Subtask)})\b"
    r"[^:\n]{0,120}\d[^:\n]{0,60}:",
    re.IGNORECASE,
)
"""The beginning of a step in our own form that tells its worker something."""
_MOST = 64
"""Entries of a list that are read."""


class Lists(NamedTuple):
    """Three lists of one length.

    Attributes:
        workers: Numbers of the workers.
        subtasks: What each is told.
        access: Steps that each sees, from 0; None where it sees all.
    """

    workers: list[int]
    subtasks: list[str]
    access: list[tuple[int, ...] | None]


def find_lists(text: str) -> dict[str, Any]:
    """The last list of each name in a text: "worker", "subtask", "access".

    Args:
        text: What a model wrote.

    Returns:
        A value of lists, texts and numbers a name; None where a list cannot be read.
    """
    found: dict[str, Any] = {}
    at = 0
    while (head := _LIST.search(text, at)) is not None:
        line = max(at, text.rfind("\n", at, head.start()) + 1)
        if _TOLD.match(text, line, min(head.start(), line + 300)):
            at = text.find("\n", head.end())
            if at < 0:
                break
            continue
        value, at = _read(text, head.end())
        found[str(head.lastgroup)] = value
    return found


def read_lists(found: dict[str, Any]) -> Lists | Refusal:
    """Three lists that belong together, or why they do not.

    Args:
        found: As `find_lists` gives them.
    """
    named = {"worker": "model_ids", "subtask": "subtasks", "access": "access_lists"}
    for key, name in named.items():
        if key not in found:
            return Refusal(f"there is no list {name}")
        if not isinstance(found[key], list):
            return Refusal(f"{name} is no list of numbers, texts or lists")
    workers, subtasks, access = (found[key] for key in named)
    if not len(workers) == len(subtasks) == len(access):
        counts = f"{len(workers)}, {len(subtasks)} and {len(access)}"
        return Refusal(f"model_ids, subtasks and access_lists have {counts} entries")
    if not all(isinstance(worker, int) for worker in workers):
        return Refusal("model_ids must be whole numbers")
    if not all(isinstance(subtask, str) for subtask in subtasks):
        return Refusal("subtasks must be texts")
    seen: list[tuple[int, ...] | None] = []
    for entry in access:
        one = entry[0] if isinstance(entry, list) and len(entry) == 1 else entry  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(one, str) and one.lower() in ("all", "none"):
            seen.append(None if one.lower() == "all" else ())
        elif isinstance(entry, list) and all(isinstance(step, int) for step in entry):  # pyright: ignore[reportUnknownVariableType]
            seen.append(tuple(entry))  # pyright: ignore[reportUnknownArgumentType]
        else:
            return Refusal('each of access_lists must be [], "all" or a list of step numbers')
    return Lists(workers, subtasks, seen)


def _read(text: str, at: int) -> tuple[Any, int]:
    """A list of texts, numbers and lists of them, and where it ends; None where it is none."""
    stack: list[list[Any]] = []
    while (token := _TOKEN.match(text, at)) is not None:
        at = token.end()
        mark = token["mark"]
        if mark == "[":
            if len(stack) == 2:
                return None, at
            stack.append([])
        elif mark == "]":
            done = stack.pop()
            if not stack:
                return done, at
            stack[-1].append(done)
        elif mark is None:
            stack[-1].append(_value(token))
        if stack and len(stack[-1]) > _MOST:
            return None, at
    return None, at


def _value(token: re.Match[str]) -> str | int:
    if token["number"] is not None:
        return int(token["number"])
    if token["name"] is not None:
        return token["name"]
    return re.sub(r"\\(.)", lambda m: {"n": " ", "t": " "}.get(m[1], m[1]), token["text"][1:-1])
