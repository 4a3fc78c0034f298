"""What the dispatcher costs: against a server in its own process that replies after 50 ms.

A bare httpx loop and a bare aiohttp loop send the same requests to the same server, with as many
calls at the same time.
"""

import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import httpx
import pytest
from fault_server import MODEL, FaultServer
from live_calls import WORST

from conductor_gym.live.breaker import Breaker
from conductor_gym.live.dispatcher import Dispatcher
from conductor_gym.live.journal import Journal
from conductor_gym.live.lane import Lane
from conductor_gym.live.limits import Limits
from conductor_gym.live.messages import ChatRequest, Message
from conductor_gym.live.openai_client import OpenAIClient
from conductor_gym.live.spending import Spending
from conductor_gym.types import NANO_USD, Status
from conductor_gym.workers.endpoint import Endpoint, ProviderLimits

REPLY_S = 0.05
CALLS = 1_500
QUESTION = "What is 17 times 23? Think step by step. " * 20


def _serve(pipe: Connection) -> None:
    # On a core of its own even where the benchmark is held to one.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with FaultServer(latency_s=REPLY_S) as server:
        pipe.send(server.url())
        pipe.recv()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    yield ours.recv()
    ours.send("stop")
    process.join()


def _requests(count: int, name: str) -> list[ChatRequest]:
    messages = (Message("system", "Answer briefly."), Message("user", QUESTION))
    settings = {"temperature": 0.7, "top_p": 1.0}
    return [
        ChatRequest("w", MODEL, messages, 256, settings, "1", luck=f"{name} {k}")
        for k in range(count)
    ]


async def _timed(
    requests: list[ChatRequest], at_once: int, ask: Callable[[ChatRequest], Awaitable[None]]
) -> tuple[float, list[float]]:
    """Seconds of the whole and of each call."""
    slots = asyncio.Semaphore(at_once)
    each: list[float] = []

    async def one(request: ChatRequest) -> None:
        async with slots:
            started = time.perf_counter()
            await ask(request)
            each.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*map(one, requests))
    return time.perf_counter() - started, each


def _body(request: ChatRequest) -> dict[str, Any]:
    return {
        "model": request.model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
        **request.settings,
    }


async def over_httpx(
    url: str, requests: list[ChatRequest], at_once: int
) -> tuple[float, list[float]]:
    """The calls over httpx, nothing else done."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(timeout=60.0, limits=limits, trust_env=False) as client:

        async def ask(request: ChatRequest) -> None:
            headers = {"Idempotency-Key": request.luck}
            reply = await client.post(
                f"{url}/chat/completions", json=_body(request), headers=headers
            )
            assert reply.json()["choices"][0]["message"]["content"] == QUESTION

        return await _timed(requests, at_once, ask)


async def over_aiohttp(
    url: str, requests: list[ChatRequest], at_once: int
) -> tuple[float, list[float]]:
    """The calls over aiohttp, nothing else done."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(request: ChatRequest) -> None:
            headers = {"Idempotency-Key": request.luck}
            chat = session.post(f"{url}/chat/completions", json=_body(request), headers=headers)
            async with chat as reply:
                said = await reply.json()
            assert said["choices"][0]["message"]["content"] == QUESTION

        return await _timed(requests, at_once, ask)


async def dispatched(
    url: str, requests: list[ChatRequest], at_once: int
) -> tuple[float, list[float]]:
    """The same calls through the dispatcher, each in a journal on disk."""
    client = OpenAIClient("w", Endpoint(client="openai", model=MODEL, base_url=url))
    limits = Limits(ProviderLimits(concurrent=max(64, at_once)))
    lane = Lane(client, 1_000_000, 2_000_000, 60.0, limits, Breaker())

    with TemporaryDirectory() as folder, Journal.open(f"{folder}/calls.jsonl", {}) as journal:
        dispatcher = Dispatcher({"w": lane}, journal, Spending(10 * NANO_USD))

        async def ask(request: ChatRequest) -> None:
            reply = await dispatcher.ask(request, WORST)
            assert (reply.status, reply.text) == (Status.OK, QUESTION)

        try:
            return await _timed(requests, at_once, ask)
        finally:
            await dispatcher.close()


ROADS = {"httpx, bare": over_httpx, "aiohttp, bare": over_aiohttp, "dispatcher": dispatched}


@pytest.mark.parametrize("name", ROADS)
def test_throughput(benchmark: Any, url: str, name: str) -> None:
    """Calls a second with 64 at the same time."""
    rounds = 0

    def run() -> None:
        nonlocal rounds
        rounds += 1
        asyncio.run(ROADS[name](url, _requests(CALLS, f"{name} {rounds}"), 64))

    benchmark.extra_info.update(kind="live", name=name, steps=CALLS)
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", ROADS)
def test_time_of_a_call(benchmark: Any, url: str, name: str) -> None:
    """Median seconds of a call beyond the server's own, eight at the same time."""
    added: list[float] = []

    def run() -> None:
        _, each = asyncio.run(ROADS[name](url, _requests(200, f"median {name} {len(added)}"), 8))
        added.append(statistics.median(each) - REPLY_S)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(kind="live call", name=name, seconds=min(added))


def test_a_thousand_at_once(benchmark: Any, url: str) -> None:
    """1,000 calls at the same time, none lost."""
    rounds = 0

    def run() -> None:
        nonlocal rounds
        rounds += 1
        _, each = asyncio.run(dispatched(url, _requests(1_000, f"thousand {rounds}"), 1_000))
        assert len(each) == 1_000

    benchmark.extra_info.update(kind="live thousand", name="dispatcher", steps=1_000)
    benchmark.pedantic(run, rounds=3, warmup_rounds=0)
