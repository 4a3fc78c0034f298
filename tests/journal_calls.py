"""Calls for the tests of the journal, and a journal that holds some."""

import os
import subprocess
import sys
from pathlib import Path

from conductor_gym.live.journal import Journal
from conductor_gym.live.messages import ChatReply, ChatRequest, Message
from conductor_gym.types import Status

HEADER = {"pool": "small", "pool_hash": "ab12", "suite": "core-v1", "prompts": "1"}


def request(
    i: int, attempt: int = 0, worker: str = "tiny", max_tokens: int = 64, **about: object
) -> ChatRequest:
    """The solve of query i by a worker."""
    said = {
        "uid": f"q{i}",
        "domain": ("sums", "words")[i % 2],
        "worker": worker,
        "subtask": "solve",
        "part": -1,
        "level": 0,
        "attempt": attempt,
        "stream": 0,
        "index": i,
    }
    return ChatRequest(
        worker=f"small/{worker}",
        model=f"model-{worker}",
        messages=(Message("system", "Answer."), Message("user", f"What is {i} + 1? “é\u2028”")),
        max_tokens=max_tokens,
        settings={"temperature": 0.7},
        template="1",
        attempt=attempt,
        about=said | about,
    )


def reply(i: int, text: str = "") -> ChatReply:
    """What came back, billed 1,000 + i nano-USD."""
    return ChatReply(Status.OK, text or f"Answer: {i + 1}", 12, 5, 1_000 + i, 250_000, 2)


def write_journal(path: Path, calls: int) -> Path:
    """A journal of so many answered and graded calls."""
    with Journal.open(path, HEADER) as journal:
        for i in range(calls):
            asked = request(i)
            journal.sent(asked, 5_000)
            journal.replied(asked, reply(i))
            outcome = {"status": "ok", "answer": i + 1, "confidence": 0.8, "verdict": -1}
            journal.graded(asked.key, outcome | {"score": float(i % 3 > 0)})
    return path


def run_python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own that can import this package and this module."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=paths(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def paths() -> dict[str, str]:
    """This environment, in which Python finds this package and the tests' modules."""
    here = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
