"""From a published benchmark row to a task: one reader for each benchmark."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from conductor_gym.tasks.generate import LEVELS
from conductor_gym.tasks.math_answers import is_mathematics
from conductor_gym.tasks.task import Task

Row = Mapping[str, Any]

UNGRADED: dict[str, str] = {
    "stdin-tests": "Programs that read standard input are not run yet: these tasks can be read, "
    "not graded.",
    "unittest": "Tests of BigCodeBench need its libraries and are not run yet: these tasks can be "
    "read, not graded.",
}
"""Verifiers that tasks name and that do not exist yet, and why."""


class RowError(Exception):
    """A row that is not as published: the column and what is wrong with it."""


def text(row: Row, column: str) -> str:
    """A text that says something; a number counts as text."""
    value = row[column]
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise RowError(f"column {column!r}: text is expected, {_shown(value)} found")
    return value.strip()


def whole(row: Row, column: str, at_most: int) -> int:
    """A whole number from 0, as such or as text."""
    value = row[column]
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value, re.A):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= at_most:
        found = _shown(value)
        raise RowError(
            f"column {column!r}: a whole number in [0, {at_most}] is expected, {found} found"
        )
    return value


def content_id(*parts: str) -> str:
    """An id from what a row says, for sets whose rows have none."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _shown(value: Any) -> str:
    return f"{value!r:.60}"


def _with_options(question: str, options: Sequence[str]) -> str:
    lines = [f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, "", *lines])


def _math500(row: Row, domain: str) -> Task:
    return Task(
        uid=text(row, "unique_id"),
        domain=domain,
        level=whole(row, "level", 5),
        prompt=text(row, "problem"),
        reference=text(row, "answer"),
        verifier="math",
        metadata={"subject": text(row, "subject")},
    )


def _mmlu(row: Row, domain: str) -> Task:
    options = row["choices"]
    if not isinstance(options, list) or not 2 <= len(cast(list[Any], options)) <= 26:
        raise RowError(f"column 'choices': a list of options is expected, {_shown(options)} found")
    choices = tuple(str(option).strip() for option in cast(list[Any], options))
    question, subject = text(row, "question"), text(row, "subject")
    right = whole(row, "answer", len(choices) - 1)
    return Task(
        uid=f"{subject}/{content_id(question, *choices, str(right))}",
        domain=domain,
        level=0,
        prompt=_with_options(question, choices),
        reference=chr(ord("A") + right),
        verifier="choice",
        choices=choices,
        metadata={"subject": subject},
    )


def _gpqa(row: Row, domain: str) -> Task:
    uid = text(row, "Record ID")
    right = text(row, "Correct Answer")
    wrong = [text(row, f"Incorrect Answer {i}") for i in (1, 2, 3)]
    # where an option stands depends on the record and the option alone
    choices = tuple(sorted((right, *wrong), key=lambda option: content_id(uid, option)))
    return Task(
        uid=uid,
        domain=domain,
        level=0,
        prompt=_with_options(text(row, "Question"), choices),
        reference=chr(ord("A") + choices.index(right)),
        verifier="choice",
        choices=choices,
    )


def _aime(row: Row, domain: str) -> Task:
    question = text(row, "question")
    said = re.sub(r"\^?\s*\{?\\circ\}?|\u00b0|\$", "", text(row, "answer"))
    if not re.fullmatch(r"\s*\d{1,3}\s*", said, re.A):
        found = _shown(row["answer"])
        raise RowError(f"column 'answer': a number from 0 to 999 is expected, {found} found")
    return Task(
        uid=content_id(question),
        domain=domain,
        level=0,
        prompt=question,
        reference=str(int(said)),
        verifier="number",
    )


def _rlpr(row: Row, domain: str) -> Task:
    reward = row["reward_model"]
    if not isinstance(reward, dict) or "ground_truth" not in reward:
        raise RowError(
            f"column 'reward_model': an object with 'ground_truth' is expected, {_shown(reward)} "
            "found"
        )
    reference = text(cast(Row, reward), "ground_truth")
    question = _last_message(row["prompt"])
    return Task(
        uid=content_id(question, reference),
        domain=domain,
        level=0,
        prompt=question,
        reference=reference,
        verifier="math" if is_mathematics(reference) else "exact",
        metadata={"source": str(row["data_source"]), "ability": str(row["ability"])},
    )


def _last_message(prompt: Any) -> str:
    """What the user asks: the prompt itself, or the last user message of a chat."""
    if isinstance(prompt, list):
        for message in reversed(cast(list[Any], prompt)):
            if isinstance(message, dict) and cast(Row, message).get("role") == "user":
                return text(cast(Row, message), "content")
    return text({"prompt": prompt}, "prompt")


def _code(row: Row, column: str) -> str:
    """Source as it stands: its first indent counts."""
    text(row, column)
    return str(row[column])


def _bigcodebench(row: Row, domain: str) -> Task:
    return Task(
        uid=text(row, "task_id"),
        domain=domain,
        level=0,
        prompt=text(row, "instruct_prompt"),
        reference=_code(row, "code_prompt") + _code(row, "canonical_solution"),
        verifier="unittest",
        metadata={
            "unittest": text(row, "test"),
            "entry_point": text(row, "entry_point"),
            "libs": str(row["libs"]),
        },
    )


def _livecodebench(row: Row, domain: str) -> Task:
    difficulty = text(row, "difficulty")
    if difficulty not in LEVELS:
        raise RowError(f"column 'difficulty': {', '.join(LEVELS)} are known, not {difficulty!r}")
    tests = _public_tests(row)
    question = f"{text(row, 'question_title')}\n\n{text(row, 'question_content')}"
    metadata: dict[str, Any] = {"platform": text(row, "platform")}
    if tests[0]["testtype"] == "stdin":
        verifier = "stdin-tests"
        metadata["stdin_tests"] = [{k: test[k] for k in ("input", "output")} for test in tests]
        asked = "Write a Python program that reads standard input and writes standard output."
    else:
        verifier = "python-tests"
        function = _function(row)
        metadata["function"] = function
        metadata["tests"] = [_function_test(test) for test in tests]
        asked = (
            f"Write a Python function `{function}` outside any class, with the parameters of the "
            f"method below after `self`.\n\n{text(row, 'starter_code')}"
        )
    return Task(
        uid=text(row, "question_id"),
        domain=domain,
        level=1 + LEVELS.index(difficulty),
        prompt=f"{question}\n\n{asked}",
        reference=NO_SOLUTION,
        verifier=verifier,
        metadata=metadata,
    )


def _public_tests(row: Row) -> list[dict[str, str]]:
    """Tests of one kind, at least one; the private ones beside them are pickled and left alone."""
    try:
        tests = TypeAdapter(list[dict[str, str]]).validate_json(text(row, "public_test_cases"))
        kinds = {test["testtype"] for test in tests}
        whole_tests = all({"input", "output"} <= set(test) for test in tests)
    except (ValidationError, KeyError):
        kinds, tests, whole_tests = set[str](), [], False
    if kinds not in ({"stdin"}, {"functional"}) or not whole_tests:
        raise RowError(
            "column 'public_test_cases': a JSON list of tests with input, output and testtype is "
            "expected, all stdin or all functional"
        )
    return tests


def _function(row: Row) -> str:
    try:
        told = TypeAdapter(dict[str, Any]).validate_json(text(row, "metadata"))
    except ValidationError:
        told = {}
    function = told.get("func_name")
    if not isinstance(function, str) or not function.isidentifier():
        raise RowError(
            f"column 'metadata': JSON with a 'func_name' is expected, {_shown(row['metadata'])} "
            "found"
        )
    return function


def _function_test(test: Mapping[str, str]) -> list[Any]:
    """``[arguments, result]`` of a functional test, which writes them as JSON, one a line."""
    try:
        arguments = [json.loads(line) for line in test["input"].splitlines() if line.strip()]
        return [arguments, json.loads(test["output"])]
    except (ValueError, RecursionError):
        raise RowError(
            f"column 'public_test_cases': JSON values are expected, {_shown(dict(test))} found"
        ) from None


NO_SOLUTION = "(the benchmark publishes no solution)"
"""Reference of a task that tests alone grade."""

READERS: dict[str, Callable[[Row, str], Task]] = {
    "MATH500": _math500,
    "MMLU": _mmlu,
    "RLPR": _rlpr,
    "LiveCodeBench": _livecodebench,
    "AIME25": _aime,
    "BigCodeBench": _bigcodebench,
    "BigCodeBench-Hard": _bigcodebench,
    "GPQA-D": _gpqa,
}
"""``reader(row, domain)``: the task of a row, its uid without the domain."""
