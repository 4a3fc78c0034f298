"""The page of all prompts, each filled once: ``python -m conductor_gym.live.prompts_page``."""

import sys

from conductor_gym.live.prompts import Asked, Seen, prompt_version, write_prompt
from conductor_gym.types import Subtask

_TASK = "What is 17 * 6?"
_CODE = "Write a Python function `double(x: int) -> int` that doubles a number."
_STORY = "Write a story about an oasis. Use at least 12 words."
_PARTS = (
    "This task has 2 parts, and all must be right.\n\nPart 1.\nWhat is 17 * 6?\n\nPart 2.\n"
    "Which letter follows after A, C, E?"
)
_ASKS = "To whom did Samir Mancini report in 2015? Answer with the name alone."
_FILE = "In January 2015 Samir Mancini began to report to Magda Arslan."
_ANSWERS = (
    Seen("worker 2", Subtask.SOLVE, "17 * 6 = 96\nAnswer: 96\nConfidence: 70%"),
    Seen("worker 1", Subtask.SOLVE, "17 * 6 = 60 + 42\nAnswer: 102\nConfidence: 90%"),
)
_CRITIQUE = Seen("worker 3", Subtask.VERIFY, "7 * 6 is 42.\nVerdict: wrong\nConfidence: 80%")

EXAMPLES: dict[str, Asked] = {
    "solve": Asked(Subtask.SOLVE, _TASK, "number"),
    "solve, a choice": Asked(Subtask.SOLVE, "Which is even?\nA. 3\nB. 4", "choice"),
    "solve, an answer of several lines": Asked(Subtask.SOLVE, _TASK, "reasoning-gym"),
    "solve, a text with rules": Asked(Subtask.SOLVE, _STORY, "constraints"),
    "solve, code": Asked(Subtask.SOLVE, _CODE, "python-tests"),
    "solve, a task of parts": Asked(Subtask.SOLVE, _PARTS, "parts", parts=2),
    "solve, with documents": Asked(Subtask.SOLVE, _ASKS, "exact", documents=_FILE),
    "solve, with notes": Asked(
        Subtask.SOLVE, _ASKS, "exact", documents="Mancini: Magda Arslan, 2015", condensed=True
    ),
    "plan": Asked(Subtask.PLAN, _PARTS, "parts", parts=2),
    "verify": Asked(Subtask.VERIFY, _TASK, "number", answer="96"),
    "revise": Asked(Subtask.REVISE, _TASK, "number", answer="96", outputs=(_CRITIQUE,)),
    "condense": Asked(Subtask.CONDENSE, _ASKS, "exact", documents=_FILE),
    "aggregate": Asked(Subtask.AGGREGATE, _TASK, "number", outputs=_ANSWERS),
    "aggregate, once the parts are open": Asked(
        Subtask.AGGREGATE, _PARTS, "parts", parts=2, part_answers=("102", None)
    ),
}
"""A call of every kind, by what the page calls it."""


def prompts_page() -> str:
    """The page in Markdown."""
    blocks = [
        "# Prompts of live workers\n\n"
        f"Version {prompt_version()}. The texts stand in `conductor_gym/live/prompts.toml`, how a "
        "reply is read in `conductor_gym/live/parse.py`. What other workers and documents say "
        "stands between marks named by a hash of it, which it cannot forge; marks of chat formats "
        "in it, such as `<|im_end|>`, are opened by a space.\n\n"
        "This page is written by `python -m conductor_gym.live.prompts_page`."
    ]
    for name, call in EXAMPLES.items():
        system, user = write_prompt(call)
        blocks.append(
            f"## {name}\n\n````text\n[system]\n{system.content}\n\n[user]\n{user.content}\n````"
        )
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    sys.stdout.write(prompts_page())
