"""Functions to write: their references pass, near misses fail, and splits share no construction."""

import ast
import random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.tasks import code_verifier
from conductor_gym.tasks.code_tasks import STEPS, STEPS_OF, draw
from conductor_gym.tasks.code_template import KINDS
from conductor_gym.tasks.code_verifier import PYTHON_TESTS, code_of
from conductor_gym.tasks.family import Drawn, make_family_rows
from conductor_gym.tasks.generate import MAX_PROMPT, Order
from conductor_gym.tasks.sandbox import SandboxError
from conductor_gym.tasks.task import Task

LEVELS = tuple(STEPS_OF)


def drawn(level: str, count: int, first: int = 0) -> list[Drawn]:
    made = (draw(level, first + i, {}) for i in range(20 * count))
    return [task for task in made if task is not None][:count]


def task_of(made: Drawn) -> Task:
    return Task(
        "u", "code", 1, made["prompt"], made["reference"], "python-tests", metadata=made["metadata"]
    )


def code_task(tests: list[Any], function: str = "double") -> Task:
    return Task(
        "u", "code", 1, "?", "", "python-tests", metadata={"function": function, "tests": tests}
    )


DOUBLE = code_task([[[2], 4], [[-1], -2]])


@pytest.mark.parametrize("level", LEVELS)
def test_references_pass_and_simple_mutants_fail(level: str):
    for made in drawn(level, 5, first=500):
        task = task_of(made)
        assert PYTHON_TESTS.check(task) is None
        assert PYTHON_TESTS.accepts(task, f"Here it is:\n```python\n{made['reference']}```\nDone.")
        head, first, *body, last = made["reference"].rstrip("\n").split("\n")
        for lines in (
            [head, first, last],
            [head, first, *body, "    return None"],
            [head, first, *body, "    return [x]"],
            [head, "    return " + repr(made["metadata"]["tests"][0][1])],
        ):
            assert not PYTHON_TESTS.accepts(task, "\n".join(lines) + "\n"), (lines, made["key"])


@pytest.mark.parametrize("level", LEVELS)
def test_the_last_step_cannot_be_left_out(level: str):
    for made in drawn(level, 4, first=900):
        tree = ast.parse(made["reference"])
        function = cast(ast.FunctionDef, tree.body[0])
        changes = [i for i, line in enumerate(function.body) if "x = " in ast.unparse(line)]
        del function.body[changes[-1]]
        assert not PYTHON_TESTS.accepts(task_of(made), ast.unparse(tree)), made["key"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_copy_of_the_examples_fails(level: str):
    for made in drawn(level, 3):
        shown = [line for line in made["prompt"].split("\n") if line.startswith("transform(")]
        assert 2 <= len(shown) <= 3
        table = [line.removeprefix("transform(").replace(") == ", ", ", 1) for line in shown]
        code = f"def transform(x):\n    for a, b in [{', '.join(f'({t})' for t in table)}]:\n"
        code += "        if a == x:\n            return b\n"
        assert not PYTHON_TESTS.accepts(task_of(made), code)


@pytest.mark.parametrize("level", LEVELS)
def test_examples_are_what_the_reference_gives(level: str):
    for made in drawn(level, 10):
        names: dict[str, Any] = {}
        exec(made["reference"], names)
        shown = [line for line in made["prompt"].split("\n") if line.startswith("transform(")]
        assert all(eval(line, names) for line in shown)


@pytest.mark.parametrize("level", LEVELS)
def test_a_draw_is_a_pure_function_that_leaves_the_random_state_alone(level: str):
    before = random.getstate()
    first = [draw(level, i, {}) for i in range(15)]
    again = [draw(level, i, {}) for i in reversed(range(15))][::-1]
    assert first == again
    assert random.getstate() == before
    for made in first:
        if made is not None:
            assert len(made["prompt"]) <= MAX_PROMPT
            assert "$" not in made["prompt"] + made["reference"]


def test_settings_say_how_many_steps():
    made = next(m for m in (draw("easy", i, {"steps": 4}) for i in range(50)) if m is not None)
    assert made["key"].count(" | ") == 3
    assert "\n4. " in made["prompt"]


def test_a_known_draw_is_the_same_on_every_machine():
    made = draw("easy", 0, {})
    assert made is not None
    assert made["key"] == "change_words(how=Reverse, test=end with one of nrst)"
    assert made["metadata"]["tests"][:2] == [[[[]], []], [[["one"]], ["one"]]]


def test_no_construction_is_in_two_splits():
    order: Order = {
        "source": "family",
        "name": "code",
        "domain": "code",
        "verifier": "python-tests",
        "split_by": [],
        "levels": {level: {} for level in LEVELS},
        "tasks": {"train": 12, "dev": 6, "test": 6},
    }
    rows = make_family_rows(order)
    assert len(rows) == 3 * 24
    assert len({row["uid"] for row in rows}) == len(rows)
    constructions: dict[str, set[str]] = {}
    for row in rows:
        constructions.setdefault(row["reference"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in constructions.values())


def test_templates_have_names_of_their_own_and_use_each_parameter_on_both_sides():
    assert len(STEPS) >= 20
    assert len({step.name for step in STEPS}) == len(STEPS)
    for step in STEPS:
        assert {step.takes, step.gives} <= KINDS.keys()
        for name in step.choices:
            assert f"${name}" in step.says or f"${{{name}}}" in step.says, (step.name, name)
            assert f"${name}" in step.code or f"${{{name}}}" in step.code, (step.name, name)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("def f(): pass", "def f(): pass"),
        ("```python\na\n```\nthen\n```py\nb\n```", "b\n"),
        ("```Python\na\n```\nprints\n```text\n1\n```", "a\n"),
        ("```\na\n```\n```\nb\n```", "b\n"),
        ("```python\na\n```\n```\nb\n```", "a\n"),
        ("1. So:\n   ```python\n   a\n     b\n   ```", "a\n  b\n"),
        ("```python\na", "a"),
        ("```python title=x\na\n```", "a\n"),
        ("```js\na\n```", "```js\na\n```"),
    ],
)
def test_the_code_of_an_answer(answer: str, code: str):
    assert code_of(answer) == code


def test_other_ways_to_write_it_pass():
    for answer in (
        "double = lambda n: n + n",
        "```python\nfrom functools import partial\nimport operator\n"
        "double = partial(operator.mul, 2)\n```",
        "```python\nclass A:\n    def __call__(self, n):\n        print(n)\n        return 2 * n\n"
        "double = A()\nif __name__ == '__main__':\n    input()\n```",
    ):
        assert PYTHON_TESTS.accepts(DOUBLE, answer)


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=80) | st.text("`python\n def():=x", max_size=80))
def test_no_answer_breaks_the_verifier(answer: str):
    assert PYTHON_TESTS.accepts(DOUBLE, answer) is False


def test_a_tuple_is_a_list_and_a_float_no_int():
    task = code_task([[[1], [1, 2]]], "f")
    assert PYTHON_TESTS.accepts(task, "def f(n): return (1, 2)")
    assert not PYTHON_TESTS.accepts(task, "def f(n): return [1.0, 2]")


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, "no `function`"),
        ({"function": "a b", "tests": [[[1], 1]]}, "no `function`"),
        ({"function": "class", "tests": [[[1], 1]]}, "no `function`"),
        ({"function": "f"}, "no list of `tests`"),
        ({"function": "f", "tests": []}, "no list of `tests`"),
        ({"function": "f", "tests": [[[1], 1], [1, 2]]}, "test 2"),
        ({"function": "f", "tests": [[[1]]]}, "test 1"),
    ],
)
def test_what_a_row_lacks_is_told(metadata: dict[str, Any], told: str):
    reason = PYTHON_TESTS.check(Task("u", "d", 1, "?", "", "python-tests", metadata=metadata))
    assert reason is not None
    assert told in reason
    assert '{"function": "double"' in reason


def test_an_answer_is_not_wrong_where_none_can_be_graded(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise SandboxError("no filter")

    monkeypatch.setattr(code_verifier, "run_tests", refuse)
    with pytest.raises(SandboxError, match="no filter"):
        PYTHON_TESTS.accepts(DOUBLE, "def double(n): return 2 * n")
