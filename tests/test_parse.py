"""What a worker says becomes an answer, a verdict and a confidence, or is malformed."""

import itertools

import pytest

from conductor_gym.live.identity import answer_identity
from conductor_gym.live.parse import parse_reply
from conductor_gym.live.prompts import FORMS
from conductor_gym.tasks.multi_part import whole_reference
from conductor_gym.tasks.suite import load_split
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifiers import grade
from conductor_gym.types import Status, Subtask

ANSWERING = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE)


def as_asked(task: Task) -> str:
    """The reference, written as the prompt of its verifier asks."""
    form = FORMS[task.verifier]
    if form == "code":
        return f"Answer:\n```python\n{task.reference}\n```\nConfidence: 90%"
    if form == "text":
        return f"Answer:\n{task.reference}\nConfidence: 90%"
    if form == "parts":
        answers = [
            f"```python\n{p.reference}\n```" if p.verifier == "python-tests" else p.reference
            for p in task.parts
        ]
        return f"Thinking first.\n\nAnswer:\n{whole_reference(answers)}\nConfidence: 90%"
    return f"First I think.\n\nAnswer: {task.reference}\nConfidence: 90%"


def some_tasks(each: int) -> list[Task]:
    """The first tasks of every kind in core-v1: family and level of every domain."""
    tasks = load_split("core-v1", "dev").tasks
    kinds = itertools.groupby(tasks, lambda task: task.uid.rsplit("/", 1)[0])
    return [task for _, group in kinds for task in itertools.islice(group, each)]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return some_tasks(2)


def test_a_reference_written_as_the_prompt_asks_is_graded_right(tasks: list[Task]):
    assert len(tasks) >= 200
    assert len({task.domain for task in tasks}) == 12
    n = 0
    for whole in tasks:
        for task in (whole, *whole.parts):
            subtask = ANSWERING[n % 3]
            parsed = parse_reply(subtask, as_asked(task), task.verifier, len(task.parts))
            assert parsed.status == Status.OK, task.uid
            assert parsed.confidence == 0.9
            assert grade(task, parsed.answer) == 1.0, (task.uid, parsed.answer, task.reference)
            n += 1


def test_identity():
    assert answer_identity("3.0", "number") == answer_identity("3", "number")
