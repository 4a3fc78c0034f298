"""A server whose workers add two numbers, often wrongly; what it says follows the request."""

import json
import random
import re
from typing import Any

from fault_server import FaultServer

LATENCY_S = 0.04


class AddingServer(FaultServer):
    """Solves, verifies and revises the sums of `text_suites.row`; one reply in ten cannot be read.

    Texts and billed tokens are a function of the request alone.
    """

    def __init__(self, latency_s: float = LATENCY_S) -> None:
        super().__init__(latency_s)

    def reply(self, asked: Any, **changes: Any) -> dict[str, Any]:
        """An answer or a verdict, whichever is read."""
        luck = random.Random(json.dumps([asked["model"], asked["messages"]]))
        said = asked["messages"][-1]["content"]
        found = re.search(r"What is (\d+) \+ (\d+)\?", said)
        assert found is not None
        total = int(found[1]) + int(found[2]) + luck.choice([0, 0, 1])
        verdict = luck.choice(["correct", "wrong"])
        text = f"Answer: {total}\nVerdict: {verdict}\nConfidence: {luck.randrange(101)}%"
        if luck.random() < 0.1:
            text = "It is hard to say. " * 20
        body = super().reply(asked, **changes)
        body["choices"][0]["message"]["content"] = text
        tokens = luck.randrange(50, 99), luck.randrange(5, 100)
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        return body
