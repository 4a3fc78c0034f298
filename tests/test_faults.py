"""Every fault of a server ends in its status within the deadline, and no key is ever told."""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fault_server import MODEL, SECRET, FaultServer
from live_calls import WORST, Memory, asked, dispatcher, lane, openai_client, request, run

from conductor_gym.errors import ConfigError
from conductor_gym.live.messages import ChatReply, ChatRequest, Completion
from conductor_gym.live.openai_client import OpenAIClient
from conductor_gym.live.openai_replies import retry_after_s
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

DEADLINE, LONG = 0.6, 30.0
GRACE = 2.0
"""Seconds that a busy machine may be late."""
NEVER_REPLY = ("hang", "drip")

ENDS: dict[str, Status] = {
    "busy": Status.THROTTLED,
    "busy-seconds": Status.THROTTLED,
    "busy-date": Status.THROTTLED,
    "busy-hour": Status.THROTTLED,
    "500": Status.UNAVAILABLE,
    "502": Status.UNAVAILABLE,
    "503": Status.UNAVAILABLE,
    "504": Status.UNAVAILABLE,
    "529": Status.UNAVAILABLE,
    "cut": Status.UNAVAILABLE,
    "cut-body": Status.UNAVAILABLE,
    "wrong-model": Status.UNAVAILABLE,
    "error-in-200": Status.UNAVAILABLE,
    "hang": Status.TIMEOUT,
    "drip": Status.TIMEOUT,
    "garbage": Status.MALFORMED,
    "half-json": Status.MALFORMED,
    "no-choices": Status.MALFORMED,
    "no-content": Status.MALFORMED,
    "huge": Status.MALFORMED,
    "filtered": Status.REFUSED,
    "refusal": Status.REFUSED,
    "policy": Status.REFUSED,
    "too-long": Status.OVERFLOW,
    "empty": Status.OK,
    "thought-too-long": Status.OK,
    "surrogate": Status.OK,
    "other-name": Status.OK,
    "dated-name": Status.OK,
    "leak": Status.OK,
}
STOPS = {
    "no-money": ("no money left",),
    "locked": ("'w'", "SOME_KEY", "401"),
    "bad-field": ("'w'", "temperature must be 1", "[workers.live]"),
    "unknown-model": ("'w'", MODEL, "/v1"),
    "moved": ("'w'", "base_url"),
}
PASSING = [
    *("busy", "busy-seconds", "busy-date", "500", "503", "cut", "cut-body", "garbage"),
    *("half-json", "no-choices", "no-content", "wrong-model", "error-in-200"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


async def _ask(url: str, deadline_s: float, text: str, journal: Memory | None = None) -> Any:
    of = dispatcher(lane(openai_client(url), deadline_s), journal)
    started = time.monotonic()
    (reply,) = await asked(of, request(text))
    assert of.progress().reserved == of.progress().in_flight == 0
    return reply, time.monotonic() - started


def test_every_fault_ends_in_its_status_within_the_deadline_and_in_the_journal(server: FaultServer):
    async def all_faults() -> None:
        journal = Memory()
        deadlines = [DEADLINE if fault in NEVER_REPLY else LONG for fault in ENDS]
        calls = [
            _ask(server.url(fault), deadline, f"status {fault}", journal)
            for fault, deadline in zip(ENDS, deadlines, strict=True)
        ]
        for (fault, status), (reply, seconds) in zip(
            ENDS.items(), await asyncio.gather(*calls), strict=True
        ):
            assert isinstance(reply, ChatReply), (fault, reply)
            assert reply.status == status, (fault, reply)
            assert seconds < (DEADLINE if fault in NEVER_REPLY else LONG) + GRACE, fault
            assert reply.tries >= 1
            assert (reply.text == "") == (status != Status.OK or "mpty" in fault or "thou" in fault)
            assert status == Status.OK or reply.detail, fault
            assert journal.replies[request(f"status {fault}").key] == reply
        assert journal.open == {}

    run(all_faults())


@pytest.mark.parametrize("fault", STOPS)
def test_what_a_person_must_repair_stops_the_run_and_says_how(server: FaultServer, fault: str):
    journal = Memory()
    reply, _ = run(_ask(server.url(fault), LONG, f"stop {fault}", journal))
    assert isinstance(reply, ConfigError)
    for words in STOPS[fault]:
        assert words in str(reply)
    assert server.seen[request(f"stop {fault}").key] == 1
    assert journal.replies == journal.open == {}


def test_attempts_go_on_until_the_fault_passes(server: FaultServer):
    async def all_passing() -> None:
        calls = [_ask(server.url(fault, times=2), LONG, f"pass {fault}") for fault in PASSING]
        for fault, (reply, _) in zip(PASSING, await asyncio.gather(*calls), strict=True):
            assert (reply.status, reply.text, reply.tries) == (Status.OK, f"pass {fault}", 3), fault
            assert server.seen[request(f"pass {fault}").key] == 3

    run(all_passing())


def test_asked_pauses_are_kept_and_those_beyond_the_deadline_end_the_call(server: FaultServer):
    reply, seconds = run(_ask(server.url("busy-seconds", times=2), LONG, "two pauses"))
    assert reply.status == Status.OK
    assert seconds >= 0.6
    assert reply.latency >= 600_000
    reply, seconds = run(_ask(server.url("busy-hour"), LONG, "an hour"))
    assert (reply.status, reply.tries) == (Status.THROTTLED, 1)
    assert seconds < GRACE


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0.5", 0.5), ("7", 7.0), ("-3", 0.0), ("inf", None), ("nan", None), ("soon", None)],
)
def test_a_pause_may_be_a_number(said: str, seconds: float | None):
    assert retry_after_s({"retry-after": said}) == seconds


def test_a_pause_may_be_a_date():
    assert retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
    later = retry_after_s({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert later is not None
    assert later > 1e9


def test_a_server_that_slows_down_without_any_error_becomes_a_timeout():
    with FaultServer() as alone:
        of = dispatcher(lane(openai_client(alone.url("slower")), 0.5))

        async def one_after_another() -> list[Status]:
            try:
                return [(await of.ask(request(str(k)), WORST)).status for k in range(6)]
            finally:
                await of.close()

        statuses = run(one_after_another())
    assert statuses[0] == Status.OK
    assert statuses[-1] == Status.TIMEOUT


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
def test_a_server_that_is_not_there_is_unavailable(url: str):
    reply, _ = run(_ask(url, LONG, "anybody?"))
    assert reply.status == Status.UNAVAILABLE
    assert reply.tries == 4


class Deaf:
    """A client that never comes back and heeds no timeout."""

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        await asyncio.sleep(3600)
        raise AssertionError

    async def close(self) -> None:
        pass


def test_a_client_that_heeds_no_timeout_is_cut_off_at_the_deadline():
    started = time.monotonic()
    (reply,) = run(asked(dispatcher(lane(Deaf(), 0.2)), request()))
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.tries, reply.cost) == (Status.TIMEOUT, 1, 0)
    assert time.monotonic() - started < 0.2 + GRACE


def test_tokens_are_billed_as_stated_and_counted_where_the_reply_is_silent():
    with FaultServer() as server:
        reply, _ = run(_ask(server.url(), LONG, "x" * 41))
        assert (reply.tokens_in, reply.tokens_out, reply.cost, reply.counted) == (10, 5, 20, False)
        server.usage = False
        reply, _ = run(_ask(server.url(), LONG, "y" * 41))
        assert (reply.tokens_in, reply.tokens_out, reply.cost, reply.counted) == (11, 11, 33, True)


def test_a_failed_attempt_that_was_billed_is_paid(server: FaultServer):
    reply, _ = run(_ask(server.url("wrong-model", times=2), LONG, "billed three times"))
    assert (reply.status, reply.tokens_in, reply.tokens_out) == (Status.OK, 30, 15)
    assert reply.cost == 60


def test_no_key_is_told_by_replies_errors_journal_or_log(
    server: FaultServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    journal = Memory()

    async def tell_me() -> list[str]:
        told: list[str] = []
        for fault in ("500", "leak", "locked", "bad-field", "garbage", "hang", "cut"):
            of = dispatcher(lane(openai_client(server.url(fault)), 0.3), journal)
            told += [repr(reply) for reply in await asked(of, request(f"key {fault}"))]
        with pytest.raises(ConfigError) as error:
            await _look(openai_client(server.url("locked")))
        return [*told, str(error.value), repr(error.value.__cause__)]

    told = run(tell_me())
    assert any("***" in text for text in told)
    for text in (*told, *journal.lines, caplog.text, *capfd.readouterr()):
        assert SECRET not in text
        assert SECRET[:12] not in text


def _client(url: str, model: str = MODEL) -> OpenAIClient:
    return OpenAIClient("w", Endpoint(client="openai", model=model, base_url=url))


async def _look(client: OpenAIClient) -> None:
    try:
        await client.preflight()
    finally:
        await client.close()


def test_a_look_before_the_run_finds_what_is_wrong(server: FaultServer):
    run(_look(_client(server.url())))
    for client, words in (
        (_client("http://127.0.0.1:9/v1"), ("does not answer", "base_url")),
        (_client(server.url(), "echo-11"), ("no model 'echo-11'", "mean 'echo-1'", "other-2")),
        (_client(server.url("locked")), ("refuses access", "api_key_env")),
    ):
        with pytest.raises(ConfigError) as error:
            run(_look(client))
        for word in (*words, "'w'"):
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8000/v1", "http://"),
        ("ftp://a/v1", "http://"),
        ("http:///v1", "http://"),
        ("http://a:b/v1", "cannot be read"),
        ("http://[::1/v1", "cannot be read"),
        ("http://me:hidden@a/v1", "api_key_env"),
        ("http://a/v1?api-key=hidden", "?"),
    ],
)
def test_a_wrong_base_url_is_found_at_once(url: str, words: str):
    with pytest.raises(ConfigError, match="base_url") as error:
        _client(url)
    assert words in str(error.value)
    assert "hidden" not in str(error.value)
