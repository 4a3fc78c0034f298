"""What tests of live calls share: requests, lanes, a journal in memory."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fault_server import MODEL, SECRET

from conductor_gym.live.attempts import Backoff
from conductor_gym.live.breaker import Breaker
from conductor_gym.live.dispatcher import Dispatcher, Log
from conductor_gym.live.lane import Lane
from conductor_gym.live.limits import Limits
from conductor_gym.live.messages import ChatReply, ChatRequest, Client, Message
from conductor_gym.live.openai_client import OpenAIClient
from conductor_gym.live.spending import Spending
from conductor_gym.workers.endpoint import Endpoint, ProviderLimits

T = TypeVar("T")

PRICE_IN, PRICE_OUT = 1_000, 2_000
WORST = 1_000
QUICK = Backoff(first_s=0.05, most_s=0.5, tries=4)


class Memory:
    """A journal in memory."""

    def __init__(self) -> None:
        self.replies: dict[str, ChatReply] = {}
        self.open: dict[str, int] = {}
        self.lines: list[str] = []

    def reply_to(self, key: str) -> ChatReply | None:
        return self.replies.get(key)

    def sent(self, request: ChatRequest, worst_cost: int) -> None:
        self.open[request.key] = worst_cost
        self.lines.append(f"sent {request!r}")

    def replied(self, request: ChatRequest, reply: ChatReply) -> None:
        del self.open[request.key]
        self.replies[request.key] = reply
        self.lines.append(f"replied {request!r} {reply!r}")

    def dropped(self, request: ChatRequest) -> None:
        del self.open[request.key]
        self.lines.append(f"dropped {request!r}")


def request(text: str = "hi", worker: str = "w", model: str = MODEL) -> ChatRequest:
    return ChatRequest(worker, model, (Message("user", text),), 10, {"temperature": 0.5}, "1")


def lane(
    client: Client,
    deadline_s: float = 30.0,
    allowed: ProviderLimits | None = None,
    breaker: Breaker | None = None,
) -> Lane:
    limits = Limits(allowed or ProviderLimits(concurrent=2_000))
    return Lane(client, PRICE_IN, PRICE_OUT, deadline_s, limits, breaker or Breaker(1_000))


def openai_client(url: str, worker: str = "w") -> OpenAIClient:
    endpoint = Endpoint(
        client="openai",
        model=MODEL,
        base_url=url,
        api_key_env="SOME_KEY",
        answers_as=("house-name",),
    )
    return OpenAIClient(worker, endpoint, SECRET)


def dispatcher(
    lanes: dict[str, Lane] | Lane,
    journal: Log | None = None,
    ceiling: int | None = None,
    backoff: Backoff = QUICK,
) -> Dispatcher:
    workers = lanes if isinstance(lanes, dict) else {"w": lanes}
    return Dispatcher(workers, journal, Spending(ceiling), backoff, seed=1)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def asked(of: Dispatcher, *requests: ChatRequest) -> list[ChatReply | BaseException]:
    """Ask all at once, close, and give replies and errors."""
    try:
        return await asyncio.gather(*(of.ask(r, WORST) for r in requests), return_exceptions=True)
    finally:
        await of.close()
