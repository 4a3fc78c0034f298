"""Live workers for tests, without a network: they know the references and answer right by luck."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from conductor_gym.config import EnvConfig
from conductor_gym.live.background import Background
from conductor_gym.live.caller import Caller
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.journal import Journal
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.live.progress import Progress
from conductor_gym.live.tokens import CharTokens
from conductor_gym.tasks.task import Task
from conductor_gym.types import Status
from conductor_gym.world import make_world

WORKERS = ("small", "middle", "large")


def live_pool(folder: Path, base_url: str = "http://127.0.0.1:9/v1", model: str = "nobody") -> str:
    """Path of a live pool of three workers; where nobody answers unless a server is named."""
    cards = [
        {
            "uid": name,
            "name": name,
            "usd_per_m_input": 0.1 * (1 + i),
            "usd_per_m_output": 0.4 * (1 + i),
            "window": 8192,
            "source": "assumed",
            "note": "for tests",
            "live": {"client": "openai", "model": model, "base_url": base_url},
        }
        for i, name in enumerate(WORKERS)
    ]
    card = {
        "name": "trio",
        "title": "three workers",
        "backend": "live",
        "prices_as_of": "unknown",
        "output_cap": {"value": 200, "source": "published"},
        "overhead_tokens": {"value": 100, "source": "published"},
        "workers": cards,
    }
    path = folder / "trio.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return str(path)


class ReferenceAsker:
    """Answers with the reference as often as `shares` says, else wrongly; all of it by the key.

    Args:
        tasks: By uid.
        journal: Holds the calls.
        shares: Share of right answers by worker and by the beginning of a uid; 0.5 elsewhere.
        mute: Share of replies that nobody can read.
        distinct: Whether no two replies are equal; then no answer is right.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        journal: Journal,
        shares: Mapping[tuple[str, str], float] | None = None,
        mute: float = 0.0,
        distinct: bool = False,
    ) -> None:
        self._tasks, self._journal = tasks, journal
        self._shares, self._mute, self._distinct = shares or {}, mute, distinct
        self.asked: list[str] = []
        self.in_flight = 0
        self.requests: list[ChatRequest] = []

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """The journal's reply, or a new one."""
        known = self._journal.reply_to(request.key)
        if known is not None:
            return known
        self._journal.sent(request, worst_cost)
        self.in_flight += 1
        reply = await self.reply(request, worst_cost)
        self.in_flight -= 1
        self._journal.replied(request, reply)
        self.asked.append(request.key)
        self.requests.append(request)
        return reply

    async def reply(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """A new reply."""
        return ChatReply(Status.OK, self._text(request), 50, 20, worst_cost // 2, 1000)

    def _text(self, request: ChatRequest) -> str:
        luck = random.Random(request.key)
        if luck.random() < self._mute:
            return "I would rather not say what I think of it, " * 9
        uid = request.about["uid"]
        named = (w for w in self._shares if w[0] == request.worker and uid.startswith(w[1]))
        share = self._shares[next(named)] if self._shares else 0.5
        right = luck.random() < share
        if request.about["subtask"] == "verify":
            why = request.key if self._distinct else "It looks so."
            return f"{why}\nVerdict: {'correct' if right else 'wrong'}\nConfidence: 80%"
        task = self._tasks[uid]
        wrong = str(int(request.key[:12], 16) if self._distinct else luck.randrange(10))
        answer = task.reference if right and not self._distinct else wrong
        if task.parts and answer == wrong:
            answer = "\n".join(f"Part {p + 1}: {wrong}" for p in range(len(task.parts)))
        return f"Answer: {answer}\nConfidence: 70%"

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Into the journal."""
        self._journal.graded(key, outcome)

    def progress(self) -> Progress | None:
        """How many calls are under way, and nothing else."""
        return Progress(len(self.asked), 0, self.in_flight, {}, 0, 0, 0.0)

    def allow(self, sending: bool) -> None:
        """Nothing: what is asked is answered at once."""

    async def close(self) -> None:
        """Close the journal."""
        self._journal.close()


def open_reference(
    config: EnvConfig,
    n: int,
    journal: Path,
    kind: type[ReferenceAsker] = ReferenceAsker,
    **asker: Any,
) -> tuple[LiveEngine, ReferenceAsker]:
    """A live engine over such workers, or over others of this kind."""
    world = make_world(config)
    tasks = dict(zip(world.data.uids, world.data.tasks, strict=True))
    made = kind(tasks, Journal.open(journal, {}), **asker)
    tokens = tuple(CharTokens() for _ in world.pool.workers)
    return LiveEngine(config, n, world, Caller(world, made, tokens), Background()), made
