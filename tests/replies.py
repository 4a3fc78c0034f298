"""What models write where an action is asked for, and worse: for tests of whoever reads it."""

import random

from conductor_gym.language.offer import Offer
from conductor_gym.types import Subtask

NAMED = Offer(
    slots=(3, 1, 0, 2),
    names=("gpt-4o", "gpt-4o-mini", "Claude Sonnet 4", "qwen2.5:7b"),
    affordable=(0, 1, 2, 3),
    subtasks=frozenset(Subtask),
    levels=7,
)
ANONYMOUS = Offer((0, 1, 2), ("Model 0", "Model 1", "Model 2"), (0, 1), frozenset(Subtask), 7)
NARROW = Offer((5,), ("only",), (), frozenset({Subtask.SUBMIT}), 1)
OFFERS = (NAMED, ANONYMOUS, NARROW)

PIECES = (
    *("solve 2", "verify 0 4k", "submit", "vote", "aggregate 1 16k: merge", "plan 0", "revise 3"),
    *(
        "aggregate 2 sees 1,3",
        "conductor",
        "sees all",
        "solve -1",
        "solve 99999999999",
        "solve 2 5k",
    ),
    *("Action:", "**Action:** ", "- ", "1. ", "> ", '"', "```\n", "`", "Worker 2: ", "worker 1"),
    *("gpt-4o", "claude", "qwen2.5", "Model 2", "Model 7", "4096 tokens", "(2, 4k)", "[4k]"),
    *("<think>", "</think>", "<|im_end|>", "<|im_start|>assistant\n", "[INST]", "</s>", "\\boxed{"),
    *('{"worker": 2, "subtask": "solve"}', '{"worker":', '"context": "4k"}', "{", "}", "[[1],[]]"),
    *('{"subtask": ["solve"], "worker": {"a": NaN}}', '{"action": "submit"}', "null", "1e999"),
    *(
        "I cannot solve 2 equations.",
        "Let's ",
        "Then ",
        " or ",
        " because ",
        ", ",
        ": ",
        ". ",
        "\n",
    ),
    *(
        "SUBTASK: solve\nWORKER: 2\n",
        "解决 2",
        "\uff53\uff4f\uff4c\uff56\uff45\u3000\uff12",
        "résoudre 2",
        "حل 2",
        "\u202esolve 2",
        "🙂",
    ),
    *(
        "\0",
        "\ud800",
        "\x1b[2J",
        "\u2028",
        "\xa0",
        "\r",
        "\t",
        "ﷺ",
        "٢",
        "²",
        "__import__('os')",
        "$(id)",
    ),
)


def reply(luck: random.Random) -> str:
    """One reply: pieces put together, then cut, doubled, changed in case or sprinkled."""
    text = "".join(
        luck.choice(PIECES) + luck.choice(("", " ", "\n")) for _ in range(luck.randrange(1, 9))
    )
    for _ in range(luck.randrange(3)):
        at = luck.randrange(len(text) + 1)
        match luck.randrange(6):
            case 0:
                text = text[:at]
            case 1:
                text = text[at:]
            case 2:
                text = text.upper()
            case 3:
                text = text[:at] + chr(luck.randrange(0x110000)) + text[at:]
            case 4:
                text = text[:at] + text[at : at + luck.randrange(40)] * luck.randrange(30)
            case _:
                text = text[:at] + text[at + 1 :]
    return text * luck.randrange(50, 2000) if luck.random() < 0.002 else text
