"""From replies to actions: what is read, what is refused and why, and that nothing breaks it."""

import os
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import ANONYMOUS, NAMED, OFFERS, PIECES, reply

from conductor_gym.language.grammar import valid_lines
from conductor_gym.language.lines import Line, Refusal, as_action, as_line, read_line, write_line
from conductor_gym.language.offer import Offer
from conductor_gym.language.parse import MOST, parse_action
from conductor_gym.language.parse_line import WORDS
from conductor_gym.types import N_LEVELS, Subtask

FUZZED = int(os.environ.get("CONDUCTOR_GYM_FUZZ", "3000"))
SOLVE, VERIFY, SUBMIT = Line(Subtask.SOLVE, 2), Line(Subtask.VERIFY, 0, 3), Line(Subtask.SUBMIT)


def refused(text: str, offer: Offer = NAMED) -> str:
    read = parse_action(text, offer)
    assert isinstance(read, Refusal), read
    return read.reason


@pytest.mark.parametrize(
    "text",
    [
        "solve 2",
        "Solve 2.",
        " SOLVE 2 \n",
        "- solve 2",
        "1. solve 2",
        "`solve 2`",
        "**solve 2**",
        "[solve 2]",
        "Action: solve 2",
        "**Action:** solve 2",
        'Action: "solve 2"',
        "My next action is: solve 2",
        "Thought: it is hard.\nAction:\nsolve 2",
        "```\nsolve 2\n```",
        "```text\nsolve 2\n```",
        '"solve 2"',
        "> solve 2",
        "solve worker 2",
        "solve with worker 2",
        "solve #2",
        "solve Model 2",
        "Worker 2: solve",
        "ask worker 2 to solve",
        "solve(2)",
        "solve(worker=2)",
        "solve: 2",
        "Let's solve 2",
        "SUBTASK solve WORKER 2",
        "solve 2 - it is cheap",
        "solve 2 (cheap)",
        "solve 2, because it is cheap",
        "solve 2 because it is cheap.",
        "It is hard, so the best first.\n\nsolve 2",
        "solve 2\n\nThis worker is good at sums.",
        "solve 2\nsolve 2",
        "solve 2\nverify 0\nsubmit",
        "I could submit:\nsubmit\nBut there is none, so\nsolve 2",
        "<think>Maybe submit?\nsubmit</think>\nsolve 2",
        "submit</think>solve 2",
        "<action>solve 2</action>",
        "\\boxed{solve 2}",
        "Thought: it is hard.\nAction: solve 2",
        "The set {} is empty and \\frac{1}{2} is small.\nsolve 2",
        '{"thought": "cheap", "action": "solve 2"}',
        "\uff53\uff4f\uff4c\uff56\uff45\u3000\uff12",
        "solve Claude Sonnet 4",
        "solve claude",
        "solve claude-sonnet-4",
        '{"worker": 2, "subtask": "solve"}',
        '```json\n{"subtask": "SOLVE", "worker": "2"}\n```',
        '{"action": "solve 2"}',
        '{"action": {"subtask": "solve", "worker": 2.0, "reason": "cheap"}}',
        "SUBTASK: solve\nWORKER: 2",
        "Subtask: solve, Worker: Claude Sonnet 4",
    ],
)
def test_what_models_write_for_solve_2_is_read_as_that(text: str):
    assert parse_action(text, NAMED) == SOLVE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("verify 0 4096", VERIFY),
        ("verify 0 4,096 tokens", VERIFY),
        ("Verify 0 with 4K tokens of context.", VERIFY),
        ("verify(0, 4k)", VERIFY),
        ("verify 0 [4k]", VERIFY),
        ("verify gpt-4o 4k", VERIFY),
        ("verify 0, context: 4k", VERIFY),
        ('{"worker": "GPT-4o", "subtask": "verify", "context": 4096}', VERIFY),
        ("Submit the answer.", SUBMIT),
        ("submit()", SUBMIT),
        ("submit 2", SUBMIT),
        ("I will submit now", SUBMIT),
        ("Vote!", Line(Subtask.VOTE)),
        ("solve 2: Use the formula: a+b.", Line(Subtask.SOLVE, 2, words="Use the formula: a+b.")),
        ("**solve gpt-4o-mini 1k**: be brief", Line(Subtask.SOLVE, 1, 2, words="be brief")),
        ("solve qwen2.5:7b: think", Line(Subtask.SOLVE, 3, words="think")),
        (
            '{"worker": 3, "subtask": "solve", "instruction": "in\\nmetres"}',
            Line(Subtask.SOLVE, 3, words="in metres"),
        ),
        (
            'solve 2: reply "submit" or {"worker": 1}',
            Line(Subtask.SOLVE, 2, words='reply "submit" or {"worker": 1}'),
        ),
    ],
)
def test_workers_contexts_and_words_are_read_in_many_forms(text: str, line: Line):
    assert parse_action(text, NAMED) == line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \0\n", "empty"),
        ("```\n```", "empty"),
        ("<think>solve 2", "before its reasoning"),
        ("I do not know.", "reply with one line"),
        ("解决 2", "reply with one line"),
        ("[[2], [], []]", "reply with one line"),
        ("solve", "known: 0 gpt-4o, 1 gpt-4o-mini"),
        ("solve 4", "no worker 4"),
        ("solve -1", "no worker"),
        ("solve gpt-5", "did you mean 'gpt-4o'"),
        ("solve gpt", "may mean gpt-4o, gpt-4o-mini"),
        ("solv 2", "Did you mean 'solve'?"),
        ("solve 2 5k", "no context '5k', known: 0, 256, 1k, 4k"),
        ("solve 2 4000", "no context"),
        ("aggregate 2 sees 1,3", "of workflows"),
        ("solve 2 or 3", "followed by"),
        ("solve 2, or 3", "followed by"),
        ("solve 2, then verify 0", "followed by"),
        ("solve 2; verify 0", "two actions"),
        ("solve 2 (or verify 0)", "followed by"),
        ("solve 2 (cheap), verify 0", "two actions"),
        ("solve 2. Submit", "two actions"),
        ("submit, or solve 2", "followed by"),
        ("vote for 2", "followed by"),
        ("Plan:\n1. solve 2\n2. verify 0\n3. submit", "3 actions"),
        ("submit answer B", "followed by"),
        ('{"worker": 2, "worker": 1, "subtask": "solve"}', "twice"),
        ('{"worker": [2], "subtask": "solve"}', "no worker"),
        ('{"worker": true, "subtask": "solve"}', "no worker"),
        ('{"worker": 2}', "no subtask"),
        ("{}", "reply with one line"),
        ("solve 2... no", "followed by"),
        ("solve 2? Maybe.", "followed by"),
        ('{"worker": 2, "words": "be brief"}', "no subtask"),
        ('{"worker": 2, "subtask": "solve", "tools": []}', "no field 'tools'"),
        ('{"subtask": "solve"}', "needs a worker"),
        ('{"worker": 2, "subtask": "solve"} {"worker": 1, "subtask": "solve"}', "besides"),
        ('{"worker": 2, "subtask": "solve"}\nsubmit', "besides"),
        ("Worker: 1\nWorker: 2\nSubtask: solve", "twice"),
    ],
)
def test_what_is_unclear_is_refused_with_the_reason(text: str, why: str):
    assert why in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        'The worker said:\n"submit"',
        "It answered\n> submit",
        "It said 'submit' and no more.",
        "I cannot solve 2 equations.",
        "solve 2 equations",
        "solve 2x + 3",
        "solve 2 - 3",
        "solve 2 + 2",
        "vote counting",
        "Do not submit",
        "never submit",
    ],
)
def test_quotations_and_prose_that_look_like_an_action_are_none(text: str):
    refused(text)


def test_a_name_that_is_also_a_number_is_refused_unless_both_mean_the_same():
    assert parse_action("solve Model 2", ANONYMOUS) == SOLVE
    turned = Offer((0, 1), ("Model 1", "Model 0"), (0, 1), frozenset(Subtask), 7)
    assert "may mean" in refused("solve Model 1", turned)
    assert parse_action("solve 1", turned) == Line(Subtask.SOLVE, 1)


@given(st.sampled_from(OFFERS), st.data())
@settings(max_examples=150)
def test_every_decision_is_read_as_it_was_written(offer: Offer, data: st.DataObject):
    subtask = data.draw(st.sampled_from(Subtask))
    level = data.draw(st.integers(0, offer.levels - 1))
    action = data.draw(st.sampled_from(offer.slots)), int(subtask), level
    said = data.draw(
        st.sampled_from(["", "Check <the> {units}: 2 or 3?", '"submit"', "\\boxed{4}"])
    )
    line = as_line(action, offer, said)
    read = parse_action(write_line(line, offer.levels), offer)
    assert isinstance(read, Line)
    assert read.words == line.words
    assert as_action(read, offer) == as_action(line, offer)
    assert as_action(read, offer) == (action if subtask < Subtask.VOTE else (0, subtask, 0))


def test_every_valid_line_is_read_by_both_readers():
    for offer in OFFERS:
        for text in valid_lines(offer):
            assert parse_action(text, offer) == read_line(text, offer)
            assert isinstance(read_line(text, offer), Line)


def check_any(text: str, offer: Offer) -> None:
    """What holds of every text: a decision that can be made, or a short reason."""
    read = parse_action(text, offer)
    if isinstance(read, Refusal):
        assert 0 < len(read.reason) < 700
        return
    slot, subtask, level = as_action(read, offer)
    assert slot in offer.slots or (slot, level) == (0, 0)
    assert subtask in set(Subtask)
    assert 0 <= level < N_LEVELS
    assert read.sees is None
    assert len(read.words) <= WORDS
    assert not re.search(r"[\x00-\x1f\ud800-\udfff]", read.words)
    again = parse_action(write_line(read, offer.levels), offer)
    assert isinstance(again, Line)
    assert (as_action(again, offer), again.words) == ((slot, subtask, level), read.words)


anything: Any = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), max_size=12).map(" ".join),
    st.characters(codec=None).map("solve 2{}".format),
    st.text(st.characters(codec=None), max_size=60),
)


@given(anything, st.sampled_from(OFFERS))
@settings(max_examples=600)
def test_any_text_is_read_or_refused(text: str, offer: Offer):
    check_any(text, offer)


def test_a_fuzz_of_replies_is_read_or_refused():
    luck, read = random.Random(20), 0
    for _ in range(FUZZED):
        text, offer = reply(luck), luck.choice(OFFERS)
        check_any(text, offer)
        read += isinstance(parse_action(text, offer), Line)
    assert 0.05 * FUZZED < read < 0.5 * FUZZED, f"{read} of {FUZZED} held an action"


@pytest.mark.parametrize(
    "piece",
    [
        "solve 2 ",
        "<think>",
        "</think>",
        "a\n",
        "submit\n",
        "{",
        "[{",
        '{"a":',
        "solve ",
        "verify verify, ",
        "*_`",
        "(",
        "```\n",
        "submit the answer ",
        "worker: 2, ",
        " ",
        "\n",
        "the ",
        "1. ",
        "solve claud\n",
        "> ",
        '"',
        "ﷺ",
        "\ud800",
        "'",
    ],
)
def test_a_reply_of_100_000_characters_is_read_by_its_ends(piece: str):
    middle = piece * (100_000 // len(piece))
    for text in (middle, f"solve 2\n{middle}", f"{middle}\nsolve 2", f"solve 2: {middle}"):
        check_any(text, NAMED)
    assert parse_action("word " * 20_000 + "\nsolve 2", NAMED) == SOLVE
    assert parse_action("solve 2\n" + "word " * 20_000, NAMED) == SOLVE
    hidden = "word " * MOST + "\nsolve 2\n" + "word " * MOST
    assert isinstance(parse_action(hidden, NAMED), Refusal)
