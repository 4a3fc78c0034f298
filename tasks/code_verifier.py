"""The verifier of code: whether an answer's function gives what the task's tests expect."""

import keyword
import re
import textwrap
from typing import Any, cast

from conductor_gym.tasks.sandbox import run_tests
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifier import Verifier

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?P<tag>\w*)[^\n]*\n(?P<code>.*?)(?:^[ \t]*```|\Z)", re.M | re.S
)
_PYTHON = ("python", "python3", "py")
_EXAMPLE = '{"function": "double", "tests": [[[2], 4], [[-1], -2]]}'


def code_of(answer: str) -> str:
    """The code of an answer.

    Args:
        answer: Text with or without fenced blocks.

    Returns:
        The last block marked as Python, else the last without a mark, else the whole text. A last
        block that is not closed goes to the end.
    """
    blocks = [(found["tag"].casefold(), found["code"]) for found in _BLOCK.finditer(answer)]
    for tags in (_PYTHON, ("",)):
        fitting = [code for tag, code in blocks if tag in tags]
        if fitting:
            return textwrap.dedent(fitting[-1])
    return answer


def _accepts(task: Task, answer: str) -> bool:
    tests = [(arguments, expected) for arguments, expected in task.metadata["tests"]]
    return run_tests(code_of(answer), task.metadata["function"], tests).problem is None


def _check(task: Task) -> str | None:
    function, tests = task.metadata.get("function"), task.metadata.get("tests")
    if not isinstance(function, str) or not function.isidentifier() or keyword.iskeyword(function):
        return f"`metadata` names no `function` to call: write one such as {_EXAMPLE}"
    if not isinstance(tests, list) or not tests:
        return f"`metadata` has no list of `tests`: write one such as {_EXAMPLE}"
    for i, test in enumerate(cast(list[Any], tests), 1):
        pair = cast(list[Any], test) if isinstance(test, list) else []
        if len(pair) != 2 or not isinstance(pair[0], list):
            return f"test {i} is no [[arguments], expected]: write `metadata` such as {_EXAMPLE}"
    return None


PYTHON_TESTS = Verifier(_accepts, _check)
"""Grades code by running it; `SandboxError` where it cannot be locked down."""
