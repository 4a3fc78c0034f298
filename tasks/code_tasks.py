"""Functions to write: pipelines of steps, each told in English, with tests that tell them apart.

A task is a chain of steps drawn with their parameters. Its tests are chosen so that no step can be
left out and no parameter be off by one choice without a test that fails.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from conductor_gym.tasks.code_from_numbers import FROM_INTS
from conductor_gym.tasks.code_from_texts import FROM_TEXT
from conductor_gym.tasks.code_grids import GRID_STEPS
from conductor_gym.tasks.code_inputs import EDGES, INPUTS
from conductor_gym.tasks.code_numbers import TO_INTS
from conductor_gym.tasks.code_template import (
    KINDS,
    Picks,
    Step,
    english,
    key_of,
    other_picks,
    pick,
    python,
)
from conductor_gym.tasks.code_texts import TO_TEXT
from conductor_gym.tasks.code_words import WORD_STEPS
from conductor_gym.tasks.family import Drawn, generator_of

STEPS: tuple[Step, ...] = (*TO_INTS, *FROM_INTS, *TO_TEXT, *FROM_TEXT, *WORD_STEPS, *GRID_STEPS)
"""All templates."""
FUNCTION = "transform"
"""Name of the function that an answer defines."""
STEPS_OF = {"easy": 1, "medium": 3, "hard": 5}
"""Steps of each level, where its settings do not say ``steps``."""

_POOL = 60
_TESTS = 12
_EXAMPLES = 3
_MAX_TOLD = 160
_MAX_SAME = 0.4
_Chain = list[tuple[Step, Picks]]
_Case = tuple[Any, Any]


def draw(level: str, index: int, settings: dict[str, Any]) -> Drawn | None:
    """Draw one function to write.

    Args:
        level: One of `STEPS_OF`.
        index: Which draw of the level.
        settings: ``{"steps": n}``, or nothing for `STEPS_OF`.

    Returns:
        The task, or None where the steps drawn do not all matter.
    """
    rng = generator_of("code", level, index)
    start = rng.choice(sorted(INPUTS))
    chain = _chain(rng, start, settings.get("steps", STEPS_OF[level]))
    if chain is None:
        return None
    source = _source(start, chain)
    cases = _cases(rng, start, source)
    tests = _telling(cases, _near_misses(start, chain))
    if tests is None:
        return None
    most = Counter(json.dumps(expected) for _, expected in tests).most_common(1)[0][1]
    if most > _MAX_SAME * len(tests):
        return None
    examples = _examples(cases, tests)
    if examples is None:
        return None
    return {
        "kind": f"functions-{start}",
        "key": " | ".join(key_of(step, picks) for step, picks in chain),
        "prompt": _prompt(start, chain, examples),
        "reference": source,
        "verifier": "python-tests",
        "metadata": {
            "function": FUNCTION,
            "tests": [[[given], expected] for given, expected in tests],
        },
    }


def _chain(rng: random.Random, start: str, length: int) -> _Chain | None:
    """Different steps, each fit for what the one before gives; None at a dead end."""
    kind, chain = start, cast(_Chain, [])
    used: set[str] = set()
    for left in range(length - 1, -1, -1):
        fitting = [
            step
            for step in STEPS
            if step.takes == kind and step.name not in used and (not left or step.gives != "int")
        ]
        if not fitting:
            return None
        step = rng.choice(fitting)
        used.add(step.name)
        chain.append((step, pick(rng, step)))
        kind = step.gives
    return chain


def _source(start: str, chain: _Chain) -> str:
    """The Python of a chain."""
    given, result = KINDS[start], KINDS[chain[-1][0].gives] if chain else KINDS[start]
    lines = [f"x = {given.argument}"]
    for step, picks in chain:
        lines += python(step, picks).split("\n")
    body = "\n".join(f"    {line}".rstrip() for line in [*lines, "return x"])
    return f"def {FUNCTION}({given.argument}: {given.annotation}) -> {result.annotation}:\n{body}\n"


def _function(source: str) -> Callable[[Any], Any]:
    """The function of a source that is made of this project's own templates."""
    names: dict[str, Any] = {}
    exec(compile(source, "reference", "exec"), names)
    return names[FUNCTION]


def _near_misses(start: str, chain: _Chain) -> list[Callable[[Any], Any]]:
    """The chain with one parameter changed, or without a step that its neighbours do not need."""
    chains: list[_Chain] = []
    for i, (step, picks) in enumerate(chain):
        chains += [
            [*chain[:i], (step, other), *chain[i + 1 :]] for other in other_picks(step, picks)
        ]
        if step.takes == step.gives:
            chains.append([*chain[:i], *chain[i + 1 :]])
    return [_function(_source(start, other)) for other in chains]


def _cases(rng: random.Random, start: str, source: str) -> list[_Case]:
    """Different inputs with what the chain makes of them, the edges first."""
    function = _function(source)
    cases: dict[str, _Case] = {}
    for given in (*EDGES[start], *(INPUTS[start](rng) for _ in range(_POOL))):
        cases.setdefault(json.dumps(given), (given, function(given)))
    return list(cases.values())


def _telling(cases: list[_Case], near_misses: list[Callable[[Any], Any]]) -> list[_Case] | None:
    """Tests of which at least one fails for each near miss; None where no case tells one."""
    tests, rest = cases[:2], cases[2:]
    for wrong in near_misses:
        if any(wrong(given) != expected for given, expected in tests):
            continue
        found = next((case for case in rest if wrong(case[0]) != case[1]), None)
        if found is None:
            return None
        tests.append(found)
        rest.remove(found)
    return tests + rest[: max(0, _TESTS - len(tests))]


def _examples(cases: list[_Case], tests: list[_Case]) -> list[_Case] | None:
    """Short cases that are no tests, each with a result of its own; None where too few."""
    examples: dict[str, _Case] = {}
    for given, expected in cases:
        told = json.dumps(given) + json.dumps(expected)
        # an example that changes nothing shows nothing
        if given == expected or (given, expected) in tests:
            continue
        if 12 < len(told) <= _MAX_TOLD:
            examples.setdefault(json.dumps(expected), (given, expected))
    return list(examples.values())[:_EXAMPLES] if len(examples) >= _EXAMPLES else None


def _prompt(start: str, chain: _Chain, examples: list[_Case]) -> str:
    given, result = KINDS[start], KINDS[chain[-1][0].gives]
    signature = f"{FUNCTION}({given.argument}: {given.annotation}) -> {result.annotation}"
    steps = [english(step, picks) for step, picks in chain]
    if len(steps) == 1:
        does = f"It gets {given.told}, `{given.argument}`. {given.edge} It does this:\n\n{steps[0]}"
    else:
        told = "\n".join(f"{i}. {says}" for i, says in enumerate(steps, 1))
        does = (
            f"It gets {given.told}, `{given.argument}`. {given.edge} It does these steps in order, "
            f"each on the result of the one before:\n\n{told}"
        )
    shown = "\n".join(f"{FUNCTION}({given!r}) == {expected!r}" for given, expected in examples)
    return (
        f"Write a Python function `{signature}`.\n\n{does}\n\nIt returns the result, "
        f"{result.told}.\n\nFor example:\n\n{shown}\n\nRemainders are those of Python's % "
        "operator. The code may import modules of the standard library that only compute; it can "
        "reach no files, processes, threads or network. Answer with the whole function in one "
        "```python block."
    )
