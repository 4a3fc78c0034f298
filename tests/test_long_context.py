"""The long-context family: one right answer, evidence where it is said, the same everywhere."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from long_reader import WORDS, answer_of, conditions, read_all

from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.tasks.document_forms import SENTENCES, TOPICS
from conductor_gym.tasks.documents import documents_of
from conductor_gym.tasks.family import make_family_rows
from conductor_gym.tasks.generate import LEVELS, Order, place, split_at
from conductor_gym.tasks.item_lists import ITEMS
from conductor_gym.tasks.long_context import draw, hash_of, make
from conductor_gym.tasks.long_questions import KINDS, QUESTIONS
from conductor_gym.tasks.task import MAX_EVIDENCE, Documents, Task, count_tokens
from conductor_gym.tasks.verifiers import grade

SIZES = {"easy": (1_000, 4_000), "medium": (8_000, 32_000), "hard": (48_000, 200_000)}
NUMBERS = {"easy": 160, "medium": 16, "hard": 4}
SMALL = {"min_tokens": 1_000, "max_tokens": 1_300}


def settings_of(level: str) -> dict[str, Any]:
    low, high = SIZES[level]
    return {"min_tokens": low, "max_tokens": high}


def task_of(level: str, index: int, settings: dict[str, Any]) -> Task:
    """A task as it comes back from a file of rows."""
    drawn = json.loads(json.dumps(draw(level, index, settings)))
    held = drawn["documents"]
    documents = Documents(held["tokens"], tuple(held["evidence"]), (), held["recipe"])
    return Task(
        *(f"long/{drawn['kind']}/{level}/{index}", "long", 1, drawn["prompt"]),
        *(drawn["reference"], drawn["verifier"], (), drawn["metadata"], (), documents),
    )


@pytest.fixture(scope="module")
def tasks() -> list[tuple[Task, tuple[str, ...]]]:
    """Tasks of all levels and their documents."""
    made = [
        task_of(level, i, settings_of(level)) for level in LEVELS for i in range(NUMBERS[level])
    ]
    return [(task, documents_of(task)) for task in made]


def documents(task: Task) -> Documents:
    assert task.documents is not None
    return task.documents


def start_of(texts: tuple[str, ...], tokens: int) -> str:
    """What has been read after so many tokens."""
    read = ""
    for text in texts:
        read += text[: 4 * max(tokens, 0)]
        tokens -= count_tokens(text)
    return read


def right(task: Task, answer: str) -> bool:
    """Grade, also where the verifier is one that this family brings."""
    if task.verifier == "items":
        return bool(answer.strip()) and ITEMS.accepts(task, answer.strip())
    return grade(task, answer) == 1.0


def test_a_reader_of_question_and_documents_finds_the_reference(
    tasks: list[tuple[Task, tuple[str, ...]]],
):
    for task, texts in tasks:
        assert answer_of(task.prompt, texts)[0] == task.reference, task.prompt


def test_every_question_and_kind_is_drawn(tasks: list[tuple[Task, tuple[str, ...]]]):
    kinds = Counter(task.uid.split("/")[1] for task, _ in tasks)
    assert kinds == dict.fromkeys(KINDS, sum(NUMBERS.values()) // len(KINDS))
    for kind in KINDS:
        asked = [task.prompt.split("\n")[1] for task, _ in tasks if f"/{kind}/" in task.uid]
        for question in QUESTIONS[kind]:
            pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(question.text))
            assert any(re.fullmatch(pattern, text) for text in asked), question.text


def test_each_piece_of_evidence_has_been_read_just_where_it_is_said(
    tasks: list[tuple[Task, tuple[str, ...]]],
):
    for task, texts in tasks:
        evidence = documents(task).evidence
        needed = answer_of(task.prompt, texts)[1]
        assert len(evidence) == min(len(needed), MAX_EVIDENCE)
        assert all(a < b for a, b in pairwise(evidence))
        for i, tokens in enumerate(evidence, 1):
            read, before = (start_of(texts, t) for t in (tokens, tokens - 1))
            pieces = -(-i * len(needed) // len(evidence))  # of more than eight: an eighth more
            assert sum(entry.text in read for entry in needed) == pieces, task.uid
            assert sum(entry.text in before for entry in needed) == pieces - 1, task.uid


def test_tokens_are_those_of_the_documents_and_within_the_settings(
    tasks: list[tuple[Task, tuple[str, ...]]],
):
    for task, texts in tasks:
        low, high = SIZES[task.uid.split("/")[2]]
        assert documents(task).tokens == sum(map(count_tokens, texts))
        assert low <= documents(task).tokens <= high
        assert 1 <= len(texts) <= 3
        assert documents(task).evidence[-1] <= documents(task).tokens
        assert len(task.prompt) <= 1_500
    assert {len(texts) for _, texts in tasks} == {1, 2, 3}


def test_the_narrowest_settings_are_kept():
    for low in (1_000, 1_700, 5_000):
        for i in range(40):
            made = make("easy", i, {"min_tokens": low, "max_tokens": low + 300})
            assert low <= made.tokens <= low + 300


def test_sizes_are_spread_evenly_on_a_log_scale():
    tokens = [make("easy", i, settings_of("easy")).tokens for i in range(200)]
    shares = np.histogram(np.log2(tokens), bins=[9.9, 10.5, 11.0, 11.5, 12.0])[0] / len(tokens)
    assert all(abs(shares - 0.25) < 0.1), shares  # three standard deviations


def test_single_facts_stand_at_every_depth_with_the_middle():
    made = [make("easy", i, settings_of("easy")) for i in range(0, 160, 4)]
    depths = [task.evidence[0] / task.tokens for task in made]
    assert min(np.histogram(depths, bins=8, range=(0, 1))[0]) >= 2, sorted(depths)
    assert sum(0.4 < depth < 0.6 for depth in depths) >= 5


def test_near_misses_fail_every_single_condition(tasks: list[tuple[Task, tuple[str, ...]]]):
    for task, texts in tasks:
        stated = conditions(task.prompt)
        chain = "Start with" in task.prompt
        path = {entry.person for entry in answer_of(task.prompt, texts)[1]} if chain else set[str]()
        failed: set[str] = set()
        for entry in read_all(task.prompt, texts):
            if not chain or entry.person in path:
                wrong = [name for name, holds in stated.items() if not holds(entry)]
                if len(wrong) == 1:
                    failed.add(wrong[0])
        assert failed == set(stated), (task.prompt, failed)


def test_the_same_on_repeated_calls_and_no_random_state_moves():
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    for level in LEVELS:
        assert draw(level, 3, SMALL) == draw(level, 3, SMALL)
    assert len({make(level, 3, SMALL).texts for level in LEVELS}) == 3
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


def test_the_same_in_another_process_whatever_its_hash_seed():
    code = (
        "from conductor_gym.tasks.long_context import draw\n"
        f"print([draw('easy', i, {SMALL}) for i in range(12)])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert told == [str([draw("easy", i, SMALL) for i in range(12)])] * 2


def test_documents_come_from_their_recipe_or_as_given():
    task = task_of("easy", 5, SMALL)
    assert documents_of(task) == documents_of(task) == make("easy", 5, SMALL).texts
    plain = Task("u", "d", 1, "?", "1", "number")
    given_ = Task("u", "d", 1, "?", "1", "number", documents=Documents(2, (1,), ("one", "two")))
    assert (documents_of(plain), documents_of(given_)) == ((), ("one", "two"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hash": "0" * 16}, "expected 0000000000000000"),
        ({"index": 9}, "not what the task was made with"),
        ({"index": -1}, "a whole number from 0"),
        ({"index": "5"}, "a whole number from 0"),
        ({"level": ["easy"]}, "easy, medium, hard"),
        ({"settings": 3}, "an object as `settings`"),
        ({"settings": {"min_tokens": 1_000}}, "`max_tokens`"),
        ({"settings": {"min_tokens": 1_000, "max_tokens": 10**9}}, "2,000,000"),
        ({"seed": 1}, "'seed'"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_told(changes: dict[str, Any], told: str):
    held = draw("easy", 5, SMALL).get("documents", {})
    recipe = {**held["recipe"], **changes}
    task = Task("u-7", "d", 1, "?", "1", "number", documents=Documents(2, (1,), (), recipe))
    with pytest.raises(DataFileError, match=re.escape(told)) as error:
        documents_of(task)
    assert "u-7" in str(error.value)


def test_a_recipe_of_an_unknown_family_is_told():
    recipe: dict[str, Any] = {"family": "long", "level": "easy", "index": 0, "hash": ""}
    recipe["settings"] = SMALL
    task = Task("u", "d", 1, "?", "1", "number", documents=Documents(2, (1,), (), recipe))
    with pytest.raises(UnknownNameError, match="'long-context'"):
        documents_of(task)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_tokens": 1_000},
        {"min_tokens": 999, "max_tokens": 4_000},
        {"min_tokens": 4_000, "max_tokens": 1_000},
        {"min_tokens": 1_000, "max_tokens": 1_299},
        {"min_tokens": 1_000.0, "max_tokens": 4_000},
        {"min_tokens": 1_000, "max_tokens": 4_000, "depth": 0.5},
    ],
)
def test_settings_that_cannot_be_used_are_told(settings: dict[str, Any]):
    with pytest.raises(ConfigError, match="`min_tokens` and `max_tokens`"):
        draw("easy", 0, settings)


def test_no_name_is_asked_about_in_two_splits():
    order = Order(
        source="family",
        name="long-context",
        domain="long-context",
        verifier="",
        split_by=[],
        levels=dict.fromkeys(LEVELS, SMALL),
        tasks={"train": 20, "dev": 8, "test": 12},
    )
    rows = make_family_rows(order)
    assert Counter(row["split"] for row in rows) == {"train": 60, "dev": 24, "test": 36}
    split_of: dict[str, str] = {}
    for row in rows:
        _, kind, level, index = row["uid"].split("/")
        key = draw(level, int(index), SMALL)["key"]
        assert key in row["prompt"].split("\n")[1]
        assert kind == KINDS[int(index) % len(KINDS)]
        assert split_of.setdefault(key, row["split"]) == row["split"]
        assert split_at(place(f"long-context/{key}"), order["tasks"]) == row["split"]


def test_names_hardly_ever_come_twice():
    keys = {draw("easy", i, SMALL)["key"] for i in range(400)}
    assert len(keys) > 380


def test_no_word_of_a_list_stands_inside_another():
    for name, words in WORDS.items():
        assert len(set(words)) == len(words), name
        for word in words:
            assert "void" not in word
            assert not any(re.search(rf"\b{word}\b", other) for other in words if other != word)
    for name in ("goods", "purposes", "devices", "posts", "first_names", "last_names"):
        assert not [word for word in WORDS[name] if re.search(r"[,;]|\band\b", word)]


def test_every_sentence_tells_person_unit_and_date_and_what_can_be_asked():
    asked = {topic: {"person", "unit", "what", "date"} for topic in TOPICS}
    for questions in QUESTIONS.values():
        for question in questions:
            asked[question.topic] |= {*question.given, question.value}
    assert set(SENTENCES) == {(topic, form) for topic, forms in TOPICS.items() for form in forms}
    for topic, forms in TOPICS.items():
        for sentences in forms.values():
            for sentence in sentences:
                assert asked[topic] <= set(re.findall(r"\{(\w+)", sentence)), sentence


def listed(reference: str) -> Task:
    return Task("u", "d", 1, "?", reference, "items")


@pytest.mark.parametrize(
    "answer",
    [
        "Ada Falk, Bela Rossi, Ivo Soto",
        "ivo  soto,BELA ROSSI , Ada Falk",
        "Ada Falk; Bela Rossi; Ivo Soto.",
        "- Ada Falk\n- Bela Rossi\n\n- Ivo Soto\n",
        "1. Ivo Soto\n2. Ada Falk\n3) Bela Rossi",
        "* Ada Falk,\n\u2022 Bela Rossi,\n(3) Ivo Soto",
        "Ada Falk, Bela Rossi and Ivo Soto",
        "Ada Falk, Bela Rossi, and Ivo Soto",
        "Ada Falk, Bela Rossi, Ivo Soto, Ada Falk",
    ],
)
def test_a_list_is_right_in_any_order_and_form(answer: str):
    assert right(listed("Ada Falk, Bela Rossi, Ivo Soto"), answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        ",",
        "- ",
        "Ada Falk, Bela Rossi",
        "Ada Falk, Bela Rossi, Ivo Soto, Ivo Falk",
        "Ada Falk, Bela Rossi, Ivo Sot",
        "Ada Falk, Bela Rossi, not Ivo Soto",
        "Ada Falk Bela Rossi Ivo Soto",
        "The names are Ada Falk, Bela Rossi, Ivo Soto",
        "Ada Falk, Bela Rossi, Ivo Soto and others",
        "Ada, Falk, Bela, Rossi, Ivo, Soto",
        "AdaFalk, Bela Rossi, Ivo Soto",
    ],
)
def test_a_list_with_an_item_missing_or_too_many_is_wrong(answer: str):
    assert not right(listed("Ada Falk, Bela Rossi, Ivo Soto"), answer)


def test_a_reference_that_is_no_list_of_different_items_is_told():
    assert ITEMS.check(listed("a, b")) is None
    assert "names no item" in str(ITEMS.check(listed(" , ;")))
    assert "'a' more than once" in str(ITEMS.check(listed("a, b, A")))


NAME = st.sampled_from([f"{a} {b}" for a in WORDS["first_names"][:9] for b in WORDS["last_names"]])


@given(st.lists(NAME, min_size=1, max_size=8, unique=True), st.data())
def test_a_list_is_right_just_if_the_sets_are_the_same(names: list[str], data: st.DataObject):
    task = listed(", ".join(names))
    assert ITEMS.check(task) is None
    mixed = data.draw(st.permutations(names))
    between = data.draw(st.sampled_from((", ", ",", "; ", "\n", " ;\n", "\n- ", ",\n2. ")))
    assert right(task, between.join(mixed))
    assert not right(task, between.join(mixed[1:]))
    other = data.draw(NAME)
    assert right(task, between.join([*mixed, other])) == (other in names)
    assert right(task, between.join([*mixed[1:], other])) == (other == mixed[0])


@cache
def small_task(index: int) -> Task:
    return task_of("easy", index, SMALL)


@given(st.text(max_size=200) | st.text("0123456789,;.- and\nAdaFalk", max_size=60), st.data())
def test_garbage_is_wrong(answer: str, data: st.DataObject):
    task = small_task(data.draw(st.integers(0, 11)))
    assume(task.reference.casefold() not in answer.casefold())
    if task.verifier == "number":
        assume(re.findall(r"\d+", answer.replace(",", ""))[-1:] != [task.reference])
    assert not right(task, answer)


def test_references_are_right_and_those_of_other_tasks_wrong(
    tasks: list[tuple[Task, tuple[str, ...]]],
):
    for task, _ in tasks:
        assert right(task, task.reference)
        assert right(task, f"\n {task.reference.upper()}  ")
        assert not right(task, f"not {task.reference}x")
        for other, _ in tasks:
            assert right(task, other.reference) == (task.reference == other.reference)


def test_the_text_of_documents_is_pinned_by_a_hash():
    assert hash_of(("ab", "c")) != hash_of(("a", "bc"))
    task = task_of("medium", 1, settings_of("medium"))
    recipe = documents(task).recipe
    assert recipe is not None
    assert recipe["hash"] == hash_of(documents_of(task))
