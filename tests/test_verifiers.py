"""Graders accept the reference and reject everything else: fixed cases and fuzzing."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_suites import small_core

from conductor_gym.errors import MissingExtraError, UnknownNameError
from conductor_gym.tasks import verifiers
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifiers import FUZZED, VERIFIERS, grade

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")

GARBAGE = (
    *(
        "",
        " ",
        "\n\t",
        "\x00",
        "?",
        "nan",
        "NaN",
        "-nan",
        "nan + nani",
        "(nan, nan)",
        "inf",
        "infj",
    ),
    *("1e999", "None", "null", "[]", "{}", "()", "[[", "I do not know", "the answer", "yes no"),
    *("True False", "A=1,A=1", "1,2,3", "=", ",", "=,=", "$", "\\frac{1}{2}", "0x", "1/0"),
    *("\U0001f4a5" * 40, "\u202e42", "a" * 5_000, "9" * 5_000, "(" * 5_000, "1 " * 9_000),
    "x" * 1_000_000,
    "__import__('os').getpid()",
)


ALSO_RIGHT = ("cryptarithm", "shortest_path")
"""Puzzles with several solutions: their graders check the puzzle, not the reference."""


def core_names() -> list[str]:
    text = load_suite_card("core-v1").text
    assert text is not None
    assert text.generator is not None
    return [dataset.name for dataset in text.generator.datasets]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Task]]]:
    """Tasks of every dataset of `core-v1`, three levels each."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graded")
        patch.setenv("CONDUCTOR_GYM_CACHE", str(folder))
        made: dict[str, list[Task]] = defaultdict(list)
        suite = small_core(folder)
        for split in ("train", "dev", "test"):
            for task in load_split(suite, split).tasks:
                made[task.uid.split("/")[1]].append(task)
        yield made


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


def same_number(a: str, b: str) -> bool:
    try:
        return Decimal(a.strip()) == Decimal(b.strip())
    except InvalidOperation:
        return False


def test_every_dataset_of_core_is_fuzzed_here_and_nothing_else_is_allowed():
    assert set(core_names()) - {"complex_arithmetic"} == FUZZED


@pytest.mark.parametrize("name", core_names())
def test_the_reference_is_right_and_garbage_is_wrong(tasks: dict[str, list[Task]], name: str):
    for task in tasks[name]:
        assert grade(task, task.reference) == 1.0
        assert grade(task, f"\n  {task.reference} ") == 1.0
        for answer in GARBAGE:
            assert grade(task, answer) == 0.0, (task.uid, answer[:50])


@pytest.mark.parametrize("name", core_names())
def test_answers_of_other_tasks_are_wrong(tasks: dict[str, list[Task]], name: str):
    others = [] if name in ALSO_RIGHT else [task.reference for task in tasks[name]]
    others += [task.reference for of, all_ in tasks.items() if of != name for task in all_[:3]]
    for task in tasks[name]:
        for answer in others:
            if plain(answer) != plain(task.reference) and not same_number(answer, task.reference):
                assert grade(task, answer) == 0.0, (task.uid, task.reference, answer)


@pytest.mark.parametrize("name", core_names())
@settings(max_examples=150)
@given(data=st.data())
def test_near_misses_are_wrong(tasks: dict[str, list[Task]], name: str, data: st.DataObject):
    task = data.draw(st.sampled_from(tasks[name]))
    kind = data.draw(
        st.sampled_from(("change", "append", "prepend", "deny", "twice", "off by one"))
    )
    reference = task.reference
    at = data.draw(st.integers(0, len(reference) - 1))
    old = reference[at]
    if kind == "change":
        pool = "0123456789" if old.isdigit() else "abcdefghklmnopqrstuvwxyz"
        new = data.draw(st.sampled_from(pool))
        answer = reference[:at] + new + reference[at + 1 :]
        if old.isspace() or plain(new) == plain(old):
            return
    elif kind == "append":
        answer = reference + data.draw(st.sampled_from("xyz"))
    elif kind == "prepend":
        answer = data.draw(st.sampled_from("123xyz")) + reference
    elif kind == "deny":
        answer = (
            data.draw(st.sampled_from(("not ", "It is false that ", "anything but "))) + reference
        )
    elif kind == "twice":
        answer = f"{reference} {reference}"
    elif re.fullmatch(r"-?\d+", reference):
        answer = str(int(reference) + data.draw(st.sampled_from((-1, 1))))
    else:
        return
    if name in ALSO_RIGHT and kind == "change" and old.isdigit():
        return
    assert grade(task, answer) == 0.0, (task.uid, reference, answer)


@pytest.mark.parametrize("name", core_names())
@settings(max_examples=100)
@given(data=st.data())
def test_random_text_is_wrong(tasks: dict[str, list[Task]], name: str, data: st.DataObject):
    task = data.draw(st.sampled_from(tasks[name]))
    answer = data.draw(st.text(max_size=200) | st.text("0123456789 ,.-+()[]=i\n", max_size=40))
    if plain(answer) == plain(task.reference) or same_number(answer, task.reference):
        return
    numbers = [re.sub(r"\D", "", text) for text in (answer, task.reference)]
    if numbers[0] == numbers[1] != "":
        return  # the reference, written otherwise
    assert grade(task, answer) == 0.0, (task.uid, task.reference, answer)


def test_a_grader_that_raises_counts_as_wrong_and_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(answer: str, entry: object) -> float:
        raise RuntimeError(answer)

    def scorer(dataset: str) -> object:
        return broken

    monkeypatch.setattr(verifiers, "_scorer", scorer)
    task = make("reasoning-gym", "1", metadata={"dataset": "gcd", "entry": {}})
    with caplog.at_level(logging.WARNING):
        assert grade(task, "1") == 0.0
    assert "gcd" in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_missing_package_and_an_unfuzzed_grader_are_no_wrong_answers(
    monkeypatch: pytest.MonkeyPatch,
):
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    unsafe = make("reasoning-gym", "24", metadata={"dataset": "puzzle24", "entry": {}})
    with pytest.raises(UnknownNameError, match="puzzle24"):
        grade(unsafe, "24")
    verifiers._scorer.cache_clear()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(verifiers, "import_module", missing)
    task = make("reasoning-gym", "1", metadata={"dataset": "gcd", "entry": {}})
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[tasks\]"):
        grade(task, "1")


def test_an_unknown_verifier_is_told():
    with pytest.raises(UnknownNameError, match="Did you mean 'exact'"):
        grade(make("exakt", "1"), "1")


def make(verifier: str, reference: str, **more: object) -> Task:
    return Task("u", "d", 1, "?", reference, verifier, **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("verifier", "reference", "right", "wrong"),
    [
        ("exact", "New York", ("new  york", " NEW YORK\n"), ("New York!", "York", "newyork")),
        (
            "number",
            "42",
            ("42", "The answer is 42.", "6 * 7 = 42", "42.0", "**42**", "$42", "4.2e1"),
            ("41", "-42", "420", "4 2", "x42", "42 or 43", "forty-two", "nan", "", "\u0664\u0662"),
        ),
        ("number", "-3.5", ("-3.5", "x = \u22123.50"), ("3.5", "-3.51")),
        ("number", "1,200", ("1200", "1,200.0"), ("1.200", "1,2", "200")),
        (
            "choice",
            "B",
            ("B", "b", "(B)", "B.", "[b]", "The answer is B.", "answer: **B**", "Option (B)"),
            ("A", "AB", "a B", "B or C", "The answer is a bee", "not B", "The answer is not B"),
        ),
        (
            "complex",
            "7.0 - 14.0i",
            ("7-14i", "(7 - 14j)", "7.00-14.0i"),
            ("7+14i", "7.01-14i", "nan", "nan-14i", "7", "-14i", "7-14i7"),
        ),
        ("complex", "0.33 + 1.0i", ("0.3333+i", "0.33+1i"), ("0.34+i", "0.32+i", "0.33+1.01i")),
    ],
)
def test_plain_verifiers(
    verifier: str, reference: str, right: tuple[str, ...], wrong: tuple[str, ...]
):
    task = make(verifier, reference)
    assert VERIFIERS[verifier].check(task) is None
    assert [answer for answer in right if not grade(task, answer)] == []
    assert [answer for answer in wrong if grade(task, answer)] == []


@given(st.text(max_size=300), st.sampled_from(sorted(VERIFIERS)))
def test_no_text_breaks_a_verifier(answer: str, verifier: str):
    references = {"choice": "B", "number": "4", "complex": "1 + 2i"}
    metadata: dict[str, object] = {"dataset": "gcd", "entry": dict[str, object]()}
    task = make(verifier, references.get(verifier, "ref"), metadata=metadata)
    assert grade(task, answer) in (0.0, 1.0)
