"""Writing tasks: references keep their rules, breaking any one rule is wrong, splits are apart."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.errors import ConfigError
from conductor_gym.tasks.constraints import (
    CONSTRAINTS,
    KINDS,
    SUBSTANCE,
    broken_rules,
    problem_of,
    rules_of,
)
from conductor_gym.tasks.family import Drawn, make_family_rows
from conductor_gym.tasks.generate import Order
from conductor_gym.tasks.instruction_words import TOPIC_ADJECTIVES, TOPIC_NOUNS
from conductor_gym.tasks.instructions import CONFLICTS, DRAWN_KINDS, draw
from conductor_gym.tasks.task import Task

LEVELS: dict[str, dict[str, Any]] = {
    "easy": {"min_constraints": 1, "max_constraints": 2},
    "medium": {"min_constraints": 3, "max_constraints": 4},
    "hard": {"min_constraints": 5, "max_constraints": 7},
}
DRAWS = 300
PROSE = (
    "The rusty lighthouse waited near our quiet harbor. Nobody asked why it had gone dark, "
    "and seven gulls slept on the roof."
)


@cache
def drawn(level: str) -> list[Drawn]:
    found = [draw(level, i, LEVELS[level]) for i in range(DRAWS)]
    return [task for task in found if task is not None]


def every() -> list[Drawn]:
    return [task for level in LEVELS for task in drawn(level)]


def task_of(made: Drawn) -> Task:
    return Task("u", "d", 1, made["prompt"], made["reference"], "constraints", (), made["metadata"])


def ruled(*constraints: dict[str, Any], reference: str = PROSE) -> Task:
    return Task("u", "d", 1, "?", reference, "constraints", (), {"constraints": constraints})


def rule(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"kind": kind, **parameters}


@pytest.mark.parametrize("level", LEVELS)
def test_references_keep_all_rules_and_few_draws_fail(level: str):
    assert len(drawn(level)) > 0.9 * DRAWS
    low, high = LEVELS[level].values()
    for made in drawn(level):
        task = task_of(made)
        assert CONSTRAINTS.check(task) is None
        assert CONSTRAINTS.accepts(task, made["reference"])
        assert low <= len(made["metadata"]["constraints"]) - 1 <= high
        assert rules_of(made["metadata"]["constraints"]) in made["prompt"]
        assert json.loads(json.dumps(made["metadata"])) == made["metadata"]
        assert len(made["prompt"]) < 4000


def test_every_kind_is_drawn_and_no_conflicting_pair_is():
    assert len(DRAWN_KINDS) >= 30
    seen: Counter[str] = Counter()
    for made in every():
        kinds = [each["kind"] for each in made["metadata"]["constraints"]]
        assert len(set(kinds)) == len(kinds)
        assert not any(frozenset((a, b)) in CONFLICTS for a in kinds for b in kinds)
        seen.update(kinds)
    assert set(seen) == set(KINDS)
    assert {kind for pair in CONFLICTS for kind in pair} <= set(KINDS)


# Checks of their own, written without the verifier's text units: plain ASCII references suffice.


def plain_words(text: str) -> list[str]:
    found = re.sub(r"[^a-z0-9'\- ]", " ", text.lower().replace("\n", " ")).split()
    return [word for word in found if re.search("[a-z0-9]", word)]


def plain_sentences(text: str) -> list[list[str]]:
    pieces = [plain_words(piece) for piece in re.split(r"[.!?]+[*\"]?(?:\s|$)", text)]
    return [[w for w in piece if re.search("[a-z0-9]", w)] for piece in pieces if piece]


def plain_count(text: str, word: str) -> int:
    return len(re.findall(rf"(?<![\w'-]){re.escape(word)}(?![\w'-])", text, re.I))


def filled(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


OWN_CHECKS: dict[str, Callable[[str, dict[str, Any]], bool]] = {
    "mention": lambda t, p: all(plain_count(t, w) >= 1 for w in p["words"]),
    "character_limit": lambda t, p: len(t) <= p["most"],
    "word_count": lambda t, p: plain_count(t, p["word"]) == p["count"],
    "forbidden_words": lambda t, p: all(plain_count(t, w) == 0 for w in p["words"]),
    "word_order": lambda t, p: (
        re.search(".*".join(rf"\b{w}\b" for w in p["words"]), t, re.I | re.S) is not None
    ),
    "no_letter": lambda t, p: not {p["letter"], p["letter"].upper()} & set(t),
    "letter_count": lambda t, p: Counter(t.lower())[p["letter"]] == p["count"],
    "lowercase": lambda t, p: t == t.lower(),
    "uppercase": lambda t, p: t == t.upper(),
    "no_commas": lambda t, p: len(t.split(",")) == 1,
    "mark_count": lambda t, p: len(t.split(p["mark"])) == p["count"] + 1,
    "capital_words": lambda t, p: len(re.findall(r"\b[A-Z]{2,}\b", t)) == p["count"],
    "numbers": lambda t, p: len(re.findall(r"\b\d\d?\b", t)) == p["count"],
    "placeholders": lambda t, p: t.count("[") == t.count("]") == p["count"],
    "highlights": lambda t, p: t.replace("***", "").count("*") == 2 * p["count"],
    "end_phrase": lambda t, p: t.lower().rstrip('.!?"').endswith(p["phrase"].lower()),
    "first_word": lambda t, p: re.sub("^[^a-z]+", "", t.lower()).startswith(p["word"]),
    "sentences": lambda t, p: len(plain_sentences(t)) == p["count"],
    "sentence_growth": lambda t, p: (
        [len(s) for s in plain_sentences(t)] == sorted({len(s) for s in plain_sentences(t)})
    ),
    "lines": lambda t, p: len(filled(t)) == p["count"],
    "acrostic": lambda t, p: "".join(line[0] for line in filled(t)).lower() == p["letters"],
    "line_start": lambda t, p: {line[0].lower() for line in filled(t)} == {p["letter"]},
    "bullets": lambda t, p: len(re.findall(rf"(?m)^{re.escape(p['marker'])} ", t)) == p["count"],
    "numbered_lines": lambda t, p: (
        re.findall(r"(?m)^(\d+)\. ", t) == [str(i + 1) for i in range(p["count"])]
    ),
    "json_object": lambda t, p: sorted(json.loads(t)) == sorted(p["keys"]),
    "quoted": lambda t, p: t[0] + t[-1] == '""',
    "title": lambda t, p: re.match(r"<<[\w -]+>>\n", t) is not None,
    "no_repeats": lambda t, p: max(Counter(plain_words(t)).values()) == 1,
    "alphabetical": lambda t, p: plain_words(t) == sorted(plain_words(t)),
    "paragraphs": lambda t, p: (
        len(t.split("\n\n" if p["separator"] == "blank line" else f"\n{p['separator']}\n"))
        == p["count"]
    ),
}


def test_references_pass_checks_written_without_the_verifier():
    for made in every():
        for each in made["metadata"]["constraints"]:
            own = OWN_CHECKS.get(each["kind"])
            assert own is None or own(made["reference"], each), (each, made["reference"])


def without(text: str, word: str) -> str:
    return re.sub(rf"\b{re.escape(word)}\b", "", text, flags=re.I)


LONG = " Incomprehensibilities."
BREAKS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "mention": lambda t, p: without(t, p["words"][-1]),
    "word_range": lambda t, p: t + " more" * p["most"],
    "character_limit": lambda t, p: t + " " + "a" * p["most"],
    "first_word": lambda t, p: "Zebras " + t,
    "end_phrase": lambda t, p: t + " Indeed",
    "word_count": lambda t, p: f"{t} {p['word']}.",
    "word_order": lambda t, p: without(t, p["words"][0]),
    "forbidden_words": lambda t, p: f"{t} {p['words'][-1].upper()}",
    "no_letter": lambda t, p: t + p["letter"].upper(),
    "letter_count": lambda t, p: t + p["letter"],
    "no_repeats": lambda t, p: f"{t} {plain_words(t)[0]}",
    "alphabetical": lambda t, p: t + " aaa",
    "word_length": lambda t, p: t + LONG,
    "long_words": lambda t, p: re.sub(r"\w{6,}", "dull", t),
    "starts_with": lambda t, p: re.sub(rf"\b{p['letter']}", "_zz", t, flags=re.I).replace("_", ""),
    "lowercase": lambda t, p: t + " Indeed",
    "uppercase": lambda t, p: t + " Indeed",
    "title_case": lambda t, p: t + " indeed",
    "capital_words": lambda t, p: t + " INDEED",
    "sentences": lambda t, p: t.rstrip('"') + " Indeed.",
    "sentence_words": lambda t, p: t.rstrip('"') + " so" * (p["most"] + 1),
    "sentence_growth": lambda t, p: t.rstrip('"') + " Indeed.",
    "sentence_letters": lambda t, p: t.rstrip('"') + " Indeed.",
    "lines": lambda t, p: t + "\nIndeed.",
    "line_words": lambda t, p: t + " indeed",
    "line_start": lambda t, p: t.replace("\n", "\nXx ", 1),
    "acrostic": lambda t, p: t + "\nIndeed.",
    "bullets": lambda t, p: t.replace(f"\n{p['marker']} ", "\n", 1),
    "numbered_lines": lambda t, p: t.replace("\n2. ", "\n3. "),
    "paragraphs": lambda t, p: (
        t + ("\n\n" if p["separator"] == "blank line" else f"\n{p['separator']}\n") + "Indeed."
    ),
    "json_object": lambda t, p: t.replace(f'"{next(iter(p["keys"]))}":', '"other":'),
    "title": lambda t, p: t.split("\n", 1)[1],
    "quoted": lambda t, p: t[:-1],
    "no_commas": lambda t, p: t.replace(" ", ", ", 1),
    "mark_count": lambda t, p: t + p["mark"],
    "placeholders": lambda t, p: t + " [more]",
    "highlights": lambda t, p: t + " *more*",
    "numbers": lambda t, p: t + " 100",
}


@pytest.mark.parametrize("kind", KINDS)
def test_breaking_one_rule_alone_makes_the_answer_wrong(kind: str):
    tried = 0
    for made in every():
        constraints = made["metadata"]["constraints"]
        for each in constraints:
            if each["kind"] == kind and tried < 25:
                tried += 1
                broken = BREAKS[kind](made["reference"], each)
                told = KINDS[kind].describe(each)
                assert told in broken_rules([each], broken), (each, broken)
                assert not CONSTRAINTS.accepts(task_of(made), broken)
                alone = ruled(each, reference=made["reference"])
                assert CONSTRAINTS.accepts(alone, made["reference"])
    assert tried >= 5


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        (rule("sentences", count=2), (PROSE, PROSE.replace(". ", "?! "), PROSE[:-1]), (PROSE * 2,)),
        (rule("sentences", count=3), (f'{PROSE} "Why?"', f"{PROSE} Costs 3.50"), (PROSE,)),
        (rule("lines", count=2), (PROSE.replace(". ", ".\r\n\r\n"),), (PROSE, PROSE + "\nX\nY")),
        (rule("word_count", word="gull", count=1), (f"{PROSE} GULL",), (PROSE, f"{PROSE} gull's")),
        (rule("first_word", word="The"), (PROSE, f"* {PROSE}"), (f"So {PROSE}",)),
        (rule("end_phrase", phrase="on the roof"), (PROSE, f"({PROSE})"), (f"{PROSE} 1",)),
        (rule("no_commas"), (PROSE.replace(",", ""),), (PROSE,)),
        (
            rule("json_object", keys={"a": "string", "n": "integer", "b": "boolean", "l": "list"}),
            (json.dumps({"l": [PROSE], "a": "x", "n": -2, "b": False}),),
            (
                json.dumps({"l": [PROSE], "a": "x", "n": True, "b": False}),
                json.dumps({"l": [PROSE], "a": "x", "n": 1.0, "b": False}),
                json.dumps({"l": [], "a": PROSE, "n": 1, "b": False}),
                json.dumps({"l": [PROSE], "a": " ", "n": 1, "b": False}),
                json.dumps({"l": [PROSE], "a": "x", "n": 1, "b": False, "c": 1}),
                json.dumps([PROSE]),
                f'{{"l": ["{PROSE}"], "a": "x", "a": "y", "n": 1, "b": true}}',
                f"```json\n{json.dumps({'l': [PROSE], 'a': 'x', 'n': 2, 'b': False})}\n```",
            ),
        ),
    ],
)
def test_rules_are_read_as_the_prompt_defines_them(
    constraint: dict[str, Any], right: tuple[str, ...], wrong: tuple[str, ...]
):
    assert problem_of([constraint]) is None
    task = ruled(constraint)
    assert [answer for answer in right if not CONSTRAINTS.accepts(task, answer)] == []
    assert [answer for answer in wrong if CONSTRAINTS.accepts(task, answer)] == []


def test_an_answer_without_substance_is_wrong():
    task = ruled(rule("no_commas"))
    few = "one two three four five six seven eight nine ten eleven"
    assert not CONSTRAINTS.accepts(task, few)
    assert CONSTRAINTS.accepts(task, f"{few} twelve")
    assert not CONSTRAINTS.accepts(task, "harbor " * 50)
    assert not CONSTRAINTS.accepts(task, f"{few} twelve" + " harbor" * 7)
    assert CONSTRAINTS.accepts(task, f"{few} twelve" + " harbor" * 6)
    assert not CONSTRAINTS.accepts(task, "a b c d e f g a b c d e f g")
    assert SUBSTANCE in rules_of([rule("no_commas")])


def test_references_of_other_tasks_are_wrong_unless_they_keep_every_rule():
    rng = random.Random(3)
    tasks, accepted = every(), 0
    for made in rng.sample(tasks, 150):
        for other in rng.sample(tasks, 20):
            if other is not made and CONSTRAINTS.accepts(task_of(made), other["reference"]):
                accepted += 1
                assert made["key"] in plain_words(other["reference"])
    assert accepted <= 3


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_text_breaks_a_rule_or_takes_long(data: st.DataObject):
    pool = [each for made in drawn("hard")[:120] for each in made["metadata"]["constraints"]]
    constraints = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    unit = data.draw(st.text(max_size=60) | st.text("aA .!?*[]\n\r\"'-{}<>,0\u0301", max_size=8))
    answer = unit * data.draw(st.sampled_from((1, 3, 300)))
    task = ruled(*constraints)
    assert CONSTRAINTS.accepts(task, answer[:20_000]) in (True, False)


@pytest.mark.parametrize(
    "unit", ["*a", "[a", "a-", ".", '."', "\n", "[[", "{", "a ", "\u0301", "1"]
)
def test_the_worst_texts_are_graded_in_linear_time(unit: str):
    answer = (unit * 20_000)[:20_000]
    every_kind = {
        each["kind"]: each for made in every() for each in made["metadata"]["constraints"]
    }
    started = time.process_time()
    broken_rules(list(every_kind.values()), answer)
    assert time.process_time() - started < 0.5


def test_draws_depend_on_their_arguments_alone():
    state = random.getstate()
    again = {level: [draw(level, i, LEVELS[level]) for i in (7, 3, 5)] for level in LEVELS}
    assert random.getstate() == state
    for level, made in again.items():
        assert made == [draw(level, i, LEVELS[level]) for i in (7, 3, 5)]
        assert made[0] != made[1]
    assert again["easy"][0] != draw("easy", 7, LEVELS["hard"])


def test_no_topic_noun_is_in_two_splits_and_every_split_is_filled():
    tasks = {"train": 24, "dev": 6, "test": 12}
    order = Order(
        source="family",
        name="instructions",
        domain="writing",
        verifier="constraints",
        split_by=[],
        levels=LEVELS,
        tasks=tasks,
    )
    rows = make_family_rows(order)
    assert Counter(row["split"] for row in rows) == {s: 3 * count for s, count in tasks.items()}
    assert len({row["uid"] for row in rows}) == len({row["prompt"] for row in rows}) == len(rows)
    topics: dict[str, str] = {}
    for row in rows:
        noun = row["metadata"]["constraints"][0]["words"][1]
        assert noun in row["prompt"].split("\n")[0]
        assert topics.setdefault(noun, row["split"]) == row["split"]
    assert len(topics) > 30
    assert len(set(TOPIC_NOUNS)) == len(TOPIC_NOUNS) > 250
    assert not set(TOPIC_NOUNS) & set(TOPIC_ADJECTIVES)


@pytest.mark.parametrize(
    ("constraints", "told"),
    [
        (None, r'put \{"constraints"'),
        ([], r'put \{"constraints"'),
        (["sentences"], 'constraint 1: write an object such as {"kind"'),
        ([rule("sentence", count=2)], "unknown kind 'sentence'; did you mean 'sentences'"),
        ([rule("xyzzy")], "unknown kind 'xyzzy'; known: acrostic"),
        ([rule("sentences")], "lacks 'count': give a whole number from 1 to 1000"),
        ([rule("sentences", count="two")], "'count' is 'two'; give a whole number"),
        ([rule("sentences", count=True)], "'count' is 'True'; give a whole number"),
        ([rule("no_commas"), rule("no_letter", letter="E")], "constraint 2: no_letter: 'letter'"),
        ([rule("no_commas", count=2)], "no_commas has no 'count': it takes no parameters"),
        ([rule("word_range", least=9, most=3)], "'least' is above 'most'"),
        ([rule("word_order", words=["two words"])], "give a list of 1 to 40 words"),
        ([rule("bullets", count=2, marker="~")], "give one of '-'"),
        ([rule("json_object", keys={"a": "text"})], "types, of string, integer"),
        ([rule("no_commas")], "the reference breaks the rule 'Use no commas.'"),
    ],
)
def test_a_row_that_needs_repair_is_told_so(constraints: Any, told: str):
    task = Task("u", "d", 1, "?", PROSE, "constraints", (), {"constraints": constraints})
    problem = CONSTRAINTS.check(task)
    assert problem is not None
    assert told.replace("\\", "") in problem
    assert CONSTRAINTS.accepts(task, PROSE) is False


def test_a_row_with_sound_constraints_passes():
    assert CONSTRAINTS.check(ruled(rule("sentences", count=2))) is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"min_constraints": 0, "max_constraints": 2},
        {"min_constraints": 3, "max_constraints": 2},
    ],
)
def test_other_settings_are_refused_with_the_repair(given: dict[str, Any]):
    with pytest.raises(ConfigError, match="whole numbers `min_constraints`"):
        draw("easy", 0, given)
