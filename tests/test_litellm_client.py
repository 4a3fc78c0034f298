"""LiteLLM's replies and exceptions end in the same statuses as those of an OpenAI-like server."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fault_server import MODEL, SECRET, FaultServer
from live_calls import Memory, asked, dispatcher, lane, request, run

from conductor_gym.errors import ConfigError
from conductor_gym.live.litellm_client import LiteLLMClient
from conductor_gym.live.messages import ChatReply, ChatRequest, Message
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

NAME = f"openai/{MODEL}"
ENDS: dict[str, Status] = {
    "busy": Status.THROTTLED,
    "busy-hour": Status.THROTTLED,
    "500": Status.UNAVAILABLE,
    "503": Status.UNAVAILABLE,
    "529": Status.UNAVAILABLE,
    "cut": Status.UNAVAILABLE,
    "cut-body": Status.UNAVAILABLE,
    "wrong-model": Status.UNAVAILABLE,
    "hang": Status.TIMEOUT,
    "drip": Status.TIMEOUT,
    "garbage": Status.MALFORMED,
    "half-json": Status.MALFORMED,
    "no-choices": Status.MALFORMED,
    "no-content": Status.MALFORMED,
    "filtered": Status.REFUSED,
    "refusal": Status.REFUSED,
    "policy": Status.REFUSED,
    "too-long": Status.OVERFLOW,
    "empty": Status.OK,
    "other-name": Status.OK,
    "dated-name": Status.OK,
    "leak": Status.OK,
}
PASSING = ["busy", "500", "cut", "garbage", "half-json", "no-choices", "wrong-model"]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def _client(url: str, **settings: Any) -> LiteLLMClient:
    fields = {"client": "litellm", "model": NAME, "base_url": url, "answers_as": ("house-name",)}
    return LiteLLMClient("w", Endpoint.model_validate(fields | settings), SECRET)


async def _ask(url: str, deadline_s: float, text: str, journal: Memory | None = None) -> Any:
    of = dispatcher(lane(_client(url), deadline_s), journal)
    try:
        return await of.ask(request(text, model=NAME), 1_000)
    except ConfigError as error:
        return error


def test_every_fault_ends_in_its_status_and_no_key_is_told(
    server: FaultServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    stops = ("locked", "bad-field", "unknown-model")

    async def all_faults() -> list[Any]:
        journal = Memory()
        await _ask(server.url(), 30.0, "the first call loads more of LiteLLM")
        calls = [
            _ask(server.url(f), 1.0 if f in ("hang", "drip") else 60.0, f"litellm {f}", journal)
            for f in (*ENDS, *stops)
        ]
        replies = await asyncio.gather(*calls)
        await _client(server.url()).close()
        assert len(journal.replies) == len(ENDS)
        return [*replies, journal.lines]

    *replies, lines = run(all_faults())
    for (fault, status), reply in zip(ENDS.items(), replies, strict=False):
        assert isinstance(reply, ChatReply), (fault, reply)
        assert reply.status == status, (fault, reply)
    for error in replies[len(ENDS) :]:
        assert isinstance(error, ConfigError)
        assert "'w' through LiteLLM" in str(error)
    for text in (*map(str, replies), *lines, caplog.text, *capfd.readouterr()):
        assert SECRET not in text


def test_attempts_go_on_until_the_fault_passes(server: FaultServer):
    async def all_passing() -> None:
        calls = [_ask(server.url(fault, times=2), 60.0, f"again {fault}") for fault in PASSING]
        for fault, reply in zip(PASSING, await asyncio.gather(*calls), strict=True):
            assert (reply.status, reply.text, reply.tries) == (Status.OK, f"again {fault}", 3), (
                fault
            )
            assert server.seen[request(f"again {fault}", model=NAME).key] == 3
        await _client(server.url()).close()

    run(all_passing())


def test_a_server_that_is_not_there_is_unavailable():
    of = dispatcher(lane(_client("http://127.0.0.1:9/v1"), 10.0))
    (reply,) = run(asked(of, request("anybody?", model=NAME)))
    assert isinstance(reply, ChatReply)
    assert reply.status == Status.UNAVAILABLE


def test_a_silent_usage_is_counted_and_never_free():
    with FaultServer() as server:
        server.usage = False
        of = dispatcher(lane(_client(server.url()), 10.0))
        (reply,) = run(asked(of, request("y" * 41, model=NAME)))
    assert isinstance(reply, ChatReply)
    assert (reply.tokens_in, reply.tokens_out, reply.counted) == (11, 11, True)


@pytest.mark.parametrize(
    ("mock", "status"),
    [
        ("litellm.RateLimitError", Status.THROTTLED),
        ("litellm.InternalServerError", Status.UNAVAILABLE),
        ("litellm.ContextWindowExceededError", Status.OVERFLOW),
        ("fine", Status.OK),
    ],
)
def test_litellms_own_errors_end_in_their_status(mock: str, status: Status):
    asked_with = {"mock_response": mock, "temperature": 0.7, "top_p": 1.0}
    # gpt-5 takes neither: LiteLLM leaves both out.
    call = ChatRequest("w", "gpt-5", (Message("user", "x"),), 10, asked_with, "1")
    client = LiteLLMClient("w", Endpoint(client="litellm", model="gpt-5"), SECRET)
    (reply,) = run(asked(dispatcher(lane(client, 10.0)), call))
    assert isinstance(reply, ChatReply)
    assert reply.status == status


def test_an_unknown_provider_and_a_missing_key_are_told_before_any_call(
    monkeypatch: pytest.MonkeyPatch,
):
    with pytest.raises(ConfigError, match="PROVIDER/MODEL"):
        LiteLLMClient("w", Endpoint(client="litellm", model="nobody/nothing"))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    endpoint = Endpoint(client="litellm", model="anthropic/claude-sonnet-4-5")
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        run(LiteLLMClient("w", endpoint).preflight())
