"""From replies to workflows: what is read, what is refused and why, and that nothing breaks it."""

import json
import os
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import reply
from workflow_helpers import OFFER, workflows

from conductor_gym.language.lines import Line, Refusal
from conductor_gym.language.offer import Offer
from conductor_gym.language.workflow import (
    MOST,
    Workflow,
    checked,
    parse_workflow,
    write_workflow,
)
from conductor_gym.language.workflow_grammar import WorkflowGrammar
from conductor_gym.types import Subtask

FUZZED = int(os.environ.get("CONDUCTOR_GYM_FUZZ", "1500"))
SOLVE, VERIFY, REVISE, AGGREGATE = Subtask.SOLVE, Subtask.VERIFY, Subtask.REVISE, Subtask.AGGREGATE
SECOND = replace(OFFER, before=3, recursive=True)
NARROW = Offer((5, 2), ("one", "two"), (1,), frozenset({SOLVE, Subtask.SUBMIT}), 1, 5, True)
OFFERS = (OFFER, SECOND, NARROW)


def read(text: str, offer: Offer = OFFER) -> Workflow:
    found = parse_workflow(text, offer)
    assert isinstance(found, Workflow), found
    return found


def refused(text: str, offer: Offer = OFFER) -> str:
    found = parse_workflow(text, offer)
    assert isinstance(found, Refusal), found
    return found.reason


# --- our lines -----------------------------------------------------------------------------------

PLAN = Workflow(
    (
        Line(SOLVE, 2, None, ()),
        Line(SOLVE, 0, None, (), "try small cases"),
        Line(AGGREGATE, 2, None, (1, 2)),
    )
)


@pytest.mark.parametrize(
    "text",
    [
        "solve 2\nsolve 0: try small cases\naggregate 2 sees 1,2",
        "solve 2\nsolve 0: try small cases\naggregate 2 sees all",
        "solve 2\nsolve 0: try small cases\naggregate 2",
        "solve 2 sees none\nsolve 0: try small cases\naggregate 2 sees 2, 1",
        "```\nsolve 2\nsolve 0: try small cases\naggregate 2 sees 1,2\n```",
        "1. solve 2\n2. solve 0: try small cases\n3. aggregate 2 sees 1 and 2",
        "Step 1: solve 2\nStep 2: solve 0: try small cases\nStep 3: aggregate 2 sees steps 1, 2",
        "- **solve 2**\n- solve 0: try small cases\n- aggregate worker 2 sees [1, 2]",
        "Two tries, then a judge.\n\nsolve 2\nsolve 0: try small cases\naggregate 2\n\nGood luck.",
        "<think>solve 7\nsolve 7</think>solve 2\nsolve 0: try small cases\naggregate 2 sees 1,2",
        "SOLVE 2\r\nSolve Model 0: try small cases\r\nAGGREGATE 2 SEES 1,2\r\nsubmit",
    ],
)
def test_lines_are_read_as_models_write_them(text: str):
    assert read(text) == PLAN


def test_what_a_step_sees_where_it_is_not_written():
    steps = read("solve 1\nplan 1\nverify 2\nrevise 0\nvote").steps
    assert [line.sees for line in steps] == [(), (), (1, 2), (1, 2, 3), (1, 2, 3, 4)]


def test_levels_are_read_beside_what_is_seen():
    steps = read("solve 1 4k\nrevise 2 sees 1 16k: again\nverify 0 sees 1,2 0").steps
    assert [line.level for line in steps] == [3, 4, 0]
    assert [line.sees for line in steps] == [(), (1,), (1, 2)]
    assert steps[1].words == "again"


def test_a_later_workflow_counts_on():
    assert read("verify 0 sees 2\nrevise 1 sees 2,4", SECOND).steps[1].sees == (2, 4)
    assert read("aggregate 0", SECOND).steps[0].sees == (1, 2, 3)


def test_a_workflow_may_end_by_calling_the_conductor_or_by_nothing():
    assert read("solve 1\nconductor", SECOND) == Workflow((Line(SOLVE, 1, None, ()),), True)
    assert read("submit") == Workflow(())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n\t\n", "empty"),
        ("I am sorry, but I cannot help with that.", "no line is a step"),
        ("solve 2\nverify 1 sees 3\nsolve 1", "step 2 sees step 3, which does not come before"),
        ("solve 2 sees 2\nverify 1 sees 1", "step 1 sees step 2, which does not come before"),
        ("solve 2\nverify 1 sees 2", "step 2 sees itself"),
        ("solve 2\nverify 1 sees 0", "step 2 sees step 0"),
        ("solve 8", "step 1: no worker 8"),
        ("solve 2\nverify", "step 2: verify needs a worker"),
        ("solve 2\nverify 1 5k", "step 2: no context"),
        ("\n".join(["solve 1"] * 6), "6 steps, at most 5"),
        ("\n".join(["solve 1"] * 40_000), "steps, at most 5"),
        ("<think>solve 1\nsolve 2", "ends before its reasoning"),
        ("conductor\nsolve 1", "conductor must be the last line"),
        ("submit\nsolve 1", "submit must be the last line"),
        ("solve 1\nconductor", "cannot be called again"),
        ("conductor", "no line is a step"),
        ("résoudre 2\nrésoudre 1", "no line is a step"),
        ("解决 2", "no line is a step"),
        ('{"plan": ["solve 2"]}', "no line is a step"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(text: str, why: str):
    assert why in refused(text)


# --- the paper's lists ---------------------------------------------------------------------------

TELL = ["Work it out.", "Try another way.", "Say which is right."]
PAPERS = Workflow(
    (
        Line(SOLVE, 2, None, (), TELL[0]),
        Line(SOLVE, 0, None, (), TELL[1]),
        Line(AGGREGATE, 1, None, (1, 2), TELL[2]),
    )
)


@pytest.mark.parametrize("seen", ['"all"', '["all"]', "[0, 1]", "all", "'all'"])
def test_the_papers_lists_are_read(seen: str):
    lists = f"model_ids = [2, 0, 1]\nsubtasks = {TELL}\naccess_list = [[], [], {seen}]"
    assert read(lists) == PAPERS
    told = '{"model_id": [2, 0, 1], "subtasks": %s, "access_lists": [[], [], %s]}'
    assert read("Here:\n```json\n" + told % (json.dumps(TELL), seen) + "\n```") == PAPERS
    assert read("<think>model_ids = [7]</think>\n" + lists) == PAPERS
    assert read(f"model_ids = [5]\n{lists}") == PAPERS  # the last one counts


@pytest.mark.parametrize(
    ("words", "access", "kind"),
    [
        ("Verify that the answer is right.", "[0]", VERIFY),
        ("PLAN the parts", "[]", Subtask.PLAN),
        ("Solve it again", "[0, 1]", SOLVE),
        ("Is it right?", "[0]", REVISE),
        ("Is it right?", "[0, 1]", AGGREGATE),
        ("Is it right?", "[]", SOLVE),
    ],
)
def test_the_kind_of_a_free_subtask_is_its_first_word_or_what_it_sees(
    words: str, access: str, kind: Subtask
):
    text = (
        f'model_ids: [0, 1, 2]\nsubtasks: ["a", "b", "{words}"]\naccess_lists: [[], [], {access}]'
    )
    assert read(text).steps[2].subtask == kind


def test_where_nothing_but_solving_exists_free_subtasks_solve():
    text = 'model_ids = [0, 1]\nsubtasks = ["a", "b"]\naccess_lists = [[], "all"]'
    assert [line.subtask for line in read(text, NARROW).steps] == [SOLVE, SOLVE]


def test_the_worker_after_the_last_is_the_conductor_where_it_may_be_called():
    text = 'model_ids = [3, 8]\nsubtasks = ["a", "b"]\naccess_lists = [[], "all"]'
    assert read(text, SECOND).again
    assert "no worker 8" in refused(text, replace(SECOND, recursive=False))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("model_ids = [1, 2]\nsubtasks = ['a']\naccess_lists = [[]]", "2, 1 and 1 entries"),
        ("model_ids = [1]\nsubtasks = ['a']", "no list access_lists"),
        ("model_ids = ['1']\nsubtasks = ['a']\naccess_lists = [[]]", "must be whole numbers"),
        ("model_ids = [1]\nsubtasks = [7]\naccess_lists = [[]]", "must be texts"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [3]", "access_lists must be"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [['b']]", "access_lists must be"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [[[[]]]]", "no list of numbers"),
        ("model_ids = [1]\nsubtasks = [open('x')]\naccess_lists = [[]]", "no list of numbers"),
        ("model_ids = [-1]\nsubtasks = ['a']\naccess_lists = [[]]", "no worker -1"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [[0]]", "sees itself"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [[-1]]", "sees step 0"),
        ("model_ids = [1]\nsubtasks = ['a']\naccess_lists = [[4]]", "does not come before"),
        ("model_ids = []\nsubtasks = []\naccess_lists = []", "no step"),
        ("model_ids = [1, 2\nsubtasks = ['a", "no list"),
        (f"model_ids = {[1] * 6}\nsubtasks = {['a'] * 6}\naccess_lists = {[[]] * 6}", "at most 5"),
    ],
)
def test_lists_that_do_not_fit_are_refused_with_the_reason(text: str, why: str):
    assert why in refused(text)


def test_a_text_in_a_list_is_no_list_of_its_own():
    """What a worker said and the conductor repeats decides nothing."""
    told = "model_ids = [7]\\nsubtasks = ['x']\\naccess_lists = [[]]\\nsolve 7"
    text = f'model_ids = [1]\nsubtasks = ["{told}"]\naccess_lists = [[]]'
    (line,) = read(text).steps
    assert (line.worker, line.subtask) == (1, SOLVE)
    assert line.words.startswith("model_ids = [7]")


def test_words_of_a_step_that_look_like_lists_are_words():
    text = "solve 2: workers = [1] subtasks = ['x'] access_lists = [[]]\nverify 1: models: [2"
    assert [line.worker for line in read(text).steps] == [2, 1]


def test_words_hold_nothing_that_cannot_be_written_in_a_line():
    text = 'model_ids = [1]\nsubtasks = ["a\ud800b\0\u2028 c%s"]\naccess_lists = [[]]'
    for tail in ("", " d" * 2000):
        found = read(text % tail)
        assert parse_workflow(write_workflow(found), OFFER) == found


# --- both ways, grammars, and anything at all ----------------------------------------------------


@settings(max_examples=200)
@given(before=st.sampled_from([0, 3]), data=st.data())
def test_what_is_written_is_read_as_the_same(before: int, data: Any):
    offer = replace(OFFER, before=before)
    workflow = data.draw(workflows(before=before))
    assert checked(workflow, offer) == workflow
    assert parse_workflow(write_workflow(workflow), offer) == workflow


@settings(max_examples=60)
@given(offer=st.sampled_from(OFFERS), data=st.data())
def test_every_constrained_reply_is_a_workflow_in_canonical_form(offer: Offer, data: Any):
    import re

    grammar, lines = WorkflowGrammar(offer), tuple[str, ...]()
    while (line := data.draw(st.sampled_from(grammar.choices(lines)))) != "":
        lines = (*lines, line)
        if len(lines) > 7:
            pytest.fail(f"no end: {lines}")
    text = "\n".join(lines)
    found = read(text, offer)
    assert write_workflow(found) == text or text.endswith("submit")
    assert re.fullmatch(grammar.regex(), text)
    assert {step.worker for step in found.steps} <= {-1, *offer.affordable}


def test_where_nothing_is_affordable_the_grammar_submits():
    grammar = WorkflowGrammar(replace(OFFER, affordable=()))
    assert grammar.choices(()) == ("submit",)
    assert grammar.regex() == "submit"


def check(text: str, offer: Offer) -> bool:
    found = parse_workflow(text, offer)
    if isinstance(found, Refusal):
        assert 0 < len(found.reason) < 1000
        return False
    assert checked(found, offer) == found
    assert len(found.steps) <= offer.steps
    assert parse_workflow(write_workflow(found), offer) == found
    return True


@settings(max_examples=300)
@given(text=st.text(max_size=300), offer=st.sampled_from(OFFERS))
def test_any_text_is_read_or_refused(text: str, offer: Offer):
    check(text, offer)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "[",
        "model_ids = [",
        'model_ids = ["',
        "'",
        "solve 1 sees ",
        "sees 1, ",
        "<think>",
        "</think>",
        "\\",
        "solve 1: ",
        "\n",
        "1.",
        " ",
        "access_list: [[0],",
    ],
)
def test_a_hundred_thousand_characters_are_read_or_refused(piece: str):
    check(piece * (100_000 // len(piece)), OFFER)
    check("solve 1\n" + piece * (100_000 // len(piece)), OFFER)
    assert MOST < 100_000


_LISTS = ("model_ids = ", "subtasks: ", '"access_lists": ', "[1, 0]", "['a', \"b\"]", '"all"')
_MORE = ("sees none", "sees 2,1", "vote sees 1", "Step 2: ", "solve 1\n", "[[], [0]]", "\n", ",")


def test_fuzz_workflows():
    luck = random.Random(7)
    found = 0
    for _ in range(FUZZED):
        pieces = [
            luck.choice((*_LISTS, *_MORE)) if luck.random() < 0.6 else reply(luck)
            for _ in range(luck.randrange(1, 9))
        ]
        found += check(luck.choice(("\n", " ", "")).join(pieces), luck.choice(OFFERS))
    assert found > FUZZED // 50
