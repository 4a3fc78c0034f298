"""Verifiers: whether an answer to a task is right. Each is named in the task's row."""

import copy
import logging
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import Any

from conductor_gym.errors import MissingExtraError, UnknownNameError, unknown_name
from conductor_gym.tasks.benchmark_rows import UNGRADED
from conductor_gym.tasks.code_verifier import PYTHON_TESTS
from conductor_gym.tasks.constraints import CONSTRAINTS
from conductor_gym.tasks.generate import PASS, normalized
from conductor_gym.tasks.item_lists import ITEMS
from conductor_gym.tasks.math_answers import MATH
from conductor_gym.tasks.multi_part import PARTS
from conductor_gym.tasks.random_state import random_state_kept
from conductor_gym.tasks.sandbox import SandboxError
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifier import Verifier

MAX_ANSWER = 20_000
"""Characters of an answer; a longer one is wrong, whatever it says."""

FUZZED: frozenset[str] = frozenset(
    (
        "advanced_geometry",
        "aiw",
        "arc_1d",
        "base_conversion",
        "binary_alternation",
        "caesar_cipher",
        "chain_sum",
        "circuit_logic",
        "color_cube_rotation",
        "course_schedule",
        "cryptarithm",
        "family_relationships",
        "futoshiki",
        "gcd",
        "largest_island",
        "leg_counting",
        "mahjong_puzzle",
        "maze",
        "mini_sudoku",
        "modulo_grid",
        "number_sequence",
        "products",
        "rectangle_count",
        "self_reference",
        "shortest_path",
        "simple_equations",
        "simple_geometry",
        "string_manipulation",
        "syllogism",
    )
)
"""Datasets of reasoning-gym whose graders were fuzzed. Some others run an answer as Python."""

_LOG = logging.getLogger(__name__)
_DECIMAL = r"\d{1,30}(?:\.\d{1,30})?"
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d{1,3})?(?!\w)", re.A
)
_COMPLEX = re.compile(
    rf"\(?(?:(?P<bare>[-+]?(?:{_DECIMAL})?)[ij]"
    rf"|(?P<real>[-+]?{_DECIMAL})(?:(?P<imaginary>[-+](?:{_DECIMAL})?)[ij])?)\)?",
    re.A,
)
_LETTER = re.compile(r"[(\[]?([a-z])[)\].:]?", re.A | re.I)
_SAID_LETTER = re.compile(
    r"\b(?:answer|option|choice)(?:\s+is)?\s*[:=]?\s*\**[(\[]?([a-z])[)\]]?\**\s*[.!]?$",
    re.A | re.I,
)


def _exact(task: Task, answer: str) -> bool:
    return normalized(answer) == normalized(task.reference)


def last_number(text: str) -> Decimal | None:
    """The last number in a text, None without one."""
    found = _NUMBER.findall(text.casefold().replace("\u2212", "-"))
    return Decimal(found[-1].replace(",", "")) if found else None


def _number(task: Task, answer: str) -> bool:
    said = last_number(answer)
    return said is not None and said == last_number(task.reference)


def _check_number(task: Task) -> str | None:
    text = task.reference.strip().casefold().replace("\u2212", "-")
    if _NUMBER.fullmatch(text):
        return None
    return f"reference {task.reference[:40]!r} is no number: write one such as -3.5 or 1,200"


def complex_parts(text: str) -> tuple[Decimal, Decimal] | None:
    """Real and imaginary part of text such as ``-5.0 + 20i``."""
    found = _COMPLEX.fullmatch("".join(text.casefold().replace("\u2212", "-").split()))
    if found is None:
        return None
    real, imaginary, bare = found["real"], found["imaginary"], found["bare"]
    if bare is not None:
        return Decimal(0), Decimal(bare + "1" if bare in ("", "+", "-") else bare)
    if imaginary in ("+", "-"):
        imaginary += "1"
    return Decimal(real), Decimal(imaginary or 0)


def _complex(task: Task, answer: str) -> bool:
    said, right = complex_parts(answer), complex_parts(task.reference)
    if said is None or right is None:
        return False
    for part, expected in zip(said, right, strict=True):
        exponent = expected.as_tuple().exponent
        rounded = isinstance(exponent, int) and exponent <= -2
        # half a unit in the last place of a reference that may have been rounded
        room = Decimal(5).scaleb(int(exponent) - 1) if rounded else Decimal(0)
        if abs(part - expected) > room:
            return False
    return True


def _check_complex(task: Task) -> str | None:
    if complex_parts(task.reference) is not None:
        return None
    return f"reference {task.reference[:40]!r} is no complex number: write one such as -3 + 2.5i"


def _choice(task: Task, answer: str) -> bool:
    found = _LETTER.fullmatch(answer) or _SAID_LETTER.search(answer)
    return found is not None and found.group(1).upper() == task.reference.strip().upper()


def _check_choice(task: Task) -> str | None:
    letters = [chr(ord("A") + i) for i in range(len(task.choices) or 26)]
    if task.reference.strip().upper() in letters:
        return None
    return f"reference {task.reference[:40]!r} is no letter from A to {letters[-1]}: write one"


def _reasoning_gym(task: Task, answer: str) -> bool:
    entry = {
        "question": task.prompt,
        "answer": task.reference,
        "metadata": copy.deepcopy(task.metadata["entry"]),  # some graders write into it
    }
    return float(_scorer(task.metadata["dataset"])(answer, entry)) >= PASS


@lru_cache(maxsize=128)
def _scorer(dataset: str) -> Callable[[str, dict[str, Any]], float]:
    if dataset not in FUZZED:
        raise unknown_name("fuzzed reasoning-gym dataset", dataset, FUZZED)
    try:
        with random_state_kept():
            factory: Any = import_module("reasoning_gym.factory")
    except ModuleNotFoundError as error:
        raise MissingExtraError("grading tasks of reasoning-gym", "tasks") from error
    try:
        return factory.get_score_answer_fn(dataset)
    except ValueError as error:  # its import was cut short: a package of its own is missing
        raise MissingExtraError("grading tasks of reasoning-gym", "tasks") from error


def _check_reasoning_gym(task: Task) -> str | None:
    dataset, entry = task.metadata.get("dataset"), task.metadata.get("entry")
    if not isinstance(dataset, str) or not isinstance(entry, dict):
        return 'put {"dataset": NAME, "entry": the entry\'s own metadata} under `metadata`'
    return None if dataset in FUZZED else not_fuzzed(dataset)


def not_fuzzed(dataset: str) -> str:
    """Why a dataset's grader is not used, and the repair."""
    told = "its grader accepts what it should not, runs answers as Python, or was never fuzzed"
    return (
        f"dataset {dataset!r}: {told}; use one of {', '.join(sorted(FUZZED))}, or another verifier"
    )


VERIFIERS: dict[str, Verifier] = {
    "exact": Verifier(_exact, lambda task: None),
    "number": Verifier(_number, _check_number),
    "complex": Verifier(_complex, _check_complex),
    "choice": Verifier(_choice, _check_choice),
    "reasoning-gym": Verifier(_reasoning_gym, _check_reasoning_gym),
    "math": MATH,
    "items": ITEMS,
    "constraints": CONSTRAINTS,
    "python-tests": PYTHON_TESTS,
    "parts": PARTS,
}


def find_verifier(name: str) -> Verifier:
    """The verifier of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in VERIFIERS:
        raise unknown_name("verifier", name, VERIFIERS, UNGRADED.get(name, ""))
    return VERIFIERS[name]


def grade(task: Task, answer: str) -> float:
    """Grade an answer.

    Args:
        task: The task.
        answer: The final answer alone; space around it does not count.

    Returns:
        1.0 if it is right, else 0.0. A verifier that fails on an answer counts it as wrong and
        is named in a warning of this module's log.

    Raises:
        UnknownNameError: Unknown verifier, or a dataset outside `FUZZED`.
        MissingExtraError: The verifier needs a package that is not installed.
        SandboxError: The verifier runs answers, and this machine cannot lock them down.
    """
    verifier = find_verifier(task.verifier)
    text = answer.strip()
    if not text or len(text) > max(MAX_ANSWER, 2 * len(task.reference)):
        return 0.0
    try:
        return float(verifier.accepts(task, text))
    except (MissingExtraError, SandboxError, UnknownNameError):
        raise
    except Exception as error:  # graders of other packages raise anything
        name = task.metadata.get("dataset", task.verifier)
        _LOG.warning(
            "verifier %s failed on task %s (%s): counted as wrong",
            name,
            task.uid,
            type(error).__name__,
        )
        return 0.0
