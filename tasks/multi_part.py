"""Multi-part tasks: two to four tasks of different domains, all of which must be right.

Parts are tasks of the suite and of the same split, so splits are as disjoint as theirs.
"""

import re
from typing import Any

from conductor_gym.tasks.family import generator_of
from conductor_gym.tasks.generate import LEVELS, GenerationError, MultiPartOrder
from conductor_gym.tasks.task import MAX_PARTS, Task
from conductor_gym.tasks.verifier import Verifier

VERIFIER = "parts"
_HEADING = re.compile(r"^[ \t]*\**part[ \t]+(\d{1,2})\**[ \t]*[:.)-]\**[ \t]*", re.I | re.M)
_PART_FIELDS = ("domain", "level", "prompt", "reference", "verifier", "metadata")


def whole_prompt(opening: str, prompts: list[str]) -> str:
    """The prompt of a task of parts: what is said first, how to answer, then each part's prompt."""
    asked = "".join(f"\n\nPart {k}.\n{prompt}" for k, prompt in enumerate(prompts, 1))
    return (
        f"{opening} Answer each part under a heading of its own, "
        f'"Part 1: ...", "Part 2: ...", and so on.{asked}'
    )


def whole_reference(references: list[str]) -> str:
    """A right answer to a task of parts with these right answers."""
    return "\n".join(f"Part {k}: {reference}" for k, reference in enumerate(references, 1))


def make_multi_part_rows(rows: list[dict[str, Any]], order: MultiPartOrder) -> list[dict[str, Any]]:
    """Rows of multi-part tasks, level by level and split by split.

    Args:
        rows: Rows of the suite's other tasks.
        order: What to make.

    Raises:
        GenerationError: A level has too few different tasks.
    """
    made: list[dict[str, Any]] = []
    for number, level in enumerate(LEVELS, 1):
        for split, count in order["tasks"].items():
            cards = {
                domain: [
                    row
                    for row in rows
                    if row["domain"] == domain
                    and row["split"] == split
                    and row["level"] == order["levels"][level]
                ]
                for domain in order["domains"]
            }
            draws = generator_of("multi-part", level, split)
            seen: set[tuple[str, ...]] = set()
            for i in range(count):
                for _ in range(100):
                    domains = draws.sample(order["domains"], order["parts"][level])
                    if not all(cards[domain] for domain in domains):
                        continue
                    parts = [draws.choice(cards[domain]) for domain in domains]
                    uids = tuple(sorted(part["uid"] for part in parts))
                    if uids not in seen:
                        break
                else:
                    raise GenerationError(f"{level}, {split}: too few different tasks")
                seen.add(uids)
                made.append(
                    {
                        "uid": f"{order['domain']}/{level}/{split}-{i}",
                        "domain": order["domain"],
                        "level": number,
                        "split": split,
                        "prompt": whole_prompt(
                            f"This task has {len(parts)} parts, and all must be right.",
                            [part["prompt"] for part in parts],
                        ),
                        "reference": whole_reference([part["reference"] for part in parts]),
                        "verifier": VERIFIER,
                        "metadata": {"tasks": [part["uid"] for part in parts]},
                        "parts": [{name: part[name] for name in _PART_FIELDS} for part in parts],
                    }
                )
    return made


def answers_of(text: str, parts: int) -> list[str] | None:
    """Each part's answer under its heading, None where one is missing or stands twice."""
    found = list(_HEADING.finditer(text))
    if not found:
        return None
    ends = [heading.start() for heading in found[1:]] + [len(text)]
    answers = {
        int(heading[1]): text[heading.end() : end].strip()
        for heading, end in zip(found, ends, strict=True)
    }
    if len(answers) != len(found) or sorted(answers) != list(range(1, parts + 1)):
        return None
    return [answers[k] for k in range(1, parts + 1)]


def _accepts(task: Task, answer: str) -> bool:
    from conductor_gym.tasks.verifiers import grade  # which names this verifier

    answers = answers_of(answer, len(task.parts))
    if answers is None:
        return False
    return all(grade(part, text) == 1.0 for part, text in zip(task.parts, answers, strict=True))


def _check(task: Task) -> str | None:
    if 2 <= len(task.parts) <= MAX_PARTS:
        return None
    return f"{len(task.parts)} parts: give 2 to {MAX_PARTS} in `parts`"


PARTS = Verifier(_accepts, _check)
